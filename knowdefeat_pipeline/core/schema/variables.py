"""The 19 figures that the ranking weighs, in the order of the house: Know-Defeat's 17, and two slow ones of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from knowdefeat_pipeline.core.schema.figure import Figure

Scaling = Literal["none", "performance", "drawdown", "per_second"]
STREAK_LENGTHS = (2, 3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Variable(Figure):
    """One of the figures that the ranking weighs.

    `label` is its short name in tables. `measure` names the column that the ranking reads (a drawdown is read as an amount, so that capital plays no part);
    `scaling` says which power of the bot's own volatility it is divided by, `window_days` over how many days;
    `orientation` is -1 where lower is better.
    """

    label: str = ""
    default_weight: float = 0.0
    measure: str = ""
    scaling: Scaling = "none"
    window_days: float = 0.0
    orientation: int = 1


def _variable(
    name: str, label: str, weight: float, unit: str, description: str, scaling: Scaling = "none",
    window_days: float = 0.0, measure: str = "", orientation: int = 1,
) -> Variable:
    return Variable(
        name, "double precision", unit, description, label=label, default_weight=weight, measure=measure or name, scaling=scaling,
        window_days=window_days, orientation=orientation,
    )


def _performance(name: str, label: str, weight: float, window: str, days: float) -> Variable:
    text = f"Sum of net pnl of trades closed in the trailing {window}. NULL when none closed in it."
    return _variable(name, label, weight, "currency", text, "performance", days)


def _slow(name: str, label: str, window: str) -> Variable:
    text = (
        f"Σ n / √days over {window} that have ended and on which a trade of the bot closed. n: the day's net pnl / the bot's "
        "volatility when the day began, less (k-1)/(k+3) of the mean of the k bots of its group (main ticker and direction "
        "when the day began) that traded on the day; days before the bot had a volatility do not count. NULL without such "
        "a day."
    )
    return _variable(name, label, 0.0, "√days", text)


def _streak(length: int, weight: float) -> Variable:
    text = (
        f"100 · (trades at which the current run of wins is at least {length}) / trades, trailing 30 days: "
        f"a run of length L adds max(0, L-{length - 1}). NULL without trades."
    )
    return _variable(f"win_streak_{length}", f"streak {length}", weight, "percent", text)


VARIABLES: tuple[Variable, ...] = (
    _performance("one_hour_performance", "1h", 15.0, "hour", 1 / 24),
    _performance("two_hour_performance", "2h", 12.5, "2 hours", 2 / 24),
    _performance("one_day_performance", "1d", 10.0, "24 hours", 1.0),
    _performance("one_week_performance", "1w", 7.5, "7 days", 7.0),
    _performance("one_month_performance", "1m", 5.0, "30 days", 30.0),
    _variable("avg_win_rate", "win rate", 10.0, "percent", "The win rate: 100 · wins / trades, trailing 30 days. Breakeven trades are no wins. NULL without trades."),
    _variable(
        "avg_drawdown", "drawdown", 8.0, "percent",
        "Mean depth of the drawdown episodes of the trailing 30 days, in percent of the peak of realised equity, which "
        "starts at the bot's capital; 0 when equity never fell below its peak. Lower is better. NULL without trades or a "
        "known capital.",
        "drawdown", 30.0, "avg_drawdown_amount", -1,
    ),
    _variable(
        "profit_per_second", "pnl/s", 12.0, "currency/s",
        "Sum of net pnl / seconds in position, trailing 30 days. NULL without time in position.", "per_second",
    ),
    _variable(
        "price_model_score", "price model", 5.0, "0..100",
        "How well entries agreed with the price model's forecast of direction, trailing 30 days. NULL without market data.",
    ),
    _variable(
        "volume_model_score", "volume model", 5.0, "0..100",
        "Mean percentile of the volume forecast at the bot's entries, trailing 30 days. NULL without market data.",
    ),
    _variable(
        "price_wall_score", "price walls", 3.0, "0..100",
        "How well entries agreed with the largest resting orders near the price, trailing 30 days. NULL without an "
        "order book.",
    ),
    _streak(2, 2.0),
    _streak(3, 1.5),
    _streak(4, 1.5),
    _streak(5, 1.0),
    _streak(6, 0.5),
    _streak(7, 0.5),
    _slow("quarter_result", "quarter", "the trailing 90 days"),
    _slow("lifetime_result", "lifetime", "all days"),
)
VARIABLE_NAMES: tuple[str, ...] = tuple(variable.name for variable in VARIABLES)
VARIABLE: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}
DEFAULT_WEIGHTS: dict[str, float] = {variable.name: variable.default_weight for variable in VARIABLES}

SLOW_NAMES = ("quarter_result", "lifetime_result")
"""The variables that rest on the bots of a group together, and so stand beside the figures of one bot's trades."""
SCORE_NAMES = ("price_model_score", "volume_model_score", "price_wall_score")
"""The variables that are means of scores of trades."""
