"""The two slow variables on a real database: the same however the days are computed, and what they make stale."""

from datetime import UTC, date, datetime, timedelta
from threading import Thread

import numpy as np
import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.steps.metrics import MeasuredDays
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 2, 19), date(2025, 2, 28)
NAMES = "day, bot_id, quarter_result, lifetime_result"
WAITS = (
    "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def fleet(database: str) -> str:
    trades = simulate("base", bots=4, days=10, seed=3, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet", simulated=True)
    return database


def found(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(f"SELECT {NAMES} FROM bot_metrics WHERE ticker = '*' ORDER BY 1, 2").fetchall()


def test_as_the_definition_says(fleet: str) -> None:
    """n from the metrics of two days' ends; a bot's days are those on which it traded."""
    days.refresh(fleet, FIRST, LAST, END)
    with connect(fleet) as connection:
        rows = connection.execute(
            "SELECT day, bot_id, one_day_performance, volatility, main_ticker || main_direction FROM bot_metrics"
            " WHERE ticker = '*'"
        ).fetchall()
    at = {(day, bot): (pnl, volatility, group) for day, bot, pnl, volatility, group in rows}
    net: dict[int, list[float]] = {}
    for day in each_day(FIRST, LAST):
        groups: dict[str, list[tuple[int, float]]] = {}
        for bot in range(1, 5):
            pnl, before = at.get((day, bot), (None, None, None))[0], at.get((day - timedelta(days=1), bot))
            if pnl is not None and before and before[1]:
                groups.setdefault(before[2], []).append((bot, pnl / before[1]))
        for members in groups.values():
            k, mean = len(members), sum(r for _, r in members) / len(members)
            for bot, r in members:
                net.setdefault(bot, []).append(r - (k - 1) / (k + 3) * mean)
    last = {bot: (quarter, lifetime) for day, bot, quarter, lifetime in found(fleet) if day == LAST}
    assert len(net) == 4
    for bot, values in net.items():
        expected = sum(values) / np.sqrt(len(values))
        assert last[bot] == (pytest.approx(expected, rel=1e-9), pytest.approx(expected, rel=1e-9))


def test_day_by_day_as_the_running_one_with_and_without_a_memory(fleet: str) -> None:
    days.refresh(fleet, FIRST, LAST, END)
    expected = found(fleet)
    with connect(fleet) as connection:
        connection.execute("TRUNCATE refreshed_days, bot_metrics_rows, slow_results")
        session = Session(fleet, connection, Memory(fleet))
        for day in each_day(FIRST, LAST):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            for hour in (6, 12):  # twice while it runs, then to its end
                chain.refresh(session, day, day, midnight + timedelta(hours=hour))
            before = {bot: rest for d, bot, *rest in found(fleet) if d == day - timedelta(days=1)}
            running = {bot: rest for d, bot, *rest in found(fleet) if d == day}
            assert running == {bot: before.get(bot, [None, None]) for bot in running}
            chain.refresh(session, day, day, midnight + timedelta(days=1))
    assert found(fleet) == expected


def test_a_day_computed_late_makes_those_after_it_stale(fleet: str) -> None:
    days.refresh(fleet, FIRST, LAST, END)
    expected = found(fleet)
    with connect(fleet) as connection:
        connection.execute("TRUNCATE refreshed_days, bot_metrics_rows, slow_results")
    middle = date(2025, 2, 24)
    days.refresh(fleet, middle, LAST, END)
    assert found(fleet) != expected[-len(found(fleet)) :]
    days.refresh(fleet, FIRST, middle - timedelta(days=1), END)
    with connect(fleet) as connection:
        assert stale_days(connection, RANKING, END).days == tuple(each_day(middle, LAST))
    days.compute_stale(fleet, END)
    assert found(fleet) == expected


def test_sessions_that_complete_neighbouring_days_at_once_follow_each_other(
    fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days.refresh(fleet, FIRST, LAST, END)
    expected = found(fleet)
    middle = date(2025, 2, 24)
    with connect(fleet) as connection:
        connection.execute("TRUNCATE refreshed_days, bot_metrics_rows, slow_results")
    compute_streaks = chain.compute_streaks
    earlier = Thread(target=days.refresh, args=(fleet, FIRST, middle - timedelta(days=1), END))

    def while_earlier_days_are_computed(session: Session, first: date, last: date, metrics: MeasuredDays) -> StepResult:
        if first == middle:  # whose metrics are written and not committed yet
            earlier.start()
            with connect(fleet) as connection:
                while not connection.execute(WAITS).fetchall():
                    assert earlier.is_alive()
        return compute_streaks(session, first, last)

    with monkeypatch.context() as patched:
        patched.setattr(chain, "compute_streaks", while_earlier_days_are_computed)
        days.refresh(fleet, middle, LAST, END)
    earlier.join()
    with connect(fleet) as connection:
        assert stale_days(connection, RANKING, END).days == tuple(each_day(middle, LAST))
    days.compute_stale(fleet, END)
    assert found(fleet) == expected


def test_a_ranking_can_rest_on_them(fleet: str) -> None:
    """All weight on the lifetime: the score follows its order alone, and the points of a bot are its."""
    with connect(fleet) as connection:
        names = [f"win_streak_{k}" for k in range(2, 8)]
        others = "one_hour_performance, two_hour_performance, one_day_performance, one_week_performance, one_month_performance, avg_win_rate, avg_drawdown, profit_per_second, price_model_score, volume_model_score, price_wall_score"
        connection.execute(
            f"INSERT INTO weight_versions (version, author, reason, in_force_from, {others}, {', '.join(names)}, lifetime_result)"
            f" VALUES (2, 'manual', 'a test', %s, {', '.join(['0'] * 17)}, 100)",
            (END - timedelta(days=20),),
        )
    days.refresh(fleet, FIRST, LAST, END)
    with connect(fleet) as connection:
        rows = connection.execute(
            "SELECT m.lifetime_result, r.rank_score, r.lifetime_result_points, r.quarter_result_points"
            " FROM bot_rankings r JOIN bot_metrics m USING (day, bot_id) WHERE day = %s AND m.ticker = '*' AND r.eligible"
            " ORDER BY r.rank",
            (LAST,),
        ).fetchall()
    assert len(rows) == 4
    assert max(abs(score - 50 - points) for _, score, points, _ in rows) < 1e-12
    assert {points for *_, points in rows} == {0}
    assert rows[0][1] > rows[-1][1]
