"""The database's clock: the one by which days run, as it is the one by which trades are recorded."""

from __future__ import annotations

from datetime import datetime

import psycopg


def now(connection: psycopg.Connection) -> datetime:
    """The instant at which the database answers, UTC; not that at which a transaction began."""
    instant: datetime
    ((instant,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    return instant
