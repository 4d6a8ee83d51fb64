"""What of others' scripts stands in the repository: which, whose, under which licence, and that it is unchanged."""

import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from knowdefeat_pipeline.web.app import STATIC

VENDOR = STATIC / "vendor"
FILES = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))


def test_every_file_is_the_one_that_the_manifest_names() -> None:
    assert {path.name for path in VENDOR.iterdir()} == {of["file"] for of in FILES} | {"manifest.json"}
    for of in FILES:
        assert hashlib.sha256((VENDOR / of["file"]).read_bytes()).hexdigest() == of["sha256"]
        assert of["licence"] in ("0BSD", "MIT")
    assert {of["package"] for of in FILES if "LICENSE" in of["file"]} == {of["package"] for of in FILES}


def test_the_scripts_are_small() -> None:
    assert sum((VENDOR / of["file"]).stat().st_size for of in FILES) < 100_000


@pytest.mark.e2e
def test_every_file_is_that_of_the_package(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    for package in {(of["package"], of["version"]) for of in FILES}:
        name, version = package
        subprocess.run([npm, "pack", f"{name}@{version}"], cwd=tmp_path, check=True, capture_output=True)
        with tarfile.open(tmp_path / f"{name}-{version}.tgz") as archive:
            for of in (of for of in FILES if of["package"] == name):
                file = archive.extractfile(f"package/{of['path']}")
                assert file is not None
                assert file.read() == (VENDOR / of["file"]).read_bytes()
