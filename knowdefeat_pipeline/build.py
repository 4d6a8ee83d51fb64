"""Where assets, jobs and resources meet; the only place that knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from knowdefeat_pipeline.assets.bot_metrics import bot_metrics
from knowdefeat_pipeline.assets.bot_rankings import bot_rankings
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.trades import trades
from knowdefeat_pipeline.assets.variable_weights import variable_weights
from knowdefeat_pipeline.assets.win_streaks import win_streaks
from knowdefeat_pipeline.automation.jobs import adjust_weights, refresh
from knowdefeat_pipeline.automation.new_trades import new_trades


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions; tests hand in a database of their own and a stopped clock by `resource_overrides`."""
    return dg.Definitions(
        assets=[trades, bot_metrics, win_streaks, bot_rankings, variable_weights],
        jobs=[refresh, adjust_weights],
        sensors=[new_trades],
        # Five short steps: a process for each would cost more than the work.
        executor=dg.in_process_executor,
        resources={"database": Database(), "clock": Clock(), **(resource_overrides or {})},
    )
