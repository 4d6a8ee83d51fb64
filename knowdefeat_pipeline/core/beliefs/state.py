"""What belief learning works on: its rules, and the state that outcomes leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from knowdefeat_pipeline.core.beliefs.outcomes import codes_among
from knowdefeat_pipeline.core.units import Floats, Ints

WeighingMethod = Literal["edge", "best"]
"""How strategies are weighed: by their edge, or by the probability that it is the largest."""


@dataclass(frozen=True)
class Rules:
    """How beliefs are learned. Rates are per unit of time, strengths in trades.

    forgetting, strategy_prior: one expert for each rate with each k0. regime_prior: k1. population_prior: κ, the weight
    of no edge and a win rate of one half, in strategies. evidence_memory: decay of the experts' record on the edge and
    on the win rate. regime_memory: decay of the regimes' shares, from which the present one follows. body: what of a
    result is its body; the rest is its tail. tail_memory: decay of tails, per own trade. clip: bound of a result, so
    that a bot that multiplies its stakes does not drown all others.
    """

    forgetting: tuple[float, ...] = (0.95, 0.985, 0.995, 0.9985, 1.0)
    strategy_prior: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0)
    regime_prior: float = 60.0
    population_prior: float = 2.0
    evidence_memory: tuple[float, float] = (0.998, 0.998)
    regime_memory: float = 0.65
    body: float = 2.0
    tail_memory: float = 0.9995
    clip: float = 50.0

    @property
    def rates(self) -> Floats:
        """(L,)"""
        return np.array(self.forgetting)

    @property
    def rate_of(self) -> Ints:
        """(M,): the rate that each expert forgets by."""
        return np.repeat(np.arange(len(self.forgetting)), len(self.strategy_prior))

    @property
    def k0(self) -> Floats:
        """(M,): the strength that each expert shrinks with."""
        return np.tile(np.array(self.strategy_prior), len(self.forgetting))


@dataclass(frozen=True)
class State:
    """All that the outcomes until `time` left behind. L rates, M experts, K strategies, R regimes; names are sorted.

    Sums (columns: trades, bodies of results, wins) stand at clocks of their own and decay when they are read.
    """

    strategies: tuple[str, ...]
    regimes: tuple[str, ...]
    time: float
    """NaN before the first outcome."""
    sums: Floats
    """(K, L, 3) per strategy"""
    seen: Floats
    """(K,) time of its last trade"""
    trades: Floats
    """(K,) outcomes ever, by their weight"""
    tails: Floats
    """(K, 3) per strategy: trades, tails and squared tails, decayed by own trades"""
    cells: Floats
    """(R, K, L, 3) per regime and strategy"""
    cell_clock: Floats
    """(R, K) of the last trade, on the regime's clock"""
    regime_clock: Floats
    """(R,) time during which each regime held"""
    shares: Floats
    """(R,) of the regimes lately, decayed to `time`"""
    votes: Floats
    """(M, 3) of the population: credibility, votes on the edge, votes on the win rate"""
    evidence: Floats
    """(M, 2) log evidence for each expert on the edge and on the win rate, decayed to `time`"""

    @classmethod
    def prior(cls, rules: Rules) -> Self:
        """Nothing learned."""
        rates, experts = len(rules.forgetting), len(rules.k0)
        return cls(
            strategies=(), regimes=(), time=np.nan,
            sums=np.zeros((0, rates, 3)), seen=np.zeros(0), trades=np.zeros(0), tails=np.zeros((0, 3)),
            cells=np.zeros((0, 0, rates, 3)), cell_clock=np.zeros((0, 0)), regime_clock=np.zeros(0), shares=np.zeros(0),
            votes=np.zeros((experts, 3)), evidence=np.zeros((experts, 2)),
        )  # fmt: skip

    def knowing(self, strategies: Sequence[str], regimes: Sequence[str] = ()) -> Self:
        """The same state with room for further names."""
        names, kinds = tuple(sorted({*self.strategies, *strategies})), tuple(sorted({*self.regimes, *regimes}))
        if names == self.strategies and kinds == self.regimes:
            return self
        row, kind = codes_among(self.strategies, names), codes_among(self.regimes, kinds)
        return replace(
            self,
            strategies=names,
            regimes=kinds,
            sums=_spread(self.sums, len(names), row),
            seen=_spread(self.seen, len(names), row),
            trades=_spread(self.trades, len(names), row),
            tails=_spread(self.tails, len(names), row),
            cells=_spread(_spread(self.cells, len(names), row, axis=1), len(kinds), kind),
            cell_clock=_spread(_spread(self.cell_clock, len(names), row, axis=1), len(kinds), kind),
            regime_clock=_spread(self.regime_clock, len(kinds), kind),
            shares=_spread(self.shares, len(kinds), kind),
        )


def _spread(values: Floats, size: int, place: Ints, axis: int = 0) -> Floats:
    """`values` at `place` of an axis of the given size, zeros elsewhere."""
    shape = (*values.shape[:axis], size, *values.shape[axis + 1 :])
    wider = np.zeros(shape)
    wider[(slice(None),) * axis + (place,)] = values
    return wider
