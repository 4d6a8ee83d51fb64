"""Replay of any history: what was believed, and how strategies were weighed, before each instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import Beliefs, beliefs_before
from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility, standardise
from knowdefeat_pipeline.core.beliefs.state import Rules, State, WeighingMethod
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from knowdefeat_pipeline.core.units import Floats


def beliefs_before_each(
    outcomes: Outcomes, rules: Rules, method: WeighingMethod = "edge"
) -> Iterator[tuple[Floats, Beliefs, Floats]]:
    """Block by block: instants (B,), the beliefs before them, and the weights (B, K), from earlier outcomes alone.

    Results are in any unit; each strategy's are measured by its own earlier ones. A strategy is weighed from its first
    trade on. Raises like `fold`.
    """
    result, _ = standardise(outcomes.result, outcomes.strategy, Volatility.unknown())
    born = np.full(len(outcomes.strategies), np.inf)
    np.minimum.at(born, outcomes.strategy, outcomes.time)
    for instants, beliefs in beliefs_before(State.prior(rules), replace(outcomes, result=result), rules):
        known = born <= instants[:, None]
        yield instants, beliefs, adaptive_weights(beliefs.edge, beliefs.edge_sd, method, known=known)


def replay_beliefs(
    history: pd.DataFrame, rules: Rules, method: WeighingMethod = "edge", unit: float | None = None
) -> pd.DataFrame:
    """The weights before each time: columns time, strategy_id, weight, p_win, edge; a row per time and strategy.

    `history` has the columns time (numbers, or timestamps), strategy_id, result and, if there, regime, in any order;
    rows of one time are one batch. `unit`: the length of a unit of time, in the numbers' unit or in seconds; without
    one, each distinct time is a unit after the one before. Raises like `fold`.
    """
    number, times = pd.factorize(history["time"], sort=True)
    outcomes = Outcomes.from_frame(history.assign(time=number if unit is None else _units(times, unit)[number]))
    blocks = [
        (beliefs.edge.ravel(), beliefs.p_win.ravel(), weights.ravel())
        for _, beliefs, weights in beliefs_before_each(outcomes, rules, method)
    ]
    edge, p_win, weight = (np.concatenate(parts) for parts in zip(*blocks, strict=True)) if blocks else np.empty((3, 0))
    names = pd.Series(outcomes.strategies, dtype="str")
    return pd.DataFrame(
        {
            "time": times.repeat(len(names)),
            "strategy_id": names.iloc[np.tile(np.arange(len(names)), len(times))].array,
            "weight": weight,
            "p_win": p_win,
            "edge": edge,
        }
    )


def _units(times: pd.Index, unit: float) -> Floats:
    if isinstance(times, pd.DatetimeIndex):
        return times.as_unit("us").asi8 / 1e6 / unit
    return times.to_numpy(np.float64) / unit
