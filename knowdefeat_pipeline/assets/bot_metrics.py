"""`bot_metrics`: every figure of every bot, per ticker and over all its tickers."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue, pictures
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, each_day
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.metrics import engine as metrics
from knowdefeat_pipeline.core.schema import METRICS, SCORE_NAMES, TABLES
from knowdefeat_pipeline.core.units import WINDOW_DAYS, micros
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.months import read_past, sync_months
from knowdefeat_pipeline.store.results import active_bots, bot_capital, replace_days
from knowdefeat_pipeline.store.staleness import current_snapshot, mark

PREVIEW = ("bot_id", "ticker", "trades", "total_pnl", "avg_win_rate", "profit_factor", "max_drawdown", "sharpe")
LINEAGE = {
    f.name: [("trades", column) for column in ("exit_time", "pnl")] for f in METRICS if f.name not in SCORE_NAMES
} | {name: [("trade_scores", name)] for name in SCORE_NAMES}
CHECKS = [
    dg.AssetCheckSpec(
        "every_active_bot_has_metrics",
        asset="bot_metrics",
        blocking=True,
        description="Each active bot with closed trades has a row on every day computed.",
    ),
]


@catalogue.chain_asset(
    deps=["trades", "trade_scores"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("bot_metrics", TABLES["bot_metrics"], LINEAGE),
    description="Performance, risk and streak figures of each bot, per ticker and over all ('*'), "
    "trailing 30 days and lifetime.",
)
def bot_metrics(context: dg.AssetExecutionContext, database: Database, clock: Clock) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    rows, missing = compute(database, first, last, clock.now())
    catalogue.describe(context, rows, each_day(first, last), PREVIEW)
    catalogue.show(context, last, "equity", lambda: pictures.draw_equity(top_equity(database, last)))
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                passed=not missing,
                metadata={"checked": len(rows), "missing": len(missing), "first missing": str(missing[:5])},
            )
        ]
    )


def compute(database: Database, first: date, last: date, now: datetime) -> tuple[pd.DataFrame, list[tuple]]:
    """Replace the days first..last; the new rows, and the (day, bot) pairs that should have metrics and have none."""
    days = each_day(first, last)
    instants = [as_of(day, now) for day in days]
    month = first.replace(day=1)
    window = instants[0] - timedelta(days=WINDOW_DAYS)
    since = min(datetime.combine(month, datetime.min.time(), tzinfo=UTC), window)
    with database.connect() as connection:
        # Before anything is read: what commits from here on may be missed somewhere, and is found pending again.
        seen = current_snapshot(connection)
        sync_months(connection, database.address(), month)
        past = read_past(connection, database.address(), month)
        trades, capital = database.trades(since, instants[-1], seen), bot_capital(connection)
        scores = database.scores(connection, window, instants[-1], seen)
        blocks = metrics.bot_metrics_blocks(trades, micros(instants), capital=capital, past=past, scores=scores)
        day_of = dict(zip(pd.DatetimeIndex(instants), days, strict=True))
        kept: list[pd.DataFrame] = []
        with connection.transaction():
            replace_days(connection, "bot_metrics", first, last, _tables(blocks, day_of, kept))
            mark(connection, "bot_metrics", [(day, at, seen) for day, at in zip(days, instants, strict=True)])
        rows = pd.concat(kept, ignore_index=True)
        return rows, _missing(connection, rows, dict(zip(days, instants, strict=True)), seen)


def top_equity(database: Database, day: date) -> pd.DataFrame:
    """What `draw_equity` draws: the bots that gained most in the 30 days to `day`, on each of these days."""
    return database.read("metrics/top_equity", day, pictures.EQUITY_BOTS, pictures.EQUITY_DAYS).to_pandas()


def _tables(
    blocks: Iterator[pd.DataFrame], day_of: dict[pd.Timestamp, date], kept: list[pd.DataFrame]
) -> Iterator[pa.Table]:
    for rows in blocks:
        rows.insert(0, "day", rows["as_of"].map(day_of))
        kept.append(rows)
        yield pa.Table.from_pandas(rows, preserve_index=False)


def _missing(
    connection: psycopg.Connection, rows: pd.DataFrame, instants: dict[date, datetime], seen: str
) -> list[tuple[date, int]]:
    """The days and active bots that had closed a trade by then, as `seen` shows them, and have no row."""
    days, bots = list(instants), [bot for bot, active in active_bots(connection).items() if active]
    present = np.zeros((len(days), len(bots) + 1), bool)  # bots that are not asked for share the last column
    day, bot = (pd.Index(of).get_indexer(pd.Index(rows[name])) for of, name in ((days, "day"), (bots, "bot_id")))
    present[day, bot] = True
    absent = [(days[d], bots[b]) for d, b in np.argwhere(~present[:, :-1])]
    if not absent:  # as a rule; to ask for the first trades of all bots takes as long as their streaks
        return []
    asked = [*{bot for _, bot in absent}]
    first_exits: dict[int, datetime] = dict(connection.execute(query("trades/first_exits"), (asked, seen)).fetchall())
    return [(day, bot) for day, bot in absent if bot in first_exits and first_exits[bot] <= instants[day]]
