"""The built site: everything of the product has a place there, every link leads somewhere, nothing comes from elsewhere."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.core.schema import DECISIONS, TABLES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import variable_names
from scripts.docs import reference

pytestmark = pytest.mark.docs
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Where a page leads, what it loads, the places in it, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = dict(attributes)
        if of.get("id"):
            self.places.add(str(of["id"]))
        if tag == "a" and of.get("href"):
            self.links.append(str(of["href"]))
        if tag in LOADED and of.get(LOADED[tag]):
            self.loaded.append(str(of[LOADED[tag]]))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


@cache
def page(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 60
    return [file for file in found if file.name != "404.html"]  # whose links are those of a server's root


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}


def commands(group: Any, words: str = "") -> dict[str, Any]:
    """By its words every command that does something."""
    out = {words: group} if words and (not hasattr(group, "commands") or group.invoke_without_command) else {}
    for name, below in getattr(group, "commands", {}).items():
        out |= commands(below, f"{words} {name}".strip())
    return out


def test_every_link_and_every_place_in_a_page_is_there(site: Path) -> None:
    broken = []
    for file in pages(site):
        for link in page(file).links + page(file).loaded:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in page(target).places
            ):
                broken.append(f"{file.relative_to(site)}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    foreign = {link for file in pages(site) for link in page(file).loaded if urlsplit(link).netloc}
    assert foreign == set()
    styles = "".join(file.read_text(encoding="utf-8") for file in site.rglob("*.css"))
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*", styles) == []


def test_every_command_with_all_its_options_is_there(site: Path) -> None:
    reference_of_commands = page(site / "reference" / "commands.html")
    known = commands(get_command(app))
    assert {"run", "weights", "weights set", "db role bot", "serve pages"} <= known.keys()
    assert {words.replace(" ", "-") for words in known} <= reference_of_commands.places
    missing = {
        (words, name)
        for words, command in known.items()
        for name in options(command)
        if name not in reference_of_commands.text
    }
    assert missing == set()


def test_every_setting_is_there(site: Path) -> None:
    assert set(variable_names()) <= page(site / "reference" / "settings.html").places


def test_every_table_and_view_says_what_it_is_and_names_its_columns(site: Path, database: str) -> None:
    tables = page(site / "reference" / "tables.html")
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT CASE table_schema WHEN 'public' THEN '' ELSE table_schema || '-' END || table_name, column_name "
            "FROM information_schema.columns WHERE table_schema IN ('public', 'report')"
        ).fetchall()
    assert len(rows) > 500
    assert {name for name, _ in rows} <= tables.places
    assert {column for _, column in rows if column not in tables.text} == set()


def test_no_table_is_without_a_word(found: Any) -> None:
    assert [name for name in found.columns if not reference.what(name, found)] == []
    assert set(reference.WHAT) <= found.columns.keys()


def test_every_route_is_there(site: Path) -> None:
    document = reference.openapi()
    wanted = {reference.place(method, path) for path, operations in document["paths"].items() for method in operations}
    assert len(wanted) > 50
    assert wanted <= page(site / "reference" / "api.html").places


@pytest.mark.parametrize(("table", "figures"), [*TABLES.items(), *DECISIONS.items()], ids=lambda value: str(value)[:30])
def test_every_figure_has_its_meaning_unit_and_rule(site: Path, table: str, figures: Any) -> None:
    shown = page(site / "definitions" / f"{table}.html")
    text = " ".join(shown.text.split())
    for figure in figures:
        assert figure.name in shown.places
        first = re.split(r"(?<=[.;]) (?=NULL)", figure.description)[0].replace("`", "")
        assert " ".join(first.split()) in text
        assert figure.unit in text
