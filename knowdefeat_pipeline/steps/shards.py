"""What a shard of a refresh computes: everything that depends on its bots alone, from one reading of their trades.

Metrics, days, streaks and what skill follows from are staged (see `scale/staging.py`). What looks at all bots at once,
and what publishes, stays with the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.metrics import engine
from knowdefeat_pipeline.core.rows import Columns, as_arrow, as_columns, chosen, joined
from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS, Ints, day_start, micros
from knowdefeat_pipeline.scale import staging
from knowdefeat_pipeline.scale.costs import shard_seconds
from knowdefeat_pipeline.scale.plan import Plan, Refresh, Shard
from knowdefeat_pipeline.scale.staging import Done, Staging
from knowdefeat_pipeline.steps.outcome import rows_per_end
from knowdefeat_pipeline.steps.slow_results import FOLLOWED
from knowdefeat_pipeline.store.bot_days_rows import bot_days_table
from knowdefeat_pipeline.store.exposures import read_capital
from knowdefeat_pipeline.store.months import read_past
from knowdefeat_pipeline.store.results import as_stored, of_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.shards import scores_of, trades_of

METRICS, STREAKS, DAYS = "bot_metrics", "win_streaks", "daily_results"


def stage_refresh(session: Session, plan: Plan, refresh: Refresh) -> Staging:
    """Compute and stage all shards of a plan, wherever the session's workers are; reports each."""
    found = session.staging
    if found is None or found.plan != refresh.plan:
        raise RuntimeError("a refresh is staged in the session's staging")
    found.refresh = refresh
    found.counts = {name: np.zeros(len(refresh.ends), np.int64) for name in (METRICS, STREAKS)}
    work = [(refresh, shard) for shard in plan]
    report = session.workers.report
    report(f"About {plan.trades:,} trades, {plan.rows:,} rows: computed in {len(plan)} shards of bots.")
    seconds = shard_seconds(plan.trades, plan.rows)
    with closing(
        session.workers.map(compute_shard, session.url, work, seconds)
    ) as answers:  # closed, it stops the work
        for number, ((_, shard), done) in enumerate(answers, start=1):
            for name, counts in done["rows"].items():
                found.counts[name] += np.array(counts, np.int64)
            report(f"Shard {number} of {len(plan)} is staged: {shard}.")
    found.require(len(plan))
    return found


def compute_shard(url: str, item: tuple[Refresh, Shard]) -> Done:
    """Compute and stage one shard, unless that is done; `rows`: how many each table has, day by day."""
    refresh, shard = item
    return staging.write(url, refresh.plan, shard.number, partial(_tables, url, refresh, shard))


def read_days(staged: Staging) -> DailyResults:
    """What each day since the first of the month left of the bots' results, by which skill is told."""
    return DailyResults.concat([DailyResults(**as_columns(table)) for table in staged.read(DAYS)])


def _tables(url: str, refresh: Refresh, shard: Shard, connection: psycopg.Connection) -> Iterator[tuple[str, Any]]:
    ends = micros([*refresh.ends.values()])
    trades = trades_of(url, shard.bots, refresh.since, max(refresh.ends.values()), refresh.seen)
    rows = {}
    if refresh.with_metrics:
        blocks = _blocks(connection, url, refresh, shard, trades, ends)
        followed: list[Columns] = []
        rows[METRICS] = np.zeros(len(ends), np.int64)
        yield "bot_metrics_rows", as_stored(METRICS, _taken_in(blocks, refresh, ends, followed, rows[METRICS]))
        yield "followed", as_arrow(joined(followed))
        yield "bot_days_rows", bot_days_table(trades, refresh.ends)
        since = micros([day_start(refresh.first.replace(day=1))]).item()
        yield DAYS, pa.table(vars(DailyResults.between(trades, since, int(ends[-1]))))
    streaks = engine.win_streak_rows(trades, ends)
    rows[STREAKS] = rows_per_end(streaks, ends)
    yield "win_streaks_rows", as_stored(STREAKS, of_days(streaks, refresh.ends))
    yield "", {"rows": {name: counts.tolist() for name, counts in rows.items()}}


def _blocks(
    connection: psycopg.Connection, url: str, refresh: Refresh, shard: Shard, trades: Trades, ends: Ints
) -> Iterator[Columns]:
    since, until = min(refresh.ends.values()) - timedelta(days=WINDOW_DAYS), max(refresh.ends.values())
    return engine.bot_metrics_blocks(
        trades,
        ends,
        capital=read_capital(connection, url, shard.bots),
        past=read_past(url, refresh.first.replace(day=1), shard.bots),
        trade_scores=scores_of(connection, url, shard.bots, since, until),
    )


def _taken_in(
    blocks: Iterator[Columns], refresh: Refresh, ends: Ints, followed: list[Columns], counts: Ints
) -> Iterator[pa.Table]:
    """The blocks as tables; of what the slow variables follow `followed` keeps the rows, and `counts` counts them."""
    for block in blocks:
        counts += rows_per_end(block, ends)
        followed.append(chosen({name: block[name] for name in FOLLOWED}, block["ticker"] == ALL_TICKERS))
        yield of_days(block, refresh.ends)
