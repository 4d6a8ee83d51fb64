"""The outcomes that beliefs are learned from: closed trades as columns, in the order of their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Floats, Ints


@dataclass(frozen=True)
class Outcomes:
    """Closed trades in the order of the house: by time, then trade id.

    time: float64 in units (ascending). strategy: codes into `strategies`. regime: codes into `regimes`, -1 for none.
    result: R-multiples. weight: what each counts, above 0 and at most 1 (one of a backtest counts less than a real).
    """

    strategies: tuple[str, ...]
    regimes: tuple[str, ...]
    time: Floats
    strategy: Ints
    regime: Ints
    result: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """From columns time, strategy_id, result and, if there, trade_id, regime (missing: none) and weight (else 1).

        Rows come in any order; without a trade_id those of equal time keep theirs. A trade recorded twice counts once.
        """
        frame = frame.sort_values(["time", "trade_id"] if "trade_id" in frame else ["time"], kind="stable")
        if "trade_id" in frame:
            frame = frame.drop_duplicates("trade_id")
        strategy, strategies = pd.factorize(frame["strategy_id"].astype(str), sort=True)
        regime, regimes = np.full(len(frame), -1), pd.Index([])
        if "regime" in frame:
            regime, regimes = pd.factorize(frame["regime"], sort=True)
        return cls(
            strategies=tuple(strategies),
            regimes=tuple(map(str, regimes)),
            time=frame["time"].to_numpy(np.float64),
            strategy=strategy,
            regime=regime,
            result=frame["result"].to_numpy(np.float64),
            weight=frame["weight"].to_numpy(np.float64) if "weight" in frame else np.ones(len(frame)),
        )

    def rows(self, first: int, stop: int) -> Self:
        """The outcomes first..stop."""
        part = {name: getattr(self, name)[first:stop] for name in ("time", "strategy", "regime", "result", "weight")}
        return replace(self, **part)

    def recoded(self, strategies: Sequence[str], regimes: Sequence[str]) -> Self:
        """The same outcomes over longer lists of names."""
        strategy, regime = codes_among(self.strategies, strategies), codes_among(self.regimes, regimes)
        return replace(
            self,
            strategies=tuple(strategies),
            regimes=tuple(regimes),
            strategy=strategy[self.strategy],
            regime=np.append(regime, -1)[self.regime],
        )


def codes_among(names: Sequence[str], among: Sequence[str]) -> Ints:
    place = {name: number for number, name in enumerate(among)}
    return np.array([place[name] for name in names], dtype=int)
