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
from knowdefeat_pipeline.store import quarantine
from knowdefeat_pipeline.store.funds import fund_settings
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 40
OF_TIME = ("volatility", "time_in_drawdown", "trade_frequency")
MOVED = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "variable_weights")


def columns(table: str) -> list[str]:
    """Those that were there from the beginning on."""
    return [figure.name for figure in TABLES[table] if figure.name not in ("capital", "capital_is_estimated")]


def rows(connection: psycopg.Connection, table: str) -> list[tuple]:
    names = ", ".join(columns(table))
    return connection.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


def fill(connection: psycopg.Connection, table: str, found: list[tuple]) -> None:
    names = columns(table)
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", found)


def make(url: str, revision: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring an empty database to an earlier schema."""
    for path in migrations.MIGRATIONS.glob("*.sql"):
        if path.name[:4] <= revision:
            shutil.copy(path, folder)
    with monkeypatch.context() as then:
        then.setattr(migrations, "MIGRATIONS", folder)
        with migrations.upgrading(url) as schema:
            assert schema.bring_to(revision)[-1] == revision


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

    make(empty_database, "0012", tmp_path, monkeypatch)
    with connect(empty_database) as connection:
        for table in MOVED:
            fill(connection, table, before[table])
    migrations.upgrade(empty_database)

    with connect(empty_database) as connection:
        after = {table: rows(connection, table) for table in MOVED}
        marks = connection.execute("SELECT DISTINCT asset FROM refreshed_days ORDER BY 1").fetchall()
    assert [asset for (asset,) in marks] == ["bot_metrics", "bot_rankings", "variable_weights", "win_streaks"]
    loose = [number for number, name in enumerate(columns("bot_metrics")) if name in OF_TIME]
    for was, found in zip(before["bot_metrics"], after["bot_metrics"], strict=True):
        for number in loose:
            assert found[number] == (None if was[number] is None else pytest.approx(was[number], rel=1e-10, abs=1e-10))
    exact = [number for number in range(len(columns("bot_metrics"))) if number not in loose]
    assert [[row[n] for n in exact] for row in after.pop("bot_metrics")] == [
        [row[n] for n in exact] for row in before.pop("bot_metrics")
    ]
    assert after == before


def test_trades_at_impossible_times_go_to_quarantine_and_come_back_corrected(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0013 to 0014: such a trade stopped every run."""
    make(empty_database, "0013", tmp_path, monkeypatch)
    with connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
            " exit_price, notional) VALUES"
            " ('early', 1, 'A', 'LONG', 'closed', '0044-03-14 BC', '0044-03-15 BC', 100, 101, 1000),"
            " ('never', 1, 'A', 'LONG', 'closed', '-infinity', '2025-02-27 12:00Z', 100, 101, 1000),"
            " ('right', 2, 'A', 'LONG', 'closed', '2025-02-27 11:00Z', '2025-02-27 12:00Z', 100, 101, 1000)"
        )
    migrations.upgrade(empty_database)
    held = quarantine.list_rows(empty_database)
    assert sorted((row.reason, row.column_name) for row in held) == [("impossible_time", "entry_time")] * 2
    for hour, row in enumerate(held, start=9):
        corrected = {"entry_time": f"2025-02-27 {hour:02}:00Z", "exit_time": f"2025-02-27 {hour:02}:30Z"}
        quarantine.release(empty_database, row.quarantine_id, corrected, END)
    days.refresh(empty_database, END.date() - timedelta(days=2), END.date() - timedelta(days=1), END)
    with connect(empty_database) as connection:
        ids = connection.execute("SELECT source_trade_id, pnl FROM trades ORDER BY 1").fetchall()
        counted = connection.execute(
            "SELECT bot_id, trades FROM bot_metrics WHERE ticker = '*' AND day = '2025-02-27' ORDER BY 1"
        ).fetchall()
    assert ids == [("early", 10.0), ("never", 10.0), ("right", 10.0)]
    assert counted == [(1, 2), (2, 1)]


def test_bots_keep_their_numbers_and_a_capital_that_nobody_stated_is_estimated(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0022 to 0023: every bot is named by its number, 10,000 were the default, and days with them are computed anew."""
    make(empty_database, "0022", tmp_path, monkeypatch)
    day = END.date() - timedelta(days=2)
    trade = (
        "INSERT INTO trades (source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
        " exit_price, notional, quote_currency, simulated) VALUES"
    )
    with connect(empty_database) as connection:
        for bot, currency, simulated in ((7, "USD", False), (-3, "USD", False), (5, "JPY", False), (6, "USD", True)):
            connection.execute(
                f"{trade} ('a', {bot}, 'A', 'LONG', 'closed', '{day} 11:00Z', '{day} 12:00Z', 100, 90, 400, '{currency}',"
                f" {simulated})".replace("'a'", f"'{bot}'")
            )
        connection.execute("UPDATE bots SET capital = 500 WHERE bot_id = 5")
        connection.execute(
            "INSERT INTO bot_metrics_rows (day, bot_id, ticker, trades, wins, losses, first_exit, last_exit, lifetime_trades)"
            " SELECT %s, bot_id, '*', 1, 0, 1, now(), now(), 1 FROM bots",
            (day,),
        )
        connection.execute(
            "INSERT INTO refreshed_days (asset, day, as_of, seen) SELECT asset, %s, day_end(%s), pg_current_snapshot() "
            "FROM unnest(%s::text[]) AS asset",
            (day, day, list(RANKING.assets)),
        )
        connection.execute(
            "INSERT INTO fund_settings (quote_currency, funds, method, bot_cap, ticker_cap, minimum_ticket, drawdown_limit,"
            " daily_loss_limit, cool_down_hours, author, reason) VALUES ('JPY', 99.95, 'equal', 1, 1, 0, 25, 5, 24, 'a', 'b')"
        )
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        bots = connection.execute("SELECT bot_id, name, capital FROM bots ORDER BY 1").fetchall()
        shown = connection.execute(
            "SELECT bot_id, capital, capital_is_estimated FROM bot_metrics_rows ORDER BY 1"
        ).fetchall()
        stale = stale_days(connection, RANKING, END)
        (settings,) = fund_settings(connection)
        connection.execute(trade.replace("bot_id", "bot_name") + (
            f" ('n', 'new', 'A', 'LONG', 'closed', '{day} 11:00Z', '{day} 12:00Z', 100, 90, 400, 'USD', false)"
        ))  # fmt: skip
        assert connection.execute("SELECT bot_id FROM bots WHERE name = 'new'").fetchall() == [(-4,)]
    assert bots == [(-3, "-3", None), (5, "5", 500.0), (6, "6", 10_000.0), (7, "7", None)]
    assert shown == [(-3, 10_000, True), (5, 500, False), (6, 10_000, False), (7, 10_000, True)]
    assert stale.days == (day,)
    assert settings.funds == 99
    days.refresh(empty_database, day, day, END)
    with connect(empty_database) as connection:
        found = connection.execute(
            "SELECT bot_id, capital, capital_is_estimated, max_drawdown FROM bot_metrics WHERE ticker = '*' ORDER BY 1"
        ).fetchall()
    assert found == [
        (-4, 400, True, 10),
        (-3, 400, True, 10),
        (5, 500, False, 8),
        (6, 10_000, False, 0.4),
        (7, 400, True, 10),
    ]
