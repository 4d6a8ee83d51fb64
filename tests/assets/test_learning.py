"""The daily adjustment through Dagster: what the nightly runs do, and what the run shows."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import adjust_days
from knowdefeat_pipeline.automation.schedules import daily_weights
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Upkeep
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.learning import adjustments
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 40
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()


@pytest.fixture
def fleet(database: str) -> str:
    """Eight bots' trades over forty days, all of them computed."""
    trades = simulate("base", bots=8, days=DAYS, seed=5, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet")
    days.refresh(database, FIRST, LAST, END)
    return database


def definitions(url: str, now: datetime) -> dg.Definitions:
    return build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=now.isoformat())})


def attempts(url: str) -> list[tuple[date, str]]:
    with connect(url) as connection:
        return [(attempt["day"], attempt["outcome"]) for attempt in adjustments(connection, date.min, date.max)]


def in_force(url: str, day: date) -> dict[str, float]:
    with connect(url) as connection:
        rows = connection.execute("SELECT variable, weight FROM variable_weights WHERE day = %s", (day,))
        return dict(rows.fetchall())


def test_the_nightly_runs_adjust_the_day_that_ended(fleet: str) -> None:
    days.adjust(fleet, FIRST, LAST - timedelta(days=1), END)
    night = END + timedelta(minutes=15)
    defs = definitions(fleet, night)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(scheduled_execution_time=night)
        for request in daily_weights(Upkeep(), Calendar())(context):
            job = defs.resolve_job_def("recompute")
            assert job.execute_in_process(request.run_config, instance=instance, tags=request.tags).success
    assert attempts(fleet)[-1] == (LAST, "published")
    assert in_force(fleet, END.date()) == in_force(fleet, LAST) != in_force(fleet, LAST - timedelta(days=1))


def test_the_run_shows_what_moved_and_why(fleet: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        adjust_days(definitions(fleet, END), instance, FIRST, LAST)
        (event,) = instance.get_latest_materialization_events([dg.AssetKey("variable_weights")]).values()
    shown = event.asset_materialization.metadata
    assert shown["adjusted days"].value == [outcome for _, outcome in attempts(fleet)].count("published")
    assert "published" in shown["adjustment"].value
    assert "points" in shown["weight changes"].value
    assert "IC" in shown["evidence"].value
    assert shown["weights over time"].value.startswith("![weights over time](data:image/svg+xml;base64,")
