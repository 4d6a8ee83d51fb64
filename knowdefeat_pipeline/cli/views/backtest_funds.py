"""A finished replay of allocation: in words, as a table, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from knowdefeat_pipeline.cli.views.backtest_report import draw_cumulative, draw_gains, html
from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.cli.views.tables import NOTHING, Justify, number, table
from knowdefeat_pipeline.core.funds.replay import CASH, EQUAL_WEIGHTS, Book, verdict

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("rule", "left"),
    ("growth %", "right"),
    ("drawdown %", "right"),
    ("Sharpe", "right"),
    ("90 %", "left"),
    ("exposure %", "right"),
    ("turnover %", "right"),
    ("costs %", "right"),
    ("over equal %", "right"),
    ("95 %", "left"),
    ("over cash: 95 %", "left"),
)
OWN = 8
"""So many columns are of a book alone; the others compare it."""


@dataclass(frozen=True)
class Replay:
    """A finished replay: a table row and a book per rule, over which days, and what its results rest on.

    marks, unmarked: how often a trade was open at a day's end, and how often its ticker had no bar. estimated: bots
    whose capital is an estimate.
    """

    table: pd.DataFrame
    books: Mapping[str, Book]
    days: Sequence[date]
    bots: int
    currency: str
    cost_bps: float
    marks: int
    unmarked: int
    estimated: int

    @property
    def statement(self) -> str:
        return verdict(self.table)


def record(replay: Replay) -> dict[str, Any]:
    """As JSON."""
    return {
        "from": replay.days[0],
        "to": replay.days[-1],
        "days": len(replay.days),
        "bots": replay.bots,
        "currency": replay.currency,
        "cost_bps": replay.cost_bps,
        "marks": replay.marks,
        "unmarked": replay.unmarked,
        "capitals_estimated": replay.estimated,
        "statement": replay.statement,
        "rules": replay.table.to_dict("index"),
    }


def show_replay(replay: Replay) -> None:
    """The books and how they compare, as two tables; what their columns mean, and the result in a sentence."""
    cells = _cells(replay)
    table(f"Backtest of funds, {_about(replay)}", COLUMNS[:OWN], [row[:OWN] for row in cells])
    compared = (COLUMNS[0], *COLUMNS[OWN:])
    table("Growth a year above others", compared, [(row[0], *row[OWN:]) for row in cells])
    for note in _notes(replay):
        out.print(note, style="dim")
    out.print(replay.statement)


def report_page(replay: Replay) -> str:
    """The page of --report."""
    growth = {name: pd.Series(own.log_growth) for name, own in replay.books.items()}
    exposure = {name: pd.Series(own.shares.sum(axis=1)) for name, own in replay.books.items()}
    gains = replay.table.drop(index=CASH).rename(
        columns={"over_equal_mean": "gain", "over_equal_low": "gain_low", "over_equal_high": "gain_high"}
    )
    order = [EQUAL_WEIGHTS, *(name for name in gains.index if name != EQUAL_WEIGHTS)]
    return html(
        "Backtest of funds",
        f"{_about(replay)}; amounts in {replay.currency}",
        replay.statement,
        _notes(replay),
        [heading for heading, _ in COLUMNS],
        [row for name in [*order, CASH] for row in _cells(replay) if row[0] == name],
        [
            draw_gains(gains.loc[order], "Growth above equal weights, with 95 % interval", "log growth a year"),
            draw_cumulative(
                "Growth of the book", "log growth", replay.days, {name: growth[name] for name in order}
            ),
            draw_cumulative(
                "Share of the funds held, added up", "days of full exposure", replay.days,
                {name: exposure[name] for name in order},
            ),
        ],
    )  # fmt: skip


def _about(replay: Replay) -> str:
    costs = f"costs of {replay.cost_bps:g} basis points" if replay.cost_bps else "no costs"
    return f"{replay.days[0]} to {replay.days[-1]}: {len(replay.days):,} days, {replay.bots} bots, {costs}"


def _notes(replay: Replay) -> list[str]:
    marked = f"{replay.marks - replay.unmarked:,} of {replay.marks:,}"
    notes = [
        "Growth: the mean log growth a year of a book that holds each day what the rule gave, as shares of the funds, "
        "and earns what the bots gained on their capital until the next. Turnover: the part of the book that is moved "
        "a day; exposure: the part that is held. Over equal: the growth a year above equal weights over all ranked "
        "bots, with its interval; over cash: above 0.",
        f"Marked to market: {marked} trades that were open at a day's end, by the last bar of their ticker; what the "
        "others gained counts when they closed.",
        "Rules that are compared on the days on which they were chosen look better than they are.",
    ]
    if replay.estimated:
        notes.append(f"The capital of {replay.estimated} bots is an estimate, and so are the returns on it.")
    return notes


def _cells(replay: Replay) -> list[tuple[str, ...]]:
    return [_row(str(name), row) for name, row in replay.table.iterrows()]


def _row(name: str, row: pd.Series) -> tuple[str, ...]:
    def percent(figure: str, decimals: int = 1, sign: bool = False) -> str:
        return number(100 * row[figure], decimals, sign=sign)

    def interval(low: str, high: str) -> str:
        return f"{percent(low, sign=True)} to {percent(high, sign=True)}"

    equal = name == EQUAL_WEIGHTS
    return (
        name,
        percent("growth", sign=True),
        percent("drawdown"),
        number(row["sharpe"], 2, sign=True),
        f"{number(row['sharpe_low'], 2, sign=True)} to {number(row['sharpe_high'], 2, sign=True)}",
        percent("exposure"),
        percent("turnover"),
        percent("costs", 2),
        NOTHING if equal else percent("over_equal_mean", sign=True),
        NOTHING if equal else interval("over_equal_low", "over_equal_high"),
        NOTHING if name == CASH else interval("over_cash_low", "over_cash_high"),
    )
