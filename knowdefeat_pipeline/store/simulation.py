"""The simulated fleet makes room: the only trades that are ever removed, as they can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.simulation.demo import DEMO, MARKET
from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.locks import lock_every_day
from knowdefeat_pipeline.store.tables import stored

RESULTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "fund_allocations")  # by day and bot
BESIDE_METRICS = ("open_positions", "slow_results", "bot_days_rows")  # by day and bot, too
OF_STRATEGIES = ("strategy_beliefs", "strategy_weights", "strategy_calibration")  # by day
BELIEFS = (*OF_STRATEGIES, "belief_checkpoints")  # learned from all
OF_THE_MARKET = ("market_regimes", "trade_scores")  # assets whose days rest on bars, whatever was traded
MARKET_DATA = ("price_bars", "order_book_levels", "market_regimes")  # by ticker


def has_own_trades(connection: psycopg.Connection) -> bool:
    """Whether there are trades that nobody simulated here."""
    return connection.execute("SELECT FROM trades WHERE NOT simulated LIMIT 1").fetchone() is not None


def demo_entries(connection: psycopg.Connection) -> dict[str, datetime]:
    """When each trade of the demo was entered, by its id in its source; empty where it is not loaded."""
    rows = connection.execute(
        "SELECT source_trade_id, entry_time FROM trades WHERE simulated AND starts_with(source_trade_id, %s)", (DEMO,)
    ).fetchall()
    return dict(rows)


def refused_of_simulated(connection: psycopg.Connection) -> dict[str, dict[str, int]]:
    """By the bot that they name, how many rows of the simulated fleet were refused for each reason, whatever became of
    them since."""
    rows = connection.execute(
        "SELECT original ->> 'bot_id', reason, count(*) FROM trade_quarantine "
        "WHERE simulated GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    found: dict[str, dict[str, int]] = {}
    for bot, reason, count in rows:
        found.setdefault(bot, {})[reason] = count
    return found


@dataclass(frozen=True)
class Left:
    """How many simulated trades went, and the UTC days that they were of, None without any."""

    trades: int = 0
    first: date | None = None
    last: date | None = None

    def forget_late_days(self, connection: psycopg.Connection) -> None:
        """As `forget_late_days`, once they are gone for everybody."""
        if self.first is not None and self.last is not None:
            forget_late_days(connection, self.first, self.last)


def remove_simulated(connection: psycopg.Connection) -> Left:
    """Delete the simulated trades and what rests on them alone; what went.

    A refresh that was under way may still write days that are no more: whoever commits this forgets them then (see
    `Left`).

    That is what of them was refused, the bots that have no others with all their results, the days on which nothing
    else had closed yet, every version of the weights that was learned from them, and the demo's funds and market. All
    other computed days become stale by the deletion.
    """
    with connection.transaction():
        if connection.execute("SELECT FROM trades WHERE simulated LIMIT 1").fetchone():
            lock_every_day(connection)
        # A trade that is on its way to a bot of the fleet is waited for: its bot stays.
        connection.execute("LOCK TABLE trades IN SHARE ROW EXCLUSIVE MODE")
        connection.execute("DELETE FROM trade_quarantine WHERE simulated")
        _forget_demo(connection)
        fleet = connection.execute("SELECT DISTINCT bot_id FROM trades WHERE simulated").fetchall()
        if not fleet:
            return Left()
        ((first, last),) = connection.execute(query("simulation/days")).fetchall()
        connection.execute(query("simulation/undo_imports"))
        connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'yes'")
        connection.execute(query("simulation/readmit_bots"))
        connection.execute(query("simulation/forget_halts"))
        removed = connection.execute("DELETE FROM trades WHERE simulated").rowcount
        connection.execute(
            "DELETE FROM bots b WHERE bot_id = ANY(%s) AND NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)",
            ([bot for (bot,) in fleet],),
        )
        connection.execute("DELETE FROM bot_events r WHERE NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = r.bot_id)")
        forget_bots(connection)
        for table in BELIEFS:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 (fixed names)
        connection.execute(
            "DELETE FROM refreshed_days WHERE asset = ANY(%s)", (["strategy_beliefs", "strategy_weights"],)
        )
        forget_days(connection)
        _forget_lessons(connection)
        connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'no'")
    return Left(removed, first, last)


def _forget_demo(connection: psycopg.Connection) -> None:
    """The demo's funds and market, which outlast its trades where somebody undid their import."""
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'yes'")
    connection.execute("DELETE FROM fund_settings WHERE simulated")
    connection.execute("SET LOCAL knowdefeat.simulated_fleet_leaves = 'no'")
    for table in MARKET_DATA:
        connection.execute(f"DELETE FROM {table} WHERE ticker = ANY(%s)", ([*MARKET],))  # noqa: S608 (fixed names)


def forget_bots(connection: psycopg.Connection) -> None:
    """Bots that are gone have no results."""
    for table in (*map(stored, RESULTS), *BESIDE_METRICS):
        connection.execute(
            f"DELETE FROM {table} r WHERE NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = r.bot_id)"  # noqa: S608 (fixed names)
        )


def forget_days(connection: psycopg.Connection) -> None:
    """Days before the first trade that is left are no computed days any more; without one, no day is."""
    ((first,),) = connection.execute("SELECT min(day) FROM closed_trades").fetchall()
    for table in (*map(stored, (*RESULTS, "bot_skill", "variable_weights")), *BESIDE_METRICS, *OF_STRATEGIES):
        connection.execute(f"DELETE FROM {table} WHERE %(first)s::date IS NULL OR day < %(first)s", {"first": first})  # noqa: S608 (fixed names)
    connection.execute(
        "DELETE FROM refreshed_days WHERE %(first)s::date IS NULL OR (day < %(first)s AND asset <> ALL(%(market)s))",
        {"first": first, "market": list(OF_THE_MARKET)},
    )
    connection.execute(
        "DELETE FROM fund_allocation_days d WHERE NOT EXISTS "
        "(SELECT FROM fund_allocations a WHERE (a.day, a.quote_currency) = (d.day, d.quote_currency))"
    )


def forget_late_days(connection: psycopg.Connection, since: date, last: date) -> None:
    """Forget the days from `since` to `last` once more, which a refresh that was under way has written all the same.

    Who computes is waited for: a lock for each of many years' days would be too many. Call it once the trades are gone
    for everybody, outside of a transaction.
    """
    ((first,),) = connection.execute("SELECT min(day) FROM closed_trades").fetchall()
    until = last if first is None else min(last, first - timedelta(days=1))
    if since <= until:
        with connection.transaction():
            lock_every_day(connection)
            forget_days(connection)


def _forget_lessons(connection: psycopg.Connection) -> None:
    """What invented trades taught must not rank real bots, nor stand in the way of what these teach."""
    connection.execute("SELECT weight_versions_lock()")  # an adjustment that is under way is forgotten too
    connection.execute("DELETE FROM weight_adjustments")
    connection.execute(
        "DELETE FROM variable_weights_rows w USING weight_versions v WHERE v.version = w.version AND v.author = 'ai'"
    )
    connection.execute("DELETE FROM weight_versions WHERE author = 'ai'")


def record_scores(connection: psycopg.Connection, scores: pd.DataFrame) -> int:
    """Record the scores of the simulated trades: source_trade_id and the columns of `trade_scores`, NaN for NULL."""
    with connection.transaction():
        connection.execute(
            "CREATE TEMP TABLE scored ON COMMIT DROP AS SELECT '' AS source_trade_id, "
            "price_model_score, volume_model_score, price_wall_score FROM trade_scores WITH NO DATA"
        )
        copy_arrow(connection, "scored", pa.Table.from_pandas(scores, preserve_index=False))
        return connection.execute(query("market/record_scores")).rowcount
