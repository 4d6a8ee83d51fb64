"""Funds over bots: targets, caps, and cents that add up.

Money is counted in whole cents, the smallest units of its currency whatever they are called, so that amounts sum
exactly. A bot whose target is 0 gets nothing; what the caps of the others cannot hold stays cash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds.settings import AllocationRules
from knowdefeat_pipeline.core.money import amount_of, shown
from knowdefeat_pipeline.core.units import Bools, Floats, Ints, Texts

STEPS = 100
Decision = Literal["funded", "capped", "below_minimum", "no_share", "refused"]


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
    target: Floats,
    ticker: Texts,
    refused: Texts,
    funds: int,
    rules: AllocationRules,
    currency: str = "USD",
    alike: Sequence[Sequence[int]] = (),
    names: Sequence[str] = (),
) -> Allocation:
    """Divide `funds` (cents) in proportion to `target` (N,), as near as caps allow; the rest is cash.

    Bots whose target is 0 get nothing: Σ = min(funds, Σ caps of the others). The amounts are the Euclidean projection
    of the proportional ones onto the caps: bots within theirs all moved by the same shift. Where amounts would be less
    than the minimum, the bots of the smallest targets step back, so that the others reach it.

    ticker (N,): names. refused (N,): why a bot gets nothing, "" for eligible ones. alike: places of bots that share one
    bot's cap; a place stands in one of them at most. names (N,): how to call the bots, for the reasons of these.
    Raises ValueError for negative or non-finite targets or funds, and for rules that have no meaning.
    """
    _check(target, funds, rules)
    bot_cap, ticker_cap = int(rules.bot_cap * funds + 1e-6), int(rules.ticker_cap * funds + 1e-6)
    eligible = np.flatnonzero((refused == "") & (target > 0))
    if min(bot_cap, ticker_cap) < rules.minimum:
        eligible = eligible[:0]
    ranked = eligible[np.argsort(-target[eligible], kind="stable")]
    group = pd.factorize(ticker, sort=True)[0]
    shared = np.full(len(target), -1)
    for number, places in enumerate(alike):
        shared[list(places)] = number

    def share_out(count: int) -> Ints:
        cents = np.zeros(len(target), dtype=np.int64)
        members = np.sort(ranked[:count])
        own = Caps.of(target[members], group[members], bot_cap, ticker_cap, shared[members])
        cents[members] = project(target[members], funds, own)
        return cents

    cents = _most(len(ranked), share_out, rules.minimum)
    together, others = cents.copy(), [""] * len(target)
    for places in alike:
        together[list(places)] = cents[list(places)].sum()
        for bot in places:
            others[bot] = ", ".join(names[other] for other in places if other != bot)
    in_ticker = np.bincount(group, cents, minlength=group.max(initial=-1) + 1)[group]
    decided: list[tuple[Decision, str]] = [
        ("refused", str(refused[bot]))
        if refused[bot]
        else _reason(
            int(cents[bot]),
            target[bot] > 0,
            others[bot] if together[bot] >= bot_cap else None,
            str(ticker[bot]) if 0 < ticker_cap <= in_ticker[bot] else None,
            rules,
            currency,
        )
        for bot in range(len(target))
    ]
    decisions, sentences = tuple(word for word, _ in decided), tuple(sentence for _, sentence in decided)
    return Allocation(cents, funds - int(cents.sum()), decisions, sentences)


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
    cents: int, wanted: bool, full_with: str | None, full_ticker: str | None, rules: AllocationRules, currency: str
) -> tuple[Decision, str]:
    """What decided an amount.

    `wanted`: the target is above 0. `full_with`: where the bot's cap is reached, with whom it shares it, "" for nobody.
    `full_ticker`: its ticker, where that is at its cap.
    """
    if not wanted:
        return "no_share", "its target is 0"
    if cents and full_with is not None:
        shared = f", shared with {full_with}: their daily results are alike" if full_with else ""
        return "capped", f"at the cap of {_percent(rules.bot_cap)} of the funds for one bot{shared}"
    if full_ticker is not None and rules.ticker_cap < 1:
        return "capped", f"at the cap of {_percent(rules.ticker_cap)} of the funds for {full_ticker}"
    if cents:
        return "funded", "in proportion to its target"
    return "below_minimum", f"less than the minimum of {shown(amount_of(rules.minimum or 1, currency), currency)}"


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"


@dataclass(frozen=True)
class Caps:
    """What bots, and groups of them, may hold at most (cents). The groups are nested.

    bot: of each bot. levels: from the inside out, each the group (code from 0) that every group of the level before
    lies in, of the first level every bot, and the groups' caps.
    """

    bot: int
    levels: tuple[tuple[Ints, Ints], ...]

    @classmethod
    def of(cls, target: Floats, ticker: Ints, bot_cap: int, ticker_cap: int, shared: Ints | None = None) -> Caps:
        """Bots within those with which they share one bot's cap, within tickers (N,).

        shared (N,): the same number for bots that share, -1 for those that do not. Where these are of several tickers,
        the cap is divided over the tickers in proportion to their targets.
        """
        alone = np.arange(len(target))
        shared = -1 - alone if shared is None else np.where(shared < 0, -1 - alone, shared)
        cluster = np.unique(shared, return_inverse=True)[1]
        tickers, ticker = np.unique(ticker, return_inverse=True)
        first, part = np.unique(cluster * len(tickers) + ticker, return_index=True, return_inverse=True)[1:]
        aim, whole = np.bincount(part, target), np.bincount(cluster, target)[cluster[first]]
        part_cap = np.floor(np.where(whole > aim, bot_cap * aim / whole, bot_cap)).astype(np.int64)
        of_ticker = ticker[first]
        return cls(bot_cap, ((part, part_cap), (of_ticker, np.full(len(tickers), ticker_cap, dtype=np.int64))))

    def held(self, amounts: Floats, levels: int) -> Floats:
        """What the groups of level number `levels` hold (its own cap aside), those inside them cut at their caps."""
        for group, cap in self.levels[:levels]:
            amounts = np.minimum(np.bincount(group, amounts, minlength=len(cap)).astype(np.float64), cap)
        group, cap = self.levels[levels]
        return np.bincount(group, amounts, minlength=len(cap)).astype(np.float64)

    def place(self, level: int) -> Ints:
        """The group of each bot (N,) at a level."""
        group = self.levels[0][0]
        for outer, _ in self.levels[1 : level + 1]:
            group = outer[group]
        return group


def project(target: Floats, funds: int, caps: Caps) -> Ints:
    """Whole cents (N,) nearest to `funds` divided in proportion to `target` (above 0).

    Each from 0 to its cap, and no group beyond its own; together min(funds, what all caps allow). The Euclidean
    projection: clip(wish + shift, 0, cap) with one shift for all, less in a group at its cap.
    """
    if not len(target):
        return np.zeros(0, dtype=np.int64)
    outermost = len(caps.levels) - 1
    room = np.minimum(caps.held(np.full(len(target), float(caps.bot)), outermost), caps.levels[-1][1]).sum()
    total = min(funds, int(room))
    whole = np.zeros(len(caps.levels[-1][1]), dtype=np.int64), np.array([total])
    bounded = Caps(caps.bot, (*caps.levels, whole))
    wish = funds * (target / target.max() / (target / target.max()).sum())
    shift = np.full(len(target), float(caps.bot))
    for level in range(outermost + 1, -1, -1):
        shift = _shift(wish, shift, bounded, level)
    return _whole(np.clip(wish + shift, 0.0, caps.bot), total, caps)


def _shift(wish: Floats, most: Floats, caps: Caps, level: int) -> Floats:
    """The largest shift of each group's bots (N,), up to `most`, with which the group keeps to its cap."""
    place, cap = caps.place(level), caps.levels[level][1]

    def fits(shift: Floats) -> Bools:
        return caps.held(np.clip(wish + shift[place], 0.0, caps.bot), level) <= cap

    high = np.empty(len(cap))
    high[place] = most  # the same for all bots of a group
    within = fits(high)
    if within.all():
        return most
    low = np.where(within, high, -wish.max())
    for _ in range(STEPS):
        middle = (low + high) / 2
        within = fits(middle)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return low[place]


def _whole(amounts: Floats, total: int, caps: Caps) -> Ints:
    """Cents that sum to `total`: rounded down, the rest given where most was cut off and there is room."""
    cents = np.floor(amounts).astype(np.int64)
    places = [caps.place(level) for level in range(len(caps.levels))]
    room = [
        cap - np.bincount(place, cents, minlength=len(cap)).astype(np.int64)
        for place, (_, cap) in zip(places, caps.levels, strict=True)
    ]
    rest = total - int(cents.sum())
    order = np.argsort(cents - amounts, kind="stable")
    while rest:
        for bot in order:
            if rest and cents[bot] < caps.bot and all(left[at[bot]] > 0 for left, at in zip(room, places, strict=True)):
                cents[bot] += 1
                rest -= 1
                for left, at in zip(room, places, strict=True):
                    left[at[bot]] -= 1
    return cents
