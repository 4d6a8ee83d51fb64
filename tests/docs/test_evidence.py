"""Evidence is what a benchmark reported, with its commit, date and seeds, and nothing else."""

import importlib
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import evidence as measuring
from knowdefeat_pipeline.settings import ROOT
from scripts.docs import evidence as showing

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(measuring, "FOLDER", tmp_path)
    monkeypatch.setattr(showing, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark that reports what it was asked for."""
    module = ModuleType("benchmarks.pretended")

    def main() -> None:
        import sys

        rows = [("asked", " ".join(sys.argv)), ("ratio", "0.71 ± 0.02")]
        module.report("A title | with a bar", rows, {"ratio": float("nan"), "all": (1, 2.5)}, False)  # type: ignore[attr-defined]

    module.report, module.main = None, main  # type: ignore[attr-defined]
    monkeypatch.setitem(measuring.MEASURED, "pretended", ("pretended", "--seeds", "3"))
    monkeypatch.setattr(importlib, "import_module", lambda name: {"benchmarks.pretended": module}[name])
    return module


def test_a_report_is_kept_with_what_it_is_true_of(folder: Path, benchmark: ModuleType) -> None:
    found = measuring.measure("pretended", COMMIT)
    assert measuring.write("pretended", found) == folder / "pretended.json"
    kept: dict[str, Any] = json.loads((folder / "pretended.json").read_text())
    assert (kept["benchmark"], kept["commit"]) == ("python -m benchmarks.pretended --seeds 3", COMMIT)
    assert kept["rows"] == [["asked", "pretended --seeds 3"], ["ratio", "0.71 ± 0.02"]]
    assert kept["figures"] == {"ratio": None, "all": [1, 2.5]}
    assert kept.keys() == {"benchmark", "commit", "date", "python", "title", "rows", "figures"}


def test_a_page_shows_the_report_and_where_there_is_none_what_to_run(folder: Path, benchmark: ModuleType) -> None:
    assert showing.shown("pretended") == (
        "*Not measured at this version.* Measure it: `python -m benchmarks.evidence pretended`\n"
    )
    measuring.write("pretended", measuring.measure("pretended", COMMIT))
    shown = showing.shown("pretended")
    assert shown.startswith("A title &#124; with a bar. Measured at commit `0123456789ab` on ")
    assert "| ratio | `0.71 ± 0.02` |" in shown
    assert showing.parts()["evidence-pretended"] == shown


def test_every_benchmark_that_is_named_reports_and_takes_its_arguments() -> None:
    for name, (benchmark, *arguments) in measuring.MEASURED.items():
        text = (ROOT / "benchmarks" / f"{benchmark}.py").read_text(encoding="utf-8")
        assert "from benchmarks.common import" in text, name
        assert "report" in vars(importlib.import_module(f"benchmarks.{benchmark}")), name
        for argument in (word for word in arguments if word.startswith("--")):
            assert f'"{argument}"' in text, name


def test_nothing_is_measured_of_a_tree_that_no_commit_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for command in (["init", "-q"], ["config", "user.email", "a@b.c"], ["config", "user.name", "A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "docs" / "evidence").mkdir(parents=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "-qm", "one"], cwd=tmp_path, check=True)
    monkeypatch.setattr(measuring, "ROOT", tmp_path)
    monkeypatch.setattr(measuring, "FOLDER", tmp_path / "docs" / "evidence")
    (tmp_path / "docs" / "evidence" / "skill.json").write_text("{}\n")  # a report of before, which changes nothing
    assert len(measuring.commit_of_a_clean_tree()) == 40
    (tmp_path / "code.py").write_text("2\n")
    with pytest.raises(SystemExit, match=r"(?s)Commit these first.*code\.py"):
        measuring.commit_of_a_clean_tree()


def test_a_name_that_is_not_measured_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        measuring.main(["profit"])
    assert "there is no profit; choose of weights, " in capsys.readouterr().err


def test_the_files_that_are_there_hold_what_they_must() -> None:
    for file in sorted((ROOT / "docs" / "evidence").glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        benchmark, *arguments = measuring.MEASURED[file.stem]
        assert found["benchmark"] == f"python -m benchmarks.{benchmark} {' '.join(arguments)}"
        assert len(found["commit"]) == 40
        assert found["rows"]


def test_beside_the_tables_no_figure_is_typed_by_hand() -> None:
    """It would contradict the table as soon as that is measured again."""
    sections = {
        page.stem: page.read_text(encoding="utf-8").split("\n## Evidence\n")[1].split("\n## ")[0]
        for page in (ROOT / "docs" / "methodology").glob("*.md")
        if "<!-- made: evidence-" in page.read_text(encoding="utf-8")
    }
    assert sections.keys() == {"allocation", "beliefs", "regimes", "skill", "weights"}
    typed = {name: re.findall(r"\d*\.\d+|\d+ %", text) for name, text in sections.items()}
    assert typed == {name: [] for name in sections}
