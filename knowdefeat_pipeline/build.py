"""Where assets, jobs, schedules, sensors and resources meet; the only place that knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from knowdefeat_pipeline.assets.audit import audit_checks
from knowdefeat_pipeline.assets.bot_metrics import bot_metrics
from knowdefeat_pipeline.assets.bot_rankings import bot_rankings
from knowdefeat_pipeline.assets.fund_allocations import fund_allocations
from knowdefeat_pipeline.assets.market_regimes import market_regimes
from knowdefeat_pipeline.assets.price_bars import price_bars
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.strategy_beliefs import strategy_beliefs
from knowdefeat_pipeline.assets.strategy_weights import strategy_weights
from knowdefeat_pipeline.assets.trade_scores import trade_scores
from knowdefeat_pipeline.assets.trades import trades
from knowdefeat_pipeline.assets.variable_weights import variable_weights
from knowdefeat_pipeline.assets.win_streaks import win_streaks
from knowdefeat_pipeline.automation.jobs import adjust_weights, audit, learn, market, recompute, refresh
from knowdefeat_pipeline.automation.maintenance import build_maintenance
from knowdefeat_pipeline.automation.schedules import daily_weights, nightly_audit, nightly_maintenance
from knowdefeat_pipeline.automation.sensors.failures import report_failures
from knowdefeat_pipeline.automation.sensors.market_data import market_data
from knowdefeat_pipeline.automation.sensors.new_beliefs import new_beliefs
from knowdefeat_pipeline.automation.sensors.new_trades import new_trades
from knowdefeat_pipeline.settings import Upkeep


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions; tests hand in a database of their own and a stopped clock by `resource_overrides`.

    Raises SettingError for an environment variable that cannot be used.
    """
    upkeep = Upkeep.from_environment()
    maintenance = build_maintenance(upkeep.keep_run_days)
    return dg.Definitions(
        assets=[
            *(price_bars, market_regimes, trade_scores),
            *(trades, bot_metrics, win_streaks, bot_rankings, variable_weights),
            *(strategy_beliefs, strategy_weights, fund_allocations),
        ],
        asset_checks=[audit_checks],
        jobs=[refresh, adjust_weights, market, learn, recompute, audit, maintenance],
        schedules=[daily_weights(upkeep), nightly_audit(upkeep), nightly_maintenance(upkeep, maintenance)],
        sensors=[new_trades, market_data, new_beliefs, report_failures],
        # Short steps: a process for each would cost more than the work.
        executor=dg.in_process_executor,
        resources={"database": Database(), "clock": Clock(), **(resource_overrides or {})},
    )
