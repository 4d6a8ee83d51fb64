"""How answers look: aligned tables for people, JSON for programs, messages on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from knowdefeat_pipeline.core.escaping import printable

PIPED_WIDTH = 130  # a file or pipe has no width; tables then keep their lines


class _Console(Console):
    """A console that takes texts as they are: much of what is printed came from outside. What is to be set off is given
    as `Text` (see `strong`)."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's; control characters but line breaks and tabs, as drivers' messages have them, are shown as �."""
        super().print(*(printable(o, kept="\n\t") if isinstance(o, str) else o for o in objects), **options)


def strong(text: str) -> Text:
    """Text that is set off."""
    return Text(printable(text), "bold")


def _console(stderr: bool) -> Console:
    """NO_COLOR leaves colours out, as rich has it."""
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=PIPED_WIDTH)


out, err = _console(False), _console(True)


def make_plain() -> None:
    """From here on all is printed as into a file: no colour, nothing set off, nothing that moves."""
    for console, stderr in ((out, False), (err, True)):
        # Who prints holds on to these two; so they are made anew in their places.
        Console.__init__(
            console, stderr=stderr, highlight=False, markup=False, emoji=False, width=PIPED_WIDTH, force_terminal=False,
            force_interactive=False, color_system=None,
        )  # fmt: skip
    from typer import rich_utils  # takes long to import, and prints help and errors of usage alone

    rich_utils.COLOR_SYSTEM, rich_utils.FORCE_TERMINAL = None, False


Record = Mapping[str, Any]


def print_json(value: Any) -> None:
    """One JSON document on standard output; what cannot be computed is null."""
    json.dump(plain(value), sys.stdout, indent=2)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are none are null, times are ISO 8601."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if isinstance(value, datetime | date) else value
