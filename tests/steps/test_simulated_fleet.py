"""The simulated fleet makes room: it alone goes, and what is left equals what was never mixed with it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime

import pandas as pd
import psycopg
import pytest

from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings, RiskRules
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store import quarantine, quarantined
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.simulation import has_own_trades, remove_simulated
from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.conftest import temporary_database
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 1, 20), date(2025, 2, 28)
OWN_FIRST = date(2025, 2, 9)
FUNDS = FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.6), risk=RiskRules(drawdown=0.5))
TABLES = {
    "bot_metrics": "day, bot_id, ticker",
    "win_streaks": "day, bot_id, streak_length",
    "win_streak_summary": "day, bot_id",
    "bot_rankings": "day, bot_id",
    "bot_skill": "day, bot_id, time_window",
    "variable_weights": "day, variable",
    "fund_allocations": "day, bot_id",
    "fund_allocation_days": "day, quote_currency",
    "strategy_beliefs": "day, strategy_id, regime",
    "strategy_weights": "day, strategy_id",
    "strategy_calibration": "day, strategy_id",
    "(SELECT bot_id, strategy_id, capital, is_active, quote_currency FROM bots)": "bot_id",
    "(SELECT bot_id, kind, in_force_from, author, reason, figures::text FROM bot_events)": "in_force_from, bot_id, kind",
    "(SELECT asset, day, as_of FROM refreshed_days)": "asset, day",
}


def fleet() -> pd.DataFrame:
    return simulate("base", bots=5, days=40, seed=5, end=END).trades


def own_trades() -> pd.DataFrame:
    """Bots 1 and 2, of which the fleet has its own, and bot 70; of the last twenty days."""
    trades = simulate("base", bots=3, days=20, seed=9, end=END).trades
    bots = trades["bot_id"].map({1: 1, 2: 2, 3: 70})
    return trades.assign(bot_id=bots, strategy_id=trades["strategy_id"].where(bots == 2))


def record_own(url: str, source: str = "bot") -> None:
    """As bots insert them, in the order of time."""
    columns = [
        "source_trade_id", "bot_id", "strategy_id", "ticker", "direction", "status", "entry_time", "exit_time",
        "entry_price", "exit_price", "notional", "fees", "exit_reason",
    ]  # fmt: skip
    rows = own_trades().query("status == 'closed'")[columns].assign(source=source).astype(object)
    rows = rows.where(rows.notna(), None)
    names, places = ", ".join(rows.columns), ", ".join(["%s"] * len(rows.columns))
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO trades ({names}) VALUES ({places})", rows.values.tolist())


def load_fleet(url: str) -> int:
    return load_trades(url, read_frame(fleet(), "simulator", END), "fleet", simulated=True).inserted


def contents(url: str) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} AS t ORDER BY {order}").fetchall()
            for table, order in TABLES.items()
        }


def set_funds(url: str) -> None:
    with connect(url) as connection:
        save_settings(connection, FUNDS, "test", "a test")


def stale(url: str) -> dict[str, tuple[date, ...]]:
    with connect(url) as connection:
        return {family.name: stale_days(connection, family, END).days for family in (RANKING, BELIEFS)}


@pytest.mark.long
def test_after_the_fleet_left_everything_equals_a_clean_recompute(
    server_url: str, template: str, database: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    set_funds(database)
    load_fleet(database)
    record_own(database)
    days.refresh(database, FIRST, LAST, END)
    days.learn(database, FIRST, LAST)
    days.compute_stale(database, END)
    mixed = contents(database)
    assert {row[0] for row in mixed["bot_rankings"]} == {*each_day(FIRST, LAST)}
    with connect(database) as connection:
        assert remove_simulated(connection).trades > 1000
    left = tuple(each_day(OWN_FIRST, LAST))
    assert stale(database) == {"ranking": left, "beliefs": left}
    days.compute_stale(database, END)
    with temporary_database(server_url, template) as clean:
        set_funds(clean)
        record_own(clean)
        days.refresh(clean, OWN_FIRST, LAST, END)
        days.learn(clean, OWN_FIRST, LAST)
        days.compute_stale(clean, END)
        expected = contents(clean)
    found = contents(database)
    for table in TABLES:
        assert found[table] == expected[table], table
    assert all(expected[table] for table in TABLES)
    assert mixed["bot_rankings"] != expected["bot_rankings"]


def test_a_bot_may_call_its_source_simulator(database: str) -> None:
    record_own(database, source="simulator")
    with connect(database) as connection:
        before = connection.execute("SELECT * FROM trades ORDER BY trade_id").fetchall()
        assert len(before) > 300
        assert remove_simulated(connection).trades == 0
    other = own_trades().assign(bot_id=5)
    report = load_trades(database, read_frame(other, "table", END), "a file")
    assert (report.removed, report.inserted) == (0, len(other))
    with connect(database) as connection:
        kept = connection.execute("SELECT * FROM trades WHERE source = 'simulator' ORDER BY trade_id").fetchall()
    assert kept == before


def test_a_file_takes_the_fleets_place_and_leaves_what_bots_recorded(database: str) -> None:
    assert load_fleet(database) == len(fleet())
    record_own(database, source="simulator")
    with connect(database) as connection:
        connection.execute("INSERT INTO bots (bot_id, capital) VALUES (99, 5000)")  # has not traded yet
        own = connection.execute("SELECT count(*) FROM trades WHERE NOT simulated").fetchone()
    report = load_trades(database, read_frame(own_trades().assign(bot_id=5), "table", END), "a file")
    assert report.removed == len(fleet())
    with connect(database) as connection:
        counts = "SELECT count(*) FROM trades WHERE source = 'simulator' AND NOT simulated"
        assert connection.execute(counts).fetchone() == own
        assert connection.execute("SELECT FROM trades WHERE simulated").fetchall() == []
        bots = connection.execute("SELECT bot_id, strategy_id FROM bots ORDER BY 1").fetchall()
    assert [bot for bot, _ in bots] == [1, 2, 5, 70, 99]
    assert bots[0] == (1, None)  # its own trades name no strategy; the fleet's did


def test_what_was_refused_of_the_fleet_is_simulated_too(database: str) -> None:
    frame = fleet()
    frame.loc[frame.index[:2], "notional"] = 1e300
    load_trades(database, read_frame(frame, "simulator", END), "fleet", simulated=True)
    held = quarantined.list_rows(database)
    assert [(row.reason, row.simulated) for row in held] == [("poison", True)] * 2
    quarantine.release(database, held[0].quarantine_id, {"notional": "1000"}, END)
    with connect(database) as connection:
        assert not has_own_trades(connection)
    load_trades(database, read_frame(own_trades(), "table", END), "a file")
    assert quarantined.list_rows(database, None) == []


def test_no_trade_becomes_simulated(database: str) -> None:
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional)"
            " VALUES (1, 'X', 'LONG', %s, 1, 1)",
            (END,),
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="identity of trade"):
            connection.execute("UPDATE trades SET simulated = true")


def test_the_migration_marks_only_what_is_the_simulators_to_the_last_bit(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    for path in sorted(migrations.MIGRATIONS.glob("*.sql"))[:13]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    ours = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    migrations.upgrade(empty_database)
    frame = fleet()
    with connect(empty_database) as connection:
        statement = (
            "INSERT INTO trades (source, source_trade_id, bot_id, strategy_id, ticker, direction, status, entry_time,"
            " exit_time, entry_price, exit_price, notional, fees, exit_reason) VALUES"
            " ('simulator', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        )
        columns = [
            "source_trade_id", "bot_id", "strategy_id", "ticker", "direction", "status", "entry_time", "exit_time",
            "entry_price", "exit_price", "notional", "fees", "exit_reason",
        ]  # fmt: skip
        rows = frame[columns].astype(object)
        rows = rows.where(rows.notna(), None)
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows.values.tolist())
        real = {"source_trade_id": "base-1-1", "bot_id": 900, "ticker": "BTC-USD", "fees": 1.0}
        connection.execute(statement, [*(rows.iloc[0].to_dict() | real).values()])
        xids = connection.execute("SELECT recorded_xid, recorded_at FROM trades ORDER BY trade_id").fetchall()
    (tmp_path / "0014_writers.sql").write_bytes((ours / "0014_writers.sql").read_bytes())
    assert migrations.upgrade(empty_database) == ["0014"]
    with connect(empty_database) as connection:
        marked = connection.execute(
            "SELECT simulated, count(*), min(bot_id) FROM trades GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert marked == [(False, 1, 900), (True, len(frame), 1)]
        after = connection.execute("SELECT recorded_xid, recorded_at FROM trades ORDER BY trade_id").fetchall()
        assert after == xids
        with pytest.raises(psycopg.errors.CheckViolation):  # its triggers are on again
            connection.execute("UPDATE trades SET mark_price = 5 WHERE status = 'closed'")
