"""Reads for the chain of assets and the replacement of whole partitions by what they computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, LiteralString

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from knowdefeat_pipeline.core.rows import Columns, as_arrow, chosen
from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.core.units import Ints, micros
from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.tables import ROWS, stored

if TYPE_CHECKING:
    import pandas as pd

_FROM_THE_MARK = ("as_of", "volatility", "time_in_drawdown", "trade_frequency")


def replace_days(
    connection: psycopg.Connection, table: str, first: date, last: date, rows: pa.Table | Iterable[pa.Table]
) -> int:
    """Delete the result's rows of the days first..last and copy `rows` in their place (see `copy_arrow`); how many.

    Call it inside a transaction: a partition is replaced as a whole or not at all.
    """
    delete_days(connection, table, first, last)
    return copy_arrow(connection, stored(table), as_stored(table, rows))


def delete_days(connection: psycopg.Connection, table: str, first: date, last: date) -> None:
    """Delete the result's rows of the days first..last."""
    connection.execute(_deletion(table, "day BETWEEN %s AND %s"), (first, last))


def replace_bots(connection: psycopg.Connection, table: str, day: date, bots: Ints, rows: Columns) -> None:
    """Replace the rows that these bots have on that day, as `replace_days` those of all; `rows` may hold others too."""
    if len(bots) == 0:
        return
    # As text: the driver would take each number of a list by itself.
    numbers = f"{{{','.join(map(str, bots.tolist()))}}}"
    connection.execute(_deletion(table, "day = %s AND bot_id = ANY(%s::integer[])"), (day, numbers))
    copy_arrow(connection, stored(table), as_stored(table, of_day(chosen(rows, np.isin(rows["bot_id"], bots)), day)))


@cache
def _deletion(table: str, condition: LiteralString) -> bytes:
    return (sql.SQL("DELETE FROM {} WHERE ").format(sql.Identifier(stored(table))) + sql.SQL(condition)).as_bytes()


def of_day(rows: Columns, day: date) -> pa.Table:
    """Rows of one day, to be written."""
    table = as_arrow(rows)
    return table.append_column("day", pa.repeat(pa.scalar(day), len(table)))


def of_days(rows: Columns, ends: Mapping[date, datetime]) -> pa.Table:
    """Rows of these days, to be written: each is of the day whose as_of it has."""
    number = np.searchsorted(micros([*ends.values()]), rows["as_of"])
    return as_arrow(rows).append_column("day", pa.array([*ends], pa.date32()).take(pa.array(number)))


def as_stored(table: str, rows: pa.Table | Iterable[pa.Table]) -> pa.Table | Iterable[pa.Table]:
    """Rows of a result as the table holds them that stores it."""
    if table not in ROWS:
        return rows
    store = _single_rows if table == "bot_metrics" else _without_mark
    return store(rows) if isinstance(rows, pa.Table) else map(store, rows)


def _without_mark(rows: pa.Table) -> pa.Table:
    return rows.select([name for name in rows.column_names if name not in _FROM_THE_MARK])


def _single_rows(rows: pa.Table) -> pa.Table:
    """The rows of `bot_metrics`, of which that of a bot's only ticker, which repeats the bot's, is named there instead.

    A bot's rows follow one another.
    """
    bot, day = rows["bot_id"].to_numpy(), rows["day"].to_numpy()
    whole = pc.equal(rows["ticker"], ALL_TICKERS).to_numpy(zero_copy_only=False)
    begin = np.flatnonzero(np.append(True, (bot[1:] != bot[:-1]) | (day[1:] != day[:-1])) if len(bot) else [])
    count = np.diff(begin, append=len(bot))
    alone = np.repeat(count == 2, count)
    other = np.repeat(2 * begin + 1, count) - np.arange(len(bot))  # of two rows the one that a row is not
    ticker = rows["ticker"].take(pa.array(np.where(alone, other, 0)))
    only = pc.if_else(pa.array(alone), ticker, None) if len(bot) else rows["ticker"]
    return _without_mark(rows.append_column("only_ticker", only).filter(pa.array(whole | ~alone)))


def first_rows(connection: psycopg.Connection, table: str, day: date, count: int) -> pd.DataFrame:
    """So many rows of a result table's day, by bot."""
    import pandas as pd

    statement = sql.SQL("SELECT * FROM {} WHERE day = %s ORDER BY bot_id LIMIT %s").format(sql.Identifier(table))
    cursor = connection.execute(statement, (day, count))
    return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])


def active_bots(connection: psycopg.Connection) -> Ints:
    """The active bots, ascending."""
    active = "SELECT coalesce(array_agg(bot_id ORDER BY bot_id), '{}') FROM bots WHERE is_active"
    ((bots,),) = connection.execute(active, binary=True).fetchall()
    return np.array(bots, np.int64)


def traded_days(connection: psycopg.Connection) -> tuple[date, date] | None:
    """The first and the last UTC day on which a trade closed; None without closed trades."""
    ((first, last),) = connection.execute(query("trades/traded_days")).fetchall()
    return None if first is None else (first, last)


def last_computed_day(connection: psycopg.Connection) -> date | None:
    """The last day that has metrics; None without any."""
    row = connection.execute("SELECT max(day) FROM bot_metrics_rows").fetchone()
    return None if row is None else row[0]


def computed_as_of(connection: psycopg.Connection, first: date, last: date) -> dict[date, datetime]:
    """The as_of at which each day of first..last was computed; days without metrics are absent."""
    rows = connection.execute(
        "SELECT day, max(as_of) FROM bot_metrics WHERE day BETWEEN %s AND %s GROUP BY day ORDER BY day", (first, last)
    ).fetchall()
    return dict(rows)
