"""What MkDocs calls while it builds the site: the pages, and parts of pages, that code makes.

Nothing of them is stored. The worked example needs a server of PostgreSQL for some seconds, the product's own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from scripts.docs import definitions, evidence, example, reference  # noqa: E402

FROM_ROOT = {"changelog.md": "CHANGELOG.md"}
"""Pages of the site that stand at the top of the repository, where people look for them."""
PLACE = re.compile(r"^<!-- made: ([\w-]+) -->$", re.MULTILINE)
"""Where a page that is written by hand leaves a part to be made."""

_parts: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make everything; add the pages that are made as a whole, and the files of the example."""
    found = example.read()
    _parts.update(definitions.parts() | reference.parts(found) | evidence.parts())
    made = definitions.pages(found) | {page: _from_root(name) for page, name in FROM_ROOT.items()}
    made |= {f"example/{name}": text for name, text in example.files().items() if name != "trades.csv"}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill in the parts. Raises KeyError for one that nobody makes."""
    return PLACE.sub(lambda found: _parts[found[1]], markdown)


def _from_root(name: str) -> str:
    """A file of the repository with its links into docs/ as they are from there."""
    return re.sub(r"\]\(docs/", "](", (ROOT / name).read_text(encoding="utf-8"))
