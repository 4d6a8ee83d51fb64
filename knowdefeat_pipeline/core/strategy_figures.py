"""What is kept of every strategy at an instant: its beliefs and its weight, now and under each regime."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from knowdefeat_pipeline.core.adaptive_weights import adaptive_weights
from knowdefeat_pipeline.core.belief_state import Method, Rules, State
from knowdefeat_pipeline.core.posteriors import beliefs_at


def strategy_figures(
    state: State, at: float, rules: Rules, method: Method = "edge", regimes: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """One row per strategy as things stand (regime missing), then one for each strategy in each regime.

    Columns: regime, those of `Beliefs.table`, and weight; weights sum to exactly 1 in each regime. `regimes` are the
    probabilities of those that hold now, by default those of the latest outcomes. Raises like `beliefs_at`.
    """
    views = [(None, regimes), *((name, {name: 1.0}) for name in state.regimes)]
    tables = []
    for name, probabilities in views:
        beliefs = beliefs_at(state, at, rules, probabilities)
        table = beliefs.table()
        table["weight"] = adaptive_weights(beliefs.edge, beliefs.edge_sd, method)[-1] if len(table) else 0.0
        table.insert(0, "regime", pd.Series([name] * len(table), dtype="str"))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
