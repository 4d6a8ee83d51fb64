"""What a run leaves in Dagster's records, by the stock statements and by those for short runs."""

from hashlib import sha256

import dagster as dg
import psycopg
import pytest
from dagster import AssetCheckKey, AssetKey, EventLogRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from knowdefeat_pipeline.assets.catalogue import CHAIN
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.dagster_internals.instance import tune_for_short_runs
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.build import build_defs

from .conftest import END

DAY = END.date()
CHECKED = {
    "trades": "constraints_are_enforced",
    "bot_metrics": "every_active_bot_has_metrics",
    "bot_rankings": "contributions_sum_to_the_score",
}


@pytest.fixture
def definitions(url: str) -> dg.Definitions:
    return build_defs({"database": Database(url=url), "clock": Clock(frozen_at=END.isoformat())})


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
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    seen = evaluation.target_materialization_data
    return record.status, seen and seen.storage_id


@pytest.mark.parametrize("short", [False, True])
def test_assets_name_what_they_were_made_of(
    instance: dg.DagsterInstance, definitions: dg.Definitions, short: bool
) -> None:
    if short:
        tune_for_short_runs(instance)
    graph = definitions.resolve_asset_graph()
    for _ in range(2):
        run = refresh_days(definitions, instance, DAY, DAY).run_id
        for asset in CHAIN:
            assert last(instance, asset).run_id == run
            for parent in {key.to_user_string() for key in graph.get(AssetKey(asset)).parent_keys} & {*CHAIN}:
                made_of = last(instance, parent)
                assert tags(last(instance, asset))[f"dagster/input_event_pointer/{parent}"] == str(made_of.storage_id)
                version = sha256(tags(made_of)["dagster/data_version"].encode()).hexdigest()  # of its one partition
                assert tags(last(instance, asset))[f"dagster/input_data_version/{parent}"] == version
        for asset in CHECKED:
            assert status(instance, asset) == (
                AssetCheckExecutionRecordStatus.SUCCEEDED,
                last(instance, asset).storage_id,
            )
        statistics = {step.step_key: step.status.value for step in instance.get_run_step_stats(run)}
        assert statistics == dict.fromkeys(CHAIN, "SUCCESS")


@pytest.mark.parametrize("short", [False, True])
def test_a_blocked_run_tells_why(
    instance: dg.DagsterInstance, definitions: dg.Definitions, connection: psycopg.Connection, short: bool
) -> None:
    if short:
        tune_for_short_runs(instance)
    connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")
    with pytest.raises(RunFailed, match="constraints_are_enforced on trades failed"):
        refresh_days(definitions, instance, DAY, DAY)
    (run,) = instance.get_runs(limit=1)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert status(instance, "trades") == (AssetCheckExecutionRecordStatus.FAILED, last(instance, "trades").storage_id)
    assert not instance.fetch_materializations(AssetKey("bot_metrics"), limit=1).records
