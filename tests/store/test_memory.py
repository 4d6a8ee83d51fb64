"""Trades that a session remembers: after whatever happened they are exactly those that a cold read finds."""

import random
from datetime import UTC, datetime, timedelta

import psycopg
import pyarrow as pa
import pytest

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.postgres.connection import connect, query, read_arrow
from knowdefeat_pipeline.store.memory import RecentRows
from knowdefeat_pipeline.store.months import months_content
from knowdefeat_pipeline.store.simulation import remove_simulated
from knowdefeat_pipeline.store.staleness import current_snapshot

NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)


def write(connection: psycopg.Connection, back: timedelta, bot: int = 1, simulated: bool = False) -> None:
    exit_time = NOW - back
    connection.execute(
        "INSERT INTO trades"
        " (simulated, bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
        " VALUES (%s, %s, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
        (simulated, bot, exit_time - timedelta(hours=1), exit_time),
    )


def identities(trades: Trades) -> list[tuple[int, int, float]]:
    return sorted(zip(trades.bot.tolist(), trades.exit.tolist(), trades.pnl.tolist(), strict=True))


def recent_trades(url: str) -> RecentRows:
    return RecentRows(url, "trades/read_arrived_trades", renewed=False)


def cold(url: str, since: datetime = SINCE) -> list[tuple[int, int, float]]:
    return identities(Trades.from_arrow(read_arrow(url, query("trades/read_trades"), [since, NOW + timedelta(days=1)])))


def read(connection: psycopg.Connection, trades: RecentRows, since: datetime, snapshot: str) -> pa.Table:
    return trades.read(months_content(connection), since, snapshot)


def held(url: str, trades: RecentRows, since: datetime = SINCE) -> list[tuple[int, int, float]]:
    with connect(url) as connection:
        return identities(Trades.from_arrow(read(connection, trades, since, current_snapshot(connection))))


@pytest.mark.long
def test_at_every_step_it_holds_what_a_cold_read_finds(database: str) -> None:
    trades, draw = recent_trades(database), random.Random(4)
    with connect(database) as connection:
        for step in range(150):
            for _ in range(draw.randrange(3)):
                write(connection, timedelta(seconds=draw.uniform(0, 32 * 86_400)), bot=draw.randint(1, 4))
            since = SINCE + timedelta(hours=step // 10)  # the window moves on
            assert held(database, trades, since) == cold(database, since)
    assert len(cold(database)) > 100


def test_only_what_the_snapshot_shows_is_read_and_nothing_twice(database: str) -> None:
    trades = recent_trades(database)
    with psycopg.connect(database) as slow, connect(database) as connection:
        write(slow, timedelta(hours=2), bot=2)
        write(connection, timedelta(hours=1))
        assert len(held(database, trades)) == 1
        before = current_snapshot(connection)
        slow.commit()
        assert len(read(connection, trades, SINCE, before)) == 1
        assert held(database, trades) == cold(database)
        assert len(cold(database)) == 2


def test_an_earlier_window_is_read_anew(database: str) -> None:
    trades = recent_trades(database)
    with connect(database) as connection:
        write(connection, timedelta(days=20))
        write(connection, timedelta(days=2))
    late = NOW - timedelta(days=5)
    assert held(database, trades, late) == cold(database, late)
    assert held(database, trades) == cold(database)
    assert len(cold(database)) == 2


def test_trades_that_were_removed_with_the_simulated_fleet_are_forgotten(database: str) -> None:
    trades = recent_trades(database)
    with connect(database) as connection:
        write(connection, timedelta(days=1), simulated=True)
        write(connection, timedelta(days=2), bot=2)
        connection.execute("INSERT INTO bot_months_state (complete_before, recorded_below) VALUES ('2025-01-01', '1')")
        assert len(held(database, trades)) == 2
        remove_simulated(connection)
    assert held(database, trades) == cold(database)
    assert len(cold(database)) == 1
