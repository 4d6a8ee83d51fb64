"""What the command line and the pages read: results of one day, as records."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from knowdefeat_pipeline.core.market.timeframes import bar_length
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.bots import bot_names, named
from knowdefeat_pipeline.store.tables import stored

Record = dict[str, Any]


def latest_day(connection: psycopg.Connection, table: str = "bot_rankings") -> date | None:
    """The last day with rows in a result table; None while it is empty. (A view's table has an index that knows it.)"""
    row = connection.execute(sql.SQL("SELECT max(day) FROM {}").format(sql.Identifier(stored(table)))).fetchone()
    return row[0] if row else None


def last_ranked_day(connection: psycopg.Connection) -> date | None:
    """The last day on which a bot had a rank; None without one. Days without: no bot closed enough trades before."""
    row = connection.execute("SELECT max(day) FROM bot_rankings_rows WHERE rank IS NOT NULL").fetchone()
    return row[0] if row else None


def ranking(connection: psycopg.Connection, day: date) -> list[Record]:
    """The day's bots in order of rank, unranked ones last, with metrics and streaks beside them."""
    return records(connection, query("ranking/ranking_table"), {"day": day})


def skill_rows(connection: psycopg.Connection, day: date, window: str, *, bot_id: int | None = None) -> list[Record]:
    """The skill of the day's bots over a window, the best first; optionally of one bot."""
    return records(connection, query("ranking/skill_table"), {"day": day, "window": window, "bot_id": bot_id})


def day_rows(
    connection: psycopg.Connection, table: str, day: date, *, bot_id: int | None = None, ticker: str | None = None
) -> list[Record]:
    """The rows of a result table on a day, by bot, with its name as `bot` and, beside metrics,
    its quote_currency; optionally of one bot or one ticker (`*` = all
    tickers)."""
    conditions = [sql.SQL("day = %(day)s")]
    if bot_id is not None:
        conditions.append(sql.SQL("bot_id = %(bot_id)s"))
    if ticker is not None:
        conditions.append(sql.SQL("ticker = %(ticker)s"))
    # Every result table's key begins with the day and the bot; the third column of the key breaks ties.
    statement = sql.SQL("SELECT * FROM {} WHERE {} ORDER BY bot_id < 0, abs(bot_id), 4").format(
        sql.Identifier(table), sql.SQL(" AND ").join(conditions)
    )
    rows = named(
        records(connection, statement, {"day": day, "bot_id": bot_id, "ticker": ticker}), bot_names(connection)
    )
    if table != "bot_metrics":
        return rows
    currency: dict[int, str] = dict(connection.execute("SELECT bot_id, quote_currency FROM bots").fetchall())
    return [row | {"quote_currency": currency.get(row["bot_id"], "")} for row in rows]


def strategies(
    connection: psycopg.Connection, day: date, *, strategy: str | None = None, regime: str | None = None
) -> list[Record]:
    """What is believed of the strategies, and their weights, the largest edge first; by default of all regimes."""
    return records(connection, query("beliefs/strategy_table"), {"day": day, "strategy": strategy, "regime": regime})


def strategy_history(connection: psycopg.Connection, chosen: Collection[str] | None, days: int) -> list[Record]:
    """What was believed day after day, as things stood, of some strategies or (None) of all."""
    asked = {"chosen": None if chosen is None else [*chosen], "days": days}
    return records(connection, query("beliefs/strategy_history"), asked)


def strategy_outcomes(
    connection: psycopg.Connection, since: datetime, strategy: str | None, limit: int, offset: int = 0
) -> list[Record]:
    """Trades that closed from an instant on, as outcomes of a strategy or of all, the latest first."""
    asked = {"since": since, "strategy": strategy, "limit": limit, "offset": offset}
    return records(connection, query("beliefs/strategy_outcomes"), asked)


def count_outcomes(connection: psycopg.Connection, since: datetime, strategy: str | None) -> int:
    """How many outcomes there are from an instant on, of a strategy or of all."""
    asked = {"since": since, "strategy": strategy}
    ((found,),) = connection.execute(query("beliefs/count_outcomes"), asked).fetchall()
    return int(found)


def strategy_day(connection: psycopg.Connection, table: str, day: date, strategy: str | None = None) -> list[Record]:
    """The rows of `strategy_weights` or `strategy_calibration` on a day, by name; optionally of one strategy."""
    statement = sql.SQL(
        "SELECT * FROM {} WHERE day = %(day)s AND (%(strategy)s::text IS NULL OR strategy_id = %(strategy)s) "
        "ORDER BY strategy_id"
    ).format(sql.Identifier(table))
    return records(connection, statement, {"day": day, "strategy": strategy})


def regime_was_seen(connection: psycopg.Connection, regime: str) -> bool:
    """Whether any bar has that label."""
    row = connection.execute("SELECT EXISTS (SELECT FROM market_regimes WHERE label = %s)", (regime,)).fetchone()
    return row is not None and row[0]


def strategy_means(connection: psycopg.Connection, strategy: str) -> Record:
    """`capital` of the strategy's largest bot, whether that is estimated, and `volatility` of its trades' returns; None
    where there are none."""
    return records(connection, query("beliefs/strategy_means"), {"strategy": strategy})[0]


def has_market_data(connection: psycopg.Connection) -> bool:
    """Whether there is any bar or order book."""
    ((found,),) = connection.execute(
        "SELECT EXISTS (SELECT FROM price_bars) OR EXISTS (SELECT FROM order_book_levels)"
    ).fetchall()
    return bool(found)


def bar_series(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Every ticker and timeframe of which there are bars."""
    return connection.execute(query("market/bar_series")).fetchall()


def regimes(
    connection: psycopg.Connection, ticker: str | None, timeframe: str | None, *, runs: bool = False
) -> list[Record]:
    """Per series of bars its regime now (see `sql/queries/market/regimes_now.sql`); with `runs` each run of a label.

    `since` and `as_of` are when the first and the last bar of the run closed: a label holds from a bar's close on.
    """
    known = bar_series(connection)
    about = {"tickers": [s[0] for s in known], "timeframes": [s[1] for s in known], "ticker": ticker}
    rows = records(
        connection, query("market/regime_runs" if runs else "market/regimes_now"), {**about, "timeframe": timeframe}
    )
    for row in rows:
        length = bar_length(row["timeframe"])
        row |= {"since": row["since"] + length, "as_of": row.pop("open_time") + length}
    return rows


def regime_bars(
    connection: psycopg.Connection,
    ticker: str,
    timeframe: str,
    limit: int,
    *,
    first: datetime | None = None,
    before: datetime | None = None,
) -> list[Record]:
    """The last labelled bars of a series with their prices, the latest first; of those that open from `first` on and
    before `before`. `as_of`: when a bar closed, from which its label holds."""
    asked = {"ticker": ticker, "timeframe": timeframe, "limit": limit, "first": first, "before": before}
    length = bar_length(timeframe)
    rows = records(connection, query("market/regime_bars"), asked)
    return [row | {"as_of": row["open_time"] + length} for row in rows]


def counts(connection: psycopg.Connection) -> Record:
    """How much is there: bots, trades by status, held rows of the quarantine."""
    return records(connection, query("trades/counts"), {})[0]


def records(
    connection: psycopg.Connection, statement: Any, parameters: Record, *, binary: bool = False
) -> list[Record]:
    """The rows of a statement by column name. `binary`: many numbers are not written as text, and read from it, on the
    way; for statements whose types the driver knows so."""
    with connection.cursor(row_factory=dict_row, binary=binary) as cursor:
        return cursor.execute(statement, parameters).fetchall()
