"""What bots did day by day, as it is written with their metrics; `bot_days` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.metrics.bot_days import bot_day_rows
from knowdefeat_pipeline.core.rows import Columns, as_arrow
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Ints, micros
from knowdefeat_pipeline.store.results import replace_bots, replace_days
from knowdefeat_pipeline.store.staleness import Mark

TABLE = "bot_days_rows"


def write_bot_days(
    connection: psycopg.Connection, trades: Trades, first: date, last: date, days: Sequence[Mark], bots: Ints | None
) -> None:
    """Replace `bot_days` of the days first..last by what had closed by each of `days`; of one day also of some `bots`.

    `trades`: at least those that closed on `days`, of these bots, None: of all. What is open stands in
    `open_positions`, which the view `bot_days` joins. Call it inside a transaction.
    """
    ends = {of.day: of.as_of for of in days}
    if bots is None:
        replace_days(connection, TABLE, first, last, bot_days_table(trades, ends))
    else:
        rows = _rows(trades, ends)
        del rows["day"]
        replace_bots(connection, TABLE, first, bots, rows)


def bot_days_table(trades: Trades, ends: Mapping[date, datetime]) -> pa.Table:
    """The rows of `bot_days` of these trades on consecutive days up to the as_of of each, to be written."""
    rows = _rows(trades, ends)
    day = pa.array(rows.pop("day").astype(np.int32), pa.date32())
    return as_arrow(rows).append_column("day", day)


def _rows(trades: Trades, ends: Mapping[date, datetime]) -> Columns:
    day = np.array([*ends], "datetime64[D]").astype(np.int64)
    return bot_day_rows(trades, day, micros([*ends.values()]))
