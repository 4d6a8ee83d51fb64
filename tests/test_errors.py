"""What a person is told leads to a page of the documentation, and to the place of it."""

import importlib
import pkgutil
import re

import knowdefeat_pipeline
from knowdefeat_pipeline.cli.app import DATABASE_TROUBLE
from knowdefeat_pipeline.errors import Interrupted, KnowDefeatError
from knowdefeat_pipeline.settings import ROOT


def kinds(of: type[KnowDefeatError]) -> set[type[KnowDefeatError]]:
    return {each for kind in of.__subclasses__() for each in (kind, *kinds(kind))}


def places(file: str) -> set[str]:
    """What the site calls the headings of a page."""
    text = re.sub(
        r"^```.*?^```", "", (ROOT / "docs" / file).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_error_names_a_page_that_is_there() -> None:
    for info in pkgutil.walk_packages(knowdefeat_pipeline.__path__, "knowdefeat_pipeline."):
        importlib.import_module(info.name)
    found = {kind for kind in kinds(KnowDefeatError) if kind.__module__.startswith("knowdefeat_pipeline.")} - {
        Interrupted
    }
    assert len(found) > 25
    for page in {*(kind.page for kind in found), DATABASE_TROUBLE}:
        assert page is not None, [kind.__name__ for kind in found if kind.page is None]
        file, _, place = page.partition("#")
        assert not place or place in places(file), page
