"""What rules of allocation would have earned: each rule's amounts day by day, held until the next day.

A rule's amounts of a day rest on what was known at its as_of; what they earn is the result of the day that follows,
marked to market. Shares of the funds earn what a bot gained on its capital, so that a book compounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds.daily import RULES, FundInputs, divide_days
from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings
from knowdefeat_pipeline.core.learning.inference import Estimate, best_is_luck, bootstrap_mean
from knowdefeat_pipeline.core.metrics.returns import sharpe_interval, sharpe_ratio
from knowdefeat_pipeline.core.units import Floats

EQUAL_WEIGHTS, CASH = "equal weights", "cash"
YEAR = 365
UNITS = 10**9
"""The funds of a replay in smallest units: shares are exact to a billionth."""
BASIS_POINT = 1e-4
LEAD = ["over_equal_mean", "over_equal_standard_error", "over_equal_low", "over_equal_high"]


@dataclass(frozen=True)
class Book:
    """What one rule held and earned, one entry a day: shares (days, N) of the funds, the book's net return, what was
    turned over (the sum of all changes of shares), and its costs, as shares of the book."""

    shares: Floats
    returns: Floats
    turnover: Floats
    costs: Floats

    @property
    def log_growth(self) -> Floats:
        """ln(1 + return); -inf once all is lost."""
        with np.errstate(divide="ignore"):
            out: Floats = np.log(np.maximum(1 + self.returns, 0.0))
        return out


def rules_of(settings: Sequence[FundSettings]) -> dict[str, FundSettings]:
    """The rules to compare by name, equal weights over every ranked bot among them."""
    currency = settings[0].quote_currency
    equal = FundSettings(currency, UNITS, "equal", AllocationRules(bot_cap=1.0), risk=settings[0].risk, caution=None)
    return {rule_name(rule): replace(rule, funds=UNITS) for rule in settings} | {EQUAL_WEIGHTS: equal}


def rule_name(rule: FundSettings) -> str:
    """A rule in words.

    >>> rule_name(FundSettings("USD", 1, "rank_score", AllocationRules(0.1), caution=0.5))
    'rank_score, cap 10%, P > 0.5'
    """
    caps = f"cap {100 * rule.allocation.bot_cap:g}%"
    if rule.allocation.ticker_cap < 1:
        caps += f", {100 * rule.allocation.ticker_cap:g}% a ticker"
    if rule.caution is None:
        return f"{rule.method}, {caps}, ungated"
    apart = f", same edge at most {100 * rule.same_edge_limit:g}%" if rule.same_edge_limit < 1 else ""
    return f"{rule.method}, {caps}, P > {rule.caution:g}{apart}"


def shares_of(inputs: FundInputs, rule: FundSettings, bots: Sequence[int]) -> Floats:
    """The share of the funds of each bot on each day (days, N), by what was known then.

    People's decisions count as they were recorded; the risk rules decide anew.
    """
    events = [event for event in inputs.events if event.author != RULES]
    tried = replace(rule, in_force_from=None)
    rows = divide_days(replace(inputs, settings=[tried], events=events)).rows
    days = [day for day, _ in inputs.days]
    wide = rows.pivot(index="day", columns="bot_id", values="amount").reindex(index=days, columns=list(bots))
    out: Floats = wide.fillna(0).to_numpy(np.float64) / rule.funds
    return out


def book(shares: Floats, returns: Floats, cost_bps: float) -> Book:
    """A rule's book from its shares (days, N) and what each bot then earned on its capital (days, N).

    Each day begins with moving from what the shares of the day before have become to those of the day; the first with
    buying them. `cost_bps`: what moving costs, in basis points of what is moved.

    >>> twice = book(np.array([[0.5], [0.5]]), np.array([[0.1], [0.0]]), 100.0)
    >>> twice.turnover.round(6).tolist(), twice.returns.round(6).tolist()
    ([0.5, 0.02381], [0.04475, -0.000238])
    """
    earned = (shares * returns).sum(axis=1)
    with np.errstate(all="ignore"):
        become = np.nan_to_num(shares * (1 + returns) / (1 + earned)[:, None])
    before = np.vstack([np.zeros(shares.shape[1]), become[:-1]])
    turnover = np.abs(shares - before).sum(axis=1)
    costs = cost_bps * BASIS_POINT * turnover
    return Book(shares, (1 - costs) * (1 + earned) - 1, turnover, costs)


def compare(books: Mapping[str, Book], *, seed: int = 0) -> pd.DataFrame:
    """A row per rule, `cash` among them: growth (mean log growth a year), total (return over all days), drawdown (the
    deepest fall, a share), sharpe with sharpe_low and sharpe_high (90 %), turnover and exposure (means a day), costs
    (their sum a year), and the growth a year above equal weights and above cash with 95 % intervals by the stationary
    bootstrap of the days' differences.
    """
    nothing = np.zeros_like(next(iter(books.values())).returns)
    known = {**books, CASH: Book(nothing[:, None], nothing, nothing, nothing)}
    return pd.DataFrame.from_dict(
        {name: _figures(own, known[EQUAL_WEIGHTS], seed) for name, own in known.items()}, orient="index"
    )


def _figures(own: Book, equal: Book, seed: int) -> dict[str, float]:
    growth = own.log_growth
    path = np.concatenate([[0.0], np.cumsum(growth)])
    with np.errstate(invalid="ignore"):
        fall = np.nan_to_num(1 - np.exp(path - np.maximum.accumulate(path)), nan=1.0)
        over_equal = growth - equal.log_growth
    low, high = (float(bound[0]) for bound in sharpe_interval(own.returns[None, :]))
    figures = {
        "growth": YEAR * float(growth.mean()),
        "total": float(np.expm1(path[-1])),
        "drawdown": float(fall.max()),
        "sharpe": float(sharpe_ratio(own.returns[None, :])[0]),
        "sharpe_low": low,
        "sharpe_high": high,
        "turnover": float(own.turnover.mean()),
        "exposure": float(own.shares.sum(axis=1).mean()),
        "costs": YEAR * float(own.costs.mean()),
    }
    for name, difference in (("equal", over_equal), ("cash", growth)):
        figures |= {f"over_{name}_{part}": value for part, value in asdict(_yearly(difference, seed)).items()}
    return figures


def _yearly(daily: Floats, seed: int) -> Estimate:
    """A day's mean as a year's, with its interval; without one where a book lost everything."""
    if np.isinf(daily).any():
        return Estimate(float(np.nanmean(daily)), np.nan, np.nan, np.nan)
    found = bootstrap_mean(daily, seed=seed)
    return Estimate(*(YEAR * value for value in asdict(found).values()))


def verdict(table: pd.DataFrame) -> str:
    """In a sentence: which rule grew most above equal weights, and whether that may be chance.

    A rule is called better only where its interval lies above 0 and its lead is more than that of the best of as many
    rules without any.
    """
    tried = table.drop(index=[EQUAL_WEIGHTS, CASH], errors="ignore").dropna(subset=["over_equal_mean"])
    if tried.empty:
        return "There is no rule to compare with equal weights."
    at = int(np.argmax(tried["over_equal_mean"]))
    best, (mean, error, low, high) = str(tried.index[at]), tried[LEAD].to_numpy(np.float64)[at]
    lead = Estimate(float(mean), float(error), float(low), float(high))
    figures = f"{100 * lead.mean:+.1f} % a year ({100 * lead.low:+.1f} to {100 * lead.high:+.1f})"
    if lead.mean <= 0:
        return f"No rule grew more than equal weights; the nearest is {best}: {figures}."
    if lead.low <= 0 or best_is_luck(lead, len(tried)):
        return f"{best} grew most against equal weights, {figures}, which may be chance: no rule is shown to be better."
    beside = f", as the best of {len(tried)}" if len(tried) > 1 else ""
    return f"{best} grew more than equal weights, {figures}{beside}: more than chance."


def usable_days(inputs: FundInputs) -> FundInputs:
    """The inputs of the days whose next day is computed too, and was then whole: their results are known."""
    days = [
        (day, as_of)
        for (day, as_of), (later, end) in zip(inputs.days, inputs.days[1:], strict=False)
        if (later - day).days == 1 and (end - as_of).total_seconds() == 86_400
    ]
    return replace(inputs, days=days)


def capitals(inputs: FundInputs, bots: Sequence[int]) -> Floats:
    """The capital of each bot as of each day (days, N); NaN where none is known."""
    days: list[date] = [day for day, _ in inputs.days]
    wide = inputs.bots.pivot(index="day", columns="bot_id", values="capital").reindex(index=days, columns=list(bots))
    out: Floats = wide.to_numpy(np.float64)
    return out
