"""Lifetime figures follow from stored months: right at once, right after late trades, whatever was computed before."""

from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pandas as pd
import pytest

from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.rows import as_columns, as_frame
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import micros
from knowdefeat_pipeline.postgres.connection import connect, query, read_arrow
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.metrics import compute_metrics
from knowdefeat_pipeline.store.exposures import read_capital
from knowdefeat_pipeline.store.months import _LOCK, months_content, sync_months
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 6, 15, tzinfo=UTC)
LAST = (END - timedelta(days=1)).date()
LIFETIME = [
    "first_exit",
    "last_exit",
    "lifetime_trades",
    "lifetime_pnl",
    "lifetime_max_drawdown",
    "lifetime_win_rate",
    "lifetime_profit_factor",
]


@pytest.fixture
def history(database: str) -> str:
    """Seven bots' trades over a hundred days, some bots with a second ticker."""
    trades = simulate("base", bots=7, days=100, seed=5, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "history")
    return database


def metrics(url: str, day: date) -> pd.DataFrame:
    """As they stand in the database."""
    with open_session(url) as session:
        session.begin(day)
        compute_metrics(session, day, day, END).require()
    stored = read_arrow(url, "SELECT * FROM bot_metrics WHERE day = $1 ORDER BY bot_id, ticker", [day])
    return as_frame(as_columns(stored))


def lifetimes(url: str, day: date) -> pd.DataFrame:
    return metrics(url, day).set_index(["bot_id", "ticker"])[LIFETIME]


def in_one_pass(url: str) -> pd.DataFrame:
    """The engine over the whole history at once, without any stored month."""
    trades = Trades.from_arrow(read_arrow(url, query("trades/read_trades"), [datetime(2000, 1, 1, tzinfo=UTC), END]))
    with connect(url) as connection:
        capital = read_capital(connection, url)
    return bot_metrics(trades, micros([END]), capital=capital).set_index(["bot_id", "ticker"])[LIFETIME]


def months(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute("SELECT * FROM bot_months ORDER BY month, bot_id, ticker").fetchall()


def close(url: str, bot: int, ticker: str, exit_time: datetime, exit_price: float) -> None:
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
            " VALUES (%s, %s, 'LONG', 'closed', %s, %s, 100, %s, 1000)",
            (bot, ticker, exit_time - timedelta(hours=1), exit_time, exit_price),
        )


def test_stored_months_change_no_bit(history: str) -> None:
    pd.testing.assert_frame_equal(lifetimes(history, LAST), in_one_pass(history), check_exact=True)
    # March (its last days), April and May are folded; June is read.
    assert sorted({row[0].month for row in months(history)}) == [3, 4, 5]


@pytest.mark.parametrize(
    ("bot", "ticker", "exit_time"),
    [
        (3, "TSLA", datetime(2025, 4, 10, 12, tzinfo=UTC)),
        (3, "NEWCOIN", datetime(2025, 4, 10, 12, tzinfo=UTC)),  # the bot's first trade in a second ticker
        (3, "TSLA", datetime(2025, 5, 1, tzinfo=UTC)),  # the first instant of May
        (99, "TSLA", datetime(2025, 2, 3, tzinfo=UTC)),  # a new bot in a month before all others
    ],
)
def test_a_late_trade_renews_its_bots_month_alone(history: str, bot: int, ticker: str, exit_time: datetime) -> None:
    lifetimes(history, LAST)
    before = months(history)
    close(history, bot, ticker, exit_time, 40.0)
    after = lifetimes(history, LAST)
    pd.testing.assert_frame_equal(after, in_one_pass(history), check_exact=True)
    changed = {(row[0].month, row[1]) for row in set(map(repr_row, months(history))) ^ set(map(repr_row, before))}
    assert changed == {(exit_time.month, bot)}


def repr_row(row: tuple) -> tuple:
    """A row that can be a member of a set."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def test_an_older_day_after_a_newer_one(history: str) -> None:
    lifetimes(history, LAST)
    day = datetime(2025, 4, 20, tzinfo=UTC)
    trades = Trades.from_arrow(
        read_arrow(history, query("trades/read_trades"), [datetime(2000, 1, 1, tzinfo=UTC), day])
    )
    with connect(history) as connection:
        capital = read_capital(connection, history)
    expected = bot_metrics(trades, micros([day]), capital=capital).set_index(["bot_id", "ticker"])[LIFETIME]
    found = lifetimes(history, (day - timedelta(days=1)).date())
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_bot_that_stopped_long_ago_keeps_its_row(history: str) -> None:
    close(history, 50, "TSLA", datetime(2025, 3, 20, 12, tzinfo=UTC), 110.0)
    rows = metrics(history, LAST)
    idle = rows[(rows["bot_id"] == 50) & (rows["ticker"] == "*")].iloc[0]
    assert (idle["trades"], idle["lifetime_trades"]) == (0, 1)
    assert idle["lifetime_pnl"] == pytest.approx(100.0)
    assert pd.isna(idle["total_pnl"])


def test_months_in_step_are_noted_as_such_without_the_lock_of_whoever_folds_them(history: str) -> None:
    first = LAST.replace(day=1)
    with connect(history) as connection, connect(history) as other:
        connection.execute("SET statement_timeout = '10s'")  # instead of a wait for ever

        def below() -> int:
            return connection.execute("SELECT recorded_below::text::bigint FROM bot_months_state").fetchone()[0]

        content, before = sync_months(connection, history, first), below()
        close(history, 2, "COIN", END - timedelta(hours=3), 101.0)
        folded = months(history)
        with other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            assert sync_months(connection, history, first) == content == months_content(connection)
        assert below() > before
        assert months(history) == folded
        close(history, 2, "COIN", datetime(2025, 4, 3, 12, tzinfo=UTC), 101.0)  # of a month that is over
        assert sync_months(connection, history, first) == months_content(connection) != content
    assert months(history) != folded
    pd.testing.assert_frame_equal(lifetimes(history, LAST), in_one_pass(history), check_exact=True)


def test_a_deletion_waits_for_whoever_folds_the_months_that_it_empties(history: str) -> None:
    def delete() -> None:
        with connect(history) as other:
            other.execute("DELETE FROM trades WHERE bot_id = 3")

    thread = Thread(target=delete)
    with connect(history) as connection, connect(history) as watching:
        with connection.transaction():
            sync_months(connection, history, LAST.replace(day=1))
            thread.start()
            while not watching.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
                assert thread.is_alive()
        thread.join()
    assert months(history) == []
    pd.testing.assert_frame_equal(lifetimes(history, LAST), in_one_pass(history), check_exact=True)
    assert 3 not in {row[1] for row in months(history)}
