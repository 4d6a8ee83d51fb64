"""`win_streaks`: how often and how long each bot wins in a row, and whether that is more than luck."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.metrics import engine as metrics
from knowdefeat_pipeline.core.schema import STREAKS, TABLES
from knowdefeat_pipeline.core.units import WINDOW_DAYS, micros
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.staleness import mark, marks

PREVIEW = (
    "bot_id",
    "trades",
    "win_rate",
    "longest_win_streak",
    "longest_loss_streak",
    "current_streak",
    "streakiness_p_value",
)
NAMES = ("win_streaks", "win_streak_summary")
LINEAGE = {f.name: [("trades", "pnl"), ("bot_metrics", "as_of")] for f in STREAKS}


@catalogue.chain_asset(
    deps=["bot_metrics"],
    kinds={"postgres", "numpy"},
    metadata=catalogue.table("win_streaks", TABLES["win_streaks"], LINEAGE),
    description="Runs of wins of length 2 to 7 per bot, and a summary with the runs test, trailing 30 days.",
)
def win_streaks(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    with database.connect() as connection:
        upstream = marks(connection, "bot_metrics", first, last)
        computed = {day: as_of for day, as_of, _ in upstream}
        lengths, summary = (pd.DataFrame(columns=[f.name for f in TABLES[name]]) for name in NAMES)
        if computed:
            instants = list(computed.values())
            trades = database.trades(instants[0] - timedelta(days=WINDOW_DAYS), instants[-1])
            day_of = dict(zip(pd.DatetimeIndex(instants), computed, strict=True))
            lengths, summary = metrics.win_streaks(trades, micros(instants))
            for rows in (lengths, summary):
                rows.insert(0, "day", rows["as_of"].map(day_of))
        with connection.transaction():
            for table, rows in zip(NAMES, (lengths, summary), strict=True):
                written = pa.Table.from_pandas(rows, preserve_index=False, nthreads=1)
                replace_days(connection, table, first, last, written)
            mark(connection, "win_streaks", upstream)
    catalogue.describe(context, lengths, each_day(first, last), PREVIEW, shown=summary)
    yield dg.MaterializeResult()
