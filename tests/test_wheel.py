"""What a wheel carries beside the code. That it installs and runs elsewhere is tested by `make test-wheel`."""

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
