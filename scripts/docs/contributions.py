"""The contributions to a score worked through: the ranking once more in plain Python, from the figures on the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, sqrt
from typing import Any

from knowdefeat_pipeline.core.schema import VARIABLES
from knowdefeat_pipeline.core.schema.variables import Variable
from scripts.docs.markdown import code, table, value

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Contribution:
    """Of one variable: each bot's value net of its group, None where absent, the rank of the bot that is worked
    through, the weight in force, and the points that follow."""

    variable: str
    values: list[float | None]
    rank: float
    weight: float
    points: float


def contributions(metrics: Sequence[Row], weights: Mapping[str, float], bot: int) -> list[Contribution]:
    """`metrics`: rows of bot_metrics over all tickers of the eligible bots of a day; `bot`: the one of interest."""
    at = [row["bot_id"] for row in metrics].index(bot)
    total = sum(abs(weight) for weight in weights.values())
    out = []
    for variable in VARIABLES:
        values = net([scaled(row, variable) for row in metrics], [group(row) for row in metrics])
        rank, weight = ranks(values)[at], weights[variable.name]
        out.append(Contribution(variable.name, values, rank, weight, 100 * weight * rank / total))
    return out


def group(row: Row) -> str:
    return f"{row['main_ticker']} {row['main_direction']}"


def scaled(row: Row, variable: Variable) -> float | None:
    """In units of the bot's own volatility, turned where lower is better."""
    figure, volatility = row[variable.measure], row["volatility"]
    if figure is None or (variable.scaling != "none" and not volatility):
        return None
    by = {"none": 1.0, "per_second": volatility}.get(variable.scaling, (volatility or 0) * sqrt(variable.window_days))
    return float(variable.orientation * figure / by)


def net(values: list[float | None], groups: list[str]) -> list[float | None]:
    """Less (k-1)/(k+3) of the mean of the bot's group of k."""
    out: list[float | None] = []
    for own, of in zip(values, groups, strict=True):
        k = groups.count(of)
        known = [v for v, g in zip(values, groups, strict=True) if g == of and v is not None]
        out.append(None if own is None else own - (k - 1) / (k + 3) * sum(known) / len(known))
    return out


def ranks(values: list[float | None]) -> list[float]:
    """From -0.5, the least, to 0.5, ties averaged; 0 for an absent value and for a single one."""
    known = [v for v in values if v is not None]
    out = []
    for own in values:
        if own is None or len(known) < 2:
            out.append(0.0)
            continue
        equal = sum(isclose(v, own, rel_tol=1e-9, abs_tol=1e-12) for v in known)
        less = sum(v < own and not isclose(v, own, rel_tol=1e-9, abs_tol=1e-12) for v in known)
        out.append((less + (equal - 1) / 2) / (len(known) - 1) - 0.5)
    return out


def section(found: Sequence[Contribution], metrics: Sequence[Row], names: Mapping[int, str], bot: int) -> str:
    """The part of the page."""
    heads = ["variable", *(code(names[row["bot_id"]]) for row in metrics), "r", "w", "points"]
    rows = [
        (
            code(of.variable), *("NULL" if v is None else f"{v:.4g}" for v in of.values),
            value(of.rank), value(of.weight), value(of.points),
        )
        for of in found
    ]  # fmt: skip
    groups = ", ".join(f"{code(names[row['bot_id']])} {group(row)}" for row in metrics)
    return f"""
## The contributions worked through {{ #contributions }}

The bots of the example that are eligible, each with its group, which is its main ticker and direction: {groups}.

1. A figure of [bot_metrics](bot_metrics.md) is divided as [variables](variables.md) say, `avg_drawdown_amount` standing
   in for `avg_drawdown`; where lower is better its sign is turned.
2. From it comes off (k - 1)/(k + 3) of the mean of the bot's group of k. A bot alone in its group keeps its value.
3. `r` of {code(names[bot])} is (place - 1)/(m - 1) - 0.5 among the m bots with a value, the least having place 1 and
   equal ones the mean of their places; 0 where its own value is NULL or no other has one.
4. Its points are 100 · w · r / Σ|w|, `w` being the [weight in force](variable_weights.md) and Σ|w| = 100.

{table(heads, rows)}"""
