"""The pictures of the documentation: each is made by a script, and younger than what it shows."""

import json
from pathlib import Path

import pytest

from scripts import page_pictures, pictures


@pytest.mark.docs
def test_every_picture_is_younger_than_what_it_shows() -> None:
    assert pictures.stale() == {}


def test_every_picture_has_files_that_say_how_it_looks() -> None:
    there = {
        path.relative_to(pictures.FOLDER).as_posix()
        for path in pictures.FOLDER.rglob("*")
        if path.suffix in (".png", ".svg")
    }
    assert there == pictures.SHOWN.keys()
    assert {f"pages/{page}.png" for page in page_pictures.PAGES} <= there
    assert [path for paths in pictures.SHOWN.values() for path in paths if not (pictures.ROOT / path).exists()] == []


def test_what_changes_makes_its_pictures_old_until_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docs" / "pictures"
    (folder / "pages").mkdir(parents=True)
    (tmp_path / "fleet.html").write_text("<h1>Fleet</h1>")
    (tmp_path / "table.py").write_text("columns = 3")
    for name in ("pages/fleet.png", "ranking.svg"):
        (folder / name).touch()
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    monkeypatch.setattr(pictures, "FOLDER", folder)
    monkeypatch.setattr(pictures, "DRAWN", folder / "drawn.json")
    monkeypatch.setattr(pictures, "SHOWN", {"pages/fleet.png": ("fleet.html",), "ranking.svg": ("table.py",)})

    pictures.note([folder / "pages" / "fleet.png", folder / "other.png", tmp_path / "elsewhere.png"])
    assert json.loads((folder / "drawn.json").read_text()).keys() == {"pages/fleet.png"}
    assert pictures.stale() == {"ranking.svg": pictures.HOW["ranking.svg"]}
    pictures.note([folder / "ranking.svg"])
    assert pictures.stale() == {}
    (tmp_path / "fleet.html").write_text("<h1>The fleet</h1>")
    assert pictures.stale() == {"pages/fleet.png": pictures.HOW["pages"]}
    (folder / "ranking.svg").unlink()
    assert pictures.stale().keys() == {"pages/fleet.png", "ranking.svg"}
