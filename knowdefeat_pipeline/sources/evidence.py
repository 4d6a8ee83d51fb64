"""What a file's stated pnl says of its terms: which of those that may be meant explain it.

A file that states what each trade earned says by it how its other columns are meant: the terms that give the stated pnl
in at least 99 % of the closed trades, to rounding, are the right ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from typing import Any, Self, get_args

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.amounts import BOUND, UNITS_BOUND
from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.sources.fields import FEES, SIZES
from knowdefeat_pipeline.sources.options import Contract, Side, Sign, Size
from knowdefeat_pipeline.sources.rounding import half_of_last_decimal
from knowdefeat_pipeline.sources.terms import NAMED, Amounts, Cost, Funding, Terms, Written, amounts, named_size

TELLING = 0.1
"""How much rounding may be beside the usual stated pnl, so that this still tells readings apart."""

EVIDENCE = 0.99
"""The share of the trades with a stated pnl that the right terms must explain."""

SAMPLE, PROMISING = 500, 0.9
"""Terms that explain less than this share of so many trades of a file are not tried on all."""

EXACT = 1e-9
"""What two computations of one pnl may differ by, as a share of it."""

MULTIPLE = (1.0, 1000.0)
"""Between what a leverage lies that is proposed."""


@dataclass(frozen=True)
class Evidence:
    """The closed trades of a file, as written, and the pnl that they state; NaN where they state none."""

    written: Written
    stated: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame, written: Written) -> Self:
        """Of rows as read. A trade that is refused for its side or an amount says nothing, nor does one without a size,
        one whose fees have no rate, or one whose own cell says what its pnl rests on."""
        sided = frame["direction"].isin(("LONG", "SHORT")).to_numpy(bool)
        closed = (frame["status"] == "closed").to_numpy(bool)
        open_basis = frame["pnl_basis"].isna().to_numpy(bool)
        readable = frame[["unreadable", "foreign"]].isna().all(axis=1).to_numpy(bool)
        known = sided & closed & open_basis & readable & _is_sound(written) & ~written.fee_unknown
        stated = frame["reported_pnl"].to_numpy(float)[known]
        some = written if known.all() else written.take(np.flatnonzero(known))
        return cls(some, np.where(np.isfinite(stated), stated, np.nan))

    @property
    def trades(self) -> int:
        """How many trades state a pnl."""
        return int(self.is_stated.sum())

    @property
    def is_stated(self) -> Bools:
        """Which trades state a pnl."""
        stated: Bools = ~np.isnan(self.stated)
        return stated

    def sample(self) -> Self:
        """Some of the trades that state a pnl, evenly spread; all of few."""
        rows = np.flatnonzero(self.is_stated)
        rows = rows[:: max(1, len(rows) // SAMPLE)]
        return self if len(rows) == len(self.stated) else type(self)(self.written.take(rows), self.stated[rows])

    def rounding(self) -> float:
        """Half of the last decimal that the stated pnl is written with, in all but one of a hundred trades.

        0, which no rounding explains, where that is much beside the pnl itself: any small figure would agree with 0.
        """
        stated = self.stated[self.is_stated]
        half = half_of_last_decimal(stated)
        return half if half and half <= TELLING * np.median(np.abs(stated)) else 0.0


def _is_sound(written: Written) -> Bools:
    """Which rows have prices and a size, and no amount that cannot be computed with."""
    sound = np.ones(len(written.long), bool)
    for price in (written.entry_price, written.exit_price):
        sound &= (price > 0) & (price < BOUND)
    for cost in (*written.fees.values(), written.funding):
        sound &= np.isnan(cost) | (np.abs(cost) < BOUND)
    sized = np.zeros(len(sound), bool)
    for size in written.sizes.values():
        sound &= np.isnan(size) | ((size >= 0) & (size < UNITS_BOUND))
        sized |= size > 0
    return sound & sized


@dataclass(frozen=True)
class Explanation:
    """Terms that were tried on trades. `explained`: those whose stated pnl they give. `net`: the net pnl that they
    give, and `tolerance`: what it may be off by. `notional`: the sizes. `off`: how far the stated pnl is, or NaN."""

    terms: Terms
    explained: Bools
    net: Floats
    tolerance: Floats
    notional: Floats
    off: Floats

    @cached_property
    def trades(self) -> int:
        """How many trades the terms explain."""
        return int(self.explained.sum())

    @property
    def usually_off(self) -> float:
        """How far the stated pnl of the other trades usually is; 0 where there are none."""
        others = self.off[np.isfinite(self.off) & ~self.explained]
        return float(np.median(others)) if len(others) else 0.0


def explanations(evidence: Evidence, possible: Iterable[Terms], rounding: float) -> Iterator[Explanation]:
    """How well each of the terms explains what trades state, to `rounding`."""
    known: dict[Terms, Amounts] = {}
    for terms in possible:
        net = replace(terms, before=())
        found = known.get(net) or amounts(evidence.written, net)
        if len(evidence.stated) <= 2 * SAMPLE:  # those of many trades would fill the memory
            known[net] = found
        yield _explain(evidence, terms, found, rounding)


def _explain(evidence: Evidence, terms: Terms, found: Amounts, rounding: float) -> Explanation:
    claimed = found.pnl(terms.before)
    tolerance = EXACT * np.abs(claimed) + 1e-14 * np.abs(found.notional) + 1e-12 + rounding
    with np.errstate(invalid="ignore"):
        off = np.abs(claimed - evidence.stated)
        explained = off <= tolerance
    net = found.pnl() if terms.before else claimed
    return Explanation(terms, explained, net, tolerance, found.notional, off)


def proved(evidence: Evidence, possible: Sequence[Terms]) -> list[Explanation]:
    """The terms that explain the stated pnl, one for each different net pnl that they give; the plainest first.

    Exactly, or if none do, to the rounding of the stated pnl. One is the proof, none or several are not.
    """
    return _agreeing(evidence, possible, 0.0) or _agreeing(evidence, possible, evidence.rounding())


def _agreeing(evidence: Evidence, possible: Sequence[Terms], rounding: float) -> list[Explanation]:
    """Of the terms that explain enough, those that explain the most trades."""
    few = evidence.sample()
    tried = [one for one in explanations(few, possible, rounding) if one.trades >= PROMISING * few.trades]
    if few is not evidence:
        tried = [*explanations(evidence, [one.terms for one in tried], rounding)]
    most = max((found.trades for found in tried), default=0)
    if most < EVIDENCE * evidence.trades:
        return []
    kept: list[Explanation] = []
    for found in tried:
        if found.trades == most and not any(_give_the_same(found, other, evidence) for other in kept):
            kept.append(found)
    return kept


def _give_the_same(one: Explanation, other: Explanation, evidence: Evidence) -> bool:
    """Whether the money is the same, where no statement speaks against both; and the size, where no name tells it."""
    rows = (one.explained & other.explained) | ~evidence.is_stated
    with np.errstate(invalid="ignore"):
        same = np.abs(one.net - other.net) <= one.tolerance + other.tolerance
    same |= np.isnan(one.net) & np.isnan(other.net)
    if one.terms.size_field not in NAMED and one.terms.size != other.terms.size:
        same &= np.isclose(one.notional, other.notional, rtol=EXACT, atol=0, equal_nan=True)
    return bool(same[rows].all())


def possible_terms(columns: Mapping[str, str], frame: pd.DataFrame, chosen: Mapping[str, Any]) -> list[Terms]:
    """All terms that a table of these columns may be meant by, the plainest first; what was chosen is fixed."""
    leveraged = "leverage" in chosen or chosen.get("size") == "margin" or _has_values(frame, ["leverage"])
    sizes: list[tuple[str, Size]] = [
        (of, meaning)
        for of in SIZES
        if of in columns
        for meaning in sorted(get_args(Size), key=lambda meaning: meaning != named_size(of))
        if meaning != "margin" or leveraged
    ]
    costs: list[Cost] = ["fees"] if _has_values(frame, FEES) else []
    costs += ["funding"] if _has_values(frame, ["funding"]) else []
    befores: list[tuple[Cost, ...]] = [some for size in range(len(costs) + 1) for some in combinations(costs, size)]
    plain = plain_sign(frame)
    every = [
        Terms(
            of,
            size,
            fees,
            side,
            contract,
            chosen.get("multipliers", {}),
            chosen.get("leverage"),
            before=before,
            funding=funding,
        )
        for contract, side, before, (of, size), fees, funding in product(
            get_args(Contract),
            get_args(Side),
            befores,
            sizes,
            sorted(get_args(Sign), key=lambda sign: sign != plain),
            get_args(Funding) if "funding" in costs else get_args(Funding)[:1],
        )
        # Where fees are not in the stated pnl, or there are none, it does not say of which sign they are.
        if fees == chosen.get("fees", plain) or ("fees" in costs and "fees" not in before)
    ]
    wanted = {name: value for name, value in chosen.items() if name in ("size", "fees", "side", "contract", "funding")}
    return [terms for terms in every if all(getattr(terms, name) == value for name, value in wanted.items())]


def _has_values(frame: pd.DataFrame, fields: Sequence[str]) -> bool:
    return bool((frame[[*fields]].fillna(0.0) != 0).any(axis=None))


def plain_sign(frame: pd.DataFrame) -> Sign:
    """What fees are by their look: more are costs than are received."""
    fees = frame[[*FEES]].to_numpy(float)
    return "signed" if (fees < 0).sum() > (fees > 0).sum() else "cost"


def fitted(evidence: Evidence, possible: Sequence[Terms]) -> Iterator[Explanation]:
    """Terms with a multiplier for each ticker, or a leverage for all, that no column gives but the stated pnl does.

    They are proposed and never used: a number that was made to fit proves nothing by fitting.
    """
    few, rounding = evidence.sample(), evidence.rounding()
    for terms in possible:
        found = amounts(few.written, terms)
        with np.errstate(all="ignore"):
            factor = (few.stated - found.pnl(terms.before) + found.gross) / found.gross
        tried = explanations(few, _with_factor(terms, few.written.ticker, factor), rounding)
        promising = [one.terms for one in tried if one.trades >= PROMISING * few.trades]
        for one in explanations(evidence, promising, rounding):
            if one.trades >= EVIDENCE * evidence.trades:
                yield one


def _with_factor(terms: Terms, ticker: pd.Series, factor: Floats) -> Iterator[Terms]:
    """The terms with the factor that their gross pnl is usually too small by."""
    usual = pd.Series(factor).where(np.isfinite(factor)).groupby(ticker.to_numpy()).median().dropna()
    values = {str(name): float(f"{value:.3g}") for name, value in usual.items() if value > 0}
    if not values or len(values) < len(usual) or all(value == 1 for value in values.values()):
        return
    if terms.size == "quantity" and terms.size_field != "notional" and not terms.multipliers:
        yield replace(terms, multipliers={name: value for name, value in values.items() if value != 1})
    alike = next(iter(values.values()))
    is_margin = terms.size == "notional" and terms.contract == "linear" and terms.leverage is None
    if is_margin and MULTIPLE[0] < alike <= MULTIPLE[1] and set(values.values()) == {alike}:
        yield replace(terms, size="margin", leverage=alike)
