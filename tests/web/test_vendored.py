"""What of others' scripts stands in the repository: which, whose, under which licence, and that it is unchanged."""

import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.web.app import STATIC

PAGES, DOCS = STATIC / "vendor", ROOT / "docs" / "vendor"


def files(vendor: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((vendor / "manifest.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("vendor", [PAGES, DOCS], ids=["pages", "docs"])
def test_every_file_is_the_one_that_the_manifest_names(vendor: Path) -> None:
    named = files(vendor)
    assert {path.name for path in vendor.iterdir()} == {of["file"] for of in named} | {"manifest.json"}
    for of in named:
        assert hashlib.sha256((vendor / of["file"]).read_bytes()).hexdigest() == of["sha256"]
        assert of["licence"] in ("0BSD", "MIT")
    assert {of["package"] for of in named if "LICENSE" in of["file"]} == {of["package"] for of in named}


def test_the_scripts_of_the_pages_are_small() -> None:
    assert sum((PAGES / of["file"]).stat().st_size for of in files(PAGES)) < 100_000


@pytest.mark.e2e
@pytest.mark.parametrize("vendor", [PAGES, DOCS], ids=["pages", "docs"])
def test_every_file_is_that_of_the_package(vendor: Path, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    for package in {(of["package"], of["version"]) for of in files(vendor)}:
        name, version = package
        subprocess.run([npm, "pack", f"{name}@{version}"], cwd=tmp_path, check=True, capture_output=True)
        with tarfile.open(tmp_path / f"{name}-{version}.tgz") as archive:
            for of in (of for of in files(vendor) if of["package"] == name):
                file = archive.extractfile(f"package/{of['path']}")
                assert file is not None
                assert file.read() == (vendor / of["file"]).read_bytes()
