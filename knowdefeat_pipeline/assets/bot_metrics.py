"""`bot_metrics`: every figure of every bot, per ticker and over all its tickers."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, each_day
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core import metrics
from knowdefeat_pipeline.core.figures import METRICS, TABLES
from knowdefeat_pipeline.core.series import Trades, micros
from knowdefeat_pipeline.store.database import query
from knowdefeat_pipeline.store.results import bot_capital, replace_days

FROM_THE_START = datetime(1900, 1, 1, tzinfo=UTC)
PREVIEW = ("bot_id", "ticker", "trades", "total_pnl", "avg_win_rate", "profit_factor", "max_drawdown", "sharpe")
LINEAGE = catalogue.column_lineage(
    {
        f.name: [("trades", column) for column in ("bot_id", "ticker", "exit_time", "pnl")]
        for f in METRICS
        if not f.name.endswith("_score")
    }
)
CHECKS = [
    dg.AssetCheckSpec("every_active_bot_has_metrics", asset="bot_metrics", blocking=True, description="Each active bot with closed trades has a row on every day computed."),
]


@catalogue.chain_asset(
    deps=["trades"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("bot_metrics", TABLES["bot_metrics"]),
    description="Performance, risk and streak figures of each bot, per ticker and over all ('*'), trailing 30 days and lifetime.",
)
def bot_metrics(context: dg.AssetExecutionContext, database: Database, clock: Clock) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    days = each_day(first, last)
    now = clock.now()
    instants = [as_of(day, now) for day in days]
    read = database.read("read_trades", FROM_THE_START, instants[-1])
    with database.connect() as connection:
        rows = metrics.bot_metrics(Trades.from_arrow(read), micros(instants), capital=bot_capital(connection))
        rows.insert(0, "day", rows["as_of"].map(dict(zip(pd.DatetimeIndex(instants), days, strict=True))))
        with connection.transaction():
            replace_days(connection, "bot_metrics", first, last, pa.Table.from_pandas(rows, preserve_index=False))
            missing = connection.execute(query("bots_without_metrics"), {"first": first, "last": last}).fetchall()
    catalogue.describe(context, rows, days, PREVIEW, LINEAGE)
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                passed=not missing, metadata={"missing": len(missing), "first missing": str(missing[:5])},
            )
        ]
    )
