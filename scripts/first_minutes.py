"""Record a freqtrade user's first minutes: from the clone of this repository to the ranking of the user's bots.

.venv/bin/python scripts/first_minutes.py PATH/tradesv3.sqlite docs/pictures/first_minutes.txt
Everything really runs, in a folder of its own: the clone, the installation, the database, the ranking. Each line has
the minutes and seconds since the clone began.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATABASE, CLONE = "freqtrade/user_data/tradesv3.sqlite", "knowdefeat-pipeline"
WIDTH = 150
LONGEST = 30.0  # seconds of CPU that our own part may take, however busy the machine is
OURS = ("KNOWDEFEAT_", "VIRTUAL_ENV", "PYTHONPATH", "DAGSTER_HOME", "MAKE")
HEAD = """A freqtrade user's first minutes, as scripts/first_minutes.py recorded them: {whole:.0f} s in all.
Reading {trades} trades, computing and ranking take {own:.0f} s of them, with {cpu:.0f} s of CPU.

"""


def main(database: str, path: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"COLUMNS": str(WIDTH), "PYTHONUNBUFFERED": "1", "PIP_QUIET": "2"}  # no word of its mirrors
    with tempfile.TemporaryDirectory(prefix="knowdefeat-first-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # whoever is root runs the database as another account
        (home / DATABASE).parent.mkdir(parents=True)
        shutil.copy(database, home / DATABASE)
        began = time.time()
        lines = run(f"git clone --quiet {ROOT} {CLONE}", home, environment, began)
        lines += run("make install", home / CLONE, environment, began)
        installed, spent = time.time() - began, cpu()
        try:
            lines += run(f"make run TRADES=../{DATABASE}", home / CLONE, environment, began)
            spent = cpu() - spent
        finally:
            subprocess.call([".venv/bin/knowdefeat", "db", "stop"], cwd=home / CLONE, env=environment)
    if spent > LONGEST:
        raise SystemExit(f"Our own part took {spent:.0f} s of CPU, which is more than {LONGEST:g}.")
    trades = next(found[1] for _, line in lines if (found := re.search(r"([\d,]+) rows", line)))
    whole = lines[-1][0]
    head = HEAD.format(trades=trades, whole=whole, own=whole - installed, cpu=spent)
    Path(path).write_text(
        head + "".join(f"{stamp(at)}  {line}".rstrip() + "\n" for at, line in lines), encoding="utf-8"
    )


def cpu() -> float:
    """Seconds that the commands took so far; the database's server is none of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: str, folder: Path, environment: dict[str, str], began: float) -> list[tuple[float, str]]:
    """What a command prints, each line with when it came."""
    shown = command.replace(str(ROOT), "REPOSITORY").replace(" --quiet", "")
    lines = [(time.time() - began, f"$ {shown}")]
    with subprocess.Popen(
        command.split(), cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        lines += [(time.time() - began, line.rstrip()) for line in process.stdout or ()]
    if process.returncode:
        raise SystemExit("\n".join(line for _, line in lines))
    return lines


def stamp(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
