"""Standardised results (R-multiples): what a trade made in units of what its owner's trades usually make or lose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from knowdefeat_pipeline.core.beliefs.decayed_sums import decayed_sums
from knowdefeat_pipeline.core.units import Array, Floats, Ints

MEMORY = 0.99
WARM_UP = 10


@dataclass(frozen=True)
class Volatility:
    """What past trades say of the size of the next: for each owner the decayed number and sum of squares (K, 2) and how
    many there were (K,). `owners` are sorted."""

    owners: tuple[int | str, ...]
    sums: Floats
    trades: Floats

    @classmethod
    def unknown(cls) -> Self:
        """No trade seen."""
        return cls((), np.zeros((0, 2)), np.zeros(0))

    def knowing(self, owners: tuple[int | str, ...]) -> Self:
        """The same with room for further owners."""
        names = tuple(sorted({*self.owners, *owners}))
        place = np.searchsorted(np.array(names), np.array(self.owners)) if self.owners else np.zeros(0, dtype=int)
        sums, trades = np.zeros((len(names), 2)), np.zeros(len(names))
        sums[place], trades[place] = self.sums, self.trades
        return replace(self, owners=names, sums=sums, trades=trades)


def standardise(pnl: Floats, owner: Array, known: Volatility) -> tuple[Floats, Volatility]:
    """R-multiples of trades in the order of the house, and the volatility that the next ones will be measured by.

    pnl (N,) in any currency; owner (N,): whose money it is, a bot where bots of one strategy stake differently. A
    result is pnl / root mean square of the owner's earlier pnl, each weighing 0.99 of the one after it. While fewer
    than 10 came before, the trade itself is among them: the first result of all is its sign. So multiplying an owner's
    money by a constant changes nothing. Raises ValueError where a pnl is not finite.
    """
    if not np.isfinite(pnl).all():
        first = int(np.flatnonzero(~np.isfinite(pnl))[0])
        raise ValueError(f"trade {first} has no finite pnl; leave it out or mend it")
    known = known.knowing(tuple(np.unique(owner).tolist()))
    code = np.searchsorted(np.array(known.owners), owner) if len(owner) else np.zeros(0, dtype=int)
    count = _earlier(code) + known.trades[code]
    values = np.stack([np.ones(len(pnl)), pnl**2], axis=1)
    sums = decayed_sums(code, count + 1, values, np.array([MEMORY]), known.sums[:, None], known.trades)
    before, size = np.where((count < WARM_UP)[:, None], sums.before[:, 0] + values, sums.before[:, 0]).T
    usual = np.sqrt(size / before)
    result = np.divide(pnl, usual, out=np.sign(pnl), where=usual > 0)
    trades = known.trades + np.bincount(code, minlength=len(known.owners))
    return result, replace(known, sums=sums.last[:, 0], trades=trades)


def _earlier(code: Ints) -> Ints:
    """How many of the same code came earlier."""
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    first = np.searchsorted(ordered, ordered, side="left")
    out = np.empty(len(code), dtype=np.int64)
    out[order] = np.arange(len(code)) - first
    return out
