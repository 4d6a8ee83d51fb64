"""Failed runs are reported: in the log, and once among the events for the webhook."""

from datetime import date

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors.failures import report_failures
from knowdefeat_pipeline.build import build_defs

FIRST, LAST = date(2025, 2, 24), date(2025, 2, 25)


class Daemon:
    """Ticks the sensor as Dagster's daemon does: the cursor goes from one tick to the next."""

    def __init__(self, instance: dg.DagsterInstance, url: str) -> None:
        self.instance = instance
        self.database = DatabaseAt(url=url)
        self.definitions = build_defs({"database": self.database, "clock": Clock()})
        self.cursor: str | None = None

    def tick(self) -> list:
        with dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
            resources={"database": self.database},
        ) as context:
            data = report_failures.evaluate_tick(context)
        self.cursor = data.cursor
        return list(data.dagster_run_reactions or [])

    def fail(self, connection: psycopg.Connection, first: date = FIRST, last: date = LAST) -> str:
        connection.execute("ALTER TABLE win_streaks_rows RENAME TO hidden")
        with pytest.raises(RunFailed):
            refresh_days(self.definitions, self.instance, first, last)
        connection.execute("ALTER TABLE hidden RENAME TO win_streaks_rows")
        return self.instance.get_runs(limit=1)[0].run_id


@pytest.fixture
def daemon(instance: dg.DagsterInstance, url: str) -> Daemon:
    daemon = Daemon(instance, url)
    daemon.tick()  # the first tick only notes where the log ends
    return daemon


def events(connection: psycopg.Connection) -> list[tuple[str, dict]]:
    return connection.execute("SELECT told, data FROM webhook_events WHERE kind = 'run_failed' ORDER BY 1").fetchall()


def test_a_failed_run_is_told_of_once(
    daemon: Daemon, connection: psycopg.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert reaction.error is None
    ((told, report),) = events(connection)
    assert (report["job"], report["run_id"], report["partitions"]) == ("refresh", run_id, "2025-02-24..2025-02-25")
    assert report["error"].startswith("win_streaks: ")
    assert 'relation "win_streaks_rows" does not exist' in report["error"]
    assert told.startswith(f"refresh (2025-02-24..2025-02-25) failed in run {run_id}: ")
    assert f"KnowDefeat Pipeline: {told}" in capfd.readouterr().err
    assert daemon.tick() == []
    assert len(events(connection)) == 1


def test_a_run_that_never_had_a_step_says_why(
    daemon: Daemon, connection: psycopg.Connection, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(build_defs().resolve_job_def("maintenance"))
    instance.report_run_failed(run, "Its process was killed.")
    assert [reaction.error for reaction in daemon.tick()] == [None]
    ((_, report),) = events(connection)
    assert (report["job"], report["partitions"], report["error"]) == ("maintenance", None, "Its process was killed.")


def test_an_outbox_that_is_away_fails_the_tick_and_the_log_is_told_before(
    daemon: Daemon, connection: psycopg.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    first = daemon.fail(connection)
    connection.execute("ALTER TABLE webhook_events RENAME TO hidden")
    (reaction,) = daemon.tick()
    connection.execute("ALTER TABLE hidden RENAME TO webhook_events")
    assert "webhook_events" in reaction.error.message
    assert f"failed in run {first}" in capfd.readouterr().err
    second = daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert (reaction.error, reaction.dagster_run.run_id) == (None, second)
