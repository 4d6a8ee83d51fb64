"""Tables for people, and how their cells are written: numbers, texts, money, instants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out
from knowdefeat_pipeline.core.escaping import printable

NOTHING = "–"


Justify = Literal["left", "right"]


FOLDING = (
    "moved most by (points)",
    "failed",
    "missing",
    "message",
    "value",
    "found",
    "reason",
    "what it is",
    "why",
    "streaks 2..7 (% of trades)",
    "",
)


def table(title: str, columns: Sequence[tuple[str, Justify]], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table; each column is (heading, "left" | "right"). A narrow terminal folds the long texts and cuts nothing."""
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for heading, justify in columns:
        grid.add_column(heading, justify=justify, overflow="fold", no_wrap=heading not in FOLDING)
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell, kept="\n")) for cell in row))
    out.print(grid)


def number(value: Any, digits: int = 2, sign: bool = False) -> str:
    """A number with thousands separators; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:+,}" if sign else f"{value:,}"
    return f"{float(value):+,.{digits}f}" if sign else f"{float(value):,.{digits}f}"


def text(value: Any) -> str:
    """Text, or a dash where there is none."""
    return NOTHING if value is None or value == "" else str(value)


def pnl(row: Record, field: str) -> Text:
    """An amount of money, green above and red below zero."""
    value = row[field]
    shown = number(value, sign=True)
    if value is None or value == 0:
        return Text(shown)
    return Text(shown, "green" if value > 0 else "red")


def instant(moment: datetime) -> str:
    """UTC, and the user's own zone beside it where that differs."""
    shown = moment.strftime("%Y-%m-%d %H:%M UTC")
    local = moment.astimezone()
    return shown if local.utcoffset() == moment.utcoffset() else f"{shown} ({local:%Y-%m-%d %H:%M %Z})"
