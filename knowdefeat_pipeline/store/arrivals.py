"""What came in, from where and when, and what of it does not fit together."""

from __future__ import annotations

from datetime import date, timedelta

import psycopg

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records


def sources(connection: psycopg.Connection, limit: int) -> list[Record]:
    """The sources of imports that count, the last one first: imports, trades that were new, the last import."""
    return records(connection, query("trades/sources"), {"limit": limit})


def last_recorded(connection: psycopg.Connection, limit: int) -> list[Record]:
    """The trades that were recorded or moved on last, by whomever."""
    return records(connection, query("trades/last_recorded"), {"limit": limit})


def trade_days(connection: psycopg.Connection, first: date, last: date) -> list[Record]:
    """One record per day with closed trades: see `sql/queries/trades/trade_days.sql` for the counts."""
    return records(connection, query("trades/trade_days"), {"first": first, "last": last})


def trade_facts(connection: psycopg.Connection, first: date, last: date) -> tuple[list[Record], set[str], int]:
    """At once: `trade_days`, the names of what the database enforces of trades (`trades/enforced.sql`), and how many
    refused rows wait in quarantine."""
    with connection.pipeline():
        enforced = connection.execute(query("trades/enforced"))
        held = connection.execute("SELECT count(*) FROM trade_quarantine WHERE status = 'held'")
        days = trade_days(connection, first, last)
        return days, {name for (name,) in enforced.fetchall()}, next(count for (count,) in held.fetchall())


def disagreements(connection: psycopg.Connection, last: date, days: int) -> Record:
    """Of the trades that closed on so many UTC days up to `last`: those whose stated pnl is not what prices, size and
    costs give (`disagreeing`) of those that state one (`reported`); and those that are alike in all but their ids
    (`twins`)."""
    first = last - timedelta(days=days - 1)
    closed = trade_days(connection, first, last)
    alike = records(connection, query("audits/suspected_twins"), {"first": first, "last": last})
    return {
        "disagreeing": sum(day["disagreeing"] for day in closed),
        "reported": sum(day["reported"] for day in closed),
        "twins": sum(row["trades"] for row in alike),
    }
