"""A finished backtest of weights: in words, as a table, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.cli.views.backtest_report import draw_cumulative, draw_gains, html
from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.cli.views.tables import NOTHING, Justify, number, table
from knowdefeat_pipeline.core.learning.backtest import REFERENCE
from knowdefeat_pipeline.core.learning.inference import Estimate, best_is_luck, standard_error_under_null

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("weights", "left"),
    ("rank IC", "right"),
    ("± SE", "right"),
    ("gain", "right"),
    ("95 % interval", "left"),
    ("best quarter: pnl", "right"),
    ("result", "right"),
    ("turnover", "right"),
    ("deflated Sharpe", "right"),
)


@dataclass(frozen=True)
class Comparison:
    """A finished backtest: a table row and daily figures per set, over which days and of how many bots.

    days: the UTC days whose end the scores are true at; used: which of them have at least two labels.
    """

    table: pd.DataFrame
    daily: Mapping[str, pd.DataFrame]
    days: Sequence[date]
    bots: float

    @property
    def used(self) -> np.ndarray:
        return self.daily[REFERENCE]["ic"].notna().to_numpy()

    @property
    def luck(self) -> float:
        """Standard error of the mean rank IC of scores without skill."""
        return standard_error_under_null(self.bots, int(self.used.sum()))

    @property
    def statement(self) -> str:
        """In plain words: which set is furthest ahead of the default weights, and whether that may be luck."""
        others = self.table.drop(index=REFERENCE)
        if others.empty or others["gain"].isna().all():
            return "There is nothing to compare with the default weights."
        at = int(np.nanargmax(others["gain"]))
        found = Estimate(*others[["gain", "gain_se", "gain_low", "gain_high"]].to_numpy()[at].tolist())
        best = others.index[at]
        if found.mean <= 0:
            return f"No set is ahead of the default weights; the nearest is {best} ({found.mean:+.3f} rank IC)."
        told = "which cannot be told from luck" if best_is_luck(found, len(others)) else "more than luck"
        choice = f", as the best of {len(others)}" if len(others) > 1 else ""
        interval = f"({found.low:+.3f} to {found.high:+.3f})"
        return f"{best} is ahead of the default weights by {found.mean:+.3f} rank IC {interval}{choice}: {told}."


def record(found: Comparison) -> dict[str, Any]:
    """As JSON."""
    used = [day for day, counts in zip(found.days, found.used, strict=True) if counts]
    return {
        "from": used[0],
        "to": used[-1],
        "days": len(used),
        "bots": found.bots,
        "luck": found.luck,
        "statement": found.statement,
        "sets": {name: row | {"days": int(row["days"])} for name, row in found.table.to_dict("index").items()},
    }


def _about(found: Comparison) -> str:
    told = record(found)
    return f"{told['from']} to {told['to']}: {told['days']:,} days, {found.bots:.0f} bots a day"


def _notes(found: Comparison) -> list[str]:
    return [
        f"Rank IC: rank correlation of a day's scores with the next day's results; without any skill its mean lies "
        f"within ±{2 * found.luck:.3f}. Gain: the difference to the default weights, day by day; who picks the best "
        f"of {len(found.table)} sets afterwards should expect less.",
        f"Best quarter: the next day's mean pnl of a bot, and its result in units of the bots' own volatility. "
        f"Turnover: the part of it that is new each day. Deflated Sharpe: the probability that its Sharpe ratio is "
        f"more than the best of {len(found.table)} sets without skill would reach.",
    ]


def show_comparison(found: Comparison) -> None:
    """The table, what its columns mean, and the result in a sentence."""
    table(f"Backtest of weights, {_about(found)}", COLUMNS, _cells(found))
    for note in _notes(found):
        out.print(note, style="dim")
    out.print(found.statement)


def report_page(found: Comparison, source: str) -> str:
    """The page of --report; `source` says what the history was."""
    return html(
        "Backtest of weights",
        f"{_about(found)}; from {source}",
        found.statement,
        _notes(found),
        [heading for heading, _ in COLUMNS],
        _cells(found),
        [
            draw_gains(found.table),
            draw_cumulative("Rank IC, added up", "sum of rank IC", found.days, _each(found, "ic")),
            draw_cumulative(
                "What the best quarter earned a bot",
                "sum of results (volatilities)",
                found.days,
                _each(found, "result"),
            ),
        ],
    )


def _each(found: Comparison, figure: str) -> dict[str, pd.Series]:
    return {name: figures[figure] for name, figures in found.daily.items()}


def _cells(found: Comparison) -> list[tuple[str, ...]]:
    return [_row(name, row) for name, row in found.table.iterrows()]


def _row(name: Any, row: pd.Series) -> tuple[str, ...]:
    interval = f"{row['gain_low']:+.3f} to {row['gain_high']:+.3f}" if name != REFERENCE else NOTHING
    return (
        str(name),
        number(row["rank_ic"], 3, sign=True),
        number(row["rank_ic_se"], 3),
        number(row["gain"], 3, sign=True) if name != REFERENCE else NOTHING,
        interval,
        number(row["top_quartile_pnl"], 2, sign=True),
        number(row["top_quartile_result"], 3, sign=True),
        number(row["turnover"], 2),
        number(row["deflated_sharpe"], 2),
    )
