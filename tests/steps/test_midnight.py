"""A trade's day has one definition: an exit at midnight belongs to the day that begins, in every table."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.store.results import traded_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERFORMANCE = ("one_hour_performance", "two_hour_performance", "one_day_performance")


def test_an_exit_at_midnight_counts_on_the_day_that_begins(database: str) -> None:
    midnight, day = datetime(2025, 2, 11, tzinfo=UTC), date(2025, 2, 11)
    with connect(database) as connection:
        for bot, exit_time in ((1, midnight - timedelta(microseconds=1)), (2, midnight)):
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
                "notional, strategy_id) VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100, %s)",
                (bot, midnight - timedelta(hours=1), exit_time, f"s{bot}"),
            )
        assert traded_days(connection) == (day - timedelta(days=1), day)
    (counted, *_) = days.refresh(database, day - timedelta(days=1), day, NOW)
    days.learn(database, day - timedelta(days=1), day)
    assert counted.counts == {day - timedelta(days=1): 1, day: 1}
    with connect(database) as connection:
        for table, column in (("bot_metrics", "bot_id"), ("win_streak_summary", "bot_id"), ("bot_rankings", "bot_id"),
                              ("strategy_beliefs", "right(strategy_id, 1)::integer")):  # fmt: skip
            rows = connection.execute(f"SELECT DISTINCT day, {column} FROM {table} ORDER BY 1, 2").fetchall()
            assert rows == [(day - timedelta(days=1), 1), (day, 1), (day, 2)], table


@pytest.mark.long
def test_daily_bars_are_ranked_on_the_days_on_which_their_trades_closed(database: str, shared_data: Path) -> None:
    """275 bots on daily bars, whose every trade closes at a midnight."""
    (path,) = (shared_data / "sp500_ma_bots").glob("*trades*")
    load_trades(database, read_trades(path, now=NOW), path.name)
    with connect(database) as connection:
        found = traded_days(connection)
        assert found is not None
        last = found[1]
        closed = {row[0] for row in connection.execute(
            "SELECT DISTINCT bot_id FROM closed_trades WHERE day = %s", (last,))}  # fmt: skip
    days.refresh(database, last, last, NOW)
    with connect(database) as connection:
        names = ", ".join(VARIABLE_NAMES[:5])
        rows = connection.execute(
            f"SELECT bot_id, {names} FROM bot_metrics WHERE day = %s AND ticker = '*'", (last,)
        ).fetchall()
        ranked = connection.execute("SELECT count(*) FROM bot_rankings WHERE day = %s", (last,)).fetchone()
    assert closed
    assert {bot for bot, _, _, one_day, *_ in rows if one_day is not None} == closed
    assert ranked == (len(rows),)
