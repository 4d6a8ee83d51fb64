"""Estimated capital in step with the trades, and which days another estimate makes stale."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.units import micros
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store import exposures
from knowdefeat_pipeline.store.bots import set_bot
from knowdefeat_pipeline.store.exposures import read_capital, sync_exposures

START = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def trade(connection: psycopg.Connection, bot: int, entry: int, held: int | None, size: float | None) -> int:
    """A trade that begins `entry` hours from START and is held so many; None: it is open still."""
    at = START + entry * HOUR
    closed = None if held is None else at + held * HOUR
    ((key,),) = connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional, "
        "reported_pnl) VALUES (%s, 'X', 'LONG', %s, %s, %s, %s, %s, %s, 1) RETURNING trade_id",
        (bot, "open" if closed is None else "closed", at, closed, 1 + trade.count, None if closed is None else 1, size),
    ).fetchall()
    trade.count += 1e-6  # equal trades are none yet
    return key


trade.count = 0.0


def steps(connection: psycopg.Connection, bot: int) -> list[tuple[int, float]]:
    rows = connection.execute(
        "SELECT extract(epoch FROM since - %s) / 3600, exposure FROM bot_exposures "
        "WHERE bot_id = %s AND exposure > 0 ORDER BY since", (START, bot)
    ).fetchall()  # fmt: skip
    return [(int(hours), exposure) for hours, exposure in rows]


def changed_since(connection: psycopg.Connection) -> datetime | None:
    """From when on another capital holds by the last synchronisation."""
    row = connection.execute("SELECT min(since) FROM input_changes WHERE input = 'capital'").fetchone()
    connection.execute("DELETE FROM input_changes")
    return row[0] if row else None


def sync(url: str, connection: psycopg.Connection) -> datetime | None:
    sync_exposures(connection, url)
    return changed_since(connection)


def test_estimates_follow_the_trades(database: str) -> None:
    with connect(database) as connection:
        trade(connection, 1, 0, 2, 100)
        trade(connection, 1, 1, 4, 50)
        # Figures of a bot begin with its first exit.
        assert sync(database, connection) == START + 2 * HOUR
        assert steps(connection, 1) == [(0, 100), (1, 150)]
        trade(connection, 1, 6, 1, 150)
        assert sync(database, connection) is None
        trade(connection, 1, 10, None, 151)  # what is open counts too
        assert sync(database, connection) == START + 10 * HOUR
        trade(connection, 1, 3, 2, 120)  # a late one: 50 + 120 from the third hour on
        assert sync(database, connection) == START + 3 * HOUR
        assert steps(connection, 1) == [(0, 100), (1, 150), (3, 170)]
        capital = read_capital(connection, database)
        now = micros([START + 3 * HOUR, START + 4 * HOUR])
        assert capital.now(int(now[0])) == {1: (150, True)}
        assert capital.now(int(now[1])) == {1: (170, True)}


def test_bots_one_after_the_other_have_the_estimates_of_all_at_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposures, "TRADES_AT_ONCE", 1)
    with connect(database) as connection:
        for bot in (1, 2, 3):
            trade(connection, bot, 0, 2, 100 * bot)
            trade(connection, bot, 1, 4, 50)
        connection.execute("ANALYZE trades")
        sync(database, connection)
        assert [steps(connection, bot) for bot in (1, 2, 3)] == [
            [(0, 100), (1, 150)],
            [(0, 200), (1, 250)],
            [(0, 300), (1, 350)],
        ]
        trade(connection, 2, 3, 2, 300)
        trade(connection, 3, 3, 2, 400)
        sync(database, connection)
        assert [steps(connection, bot)[2:] for bot in (1, 2, 3)] == [[], [(3, 350)], [(3, 450)]]


def test_a_position_that_closes_changes_nothing(database: str) -> None:
    with connect(database) as connection:
        trade(connection, 1, 0, 1, 10)
        key = trade(connection, 1, 2, None, 100)
        sync(database, connection)
        connection.execute(
            "UPDATE trades SET status = 'closed', exit_price = 1, exit_time = entry_time + interval '5 h' WHERE trade_id = %s",
            (key,),
        )
        assert sync(database, connection) is None
        assert steps(connection, 1) == [(0, 10), (2, 100)]


def test_deleted_moved_and_resized_trades(database: str) -> None:
    with connect(database) as connection:
        first = trade(connection, 1, 0, 1, 100)
        other = trade(connection, 2, 0, 1, 5)
        open_ = trade(connection, 1, 4, None, 300)
        sync(database, connection)
        connection.execute("UPDATE trades SET notional = 200 WHERE trade_id = %s", (open_,))
        assert sync(database, connection) == START + 4 * HOUR
        connection.execute("UPDATE trades SET entry_time = entry_time + interval '1 h' WHERE trade_id = %s", (open_,))
        assert sync(database, connection) == START + 4 * HOUR
        assert steps(connection, 1) == [(0, 100), (5, 200)]
        connection.execute("DELETE FROM trades WHERE trade_id = %s", (first,))
        changed_since(connection)
        sync_exposures(connection, database)
        assert (steps(connection, 1), steps(connection, 2)) == ([(5, 200)], [(0, 5)])
        connection.execute("DELETE FROM trades WHERE trade_id = %s", (other,))
        sync_exposures(connection, database)
        assert steps(connection, 2) == []


def test_only_what_nobody_stated_is_estimated(database: str) -> None:
    with connect(database) as connection:
        trade(connection, 1, 0, 1, 100)
        sync(database, connection)
        set_bot(connection, "1", capital=5000.0)
        assert changed_since(connection) == START + HOUR
        assert steps(connection, 1) == []
        trade(connection, 1, 2, 1, 900)
        assert sync(database, connection) is None
        row = "SELECT capital, capital_is_estimated FROM bot_capitals"
        assert connection.execute(row).fetchall() == [(5000, False)]
        set_bot(connection, "1", estimated=True)
        sync(database, connection)
        assert steps(connection, 1) == [(0, 100), (2, 900)]
        assert connection.execute(row).fetchall() == [(900, True)]


def test_without_sizes_nothing_is_estimated(database: str) -> None:
    with connect(database) as connection:
        trade(connection, 1, 0, 1, None)
        assert sync(database, connection) is None
        assert connection.execute("SELECT capital, capital_is_estimated FROM bot_capitals").fetchall() == [(None, True)]
        assert read_capital(connection, database).now(2**60) == {}


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "trade", "trade", "close", "delete", "sync"]),
        st.integers(1, 2), st.integers(0, 40), st.integers(0, 9) | st.none(), st.sampled_from([0.1, 0.2, 30.0, 45.5, None]),
    ),
    max_size=14,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_step_by_step_comes_to_the_same_as_all_at_once(database: str, actions: list) -> None:
    with connect(database) as connection:
        connection.execute("TRUNCATE trades CASCADE")
        connection.execute("DELETE FROM bots")
        for kind, bot, entry, held, size in actions:
            if kind == "trade":
                trade(connection, bot, entry, held, size if held is None or size else 1.0)
            elif kind == "close":
                connection.execute(
                    "UPDATE trades SET status = 'closed', exit_price = 1, exit_time = entry_time + interval '3 h' "
                    "WHERE trade_id = (SELECT min(trade_id) FROM trades WHERE status = 'open' AND notional > 0)"
                )
            elif kind == "delete":
                connection.execute("DELETE FROM trades WHERE trade_id = (SELECT max(trade_id) FROM trades)")
            else:
                sync_exposures(connection, database)
        sync_exposures(connection, database)
        found = connection.execute("SELECT bot_id, since::text, exposure FROM bot_exposures ORDER BY 1, 2").fetchall()
        connection.execute("DELETE FROM bot_exposures")
        sync_exposures(connection, database)
        assert (
            connection.execute("SELECT bot_id, since::text, exposure FROM bot_exposures ORDER BY 1, 2").fetchall()
            == found
        )


@pytest.mark.parametrize("statement", ["TRUNCATE trades CASCADE", "DELETE FROM trades"])
def test_all_trades_gone(database: str, statement: str) -> None:
    with connect(database) as connection:
        trade(connection, 1, 0, 1, 100)
        sync(database, connection)
        connection.execute(statement)
        sync_exposures(connection, database)
        assert steps(connection, 1) == []
