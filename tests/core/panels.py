"""Panels for the tests of the weight learner: simulated worlds, and small ones made of plain random figures."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.panels import WorldPanel, simulate_panel

END = datetime(2025, 7, 1, tzinfo=UTC)


@cache
def world(name: str, bots: int = 12, days: int = 121, seed: int = 31) -> WorldPanel:
    return simulate_panel(name, bots=bots, days=days, seed=seed, end=END)


def plain(days: int, bots: int, seed: int, informative: str = "avg_win_rate", strength: float = 0.6) -> pd.DataFrame:
    """Normal figures, of which one foretells the label; bots 1..n in two groups, volatility 1."""
    rng = np.random.default_rng(seed)
    as_of = pd.date_range("2025-01-02", periods=days, tz="UTC").repeat(bots)
    frame = pd.DataFrame({"as_of": as_of, "bot_id": np.tile(np.arange(1, bots + 1), days)})
    frame["group"] = np.where(frame.bot_id % 2, "AAA LONG", "BBB SHORT")
    frame["volatility"] = 1.0
    frame[list(VARIABLE_NAMES)] = rng.standard_normal((len(frame), len(VARIABLE_NAMES)))
    noise = rng.standard_normal(len(frame))
    return frame.assign(label=strength * frame[informative] + np.sqrt(1 - strength**2) * noise)
