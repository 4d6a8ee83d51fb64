"""The worked example and the built site, once for all tests of the documentation."""

import os
import sys
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT
from scripts.docs import example


@pytest.fixture(scope="session")
def found() -> example.Example:
    """The example fleet as the product's own commands left it in a database."""
    return example.read()


@pytest.fixture(scope="session")
def site(found: example.Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make docs` does it; a warning fails."""
    pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: make test installs it")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example, "read", lambda: found)
        patch.setitem(os.environ, "NO_MKDOCS_2_WARNING", "1")
        patch.setattr(sys, "path", [*sys.path])
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder
