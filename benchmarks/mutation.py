"""How many faults that are planted in core's figures its tests notice: mutation testing by mutmut.

    python -m benchmarks.mutation [MODULE ...] [--tests FILE ...] [--processes 2] [--json]

Each mutant is a figure's function with one operator, number, argument or condition changed; the tests of core/metrics
that call the function run against it until one fails. What survives is printed as a change of the code: a missing test,
or a change that no result shows. A mutant that no test ends in time counts as noticed, one that no test calls does not.
The work is done on a copy below build/mutation, from the start each time: mutmut would keep what other tests found.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.common import report

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutation"
METRICS = "knowdefeat_pipeline/core/metrics"
MODULES = ("figures", "returns", "drawdown", "streaks", "order")
TESTS = ("tests/core/metrics", "tests/core/test_examples.py")
COPIED = ("knowdefeat_pipeline", "tests", "sql", "dagster.yaml", "workspace.yaml", "code_server.yaml")
SURVIVED, NOT_CALLED = (0,), (5, 33)
NOTICED = (1, 3, 24, -24, 36, 152, 255)  # a test failed, or the limit of CPU time was reached


def prepare(modules: list[str], tests: list[str]) -> None:
    """A copy of what the tests need, with mutmut's settings."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, FOLDER / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, FOLDER / name)
    settings = {
        "source_paths": ["knowdefeat_pipeline"],
        "only_mutate": [f"{METRICS}/{module}.py" for module in modules],
        "also_copy": [name for name in COPIED if name != "knowdefeat_pipeline"],
        "pytest_add_cli_args": ["-p", "no:xdist", "-p", "no:cacheprovider", "-k", "metrics"],
        "pytest_add_cli_args_test_selection": tests,
        "use_git_change_detection": False,
    }
    pytest_ = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    lines = [f"[{table}]\n" + "\n".join(f"{name} = {_toml(value)}" for name, value in of.items())
             for table, of in (("tool.mutmut", settings), ("tool.pytest.ini_options", pytest_))]  # fmt: skip
    (FOLDER / "pyproject.toml").write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    """Strings, lists of strings and truths are written in TOML as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def mutmut(*arguments: str) -> str:
    """What mutmut prints. Raises SystemExit with it where mutmut fails."""
    environment = os.environ | {"PYTHONPATH": str(FOLDER)}
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}")
    return done.stdout


def outcomes(module: str) -> dict[str, int | None]:
    """By mutant the exit code of its tests; None where it was not tried."""
    meta = json.loads((FOLDER / "mutants" / METRICS / f"{module}.py.meta").read_text(encoding="utf-8"))
    found: dict[str, int | None] = meta["exit_code_by_key"]
    return found


def measure(modules: list[str], tests: list[str], processes: int) -> dict[str, dict[str, object]]:
    """By module: how many mutants there were, were noticed, and which were not."""
    prepare(modules, tests)
    mutmut("run", "--max-children", str(processes))
    found: dict[str, dict[str, object]] = {}
    for module in modules:
        codes = outcomes(module)
        survived = [name for name, code in codes.items() if code in (*SURVIVED, *NOT_CALLED)]
        noticed = sum(code in NOTICED for code in codes.values())
        found[module] = {
            "mutants": len(codes),
            "noticed": noticed,
            "survived": {name: mutmut("show", name) for name in survived},
            "undecided": len(codes) - noticed - len(survived),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--tests", nargs="+", default=list(TESTS), metavar="FILE", help="fewer tests, in less time")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    modules = chosen.modules or list(MODULES)
    if unknown := [module for module in modules if module not in MODULES]:
        parser.error(f"there is no {', '.join(unknown)}; choose of {', '.join(MODULES)}")
    found = measure(modules, chosen.tests, chosen.processes)
    rows = [
        (
            module,
            f"{of['noticed']} of {of['mutants']} noticed"
            + (f", {of['undecided']} undecided" if of["undecided"] else ""),
        )
        for module, of in found.items()
    ]
    changes = [(f"{module}, survivor {number}", str(change)) for module, of in found.items()
               for number, change in enumerate(dict(of["survived"]).values(), 1)]  # fmt: skip
    report("Faults planted in core's figures", [*rows, *changes], found, chosen.json)


if __name__ == "__main__":
    main()
