"""`bot_metrics` and `win_streaks`: every figure of every bot, per ticker and over all its tickers, and its streaks."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue, pictures
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.schema import METRICS, OPEN_POSITIONS, SCORE_NAMES, STREAKS, TABLES
from knowdefeat_pipeline.steps.metrics import CHECKS, compute_metrics, compute_streaks
from knowdefeat_pipeline.store.bots import bot_names
from knowdefeat_pipeline.store.session import Session

METRICS_PREVIEW = (
    "bot", "ticker", "trades", "total_pnl", "avg_win_rate", "profit_factor", "max_drawdown", "sharpe",
)  # fmt: skip
STREAKS_PREVIEW = (
    "bot", "trades", "win_rate", "longest_win_streak", "longest_loss_streak", "current_streak",
    "order_p_value",
)  # fmt: skip
METRICS_LINEAGE = {
    f.name: [("trades", column) for column in ("exit_time", "pnl")] for f in METRICS if f.name not in SCORE_NAMES
}
METRICS_LINEAGE |= {name: [("trade_scores", name)] for name in SCORE_NAMES}
METRICS_LINEAGE |= {f.name: [("trades", "mark_price")] for f in OPEN_POSITIONS}
STREAKS_LINEAGE = {f.name: [("trades", "pnl"), ("bot_metrics", "as_of")] for f in STREAKS}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The assets `bot_metrics` and `win_streaks`."""

    @calendar.refreshed_asset(
        group_name="ranking",
        deps=["trades", "trade_scores"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "bot_metrics"),
        metadata=catalogue.table("bot_metrics", TABLES["bot_metrics"], METRICS_LINEAGE),
        description="Performance, risk and streak figures of each bot, per ticker and over all ('*'), "
        "trailing 30 days and lifetime.",
    )
    def bot_metrics(
        context: dg.AssetExecutionContext, database: Database, clock: Clock
    ) -> Iterator[dg.MaterializeResult[None]]:
        first, last = covered_days(context)
        session = database.session
        session.begin(first)
        computed = compute_metrics(session, first, last, clock.now(session.connection))
        catalogue.describe(context, computed, METRICS_PREVIEW, names=bot_names(session.connection))
        catalogue.show(context, last, "equity", lambda: pictures.draw_equity(top_equity(session, last)))
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(computed))

    @calendar.refreshed_asset(
        group_name="ranking",
        deps=["bot_metrics"],
        kinds={"postgres", "numpy"},
        metadata=catalogue.table("win_streaks", TABLES["win_streaks"], STREAKS_LINEAGE),
        description="Runs of wins of length 2 to 7 per bot, and a summary with the runs test, trailing 30 days.",
    )
    def win_streaks(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        computed = compute_streaks(database.session, *covered_days(context))
        catalogue.describe(context, computed, STREAKS_PREVIEW, names=bot_names(database.session.connection))
        yield dg.MaterializeResult[None]()

    return [bot_metrics, win_streaks]


def top_equity(session: Session, day: date) -> pd.DataFrame:
    """What `draw_equity` draws: the bots that gained most in the 30 days to `day`, on each of these days."""
    read: pd.DataFrame = session.read("metrics/top_equity", day, pictures.EQUITY_BOTS, pictures.EQUITY_DAYS).to_pandas()
    return read
