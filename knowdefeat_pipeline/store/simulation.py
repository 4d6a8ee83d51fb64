"""The simulated fleet makes room: the only trades that are ever removed, as they can be made again."""

from __future__ import annotations

import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.results import stored

OF_BOTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "bot_events", "fund_allocations")
BELIEFS = ("strategy_beliefs", "strategy_weights", "strategy_calibration", "belief_checkpoints")  # learned from all


def sources(connection: psycopg.Connection) -> set[str]:
    """The sources that recorded trades."""
    return {source for (source,) in connection.execute(query("trades/sources")).fetchall()}


def remove_source(connection: psycopg.Connection, source: str) -> int:
    """Delete a source's trades, the bots that have no others, those bots' results, and every version of the weights
    that was learned from them; the number of trades."""
    with connection.transaction():
        removed = connection.execute("DELETE FROM trades WHERE source = %s", (source,)).rowcount
        connection.execute("DELETE FROM bots b WHERE NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)")
        for table in map(stored, OF_BOTS):
            connection.execute(
                f"DELETE FROM {table} r WHERE NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = r.bot_id)"  # noqa: S608 (fixed names)
            )
        for table in BELIEFS:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 (fixed names)
        connection.execute(
            "DELETE FROM refreshed_days WHERE asset = ANY(%s)", (["strategy_beliefs", "strategy_weights"],)
        )
        connection.execute(
            "DELETE FROM fund_allocation_days d WHERE NOT EXISTS "
            "(SELECT FROM fund_allocations a WHERE (a.day, a.quote_currency) = (d.day, d.quote_currency))"
        )
        _forget_lessons(connection)
        if not connection.execute("SELECT FROM closed_trades LIMIT 1").fetchone():
            # Days on which nothing is left to be computed are no computed days; of others the deletion is a change.
            connection.execute("DELETE FROM refreshed_days")
            connection.execute("DELETE FROM variable_weights_rows")
    return removed


def _forget_lessons(connection: psycopg.Connection) -> None:
    """What invented trades taught must not rank real bots, nor stand in the way of what these teach."""
    connection.execute("SELECT weight_versions_lock()")  # an adjustment that is under way is forgotten too
    connection.execute("DELETE FROM weight_adjustments")
    connection.execute(
        "DELETE FROM variable_weights_rows w USING weight_versions v WHERE v.version = w.version AND v.author = 'ai'"
    )
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'yes'")
    connection.execute("DELETE FROM weight_versions WHERE author = 'ai'")
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'no'")


def record_scores(connection: psycopg.Connection, source: str, scores: pd.DataFrame) -> int:
    """Record the scores of a source's trades: source_trade_id and the columns of `trade_scores`, NaN for NULL."""
    with connection.transaction():
        connection.execute(
            "CREATE TEMP TABLE scored ON COMMIT DROP AS SELECT '' AS source_trade_id, "
            "price_model_score, volume_model_score, price_wall_score FROM trade_scores WITH NO DATA"
        )
        copy_arrow(connection, "scored", pa.Table.from_pandas(scores, preserve_index=False))
        return connection.execute(query("market/record_scores"), (source,)).rowcount
