"""The tables themselves, as bots see them that INSERT directly: constraints and triggers."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.canonical import net_pnl

ENTRY = datetime(2025, 2, 11, 20, tzinfo=UTC)
OPEN = {"bot_id": 1, "ticker": "TSLA", "direction": "LONG", "entry_time": ENTRY, "entry_price": 200.0, "notional": 1e4}
CLOSED = {**OPEN, "status": "closed", "exit_time": ENTRY + timedelta(hours=1), "exit_price": 210.0, "fees": 3.0}


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        yield connection


def insert(connection: psycopg.Connection, row: dict[str, Any]) -> int:
    statement = sql.SQL("INSERT INTO trades ({}) VALUES ({}) RETURNING trade_id").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
    )
    row_id = connection.execute(statement, row).fetchone()
    assert row_id is not None
    return row_id[0]


def update(connection: psycopg.Connection, trade_id: int, **changes: Any) -> None:
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in changes]
    statement = sql.SQL("UPDATE trades SET {} WHERE trade_id = %(trade_id)s").format(sql.SQL(", ").join(assignments))
    connection.execute(statement, {**changes, "trade_id": trade_id})


def figures(connection: psycopg.Connection, trade_id: int) -> tuple[float | None, float | None]:
    row = connection.execute("SELECT pnl, reported_pnl FROM trades WHERE trade_id = %s", [trade_id]).fetchone()
    assert row is not None
    return row


def test_the_database_computes_the_net_pnl(connection: psycopg.Connection):
    assert figures(connection, insert(connection, CLOSED)) == (497.0, None)
    short = {**CLOSED, "direction": "SHORT"}
    assert figures(connection, insert(connection, short)) == (-503.0, None)
    assert figures(connection, insert(connection, OPEN)) == (None, None)


def test_a_wrong_pnl_becomes_the_reported_one(connection: psycopg.Connection):
    assert figures(connection, insert(connection, {**CLOSED, "pnl": 0.62})) == (497.0, 0.62)
    stated = {**CLOSED, "bot_id": 2, "pnl": 0.62, "reported_pnl": 0.5}
    assert figures(connection, insert(connection, stated)) == (497.0, 0.5)
    assert figures(connection, insert(connection, {**OPEN, "bot_id": 3, "pnl": 5.0})) == (None, 5.0)


def test_without_a_size_the_stated_pnl_is_taken(connection: psycopg.Connection):
    assert figures(connection, insert(connection, {**CLOSED, "notional": None, "pnl": 12.5})) == (12.5, 12.5)
    with pytest.raises(psycopg.errors.CheckViolation, match="trades_size_or_pnl"):
        insert(connection, {**CLOSED, "bot_id": 2, "notional": None})


def test_python_and_the_database_compute_the_same_bits(connection: psycopg.Connection):
    random = np.random.default_rng(1)
    notional, entry, leave = np.exp(random.normal(0, 8, (3, 5000)))
    fees = random.normal(0, 10, 5000)
    direction = random.choice(["LONG", "SHORT"], 5000)
    pnl = net_pnl(notional, direction, entry, leave, fees)
    columns = [array.tolist() for array in (direction, entry, leave, notional, fees, pnl)]
    inserted = connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
        "notional, fees, pnl) SELECT 1, 'X', d, 'closed', '2025-01-01', '2025-01-02', e, x, n, f, p "
        "FROM unnest(%s::text[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[]) "
        "AS t(d, e, x, n, f, p)",
        columns,
    )
    assert inserted.rowcount == 5000
    # A pnl that differed in one bit would have been recomputed, and have become the reported one.
    assert connection.execute("SELECT count(reported_pnl), count(pnl) FROM trades").fetchone() == (0, 5000)


@pytest.mark.parametrize(
    "instant", ["-infinity", "0044-03-15 BC", "1969-12-31 23:59:59.999999Z", "9999-01-01Z", "infinity"]
)
@pytest.mark.parametrize("column", ["entry_time", "exit_time"])
def test_a_time_that_no_trade_has_is_refused(connection: psycopg.Connection, column: str, instant: str):
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(connection, {**CLOSED, column: instant})
    assert connection.execute("SELECT count(*) FROM trades").fetchone() == (0,)


def test_the_first_instant_of_1970_is_a_time_of_a_trade(connection: psycopg.Connection):
    insert(connection, {**CLOSED, "entry_time": "1970-01-01Z", "exit_time": "1970-01-01Z"})
    assert connection.execute("SELECT day FROM closed_trades").fetchone() == (date(1970, 1, 1),)


def test_closing_a_trade(connection: psycopg.Connection):
    trade_id = insert(connection, OPEN)
    update(connection, trade_id, status="pending_exit")
    with pytest.raises(psycopg.errors.CheckViolation, match="cannot go back from pending_exit to open"):
        update(connection, trade_id, status="open")
    update(connection, trade_id, status="closed", exit_time=ENTRY, exit_price=210.0)
    assert figures(connection, trade_id) == (500.0, None)
    with pytest.raises(psycopg.errors.CheckViolation, match=rf"trade {trade_id} \(bot, .+\) is closed and cannot be"):
        update(connection, trade_id, fees=1.0)


@pytest.mark.parametrize("change", [{"bot_id": 2}, {"source": "file"}, {"source_trade_id": "x"}])
def test_the_identity_of_a_trade_stays(connection: psycopg.Connection, change: dict):
    trade_id = insert(connection, OPEN)
    with pytest.raises(psycopg.errors.CheckViolation, match=f"the identity of trade {trade_id} cannot be changed"):
        update(connection, trade_id, **change)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"direction": "UP"}, "trades_direction_check"),
        ({"status": "gone", "exit_time": None, "exit_price": None}, "trades_status_check"),
        ({"ticker": "*"}, "trades_ticker_check"),
        ({"entry_price": -1.0}, "trades_entry_price_check"),
        ({"entry_price": float("nan")}, "trades_entry_price_check"),
        ({"exit_price": float("inf")}, "trades_exit_price_check"),
        ({"notional": -1.0}, "trades_notional_check"),
        ({"fees": float("nan")}, "trades_fees_check"),
        ({"signal_confidence": 55.0}, "trades_signal_confidence_check"),
        ({"exit_price": None}, "trades_closed_has_exit"),
        ({"status": "open"}, "trades_open_has_no_exit"),
        ({"exit_time": ENTRY - timedelta(seconds=1)}, "trades_exit_after_entry"),
    ],
)
def test_bad_values_are_refused(connection: psycopg.Connection, change: dict, constraint: str):
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        insert(connection, {**CLOSED, **change})
    assert connection.execute("SELECT count(*) FROM bots").fetchone() == (0,)


def test_each_trade_is_held_once(connection: psycopg.Connection):
    insert(connection, CLOSED)
    with pytest.raises(psycopg.errors.UniqueViolation, match="trades_content_key"):
        insert(connection, CLOSED)
    insert(connection, {**OPEN, "source_trade_id": "1"})
    with pytest.raises(psycopg.errors.UniqueViolation, match="trades_source_key"):
        insert(connection, {**OPEN, "source_trade_id": "1", "ticker": "COIN"})


def test_the_future_is_refused_beyond_five_minutes(connection: psycopg.Connection):
    (now,) = connection.execute("SELECT now()").fetchone() or ()
    insert(connection, {**OPEN, "entry_time": now + timedelta(minutes=4)})
    with pytest.raises(
        psycopg.errors.CheckViolation, match=r"trade \(bot, .+\) lies in the future: .+ is later than now"
    ):
        insert(connection, {**OPEN, "entry_time": now + timedelta(minutes=6)})
    with pytest.raises(psycopg.errors.CheckViolation, match="lies in the future"):
        insert(connection, {**CLOSED, "exit_time": now + timedelta(minutes=6)})


def test_bots_register_themselves_with_their_first_trade(connection: psycopg.Connection):
    insert(connection, {**OPEN, "strategy_id": "ma", "quote_currency": "USDT"})
    rows = connection.execute("SELECT bot_id, strategy_id, quote_currency, capital, is_active FROM bots").fetchall()
    assert rows == [(1, "ma", "USDT", None, True)]
    insert(connection, {**CLOSED, "strategy_id": "rsi", "quote_currency": "USDT"})
    assert connection.execute("SELECT strategy_id FROM bots").fetchall() == [("ma",)]


def test_a_bot_trades_in_one_currency(connection: psycopg.Connection):
    insert(connection, OPEN)
    with pytest.raises(psycopg.errors.CheckViolation, match="is in EUR, but bot 1 accounts in USD: sums never mix"):
        insert(connection, {**CLOSED, "quote_currency": "EUR"})
    assert connection.execute("SELECT count(*) FROM trades").fetchone() == (1,)


def test_new_trades_are_announced(database: str, connection: psycopg.Connection):
    with connect(database) as listener:
        listener.execute("LISTEN knowdefeat_trades")
        insert(connection, OPEN)
        heard = list(listener.notifies(timeout=5, stop_after=1))
    assert [message.channel for message in heard] == ["knowdefeat_trades"]
