"""The fleet as a whole on a day: sums by currency, strategies, and how fresh results are."""

from __future__ import annotations

from datetime import date, datetime

import psycopg

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records


def fleet_totals(connection: psycopg.Connection, day: date) -> list[Record]:
    """A record per currency, that of most bots first."""
    return records(connection, query("fleet/totals"), {"day": day})


def fleet_days(connection: psycopg.Connection, day: date, days: int) -> list[Record]:
    """A record per currency and computed day of the last `days` up to `day`, on which a bot closed something."""
    return records(connection, query("fleet/days"), {"day": day, "days": days})


def fleet_strategies(connection: psycopg.Connection, day: date) -> list[Record]:
    """A record per strategy and currency, the largest gain of 30 days first."""
    return records(connection, query("fleet/strategies"), {"day": day})


def freshness(connection: psycopg.Connection) -> list[Record]:
    """Of each asset its last day, and when that is true and was computed."""
    return records(connection, query("fleet/freshness"), {})


def fleet_counts(connection: psycopg.Connection) -> Record:
    """How much is there, as `reads.counts`, at once however long the history: of closed trades those that the results
    have counted, and those that closed since."""
    return records(connection, query("web/counts"), {})[0]


def held_rows(connection: psycopg.Connection) -> int:
    """How many rows were refused and wait to be mended."""
    ((held,),) = connection.execute("SELECT count(*) FROM trade_quarantine WHERE status = 'held'").fetchall()
    return int(held)


def closed_trades(
    connection: psycopg.Connection,
    limit: int,
    *,
    bot_id: int | None = None,
    after: tuple[datetime, int] | None = None,
    day: date | None = None,
) -> list[Record]:
    """Closed trades, the latest first: of one bot, after a place (exit_time, trade_id) in that order, of one day."""
    exit_time, trade_id = after or (None, None)
    asked = {"bot": bot_id, "exit_time": exit_time, "trade_id": trade_id, "limit": limit, "day": day}
    return records(connection, query("trades/trades_page"), asked)


def open_trades(connection: psycopg.Connection, bot_id: int, limit: int) -> list[Record]:
    """The open trades of a bot, the oldest first."""
    return records(connection, query("trades/open_trades"), {"bot": bot_id, "limit": limit})
