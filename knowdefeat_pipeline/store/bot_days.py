"""What bots did day by day: written with their metrics, read by pages and the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import psycopg

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.staleness import Mark


def write_bot_days(connection: psycopg.Connection, first: date, last: date, days: Sequence[Mark]) -> None:
    """Bring `bot_days` of the days first..last up to what had closed by each of `days`; the others have none.

    In one statement and by what differs. What is open stands in `open_positions`, which the view `bot_days` joins.
    """
    asked = {"days": [of.day for of in days], "as_of": [of.as_of for of in days], "seen": [of.seen for of in days]}
    connection.execute(query("metrics/write_bot_days"), {"first": first, "last": last, **asked})
