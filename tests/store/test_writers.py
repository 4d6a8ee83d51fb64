"""Many writers at once: whatever the order in which they name new bots, none is aborted and no row is lost."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from knowdefeat_pipeline.postgres.connection import connect

AT = datetime(2025, 2, 1, tzinfo=UTC)
WRITERS, BOTS = 50, 40
INSERT = (
    "INSERT INTO trades (bot_id, strategy_id, ticker, direction, entry_time, entry_price, notional, quote_currency)"
    " VALUES (%s, %s, 'X', 'LONG', %s, 1, 1, %s)"
)


def write(connection: psycopg.Connection, bot: int, strategy: str | None = None, currency: str = "USD") -> None:
    connection.execute(INSERT, (bot, strategy, AT + timedelta(seconds=random.random()), currency))


def write_together(connection: psycopg.Connection, *trades: tuple[int, str]) -> None:
    with connection.transaction():
        for bot, currency in trades:
            write(connection, bot, currency=currency)


def rows(url: str, statement: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_writers_that_name_the_same_new_bots_in_any_order_all_commit(database: str) -> None:
    together = threading.Barrier(WRITERS)

    def work(number: int) -> None:
        bots = random.Random(number).sample(range(1, BOTS + 1), BOTS)
        with connect(database) as connection, connection.transaction():
            together.wait(60)
            for bot in bots:
                connection.execute(INSERT, (bot, None, AT + timedelta(seconds=number), "USD"))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))
    assert rows(database, "SELECT count(*), count(DISTINCT (bot_id, entry_time)) FROM trades") == [(2000, 2000)]
    assert rows(database, "SELECT bot_id FROM bots ORDER BY 1") == [(bot,) for bot in range(1, BOTS + 1)]
    assert rows(database, "SELECT count(*) FROM arriving_bots") == [(0,)]


def test_a_transaction_that_stays_open_keeps_nobody_waiting(database: str) -> None:
    with psycopg.connect(database) as slow, connect(database) as other:
        other.execute("SET lock_timeout = '2s'")
        write(slow, 2, "first")
        write(other, 1)
        write(other, 2, "second")
        slow.commit()
    assert rows(database, "SELECT bot_id, strategy_id FROM bots ORDER BY 1") == [(1, None), (2, "second")]


def test_what_is_rolled_back_leaves_no_bot(database: str) -> None:
    with connect(database) as connection:
        with connection.transaction():
            write(connection, 1)
            with connection.transaction(force_rollback=True):
                write(connection, 2)
        with connection.transaction(force_rollback=True):
            write(connection, 3)
    assert rows(database, "SELECT bot_id FROM bots") == [(1,)]
    assert rows(database, "SELECT count(*) FROM arriving_bots") == [(0,)]


def test_currencies_never_mix_however_they_arrive(database: str) -> None:
    with connect(database) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="in EUR, but bot 1 accounts in USD"):
            write_together(connection, (1, "USD"), (1, "EUR"))
        with connection.transaction():
            write(connection, 2, currency="EUR")
            with connect(database) as other:
                write(other, 3, currency="USD")
            write(connection, 3, currency="USD")
        with pytest.raises(psycopg.errors.CheckViolation, match="in USD, but bot 2 accounts in EUR"):
            write(connection, 2, currency="USD")
    with psycopg.connect(database) as slow, connect(database) as other:
        write(slow, 4, currency="EUR")
        write(other, 4, currency="USD")
        with pytest.raises(psycopg.errors.CheckViolation, match="in EUR, but bot 4 accounts in USD"):
            slow.commit()
    assert rows(database, "SELECT bot_id, quote_currency FROM bots ORDER BY 1") == [(2, "EUR"), (3, "USD"), (4, "USD")]
