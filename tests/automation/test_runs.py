"""A run in this process is recorded like any other: under its job, with its days, and told step by step."""

from datetime import date

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.catalogue import CHAIN, FUNDS
from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.runs import RunFailed, adjust_days, refresh_days
from knowdefeat_pipeline.build import build_defs

FIRST, LAST = date(2025, 2, 26), date(2025, 2, 27)


@pytest.fixture
def definitions(url: str) -> dg.Definitions:
    return build_defs({"database": DatabaseAt(url=url), "clock": Clock()})


def test_a_run_stands_under_its_job_with_its_days(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    heard: list[str] = []
    outcome = refresh_days(definitions, instance, FIRST, LAST, heard.append, tags={"knowdefeat/note": "by hand"})
    # By this tag and the job's name the UI asks for the runs of a job of workspace.yaml.
    of_the_job = dg.RunsFilter(job_name="refresh", tags={".dagster/repository": "__repository__@knowdefeat_pipeline"})
    (run,) = instance.get_runs(of_the_job)
    assert (run.run_id, run.status) == (outcome.run_id, dg.DagsterRunStatus.SUCCESS)
    assert run.tags == {
        ".dagster/repository": "__repository__@knowdefeat_pipeline",
        "dagster/asset_partition_range_start": "2025-02-26",
        "dagster/asset_partition_range_end": "2025-02-27",
        "knowdefeat/note": "by hand",
    }
    assert sorted(heard) == sorted([*CHAIN, *FUNDS])
    assert sorted(asset for asset in heard if asset in CHAIN) == sorted(CHAIN)  # some stand beside one another
    assert {(check["asset"], check["passed"]) for check in outcome.checks} == {
        ("trades", True),
        ("bot_metrics", True),
        ("bot_rankings", True),
        ("fund_allocations", True),
    }
    for asset in (*CHAIN, *FUNDS):
        assert instance.get_materialized_partitions(dg.AssetKey(asset)) == {"2025-02-26", "2025-02-27"}


def test_the_configuration_of_the_job_is_that_of_its_runs(
    instance: dg.DagsterInstance, definitions: dg.Definitions
) -> None:
    run_id = adjust_days(definitions, instance, FIRST, FIRST).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.run_config["ops"] == {"variable_weights": {"config": {"adjust": True}}}


def test_a_failed_run_names_the_step_the_reason_and_the_run(
    instance: dg.DagsterInstance, definitions: dg.Definitions, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE win_streaks_rows RENAME TO hidden")
    with pytest.raises(RunFailed) as failure:
        refresh_days(definitions, instance, FIRST, LAST)
    (run,) = instance.get_runs()
    step, _, log = str(failure.value).partition("\n")
    assert step.startswith('win_streaks: psycopg.errors.UndefinedTable: relation "win_streaks_rows" does not exist')
    assert log.endswith(f"Run {run.run_id}: its log is in the Dagster UI (knowdefeat up), under Runs.")
    assert run.status == dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("resource", "given"), [("database", {"url": "postgresql://elsewhere/x"}), ("clock", {"at": "2099-01-01"})]
)
def test_the_config_of_a_run_chooses_neither_database_nor_clock(resource: str, given: dict[str, str]) -> None:
    jobs = [*build_defs().resolve_all_job_defs()]
    assert len(jobs) > 5
    for job in jobs:
        dg.validate_run_config(job, {"resources": {resource: {"config": {}}}})
        with pytest.raises(dg.DagsterInvalidConfigError, match=f'unexpected config entry "{next(iter(given))}"'):
            dg.validate_run_config(job, {"resources": {resource: {"config": given}}})
