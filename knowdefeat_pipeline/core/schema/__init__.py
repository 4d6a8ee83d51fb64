"""The table of definitions: every figure's name, type, unit and meaning, once.

SQL columns and their comments, column descriptions in the catalogue, the command line and the pages all follow from
it; a test holds the SQL to it. Each module holds one subject, one figure a line; outside of core, import from here.
"""

from knowdefeat_pipeline.core.schema.beliefs import BELIEFS, CALIBRATION, LEARNING_LEDGER, STRATEGY, STRATEGY_WEIGHTS
from knowdefeat_pipeline.core.schema.figure import ALL_TICKERS, AS_OF, BOT, PARTITION, TICKER, Figure
from knowdefeat_pipeline.core.schema.funds import ALLOCATION_DAYS, ALLOCATIONS, BOT_EVENTS, FUND_SETTINGS
from knowdefeat_pipeline.core.schema.market import BAR_DAY, REGIME_BAR, REGIME_NOW, REGIMES, TRADE_SCORES
from knowdefeat_pipeline.core.schema.metrics import (
    BOT_DAYS,
    METRICS,
    OF_CAPITAL,
    OPEN_POSITIONS,
    SLOW_RESULTS,
    STREAK_SUMMARY,
    STREAKS,
    TRADE_DAY,
)
from knowdefeat_pipeline.core.schema.operations import FRESHNESS, RUNS
from knowdefeat_pipeline.core.schema.ranking import (
    FLAG,
    RANKING,
    WEIGHT_ADJUSTMENTS,
    WEIGHT_SETTINGS,
    WEIGHT_VERSIONS,
    WEIGHTS_IN_FORCE,
)
from knowdefeat_pipeline.core.schema.skill import SKILL
from knowdefeat_pipeline.core.schema.trades import TRADES
from knowdefeat_pipeline.core.schema.variables import (
    DEFAULT_WEIGHTS,
    SCORE_NAMES,
    SLOW_NAMES,
    STREAK_LENGTHS,
    VARIABLE,
    VARIABLE_NAMES,
    VARIABLES,
    Variable,
)

__all__ = [
    "ALLOCATIONS",
    "ALLOCATION_DAYS",
    "ALL_TICKERS",
    "AS_OF",
    "BAR_DAY",
    "BELIEFS",
    "BOT",
    "BOT_DAYS",
    "BOT_EVENTS",
    "CALIBRATION",
    "DECISIONS",
    "DEFAULT_WEIGHTS",
    "FLAG",
    "FRESHNESS",
    "FUND_SETTINGS",
    "LEARNING_LEDGER",
    "METRICS",
    "OF_CAPITAL",
    "OPEN_POSITIONS",
    "PARTITION",
    "RANKING",
    "REGIMES",
    "REGIME_BAR",
    "REGIME_NOW",
    "RUNS",
    "SCORE_NAMES",
    "SKILL",
    "SLOW_NAMES",
    "SLOW_RESULTS",
    "STRATEGY",
    "STRATEGY_WEIGHTS",
    "STREAKS",
    "STREAK_LENGTHS",
    "STREAK_SUMMARY",
    "TABLES",
    "TICKER",
    "TRADES",
    "TRADE_DAY",
    "TRADE_SCORES",
    "VARIABLE",
    "VARIABLES",
    "VARIABLE_NAMES",
    "WEIGHTS_IN_FORCE",
    "WEIGHT_ADJUSTMENTS",
    "WEIGHT_SETTINGS",
    "WEIGHT_VERSIONS",
    "Figure",
    "Variable",
]

TABLES: dict[str, tuple[Figure, ...]] = {
    "bot_metrics": (PARTITION, AS_OF, BOT, TICKER, *METRICS, *OPEN_POSITIONS, *SLOW_RESULTS),
    "win_streaks": (PARTITION, AS_OF, BOT, *STREAKS),
    "win_streak_summary": (PARTITION, AS_OF, BOT, *STREAK_SUMMARY),
    "bot_rankings": (PARTITION, AS_OF, BOT, *RANKING),
    "bot_skill": (PARTITION, AS_OF, BOT, *SKILL),
    "variable_weights": WEIGHTS_IN_FORCE,
    "strategy_beliefs": (PARTITION, AS_OF, *BELIEFS),
    "strategy_weights": (PARTITION, AS_OF, *STRATEGY_WEIGHTS),
    "strategy_calibration": (PARTITION, AS_OF, *CALIBRATION),
    "fund_settings": FUND_SETTINGS,
    "bot_events": BOT_EVENTS,
    "fund_allocations": ALLOCATIONS,
    "fund_allocation_days": ALLOCATION_DAYS,
    "market_regimes": REGIMES,
}
"""The columns of every result table."""

DECISIONS: dict[str, tuple[Figure, ...]] = {
    "weight_versions": WEIGHT_VERSIONS,
    "weight_settings": WEIGHT_SETTINGS,
    "weight_adjustments": WEIGHT_ADJUSTMENTS,
    "belief_ledger": LEARNING_LEDGER,
}
"""What people read of the tables that hold what was decided about weights and learning."""
