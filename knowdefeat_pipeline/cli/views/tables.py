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
from knowdefeat_pipeline.core.money import digits

NOTHING = "–"
ESTIMATED = "~"  # the mark of what rests on an estimate
ESTIMATE = "the most that the bot had open at once"


Justify = Literal["left", "right"]


FOLDING = (
    "moved most by (points)",
    "failed",
    "missing",
    "message",
    "value",
    "found",
    "truth",
    "reason",
    "what it is",
    "why",
    "good, or lucky",
    "streaks 2..7 (% of trades)",
    "",
)
NAMES = ("bot", "strategy")
NAME_WIDTH = 20  # of which a name is not folded, so that an ordinary one never is


def table(title: str, columns: Sequence[tuple[str, Justify]], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table; each column is (heading, "left" | "right"). A narrow terminal folds the long texts and cuts nothing."""
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    cells = [[cell if isinstance(cell, Text) else Text(printable(cell, kept="\n")) for cell in row] for row in rows]
    for place, (heading, justify) in enumerate(columns):
        longest = max((row[place].cell_len for row in cells), default=0)
        # A long name folds before a figure is cut.
        width = min(max(longest, len(heading)), NAME_WIDTH) if heading in NAMES and longest > NAME_WIDTH else None
        whole = heading not in FOLDING and width is None
        grid.add_column(heading, justify=justify, overflow="fold", no_wrap=whole, min_width=width)
    for row in cells:
        grid.add_row(*row)
    out.print(grid)


def number(value: Any, decimals: int = 2, sign: bool = False) -> str:
    """A number with thousands separators; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:+,}" if sign else f"{value:,}"
    return f"{float(value):+,.{decimals}f}" if sign else f"{float(value):,.{decimals}f}"


def text(value: Any) -> str:
    """Text, or a dash where there is none."""
    return NOTHING if value is None or value == "" else str(value)


def money(value: Any, currency: str) -> str:
    """An amount with the decimals of its currency."""
    return number(value if value is None else float(value), digits(currency))


def pnl(row: Record, field: str) -> Text:
    """An amount of money in the row's quote_currency, green above and red below zero."""
    value = row[field]
    shown = number(value, digits(row["quote_currency"]), sign=True)
    if value is None or value == 0:
        return Text(shown)
    return Text(shown, "green" if value > 0 else "red")


def percent(row: Record, field: str, decimals: int = 1) -> str:
    """A figure in percent of a bot's capital, marked where that is estimated (see `explain_estimates`)."""
    shown = number(row[field], decimals)
    return f"{ESTIMATED}{shown}" if row.get("capital_is_estimated") and shown != NOTHING else shown


def explain_estimates(rows: Iterable[Record]) -> None:
    """Below a table: what the mark means, where any of its figures has it."""
    if any(row.get("capital_is_estimated") for row in rows):
        out.print(
            f"{ESTIMATED} rests on an estimated capital: {ESTIMATE}. State it: "
            "knowdefeat bots set BOT --capital AMOUNT",
            style="dim",
        )


def instant(moment: datetime) -> str:
    """UTC, and the user's own zone beside it where that differs."""
    shown = moment.strftime("%Y-%m-%d %H:%M UTC")
    local = moment.astimezone()
    return shown if local.utcoffset() == moment.utcoffset() else f"{shown} ({local:%Y-%m-%d %H:%M %Z})"
