"""Funds over bots: targets, caps, and cents that add up.

Money is counted in whole cents, the smallest units of its currency whatever they are called, so that amounts sum
exactly; what no bot may hold stays cash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.money import amount_of, shown
from knowdefeat_pipeline.core.units import Floats, Ints, Texts

STEPS = 100
Decision = Literal["funded", "capped", "below_minimum", "no_share", "refused"]


@dataclass(frozen=True)
class AllocationRules:
    """bot_cap, ticker_cap: the largest share of the funds in one bot, and in all bots of one ticker. minimum: the least
    amount worth allocating, in cents; a smaller one goes to the others."""

    bot_cap: float = 0.10
    ticker_cap: float = 1.0
    minimum: int = 0


@dataclass(frozen=True)
class Allocation:
    """cents (N,) int64 per bot and the cents that stay cash; what decided each amount, as a word (decisions (N,)) and
    in a sentence (reasons (N,))."""

    cents: Ints
    cash: int
    decisions: tuple[Decision, ...]
    reasons: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """Columns cents and reason, in the bots' order."""
        return pd.DataFrame({"cents": self.cents, "reason": pd.Series(self.reasons, dtype="str")})


def allocate(
    target: Floats, ticker: Texts, refused: Texts, funds: int, rules: AllocationRules, currency: str = "USD"
) -> Allocation:
    """Divide `funds` (cents) in proportion to `target` (N,), as near as caps allow: Σ = min(funds, Σ caps), the rest
    is cash.

    ticker (N,): names. refused (N,): why a bot gets nothing, "" for eligible ones. The amounts are the Euclidean
    projection of the proportional ones onto the caps: bots within theirs all moved by the same shift. Where amounts
    would be less than the minimum, the bots of the smallest targets step back, so that the others reach it.
    Raises ValueError for negative or non-finite targets or funds, and for rules that have no meaning.
    """
    _check(target, funds, rules)
    group = pd.factorize(ticker, sort=True)[0]
    bot_cap, ticker_cap = int(rules.bot_cap * funds + 1e-6), int(rules.ticker_cap * funds + 1e-6)
    eligible = np.flatnonzero(refused == "")
    if min(bot_cap, ticker_cap) < rules.minimum:
        eligible = eligible[:0]
    ranked = eligible[np.argsort(-target[eligible], kind="stable")]

    def share_out(count: int) -> Ints:
        cents = np.zeros(len(target), dtype=np.int64)
        members = np.sort(ranked[:count])
        cents[members] = project(target[members], group[members], funds, bot_cap, ticker_cap)
        return cents

    cents = _most(len(ranked), share_out, rules.minimum)
    by_ticker = np.bincount(group, cents, minlength=group.max(initial=-1) + 1)
    decided: list[tuple[Decision, str]] = [
        ("refused", str(why))
        if why
        else _reason(amount, aim, by_ticker[of], str(name), bot_cap, ticker_cap, rules, currency)
        for why, amount, aim, of, name in zip(refused, cents, target, group, ticker, strict=True)
    ]
    decisions, reasons = tuple(word for word, _ in decided), tuple(sentence for _, sentence in decided)
    return Allocation(cents, funds - int(cents.sum()), decisions, reasons)


def _check(target: Floats, funds: int, rules: AllocationRules) -> None:
    bad = np.flatnonzero(~(np.isfinite(target) & (target >= 0)))
    if len(bad):
        raise ValueError(f"the target of bot {bad[0]} is {target[bad[0]]}; a target is 0 or more")
    if funds < 0 or rules.minimum < 0:
        raise ValueError(f"funds {funds} and minimum {rules.minimum} are 0 or more cents")
    if not (0 < rules.bot_cap <= 1 and 0 < rules.ticker_cap <= 1):
        raise ValueError(f"caps must be in (0, 1], got {rules.bot_cap} and {rules.ticker_cap}")


def _most(count: int, share_out: Callable[[int], Ints], minimum: int) -> Ints:
    """The amounts of as many bots as can share without one of them getting less than the minimum."""
    if not minimum:
        return share_out(count)
    fits = 0
    while count > fits:
        tried = (fits + count + 1) // 2
        cents = share_out(tried)
        if ((cents > 0) & (cents < minimum)).any():
            count = tried - 1
        else:
            fits = tried
    return share_out(fits)


def _reason(
    cents: int,
    target: float,
    in_ticker: float,
    ticker: str,
    bot_cap: int,
    ticker_cap: int,
    rules: AllocationRules,
    currency: str,
) -> tuple[Decision, str]:
    if cents and cents >= bot_cap:
        return "capped", f"at the cap of {_percent(rules.bot_cap)} of the funds for one bot"
    if ticker_cap and in_ticker >= ticker_cap and rules.ticker_cap < 1:
        return "capped", f"at the cap of {_percent(rules.ticker_cap)} of the funds for {ticker}"
    if cents:
        return "funded", "in proportion to its target" if target > 0 else "of what caps keep from the others"
    if rules.minimum:
        return "below_minimum", f"less than the minimum of {shown(amount_of(rules.minimum, currency), currency)}"
    return "no_share", "its target is 0"


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"


def project(target: Floats, group: Ints, funds: int, bot_cap: int, group_cap: int) -> Ints:
    """Whole cents (N,) nearest to `funds` divided in proportion to `target`.

    Each from 0 to `bot_cap`, at most `group_cap` in a group (codes from 0); together min(funds, Σ min(group_cap,
    members · bot_cap)). The Euclidean projection: clip(wish + shift, 0, bot_cap) with one shift for all, less in a
    group at its cap.
    """
    if not len(target):
        return np.zeros(0, dtype=np.int64)
    room = np.minimum(np.bincount(group) * bot_cap, group_cap)
    total = min(funds, int(room.sum()))
    largest = target.max()
    wish = funds * (target / largest / (target / largest).sum()) if largest > 0 else np.zeros(len(target))

    def amounts(shift: Floats | float) -> Floats:
        return np.clip(wish + shift, 0.0, bot_cap)

    low, high = -wish.max(), float(bot_cap)
    for _ in range(STEPS):
        middle = (low + high) / 2
        within = np.minimum(np.bincount(group, amounts(middle)), group_cap).sum() <= total
        low, high = (middle, high) if within else (low, middle)
    least, most = np.full(len(room), -wish.max()), np.full(len(room), low)
    least = np.where(np.bincount(group, amounts(low)) <= group_cap, low, least)
    for _ in range(STEPS):
        between = (least + most) / 2
        fits = np.bincount(group, amounts(between[group])) <= group_cap
        least, most = np.where(fits, between, least), np.where(fits, most, between)
    return _whole(amounts(least[group]), group, total, bot_cap, group_cap)


def _whole(amounts: Floats, group: Ints, total: int, bot_cap: int, group_cap: int) -> Ints:
    """Cents that sum to `total`: rounded down, the rest given where most was cut off and there is room."""
    cents = np.floor(amounts).astype(np.int64)
    in_group = np.bincount(group, cents).astype(np.int64)
    rest = total - int(cents.sum())
    order = np.argsort(cents - amounts, kind="stable")
    while rest:
        for bot in order:
            if rest and cents[bot] < bot_cap and in_group[group[bot]] < group_cap:
                cents[bot] += 1
                in_group[group[bot]] += 1
                rest -= 1
    return cents
