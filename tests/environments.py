"""Environments with other versions of packages than the lock's, for the tests marked `versions`."""

import os
import re
import subprocess
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knowdefeat_pipeline.settings import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES: list[str] = PROJECT["dependencies"]


def lowest(requirements: list[str]) -> list[str]:
    """Each pinned to the lower end of its range.

    >>> lowest(["psycopg[binary]>=3.3,<4"])
    ['psycopg[binary]==3.3']
    """
    return [re.sub(r">=([^,]+),.*", r"==\1", requirement) for requirement in requirements]


def locked() -> list[str]:
    """What the development lock pins, without hashes and extras."""
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    return [re.sub(r"\[.*?\]", "", line.removesuffix("\\").strip()) for line in lines if line[:1].isalnum()]


def run(*command: str | Path, **environment: str) -> str:
    """What a program printed; fails with all that it said if it fails. It runs at the top of the repository."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def empty_environment() -> Iterator[Path]:
    """The interpreter of an environment with pip alone, gone at the end."""
    # Not in pytest's own folder: the session in here, like any other, clears away those of earlier sessions.
    with tempfile.TemporaryDirectory(prefix="knowdefeat-versions-") as folder:
        venv.create(Path(folder) / "venv", with_pip=True, symlinks=True)
        yield Path(folder) / "venv" / "bin" / "python"


def install(python: Path, requirements: list[str], constraints: list[str] | None = None) -> None:
    """Install with pip what is required, the newest that the constraints admit."""
    file = python.parents[2] / "constraints.txt"
    file.write_text("\n".join(constraints or []))
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", "--constraint", file, *requirements)
