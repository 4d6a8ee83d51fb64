"""What bots did day by day, as it is written with their metrics; `bot_days` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.metrics.bot_days import bot_day_rows
from knowdefeat_pipeline.core.rows import as_arrow
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
    day = np.array([of.day for of in days], "datetime64[D]").astype(np.int64)
    rows = bot_day_rows(trades, day, micros([of.as_of for of in days]))
    day_of_row = pa.array(rows.pop("day").astype(np.int32), pa.date32())
    if bots is None:
        replace_days(connection, TABLE, first, last, as_arrow(rows).append_column("day", day_of_row))
    else:
        replace_bots(connection, TABLE, first, bots, rows)
