"""Bots of any name through the whole chain, and what is in percent of a capital that was stated or not."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.bots import set_bot
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
RESULTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "fund_allocations")


@pytest.fixture(scope="module")
def fleets(cloned, template: str) -> Iterator[tuple[str, str]]:
    """The same fleet twice: its bots named by numbers, and by other texts."""
    trades = simulate("base", bots=7, days=40, seed=3, end=END).trades
    with cloned(template) as numbers, cloned(template) as names:
        for url, named in ((numbers, trades), (names, trades.assign(bot_id="bot-" + trades["bot_id"].astype(str)))):
            load_trades(url, read_frame(named.assign(strategy_id="s"), "fleet", END), "fleet")
            with connect(url) as connection:
                save_settings(
                    connection, FundSettings("USD", 100_000, allocation=AllocationRules(0.4)), "ann", "a test"
                )
            first, last = END.date() - timedelta(days=9), END.date() - timedelta(days=1)
            days.refresh(url, first, last, END)
            days.allocate(url, first, last)
        yield numbers, names


def rounded(row: tuple) -> tuple:
    """Sums over the fleet, as skill rests on, are taken in the order of keys: the last bits are not the same."""
    return tuple(float(f"{value:.12g}") if isinstance(value, float) else value for value in row)


@pytest.mark.parametrize("table", RESULTS)
def test_names_change_no_figure(fleets: tuple[str, str], table: str) -> None:
    columns = ", ".join(f"r.{figure.name}" for figure in TABLES[table] if figure.name not in ("bot_id", "as_of"))
    named = f"SELECT replace(name, 'bot-', ''), {columns} FROM {table} AS r JOIN bots USING (bot_id) ORDER BY 1, 2, 3"
    found = []
    for url in fleets:
        with connect(url) as connection:
            found.append([rounded(row) for row in connection.execute(named).fetchall()])
    assert len(found[0]) > 50
    assert found[0] == found[1]


def test_names_stand_in_the_reports(fleets: tuple[str, str]) -> None:
    with connect(fleets[1]) as connection:
        for view in ("trades", "bot_daily", "rankings", "allocations"):
            names = connection.execute(f"SELECT DISTINCT bot FROM report.{view} ORDER BY 1").fetchall()
            assert [name for (name,) in names] == [f"bot-{bot}" for bot in range(1, 8)]


@pytest.mark.parametrize("capital", [300.0, None])
def test_a_bot_of_small_capital_that_fell(database: str, shared_data: Path, capital: float | None) -> None:
    now = datetime(2026, 12, 5, tzinfo=UTC)
    path = shared_data / "cases" / "small.csv"
    load_trades(database, read_trades(path, now=now, currency="USDT", capital=capital), path.name)
    with connect(database) as connection:
        save_settings(connection, FundSettings("USDT", 100_000, allocation=AllocationRules(1.0)), "ann", "a test")
        ((last,),) = connection.execute("SELECT max(exit_time) FROM trades").fetchall()
    day: date = last.date()
    days.refresh(database, day, day, now)
    days.allocate(database, day, day)
    with connect(database) as connection:
        (row,) = connection.execute(
            "SELECT capital, capital_is_estimated, round(lifetime_max_drawdown::numeric, 1) FROM bot_metrics "
            "WHERE ticker = '*' AND day = %s AND bot_id = 1", (day,)
        ).fetchall()  # fmt: skip
        (funds,) = connection.execute(
            "SELECT amount, decision, reason, capital_is_estimated FROM fund_allocations WHERE bot_id = 1"
        ).fetchall()
    # Every trade is of 300, one at a time.
    assert row == (300, capital is None, pytest.approx(29.5, abs=0.05))
    assert funds[:2] == (0, "halted")
    assert ("by an estimate of its capital" in funds[2]) is (capital is None)
    assert funds[3] is (capital is None)


def test_a_bot_that_is_named_anew_is_ranked_under_its_new_name(fleets: tuple[str, str], cloned) -> None:
    with cloned(fleets[1]) as url, connect(url) as connection:
        set_bot(connection, "bot-3", name="Trend", capital=5000.0)
        days.refresh(url, END.date() - timedelta(days=1), END.date() - timedelta(days=1), END)
        found = connection.execute("SELECT bot FROM report.rankings WHERE day = '2025-02-28' ORDER BY 1").fetchall()
        assert len(found) == 7
        assert ("Trend",) in found
        shown = "SELECT DISTINCT m.capital, capital_is_estimated FROM bot_metrics m JOIN bots USING (bot_id) WHERE name = %s"
        told = connection.execute(f"{shown} AND day = '2025-02-28'", ("Trend",)).fetchall()
        assert told == [(5000.0, False)]
