"""Databases of earlier schemas with results in them: after the upgrade these say what they said."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 40
OF_TIME = ("volatility", "time_in_drawdown", "trade_frequency")
MOVED = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "variable_weights")


def rows(connection: psycopg.Connection, table: str) -> list[tuple]:
    names = ", ".join(figure.name for figure in TABLES[table])
    return connection.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


def fill(connection: psycopg.Connection, table: str, found: list[tuple]) -> None:
    names = [figure.name for figure in TABLES[table]]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", found)


def test_results_written_with_their_as_of_are_the_same_by_the_marks(
    database: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0012 to 0013, which leaves as_of and what follows from it to the marks."""
    trades = simulate("base", bots=8, days=DAYS, seed=5, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet")
    first, last = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
    days.refresh(database, first, last, END)
    with connect(database) as connection:
        before = {table: rows(connection, table) for table in MOVED}
        assert all(before.values())

    earlier = tmp_path / "migrations"
    earlier.mkdir()
    for path in sorted(migrations.MIGRATIONS.glob("*.sql"))[:12]:
        shutil.copy(path, earlier)
    with monkeypatch.context() as then:
        then.setattr(migrations, "MIGRATIONS", earlier)
        assert migrations.upgrade(empty_database)[-1] == "0012"
        with connect(empty_database) as connection:
            for table in MOVED:
                fill(connection, table, before[table])
    migrations.upgrade(empty_database)

    with connect(empty_database) as connection:
        after = {table: rows(connection, table) for table in MOVED}
        marks = connection.execute("SELECT DISTINCT asset FROM refreshed_days ORDER BY 1").fetchall()
    assert [asset for (asset,) in marks] == ["bot_metrics", "bot_rankings", "variable_weights", "win_streaks"]
    loose = [number for number, figure in enumerate(TABLES["bot_metrics"]) if figure.name in OF_TIME]
    for was, found in zip(before["bot_metrics"], after["bot_metrics"], strict=True):
        for number in loose:
            assert found[number] == (None if was[number] is None else pytest.approx(was[number], rel=1e-10, abs=1e-10))
    exact = [number for number in range(len(TABLES["bot_metrics"])) if number not in loose]
    assert [[row[n] for n in exact] for row in after.pop("bot_metrics")] == [
        [row[n] for n in exact] for row in before.pop("bot_metrics")
    ]
    assert after == before
