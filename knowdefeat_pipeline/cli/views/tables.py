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


Justify = Literal["left", "right", "drawn"]
"""Where texts and figures stand; `drawn`: a picture in characters, which a fold would break."""


READABLE = 12  # of which a text is not folded further
LONGEST_WORD = 20  # that is kept whole; so an ordinary name is
BETWEEN = 2  # spaces between columns


def table(
    title: str, columns: Sequence[tuple[str, Justify]], rows: Iterable[Sequence[str | Text]], spare: Sequence[str] = ()
) -> None:
    """A table; each column is (heading, "left" | "right" | "drawn"): texts, which a narrow terminal folds, and figures
    and pictures, which nothing cuts. Where that is still too wide, columns are left out and named below: those of
    `spare` in their order, then from the right. The first stays."""
    cells = [[cell if isinstance(cell, Text) else Text(printable(cell, kept="\n")) for cell in row] for row in rows]
    whole = [max([len(heading), *(_width(row[i]) for row in cells)]) for i, (heading, _) in enumerate(columns)]
    least = [_least(column, [row[i] for row in cells]) for i, column in enumerate(columns)]
    shown, left_out = _fitting([heading for heading, _ in columns], least, spare)
    widths = _widened([least[i] for i in shown], [whole[i] for i in shown])
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, width in zip(shown, widths, strict=True):
        heading, kind = columns[i]
        grid.add_column(heading, justify="right" if kind == "right" else "left", overflow="fold", width=width)
    for row in cells:
        grid.add_row(*(row[i] for i in shown))
    out.print(grid)
    if left_out:
        missing = ", ".join(left_out)
        out.print(f"At {out.width} columns without: {missing}. A wider terminal or --json shows all.", style="dim")


def _width(cell: Text) -> int:
    return max((line.cell_len for line in cell.split("\n")), default=0)


def _least(column: tuple[str, Justify], cells: Sequence[Text]) -> int:
    """The narrowest that a column may be."""
    heading, justify = column
    longest = max(map(_width, cells), default=0)
    words = max((len(word) for cell in cells for word in cell.plain.split()), default=0)
    text_ = min(longest, max(READABLE, min(words, LONGEST_WORD)))
    whole = justify == "drawn" or (justify == "right" and longest <= LONGEST_WORD)
    return max(longest if whole else text_, *map(len, heading.split()), 0)


def _fitting(headings: Sequence[str], least: Sequence[int], spare: Sequence[str]) -> tuple[list[int], list[str]]:
    """The places of the columns that have room in the terminal, and the headings of the others."""
    shown = list(range(len(headings)))
    going = [headings.index(heading) for heading in spare]
    going += [i for i in reversed(shown[1:]) if i not in going]
    for place in going:
        if sum(least[i] + BETWEEN for i in shown) - BETWEEN <= out.width:
            break
        shown.remove(place)
    return shown, [heading for i, heading in enumerate(headings) if i not in shown and heading]


def _widened(least: Sequence[int], whole: Sequence[int]) -> list[int]:
    """The widths of columns where what room there is goes to those that would fold, in equal parts."""
    widths = list(least)
    room = out.width - sum(least) - BETWEEN * (len(least) - 1)
    while room > 0 and (folded := [i for i, width in enumerate(widths) if width < whole[i]]):
        for i in folded[:room]:
            widths[i] += 1
        room -= len(folded[:room])
    return widths


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
