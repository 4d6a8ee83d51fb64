"""What bots did day by day: written with their metrics, read by pages and the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.metrics.bot_days import bot_day_rows
from knowdefeat_pipeline.core.rows import Columns, as_arrow
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Bools, Floats, Ints, micros
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records
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


def bot_days(
    connection: psycopg.Connection, bot_id: int, limit: int, *, before: date | None = None, by_ticker: bool = False
) -> list[Record]:
    """A bot's last computed days (before `before`) on which it closed or held something, the latest first."""
    asked = {"bot": bot_id, "limit": limit, "before": before, "by_ticker": by_ticker}
    return records(connection, query("metrics/bot_days"), asked)


def bot_equity(connection: psycopg.Connection, bot_id: int, first: date, last: date) -> list[Record]:
    """A bot's equity at the end of each computed day first..last, on the capital of the last of them."""
    return records(connection, query("metrics/bot_equity"), {"bot": bot_id, "first": first, "last": last})


def daily_pnl(
    connection: psycopg.Connection, day: date, days: int, bots: Sequence[int] | None = None
) -> tuple[list[int], Floats, Bools]:
    """The bots that closed something, or those asked for; their net pnl per UTC day (days, N), 0 without a trade; and
    on which days each closed one. The `days` days up to `day`."""
    asked = {"day": day, "days": days, "bots": None if bots is None else [*bots]}
    rows = connection.execute(query("metrics/daily_pnl"), asked).fetchall()
    names = [*dict.fromkeys(bot for bot, _, _ in rows)] if bots is None else [*bots]
    place = {bot: number for number, bot in enumerate(names)}
    pnl, traded = np.zeros((days, len(names))), np.zeros((days, len(names)), bool)
    if rows:
        at = np.array([days - 1 - (day - of).days for _, of, _ in rows]), np.array([place[bot] for bot, _, _ in rows])
        pnl[at], traded[at] = [amount for _, _, amount in rows], True
    return names, pnl, traded
