"""The simulated fleet makes room: the only trades that are ever removed, as they can be made again."""

from __future__ import annotations

import psycopg

RESULTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings")


def sources(connection: psycopg.Connection) -> set[str]:
    """The sources that recorded trades, found by hopping through the index instead of reading every row."""
    rows = connection.execute(
        """
        WITH RECURSIVE hop(source) AS (
            SELECT min(source) FROM trades
            UNION ALL
            SELECT (SELECT min(source) FROM trades WHERE source > hop.source) FROM hop WHERE hop.source IS NOT NULL
        )
        SELECT source FROM hop WHERE source IS NOT NULL
        """
    ).fetchall()
    return {row[0] for row in rows}


def remove_source(connection: psycopg.Connection, source: str) -> int:
    """Delete a source's trades, the bots that have no others, those bots' results, and every version of the weights
    that was learned from them; the number of trades."""
    with connection.transaction():
        removed = connection.execute("DELETE FROM trades WHERE source = %s", (source,)).rowcount
        connection.execute("DELETE FROM bots b WHERE NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)")
        for table in RESULTS:
            connection.execute(
                f"DELETE FROM {table} r WHERE NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = r.bot_id)"  # noqa: S608 (fixed names)
            )
        _forget_lessons(connection)
        # Months are folded again from what is left.
        connection.execute("DELETE FROM bot_months")
        connection.execute("DELETE FROM bot_months_state")
    return removed


def _forget_lessons(connection: psycopg.Connection) -> None:
    """What invented trades taught must not rank real bots, nor stand in the way of what these teach."""
    connection.execute("DELETE FROM weight_adjustments")
    connection.execute(
        "DELETE FROM variable_weights w USING weight_versions v WHERE v.version = w.version AND v.author = 'ai'"
    )
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'yes'")
    connection.execute("DELETE FROM weight_versions WHERE author = 'ai'")
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'no'")
