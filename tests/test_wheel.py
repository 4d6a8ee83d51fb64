"""Which version a build has, and what a wheel carries beside the code.

That it is the same bytes wherever it is built, installs and runs elsewhere is tested by `make test-wheel`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_editable, build_wheel

from knowdefeat_pipeline.settings import IS_INSTALLED, ROOT

SHARE = "knowdefeat_pipeline/share/"


def shared(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name.removeprefix(SHARE) for name in archive.namelist() if name.startswith(SHARE)}


def test_a_wheel_carries_every_statement_and_dagsters_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    statements = {path.relative_to(ROOT).as_posix() for path in (ROOT / "sql").rglob("*.sql")}
    assert shared(tmp_path / build_wheel(str(tmp_path))) == statements | {
        "dagster.yaml",
        "workspace.yaml",
        "code_server.yaml",
    }


def test_an_editable_install_reads_them_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert shared(tmp_path / build_editable(str(tmp_path))) == set()
    assert not IS_INSTALLED
    assert (ROOT / "sql" / "migrations").is_dir()


def git(folder: Path, *arguments: str) -> str:
    named = (
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "commit.gpgSign=false",
        "-c",
        "tag.gpgSign=false",
    )
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def version_of(folder: Path) -> str:
    built = [sys.executable, "-m", "hatchling", "version"]
    return subprocess.run(built, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def archived(repository: Path, folder: Path) -> Path:
    """What a tarball of the last commit holds, beside which there is no git."""
    git(repository, "archive", "--format=tar", f"--output={folder}.tar", "HEAD")
    shutil.unpack_archive(f"{folder}.tar", folder)
    return folder


def test_the_version_is_that_of_the_tag_of_the_commits_after_it_and_of_an_archive(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    for name in ("pyproject.toml", ".gitattributes", "README.md"):
        shutil.copy(ROOT / name, repository)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "first")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "second")
    assert re.fullmatch(r"0\.1\.0\.dev1\+g[0-9a-f]{7}", version_of(repository))  # before the first release

    git(repository, "tag", "--annotate", "v1.2.0", "--message", "1.2.0")
    git(repository, "tag", "checked")  # which is no release
    assert version_of(repository) == "1.2.0"
    assert version_of(archived(repository, tmp_path / "released")) == "1.2.0"
    with (repository / "README.md").open("a") as readme:
        readme.write("More.\n")
    assert version_of(repository) == "1.2.0+changed"

    git(repository, "commit", "--quiet", "--all", "--message", "third")
    commit = git(repository, "rev-parse", "HEAD")[:7]
    assert version_of(repository) == f"1.3.0.dev1+g{commit}"
    assert version_of(archived(repository, tmp_path / "later")) == f"1.3.0.dev1+g{commit}"


def test_a_copy_without_git_has_the_version_that_it_states_or_none(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert version_of(tmp_path) == "0+unknown"
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: knowdefeat-pipeline\nVersion: 1.2.0\n")
    assert version_of(tmp_path) == "1.2.0"
