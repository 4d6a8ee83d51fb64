"""Which pictures of docs/pictures are older than what they show: python -m scripts.pictures.

Whoever draws a picture notes the digest of the files that say how it looks; where one of them changes, the picture is
to be drawn again. It may come out the same, which dates would not tell.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
DRAWN = FOLDER / "drawn.json"
"""By the name of each picture the digest of what it showed when it was drawn."""

_TEMPLATES = "knowdefeat_pipeline/web/pages/templates"
_PAGES = ("fleet", "ranking", "bot", "compare", "weights", "learning", "regimes", "funds", "data")
_PAGE_TEMPLATES = dict(zip(_PAGES, _PAGES, strict=True)) | {
    "what-if": "funds", "mend": "data_row", "upload": "data_upload", "operations": "operations", "api": "docs",
    "fleet-dark": "fleet", "ranking-dark": "ranking",
}  # fmt: skip
_ALL_PAGES = (f"{_TEMPLATES}/base.html", f"{_TEMPLATES}/macros.html", "knowdefeat_pipeline/web/static/app.css")
SHOWN: dict[str, tuple[str, ...]] = {
    "ranking.svg": ("knowdefeat_pipeline/cli/views/ranking.py", "knowdefeat_pipeline/cli/views/tables.py"),
    "lineage.png": ("knowdefeat_pipeline/automation/jobs.py",),
    "run.png": ("knowdefeat_pipeline/automation/jobs.py",),
    "asset.png": ("knowdefeat_pipeline/core/schema/ranking.py", "knowdefeat_pipeline/core/schema/figure.py"),
    "live.png": ("knowdefeat_pipeline/automation/jobs.py",),
    **{f"pages/{page}.png": (f"{_TEMPLATES}/{of}.html", *_ALL_PAGES) for page, of in _PAGE_TEMPLATES.items()},
}
"""By the name of each picture the files that say how it looks."""
HOW = {
    "ranking.svg": ".venv/bin/python -m scripts.ranking_picture docs/pictures/ranking.svg",
    "pages": ".venv/bin/python -m scripts.page_pictures docs/pictures/pages",
    "": "KNOWDEFEAT_SCREENSHOTS=docs/pictures make test-e2e",
}
"""The command that draws a picture, by its name or folder; the last one draws all others."""


def digest(picture: str) -> str:
    """Of what the picture shows, as it is now."""
    return hashlib.sha256(b"\0".join((ROOT / path).read_bytes() for path in SHOWN[picture])).hexdigest()[:16]


def note(pictures: Iterable[Path]) -> None:
    """That these files were drawn now; files that are no pictures of the documentation are passed over."""
    names = [
        path.resolve().relative_to(FOLDER).as_posix() for path in pictures if path.resolve().is_relative_to(FOLDER)
    ]
    drawn = json.loads(DRAWN.read_text(encoding="utf-8")) if DRAWN.exists() else {}
    drawn |= {name: digest(name) for name in names if name in SHOWN}
    DRAWN.write_text(json.dumps(dict(sorted(drawn.items())), indent=1) + "\n", encoding="utf-8")


def stale() -> dict[str, str]:
    """Of each picture that is older than what it shows, or missing, the command that draws it."""
    drawn = json.loads(DRAWN.read_text(encoding="utf-8"))
    old = [name for name in SHOWN if not (FOLDER / name).exists() or drawn.get(name) != digest(name)]
    return {name: HOW.get(name) or HOW.get(name.partition("/")[0], HOW[""]) for name in old}


if __name__ == "__main__":
    found = stale()
    for name, command in found.items():
        print(f"{name}: {command}")
    sys.exit(bool(found))
