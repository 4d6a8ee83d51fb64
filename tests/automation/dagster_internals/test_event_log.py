"""What a run leaves in Dagster's records, by our event log and by the stock one that stands in for it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from hashlib import sha256

import dagster as dg
import psycopg
import pytest
from dagster import AssetCheckKey, AssetKey, EventLogRecord

# How a check last ended stands in the records of Dagster's storage alone; and a method goes with that of its base.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.runs import RunStorage
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage

from knowdefeat_pipeline.assets.catalogue import CHAIN, FUNDS
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.event_log import EventLog, is_supported
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect

NOON = "2025-03-01T12:00:00+00:00"
FIRST, DAY = date(2025, 2, 26), date(2025, 3, 1)
REFRESHED = (*CHAIN, *FUNDS)
CHECKED = {
    "trades": "constraints_are_enforced",
    "bot_metrics": "every_active_bot_has_metrics",
    "bot_rankings": "contributions_sum_to_the_score",
}
LEFT_BEHIND = (
    "SELECT dagster_event_type, asset_key, partition, count(*) FROM dagster.event_logs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "SELECT asset_key, check_name, partition, execution_status, count(*) FROM dagster.asset_check_executions"
    " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2",
    "SELECT asset_key, last_run_id IS NULL, last_materialization IS NULL FROM dagster.asset_keys ORDER BY 1",
)


@pytest.fixture
def checked_anew() -> Iterator[None]:
    """What is found of Dagster in this test is forgotten with it."""
    is_supported.cache_clear()
    yield
    is_supported.cache_clear()


@pytest.fixture
def old_dagster(checked_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version in which a parameter has another name than we know."""
    prepare = PostgresEventLogStorage.prepare_insert_event_batch
    monkeypatch.setattr(PostgresEventLogStorage, "prepare_insert_event_batch", lambda self, rows: prepare(self, rows))


@pytest.fixture(params=["ours", "stock"])
def either(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    """An instance with our event log, and one of a version in which it cannot be used."""
    if request.param == "stock":
        request.getfixturevalue("old_dagster")
    request.getfixturevalue("url")
    with open_instance() as instance:
        assert type(instance.event_log_storage) is (EventLog if request.param == "ours" else PostgresEventLogStorage)
        yield instance


@pytest.fixture
def definitions(url: str) -> dg.Definitions:
    return build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=NOON)})


def last(instance: dg.DagsterInstance, asset: str) -> EventLogRecord:
    """The asset's last materialisation."""
    (record,) = instance.fetch_materializations(AssetKey(asset), limit=1).records
    return record


def tags(record: EventLogRecord) -> dict[str, str]:
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.tags or {})


def status(instance: dg.DagsterInstance, asset: str) -> tuple[AssetCheckExecutionRecordStatus, int | None]:
    """How the asset's check last ended, and the id of the materialisation that it looked at."""
    key = AssetCheckKey(AssetKey(asset), CHECKED[asset])
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.evaluation is not None
    seen = record.evaluation.target_materialization_data
    return record.status, seen and seen.storage_id


@pytest.mark.long
def test_assets_name_what_they_were_made_of(either: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for _ in range(2):
        run = refresh_days(definitions, either, DAY, DAY).run_id
        for asset in REFRESHED:
            assert last(either, asset).run_id == run
            for parent in {key.to_user_string() for key in graph.get(AssetKey(asset)).parent_keys} & {*REFRESHED}:
                made_of = last(either, parent)
                assert tags(last(either, asset))[f"dagster/input_event_pointer/{parent}"] == str(made_of.storage_id)
                version = sha256(tags(made_of)["dagster/data_version"].encode()).hexdigest()  # of its one partition
                assert tags(last(either, asset))[f"dagster/input_data_version/{parent}"] == version
        for asset in CHECKED:
            assert status(either, asset) == (AssetCheckExecutionRecordStatus.SUCCEEDED, last(either, asset).storage_id)
        statistics = {step.step_key: step.status.value for step in either.get_run_step_stats(run)}
        assert statistics == dict.fromkeys(REFRESHED, "SUCCESS")


def test_a_blocked_run_says_why(
    either: dg.DagsterInstance, definitions: dg.Definitions, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")
    with pytest.raises(RunFailed, match="constraints_are_enforced on trades failed"):
        refresh_days(definitions, either, DAY, DAY)
    (run,) = either.get_runs(limit=1)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert status(either, "trades") == (AssetCheckExecutionRecordStatus.FAILED, last(either, "trades").storage_id)
    assert not either.fetch_materializations(AssetKey("bot_metrics"), limit=1).records


@pytest.mark.long
def test_a_range_leaves_the_same_records_as_with_the_stock_event_log(
    url: str,
    definitions: dg.Definitions,
    cloned: Callable[[str], AbstractContextManager[str]],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def left_behind(database: str) -> list[list[tuple]]:
        with connect(database) as connection:
            return [connection.execute(statement).fetchall() for statement in LEFT_BEHIND]

    with cloned(url) as other:
        with open_instance() as instance:
            refresh_days(definitions, instance, FIRST, DAY)
        request.getfixturevalue("old_dagster")
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", other)
        stock = build_defs({"database": DatabaseAt(url=other), "clock": StoppedClock(at=NOON)})
        with open_instance() as instance:
            refresh_days(stock, instance, FIRST, DAY)
        events, checks, assets = left_behind(url)
        of_stock = left_behind(other)
        assert [events, assets] == [of_stock[0], of_stock[2]]
    planned = [row for row in events if row[0] == "ASSET_MATERIALIZATION_PLANNED"]
    days = ["2025-02-26", "2025-02-27", "2025-02-28", "2025-03-01"]
    assert [(row[2], row[3]) for row in planned] == [(day, 1) for _ in REFRESHED for day in days]
    # The stock class plans a check for each day, and leaves that at the one result which looked at all of them.
    assert Counter(row[3] for row in of_stock[1]) == {"PLANNED": 8 * len(days), "SUCCEEDED": 8}
    assert checks == [row for row in of_stock[1] if row[3] == "SUCCEEDED"]
    assert [row[0] for row in assets] == sorted(f'["{asset}"]' for asset in REFRESHED)


def test_a_dagster_that_lacks_what_we_rely_on_is_served_by_its_stock_storage_with_one_warning(
    url: str, old_dagster: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(PostgresRunStorage, "optimize_for_webserver")
    monkeypatch.delattr(RunStorage, "optimize_for_webserver")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with open_instance() as instance:
                assert type(instance.event_log_storage) is PostgresEventLogStorage
    assert [record.getMessage() for record in caplog.records] == [
        "This Dagster lacks PostgresEventLogStorage.prepare_insert_event_batch(events); "
        "PostgresRunStorage.optimize_for_webserver(statement_timeout, pool_recycle, max_overflow): "
        "its stock storage is used, and runs take longer."
    ]


def test_the_installed_dagster_has_all_that_we_rely_on(checked_anew: None) -> None:
    assert is_supported()
