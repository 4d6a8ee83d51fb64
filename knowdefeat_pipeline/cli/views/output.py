"""How answers look: aligned tables for people, JSON for programs, messages on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from knowdefeat_pipeline.core.ranking.ranking import top_movers
from knowdefeat_pipeline.core.schema import VARIABLE

PIPED_WIDTH = 130  # a file or pipe has no width; tables then keep their lines


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


out, err = _console(False), _console(True)

Record = Mapping[str, Any]
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


def print_json(value: Any) -> None:
    """One JSON document on standard output; what cannot be computed is null."""
    json.dump(_plain(value), sys.stdout, indent=2)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if isinstance(value, datetime | date) else value


def table(title: str, columns: Sequence[tuple[str, Justify]], rows: Iterable[Sequence[str]]) -> None:
    """A table; each column is (heading, "left" | "right"). A narrow terminal folds the long texts and cuts nothing."""
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for heading, justify in columns:
        grid.add_column(heading, justify=justify, overflow="fold", no_wrap=heading not in FOLDING)
    for row in rows:
        grid.add_row(*row)
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


def movers(row: Record) -> str:
    """The three variables that moved a bot's score most, in points."""
    named = [f"{points:+.1f} {VARIABLE[name].label}" for name, points in top_movers(row)]
    return ", ".join(named) if named else NOTHING


def pnl(row: Record, field: str) -> str:
    """An amount of money, green above and red below zero."""
    value = row[field]
    shown = number(value, sign=True)
    if value is None or value == 0:
        return shown
    return f"[green]{shown}[/]" if value > 0 else f"[red]{shown}[/]"


RANKING_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("rank", "right"),
    ("bot", "right"),
    ("strategy", "left"),
    ("score", "right"),
    ("moved most by (points)", "left"),
    ("trades", "right"),
    ("win %", "right"),
    ("pnl", "right"),
    ("max dd %", "right"),
    ("streak", "right"),
)


def show_ranking(rows: Sequence[Record], as_of: datetime) -> None:
    """The ranking of one day, and below it why some bots are not ranked."""
    currencies = sorted({row["quote_currency"] for row in rows})
    money = f", money in {currencies[0]}" if len(currencies) == 1 else ", money in each bot's own currency"
    ranked = [row for row in rows if row["eligible"]]
    table(
        f"Ranking as of {instant(as_of)} (trailing 30 days{money})",
        RANKING_COLUMNS,
        [
            (
                str(row["rank"]),
                str(row["bot_id"]),
                text(row["strategy_id"]),
                number(row["rank_score"], 1),
                movers(row),
                number(row["trades"]),
                number(row["win_rate"], 1),
                pnl(row, "pnl"),
                number(row["max_drawdown"], 1),
                number(row["longest_win_streak"]),
            )
            for row in ranked
        ],
    )
    left_out = [row for row in rows if not row["eligible"]]
    for row in left_out[:10]:
        out.print(f"  bot {row['bot_id']} is not ranked: {row['reason']}", style="dim")
    if len(left_out) > 10:
        out.print(f"  … and {len(left_out) - 10:,} more bots that are not ranked", style="dim")


def instant(moment: datetime) -> str:
    """UTC, and the user's own zone beside it where that differs."""
    shown = moment.strftime("%Y-%m-%d %H:%M UTC")
    local = moment.astimezone()
    return shown if local.utcoffset() == moment.utcoffset() else f"{shown} ({local:%Y-%m-%d %H:%M %Z})"
