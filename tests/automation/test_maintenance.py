"""The nightly maintenance on Dagster's real storage: what goes, what stays, and that it can be stopped and repeated."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster import DagsterEventType as Event

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.catalogue import CHAIN, FUNDS
from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation import maintenance
from knowdefeat_pipeline.automation.dagster_internals.instance import logs_folder, open_instance
from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import maintenance as of_postgres
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.maintenance import purge_events
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.steps.chain import refresh as refresh_chain
from knowdefeat_pipeline.store.session import open_session

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 2, 24), date(2025, 2, 28)


def definitions(url: str) -> dg.Definitions:
    return build_defs({"database": DatabaseAt(url=url), "clock": Clock()})


def refresh(url: str, instance: dg.DagsterInstance, first: date = FIRST, last: date = LAST) -> str:
    return refresh_days(definitions(url), instance, first, last).run_id


def failing_refresh(url: str, instance: dg.DagsterInstance, day: date) -> str:
    """A run that fails at win_streaks."""
    with connect(url) as connection:
        connection.execute("ALTER TABLE win_streaks_rows RENAME TO hidden")
        with pytest.raises(RunFailed, match="win_streaks"):
            refresh(url, instance, day, day)
        connection.execute("ALTER TABLE hidden RENAME TO win_streaks_rows")
    return instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]), limit=1)[0].run_id


def age(connection: psycopg.Connection, run_id: str, days: float = 20) -> None:
    """Let a run and its events have happened earlier."""
    shift = timedelta(days=days)
    connection.execute("UPDATE dagster.event_logs SET timestamp = timestamp - %s WHERE run_id = %s", (shift, run_id))
    connection.execute(
        "UPDATE dagster.runs SET start_time = start_time - %s, end_time = end_time - %s WHERE run_id = %s",
        (shift.total_seconds(), shift.total_seconds(), run_id),
    )


def maintain(url: str, instance: dg.DagsterInstance, **config: int) -> dict[str, dict]:
    """Runs the job; the metadata of both its steps."""
    result = (
        definitions(url)
        .resolve_job_def("maintenance")
        .execute_in_process(
            instance=instance, run_config={"ops": {"purge_run_logs": {"config": config}}} if config else None
        )
    )
    assert result.success
    outputs = result.filter_events(lambda event: event.event_type is Event.STEP_OUTPUT)
    return {
        event.step_key: {name: value.value for name, value in event.step_output_data.metadata.items()}
        for event in outputs
    }


def events(connection: psycopg.Connection, run_id: str) -> Counter:
    rows = connection.execute(
        "SELECT coalesce(dagster_event_type, 'message'), count(*) FROM dagster.event_logs WHERE run_id = %s GROUP BY 1",
        (run_id,),
    ).fetchall()
    return Counter(dict(rows))


def catalogue(instance: dg.DagsterInstance) -> dict[str, object]:
    """What the UI shows of the assets: latest materialisations, partitions, their status, tags and check results."""
    keys = [dg.AssetKey(name) for name in (*CHAIN, *FUNDS)]
    days = [day.isoformat() for day in (FIRST - timedelta(days=1), *(FIRST + timedelta(days=n) for n in range(5)))]
    checks = definitions("").resolve_asset_graph().asset_check_keys
    storage = instance.event_log_storage
    return {
        "materialisations": [instance.get_latest_materialization_event(key) for key in keys],
        "partitions": [instance.get_materialized_partitions(key) for key in keys],
        "status": [instance.get_status_by_partition(key, days, Calendar().partitions) for key in keys],
        "unfinished": [
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(key) for key in keys
        ],
        "latest": [storage.get_latest_storage_id_by_partition(key, Event.ASSET_MATERIALIZATION) for key in keys],
        "checks": {key: storage.get_asset_check_execution_history(key, limit=1) for key in checks},
        "runs": [run.run_id for run in instance.get_runs()],
    }


@pytest.mark.long
def test_an_old_runs_log_goes_and_the_catalogue_stays(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    old, young = refresh(url, instance), refresh(url, instance, LAST, LAST)
    age(connection, old)
    before, shown = {run: events(connection, run) for run in (old, young)}, catalogue(instance)
    assert before[old]["ASSET_MATERIALIZATION"] == before[old]["ASSET_MATERIALIZATION_PLANNED"] == 35
    purged = maintain(url, instance)["purge_run_logs"]
    assert events(connection, young) == before[young]
    assert events(connection, old) == {"ASSET_MATERIALIZATION": 28}  # of four days: the younger run did the fifth again
    now = catalogue(instance)
    assert {**now, "runs": now["runs"][1:]} == shown  # the maintenance itself is one more run
    assert purged["events deleted"] == sum(before[old].values()) - sum(events(connection, old).values()) > 40
    assert purged["events deleted"] == sum(purged["events deleted by type"].values())
    assert purged["bytes of events deleted"] > 400 * purged["events deleted"]
    assert (purged["folders of printed output deleted"], purged["complete"]) == (1, True)
    assert {folder.name for folder in logs_folder(Settings.from_environment()).iterdir()} >= {young}
    assert not (logs_folder(Settings.from_environment()) / old).exists()


@pytest.mark.long
def test_of_a_day_that_is_refreshed_all_the_time_the_latest_stays(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    def rows(table: str) -> int:
        ((count,),) = connection.execute(f"SELECT count(*) FROM dagster.{table}").fetchall()
        return count

    refresh(url, instance, LAST, LAST)
    once = {table: rows(table) for table in ("runs", "run_tags", "asset_event_tags", "asset_check_executions")}
    for _ in range(3):
        refresh(url, instance, LAST, LAST)
    for run in instance.get_runs()[1:]:
        age(connection, run.run_id)
    latest, shown = instance.get_runs()[0], catalogue(instance)
    assert rows("asset_check_executions") == 4 * once["asset_check_executions"] > 0
    purged = maintain(url, instance)["purge_run_logs"]
    assert purged["runs of which nothing is left deleted"] == 3
    assert purged["replaced results of checks deleted"] == 3 * once["asset_check_executions"]
    maintenance_run = instance.get_runs(dg.RunsFilter(job_name="maintenance"))[0]
    instance.delete_run(maintenance_run.run_id)
    assert {table: rows(table) for table in once} == once
    assert catalogue(instance) == {**shown, "runs": [latest.run_id]}


@pytest.mark.long
def test_of_reports_of_the_live_listener_the_latest_stays(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    def rows() -> list[tuple[int, int, int]]:
        return connection.execute(
            "SELECT (SELECT count(*) FROM dagster.event_logs WHERE run_id = ''),"
            " (SELECT count(*) FROM dagster.asset_check_executions WHERE run_id = ''),"
            " (SELECT count(*) FROM dagster.asset_event_tags)"
        ).fetchall()

    refresh(url, instance, LAST, LAST)
    report = LiveReport(open_instance, parents_of(definitions(url)), seconds=30)
    with open_session(url) as session:
        report.add(refresh_chain(session, LAST, LAST, END), trades=1, latency=0.1)
    ((_, _, tags),) = rows()
    report.send(pytest.fail)
    once = rows()
    materialised, checked = len(CHAIN) + len(FUNDS), once[0][1]
    assert once[0][0] == materialised + checked
    assert checked > 0
    for _ in range(2):
        with open_session(url) as session:
            report.add(refresh_chain(session, LAST, LAST, END), trades=1, latency=0.1)
        report.send(pytest.fail)
    assert rows() == [(3 * once[0][0], 3 * checked, tags + 3 * (once[0][2] - tags))]
    shown = catalogue(instance)
    assert maintain(url, instance)["purge_run_logs"]["events deleted"] == 0  # they are young
    connection.execute("UPDATE dagster.event_logs SET timestamp = timestamp - interval '20 days' WHERE run_id = ''")
    connection.execute(
        "UPDATE dagster.asset_check_executions"
        " SET evaluation_event_timestamp = evaluation_event_timestamp - interval '20 days' WHERE run_id = ''"
    )
    purged = maintain(url, instance)["purge_run_logs"]
    assert purged["events deleted by type"] == {
        "ASSET_MATERIALIZATION": 2 * materialised,
        "ASSET_CHECK_EVALUATION": 3 * checked,  # the results stand in a table of their own
    }
    assert purged["replaced results of checks deleted"] == 2 * checked
    assert rows() == [(materialised, checked, once[0][2])]
    assert {**catalogue(instance), "runs": shown["runs"]} == shown


@pytest.mark.long
def test_a_second_maintenance_finds_nothing_more(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    age(connection, refresh(url, instance))
    assert maintain(url, instance)["purge_run_logs"]["events deleted"] > 0
    again = maintain(url, instance)["purge_run_logs"]
    assert (again["events deleted"], again["folders of printed output deleted"], again["complete"]) == (0, 0, True)


@pytest.mark.long
def test_a_failure_stays_readable_and_its_partitions_failed_until_they_are_done(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    failed = failing_refresh(url, instance, FIRST - timedelta(days=1))
    age(connection, failed)
    shown = catalogue(instance)
    maintain(url, instance)
    now = catalogue(instance)
    assert {**now, "runs": now["runs"][1:]} == shown
    assert [len(unfinished) for unfinished in shown["unfinished"]] == [0, 0, 1, 1, 0, 1, 1]
    left = events(connection, failed)
    assert (left["STEP_FAILURE"], left["PIPELINE_FAILURE"], left["ASSET_MATERIALIZATION_PLANNED"]) == (1, 1, 4)
    assert (left["STEP_START"], left["ENGINE_EVENT"]) == (0, 0)
    refresh(url, instance, FIRST - timedelta(days=1), FIRST - timedelta(days=1))
    maintain(url, instance)
    assert events(connection, failed)["ASSET_MATERIALIZATION_PLANNED"] == 0


@pytest.mark.long
@pytest.mark.parametrize("status", ["STARTED", "QUEUED"])
def test_a_run_that_has_not_ended_is_not_touched(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, status: str
) -> None:
    run = refresh(url, instance)
    age(connection, run)
    connection.execute("UPDATE dagster.runs SET status = %s, end_time = NULL WHERE run_id = %s", (status, run))
    before = events(connection, run)
    assert maintain(url, instance)["purge_run_logs"]["events deleted"] == 0
    assert events(connection, run) == before


@pytest.mark.long
def test_the_days_to_keep_are_counted_from_the_end_of_the_run(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    run = refresh(url, instance)
    age(connection, run, days=10)
    assert maintain(url, instance)["purge_run_logs"]["events deleted"] == 0
    assert maintain(url, instance, run_days=11)["purge_run_logs"]["events deleted"] == 0
    assert maintain(url, instance, run_days=10)["purge_run_logs"]["events deleted"] > 0


def test_stopped_between_two_batches_it_goes_on_where_it_was(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    run = refresh(url, instance)
    age(connection, run)
    planned, before = Event.ASSET_MATERIALIZATION_PLANNED.value, datetime.now(UTC) - timedelta(days=14)
    first_batch = next(purge_events(connection, planned, before, batch_rows=12))
    assert (first_batch.rows, events(connection, run)[planned]) == (12, 23)
    assert [batch.rows for batch in purge_events(connection, planned, before, batch_rows=12)] == [12, 11]
    assert events(connection, run)[planned] == 0


def test_out_of_time_it_says_that_there_is_more(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(connection, refresh(url, instance))
    monkeypatch.setattr(maintenance, "PURGE_SECONDS", -1)
    assert maintain(url, instance)["purge_run_logs"]["complete"] is False


@pytest.mark.long
def test_old_events_are_found_by_the_index_and_young_ones_not_read(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    for day in range(5):
        refresh(url, instance, LAST - timedelta(days=day), LAST - timedelta(days=day))
    before = datetime.now(UTC) - timedelta(days=14)
    batches = list(purge_events(connection, Event.STEP_START.value, before, batch_rows=3))
    assert [batch.rows for batch in batches] == [0]  # 30 such events; the first three are young, so the rest is, too


@pytest.mark.long
def test_every_table_is_vacuumed_and_no_data_lost(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    refresh(url, instance)
    counted = (
        "SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM bot_metrics), (SELECT count(*) FROM bot_rankings)"
    )
    before = connection.execute(counted).fetchone()
    done = maintain(url, instance)["vacuum_tables"]
    assert connection.execute(counted).fetchone() == before
    tables = {row["table"]: row for row in [record.data for record in done["tables"].records]}
    assert {"public.trades", "public.bot_metrics_rows", "public.bot_rankings_rows", "dagster.event_logs"} <= set(tables)
    assert done["bytes before"] == sum(row["bytes before"] for row in tables.values()) > 0
    assert done["bytes after"] == sum(row["bytes after"] for row in tables.values()) > 0
    analysed = connection.execute(
        "SELECT count(*) FROM pg_class WHERE relname IN ('trades', 'bot_metrics_rows', 'event_logs') AND reltuples > 0"
    ).fetchone()
    assert analysed == (3,)


@pytest.mark.long
def test_what_stays_of_many_events_keeps_no_indexes_large(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def size() -> int:
        ((size,),) = connection.execute("SELECT pg_indexes_size('dagster.event_logs')").fetchall()
        return size

    connection.execute(
        "INSERT INTO dagster.event_logs (run_id, event, timestamp, dagster_event_type, asset_key, partition)"
        " SELECT '', '{}', now(), 'ASSET_OBSERVATION', '[\"a\"]', '2025-02-28' FROM generate_series(1, 20000)"
    )
    connection.execute("DELETE FROM dagster.event_logs WHERE id % 50 <> 0")
    monkeypatch.setattr(of_postgres, "LOCK_SECONDS", 0.1)
    with connect(url) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM dagster.event_logs")
        maintain(url, instance)  # which does not wait for it
        before = size()
    assert before > 1_000_000
    maintain(url, instance)
    assert size() < before / 5


def test_failures_and_what_only_the_log_knows_stay() -> None:
    kept = {event for event in Event if event not in maintenance.PASSING.values()}
    assert {Event.STEP_FAILURE, Event.RUN_FAILURE, Event.RUN_CANCELED, Event.RESOURCE_INIT_FAILURE} <= kept
    assert {
        Event.ASSET_OBSERVATION,
        Event.ASSET_WIPED,
        Event.ASSET_FAILED_TO_MATERIALIZE,
        Event.FRESHNESS_STATE_CHANGE,
    } <= kept
