"""Open positions: what is written of them day by day, and what the risk rules read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd
import psycopg

from knowdefeat_pipeline.core.funds.risk import POSITION_COLUMNS
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.staleness import Mark


def write_open_positions(connection: psycopg.Connection, first: date, last: date, days: Sequence[Mark]) -> None:
    """Bring `open_positions` of the days first..last up to what is open at each of `days`; the others have none.

    In one statement and by what differs: prices move many bots at once, and most of them not at all.
    """
    connection.execute(
        query("metrics/write_open_positions"),
        {"first": first, "last": last, "days": [of.day for of in days], "as_of": [of.as_of for of in days]},
    )


def read_positions(connection: psycopg.Connection, days: Sequence[tuple[date, datetime]]) -> pd.DataFrame:
    """The open positions at each day's as_of that could be marked: day, bot_id, entry_time, pnl (before fees)."""
    asked = {"days": [day for day, _ in days], "as_of": [as_of for _, as_of in days]}
    rows = connection.execute(query("funds/fund_positions"), asked).fetchall()
    return pd.DataFrame(rows, columns=["day", *POSITION_COLUMNS])
