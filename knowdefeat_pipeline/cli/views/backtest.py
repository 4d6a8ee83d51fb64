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
    def null_standard_error(self) -> float:
        """Standard error of the mean rank IC of scores without skill."""
        return standard_error_under_null(self.bots, int(self.used.sum()))

    @property
    def statement(self) -> str:
        """In plain words: which set is furthest ahead of the default weights, and whether that may be chance."""
        others = self.table.drop(index=REFERENCE)
        if others.empty or others["gain"].isna().all():
            return "There is nothing to compare with the default weights."
        at = int(np.nanargmax(others["gain"]))
        lead = Estimate(*others[["gain", "gain_se", "gain_low", "gain_high"]].to_numpy()[at].tolist())
        best = others.index[at]
        if lead.mean <= 0:
            return f"No set is ahead of the default weights; the nearest is {best} ({lead.mean:+.3f} rank IC)."
        verdict = "which may be chance" if best_is_luck(lead, len(others)) else "more than chance"
        choice = f", as the best of {len(others)}" if len(others) > 1 else ""
        interval = f"({lead.low:+.3f} to {lead.high:+.3f})"
        return f"{best} is ahead of the default weights by {lead.mean:+.3f} rank IC {interval}{choice}: {verdict}."


def record(comparison: Comparison) -> dict[str, Any]:
    """As JSON."""
    used = [day for day, counts in zip(comparison.days, comparison.used, strict=True) if counts]
    return {
        "from": used[0],
        "to": used[-1],
        "days": len(used),
        "bots": comparison.bots,
        "null_standard_error": comparison.null_standard_error,
        "statement": comparison.statement,
        "sets": {name: row | {"days": int(row["days"])} for name, row in comparison.table.to_dict("index").items()},
    }


def _about(comparison: Comparison) -> str:
    span = record(comparison)
    return f"{span['from']} to {span['to']}: {span['days']:,} days, {comparison.bots:.0f} bots a day"


def _notes(comparison: Comparison) -> list[str]:
    return [
        f"Rank IC: rank correlation of a day's scores with the next day's results; without any skill its mean lies "
        f"within ±{2 * comparison.null_standard_error:.3f}. Gain: the difference to the default weights, day by day; "
        f"who picks the best of {len(comparison.table)} sets afterwards should expect less.",
        f"Best quarter: the next day's mean pnl of a bot, and its result in units of the bots' own volatility. "
        f"Turnover: the part of it that is new each day. Deflated Sharpe: the probability that its Sharpe ratio is "
        f"more than the best of {len(comparison.table)} sets without skill would reach.",
    ]


def show_comparison(comparison: Comparison) -> None:
    """The table, what its columns mean, and the result in a sentence."""
    table(f"Backtest of weights, {_about(comparison)}", COLUMNS, _cells(comparison))
    for note in _notes(comparison):
        out.print(note, style="dim")
    out.print(comparison.statement)


def report_page(comparison: Comparison, source: str) -> str:
    """The page of --report; `source` says what the history was."""
    return html(
        "Backtest of weights",
        f"{_about(comparison)}; from {source}",
        comparison.statement,
        _notes(comparison),
        [heading for heading, _ in COLUMNS],
        _cells(comparison),
        [
            draw_gains(
                comparison.table, "Gain over the default weights, with 95 % interval", "mean difference of rank IC"
            ),
            draw_cumulative("Rank IC, added up", "sum of rank IC", comparison.days, _each(comparison, "ic")),
            draw_cumulative(
                "What the best quarter earned a bot",
                "sum of results (volatilities)",
                comparison.days,
                _each(comparison, "result"),
            ),
        ],
    )


def _each(comparison: Comparison, figure: str) -> dict[str, pd.Series]:
    return {name: figures[figure] for name, figures in comparison.daily.items()}


def _cells(comparison: Comparison) -> list[tuple[str, ...]]:
    return [_row(name, row) for name, row in comparison.table.iterrows()]


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
