"""What is published of every strategy at an as_of: its beliefs, its weight, and its calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.beliefs.calibration import calibrations
from knowdefeat_pipeline.core.beliefs.ledger import clock, learning_velocity
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at
from knowdefeat_pipeline.core.beliefs.state import Rules, State, WeighingMethod
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights, exposure, most_move, steady_weights
from knowdefeat_pipeline.core.market.labels import PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.units import Floats

ALL_STRATEGIES = "*"
AS_THINGS_STAND = "*"
WEIGHTS = {AS_THINGS_STAND: "weight", **{name: f"weight_{name.lower()}" for name in REGIMES}}


def strategy_figures(
    state: State, as_of: float, rules: Rules, regime_shares: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """A row for each strategy as things stand (regime `*`), then one for each strategy in each of REGIMES.

    Columns: regime, then those of `Beliefs.table`. `regime_shares`: of the regimes that hold, by default those of the
    latest outcomes. A regime never traded in is answered without one. Raises like `beliefs_at`.
    """
    views = {AS_THINGS_STAND: regime_shares, **{name: {name: 1.0} for name in REGIMES}}
    tables = []
    for name, probabilities in views.items():
        table = beliefs_at(state, as_of, rules, probabilities).table()
        table.insert(0, "regime", pd.Series([name] * len(table), dtype="str"))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class HeldWeights:
    """The weights of an earlier as_of, from which new ones move on.

    rows: as `strategy_weights` answers. days: how long ago that was. was_reset: whether a person reset since then what
    was learned.
    """

    rows: pd.DataFrame
    days: float
    was_reset: bool = False

    def towards(self, weights: pd.DataFrame) -> Floats:
        """The weights (K,) of a table whose `weight` is the target. What strategies held that are gone is divided."""
        held = self.rows.set_index("strategy_id")["weight"].reindex(weights["strategy_id"], fill_value=0.0)
        target, begun = (of.to_numpy(np.float64) for of in (weights["weight"], held))
        if not begun.sum() > 0:
            return target
        before, after = (of[[*PROBABILITIES]].iloc[0].to_numpy(np.float64) for of in (self.rows, weights))
        return steady_weights(begun / begun.sum(), target, most_move(self.days, before, after, self.was_reset))


def strategy_weights(
    figures: pd.DataFrame,
    regime_shares: Mapping[str, float],
    method: WeighingMethod = "edge",
    held: HeldWeights | None = None,
) -> pd.DataFrame:
    """A row for each strategy of `figures` (regime, strategy_id, edge, edge_sd, of one as_of), in their order.

    Columns: strategy_id, `weight` as things stand, which moves on from the `held` ones, `weight_…` under each of
    REGIMES, each of which sums to exactly 1, `p_…`, the `regime_shares`, and `exposure`, of the whole book.
    """
    views = {name: figures[figures["regime"] == name] for name in WEIGHTS}
    weights = pd.DataFrame({"strategy_id": views[AS_THINGS_STAND]["strategy_id"].array})
    for name, column in WEIGHTS.items():
        edge, sd = (views[name][part].to_numpy(np.float64) for part in ("edge", "edge_sd"))
        weights[column] = adaptive_weights(edge, sd, method) if len(edge) else edge
    weights = weights.assign(
        **{p: regime_shares.get(name, 0.0) for p, name in zip(PROBABILITIES, REGIMES, strict=True)}
    )
    if held is not None and len(held.rows) and len(weights):
        weights["weight"] = held.towards(weights)
    now = views[AS_THINGS_STAND]
    share = exposure(*(of.to_numpy(np.float64) for of in (weights["weight"], now["edge"], now["edge_sd"])))
    return weights.assign(exposure=float(share))


def strategy_calibration(trades: pd.DataFrame, as_of: int) -> pd.DataFrame:
    """A row for all strategies together (`*`), then one for each that closed a trade.

    `trades`: columns exit_time (µs, before `as_of`), strategy_id, signal_confidence (0..1, NaN where none was stated)
    and won.
    Columns of the answer: strategy_id, trades, those of `calibrations`, learning_velocity.
    """
    code, names = pd.factorize(trades["strategy_id"], sort=True)
    group, groups = np.concatenate([np.zeros(len(code), dtype=int), code + 1]), len(names) + 1
    twice = pd.concat([trades, trades])
    stated = twice["signal_confidence"].to_numpy(np.float64)
    table = calibrations(stated, twice["won"].to_numpy(np.float64), group, groups)
    table.insert(0, "strategy_id", pd.Series([ALL_STRATEGIES, *names], dtype="str"))
    table.insert(1, "trades", np.bincount(group, minlength=groups))
    times = clock(twice["exit_time"].to_numpy())
    return table.assign(learning_velocity=learning_velocity(times, float(clock(as_of)), group, groups))
