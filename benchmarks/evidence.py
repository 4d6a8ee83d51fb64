"""Runs the benchmarks on which the methodology rests, and keeps what they print as docs/evidence/NAME.json.

    python -m benchmarks.evidence [NAME ...]

Without a name all of them, which takes hours on two cores. A file holds the title, the rows and the figures of the
report, the arguments with the seeds among them, the commit, the date and Python's version. Nothing is measured while
the tree has changes that are in no commit, since the file would name a commit that is not what was measured; files in
docs/evidence are none of these.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "evidence"

MEASURED: dict[str, tuple[str, ...]] = {
    "weights": ("weights", "--bots", "40", "--seeds", "24", "--first-seed", "20000"),
    "weights_few": ("weights", "--bots", "8", "--seeds", "60", "--first-seed", "20000"),
    "weights_held": ("weights", "--held", "--seeds", "24", "--first-seed", "20000"),
    "skill": ("skill", "--fleets", "600", "--first-seed", "1"),
    "beliefs": ("beliefs", "--seeds", "32", "--first-seed", "1000"),
    "regimes": ("regimes", "--seeds", "24"),
    "funds": ("funds", "--seeds", "10", "--first-seed", "30000"),
}
"""By the name of the file: the benchmark and its arguments; benchmarks.regimes counts its seeds from 0."""


def measure(name: str, commit: str) -> dict[str, Any]:
    """What the benchmark reports, and of what it is true."""
    benchmark, *arguments = MEASURED[name]
    module = importlib.import_module(f"benchmarks.{benchmark}")
    found: dict[str, Any] = {}

    def keep(title: str, rows: list[tuple[str, str]], figures: dict, as_json: bool) -> None:
        found.update(title=title, rows=[list(row) for row in rows], figures=figures)

    begun = datetime.now(UTC)
    with mock.patch.object(module, "report", keep), mock.patch.object(sys, "argv", [benchmark, *arguments]):
        module.main(*([keep] if inspect.signature(module.main).parameters else []))  # one takes it as an argument
    return {
        "benchmark": f"python -m benchmarks.{benchmark} {' '.join(arguments)}",
        "commit": commit,
        "date": f"{begun:%Y-%m-%d}",
        "python": platform.python_version(),
        **found,
    }


def write(name: str, found: dict[str, Any]) -> Path:
    """Keep a report; what is no number of JSON is null there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.json"
    text = json.dumps(_plain(found), indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
    return file


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def commit_of_a_clean_tree() -> str:
    """The commit of the code that is here. Raises SystemExit where the tree has changes beside it."""
    changed = _git("status", "--porcelain", "--", ".", f":!{FOLDER.relative_to(ROOT)}")
    if changed:
        raise SystemExit(f"Commit these first, as the file is to name what was measured:\n{changed}")
    return _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURED))
    chosen = parser.parse_args(arguments).names or list(MEASURED)
    if unknown := [name for name in chosen if name not in MEASURED]:
        parser.error(f"there is no {', '.join(unknown)}; choose of {', '.join(MEASURED)}")
    commit = commit_of_a_clean_tree()
    for name in chosen:
        print(write(name, measure(name, commit)).relative_to(ROOT))


if __name__ == "__main__":
    main()
