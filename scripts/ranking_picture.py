"""Draw what `knowdefeat run` prints in a terminal.

.venv/bin/python -m scripts.ranking_picture docs/pictures/ranking.svg
The command runs in a home of its own, so the picture shows the simulated fleet; your data is not touched.
"""

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from scripts import pictures

KNOWDEFEAT = str(Path(sys.executable).parent / "knowdefeat")
WIDTH = 150


def main(path: str) -> None:
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text.from_ansi(printed_by_run()))
    drawn = console.export_svg(title="make run", theme=DIMMED_MONOKAI)
    # The viewer's own fixed-width font, instead of one that a picture would have to fetch from somewhere.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    Path(path).write_text(drawn, encoding="utf-8")
    pictures.note([Path(path)])


def printed_by_run() -> str:
    with tempfile.TemporaryDirectory(prefix="knowdefeat-picture-") as home:
        environment = os.environ | {"KNOWDEFEAT_HOME": home, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1"}
        environment.pop("KNOWDEFEAT_DATABASE_URL", None)
        try:
            return subprocess.check_output([KNOWDEFEAT, "run"], env=environment, text=True).rstrip()
        finally:
            subprocess.check_call([KNOWDEFEAT, "db", "stop"], env=environment)


if __name__ == "__main__":
    main(sys.argv[1])
