"""What Dagster knows of the live listener's batches: materialisations, checks, and what rests on what, as after runs."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.catalogue import BELIEFS, CHAIN, FUNDS
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation import live_report
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.store.session import open_session

DAY, BEFORE = date(2025, 2, 28), date(2025, 2, 27)
END = datetime(2025, 3, 1, tzinfo=UTC)
REPORTED = (*CHAIN, *FUNDS)
GRAPH = build_defs().resolve_asset_graph()
FRESH, STALE = StaleStatus.FRESH, StaleStatus.STALE


@pytest.fixture
def report(url: str, clock: list[float]) -> LiveReport:
    return LiveReport(open_instance, parents_of(build_defs()), seconds=30)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the report's clock shows, which a test may turn."""
    shown = [1000.0]
    monkeypatch.setattr(live_report.time, "monotonic", lambda: shown[0])
    return shown


def batch(report: LiveReport, url: str, first: date = DAY, last: date = DAY, trades: int = 1, age: float = 0.2) -> None:
    """A batch of the listener."""
    with open_session(url) as session:
        report.add(refresh(session, first, last, END), trades, age)


def run(url: str, instance: dg.DagsterInstance, job: str, day: date = DAY) -> None:
    definitions = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
    refresh_days(definitions, instance, day, day, job=job)


def materialisations(instance: dg.DagsterInstance, asset: str) -> list[tuple[str | None, dict[str, Any]]]:
    """The days and metadata of an asset's materialisations, the latest first."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    return [
        (record.partition_key, {name: value.value for name, value in record.asset_materialization.metadata.items()})
        for record in records
    ]


def stale(instance: dg.DagsterInstance, *assets: str) -> list[StaleStatus]:
    """Whether the day is what its upstream says, as the UI shows it."""
    resolver = CachingStaleStatusResolver(instance, GRAPH, LoadingContextForTest(instance))
    return [resolver.get_status(dg.AssetKey(asset), DAY.isoformat()) for asset in assets]


def test_a_report_tells_of_each_asset_and_day_once_an_interval(
    report: LiveReport, url: str, instance: dg.DagsterInstance, clock: list[float]
) -> None:
    assert report.due_in() == float("inf")
    batch(report, url, BEFORE, DAY)
    assert report.due_in() == 0.0  # the first shows at once that the listener lives
    report.send_if_due(pytest.fail)
    assert report.due_in() == float("inf")
    for number in range(4):
        clock[0] += 5
        batch(report, url, trades=number, age=0.1 * (1 + number))
        assert report.due_in() == 25 - 5 * number
        report.send_if_due(pytest.fail)
    clock[0] += 10
    assert report.due_in() == 0.0
    report.send_if_due(pytest.fail)
    assert report.due_in() == float("inf")
    report.send_if_due(pytest.fail)
    with connect(url) as connection:
        rows = dict(connection.execute("SELECT day, count(*) FROM bot_metrics GROUP BY day").fetchall())
    for asset in REPORTED:
        assert [day for day, _ in materialisations(instance, asset)] == [str(DAY), str(DAY), str(BEFORE)]
    assert materialisations(instance, "bot_metrics") == [
        (str(DAY), {"batches": 4, "new trades": 6, "dagster/partition_row_count": rows[DAY],
                    "age of the oldest trade, p50 (s)": 0.25, "age of the oldest trade, p95 (s)": 0.385}),
        (str(DAY), {"batches": 1, "new trades": 1, "dagster/partition_row_count": rows[DAY],
                    "age of the oldest trade, p50 (s)": 0.2, "age of the oldest trade, p95 (s)": 0.2}),
        (str(BEFORE), {"batches": 1, "new trades": 1, "dagster/partition_row_count": rows[BEFORE],
                       "age of the oldest trade, p50 (s)": 0.2, "age of the oldest trade, p95 (s)": 0.2}),
    ]  # fmt: skip
    assert instance.get_runs_count() == 0


def test_what_could_not_be_sent_is_sent_later(
    report: LiveReport, url: str, instance: dg.DagsterInstance, clock: list[float], connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told: list[str] = []
    batch(report, url, trades=3)
    with monkeypatch.context() as away:
        away.setenv("KNOWDEFEAT_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:1/none")
        report.send_if_due(told.append)
    assert len(told) == 1
    assert told[0].startswith("Dagster could not be told: ")
    assert told[0].endswith("It will be with the next report.")
    assert report.due_in() == 30.0
    batch(report, url, trades=4)
    clock[0] += 30
    report.send_if_due(told.append)
    assert len(told) == 1
    ((day, said),) = materialisations(instance, "bot_rankings")
    assert (day, said["batches"], said["new trades"]) == (str(DAY), 2, 7)


@pytest.mark.long
def test_a_connection_that_breaks_while_it_tells_loses_no_report(
    report: LiveReport, url: str, instance: dg.DagsterInstance, clock: list[float], connection: psycopg.Connection
) -> None:
    told: list[str] = []
    batch(report, url)
    connection.execute("ALTER TABLE dagster.asset_check_executions RENAME TO elsewhere")
    connection.execute(
        "CREATE VIEW dagster.asset_check_executions AS"
        " SELECT e.*, pg_terminate_backend(pg_backend_pid()) AS gone FROM dagster.elsewhere AS e"
    )
    connection.execute(
        "CREATE FUNCTION dagster.go() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    connection.execute(
        "CREATE TRIGGER go INSTEAD OF INSERT ON dagster.asset_check_executions FOR EACH ROW EXECUTE FUNCTION dagster.go()"
    )
    report.send(told.append)
    assert [words.partition(":")[0] for words in told] == ["Dagster could not be told"]
    connection.execute("DROP VIEW dagster.asset_check_executions")
    connection.execute("ALTER TABLE dagster.elsewhere RENAME TO asset_check_executions")
    report.send(told.append)
    assert len(told) == 1
    assert connection.execute("SELECT count(*) > 0 FROM dagster.asset_check_executions").fetchall() == [(True,)]
    assert report.due_in() == float("inf")


def test_days_are_materialised_also_one_that_had_failed(
    report: LiveReport, url: str, instance: dg.DagsterInstance, connection: psycopg.Connection
) -> None:
    connection.execute("ALTER TABLE win_streaks_rows RENAME TO hidden")
    with pytest.raises(RunFailed):
        run(url, instance, "refresh")
    connection.execute("ALTER TABLE hidden RENAME TO win_streaks_rows")
    days = [str(BEFORE), str(DAY)]

    def states(asset: str) -> list[str | None]:
        found = instance.get_status_by_partition(dg.AssetKey(asset), days, Calendar().partitions)
        return [state.value if state else None for state in (found or {}).values()]

    assert [states(asset) for asset in ("trades", "bot_metrics", "win_streaks")] == [
        [None, "MATERIALIZED"], [None, "MATERIALIZED"], [None, "FAILED"],
    ]  # fmt: skip
    batch(report, url)
    report.send(pytest.fail)
    assert [states(asset) for asset in REPORTED] == [[None, "MATERIALIZED"]] * len(REPORTED)


@pytest.mark.long
def test_checks_are_those_of_a_run_and_count_for_the_latest_materialisation(
    report: LiveReport, url: str, instance: dg.DagsterInstance
) -> None:
    def results() -> dict[str, tuple[str, bool, Any]]:
        found = {}
        for key in GRAPH.asset_check_keys:
            history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            if history and history[0].event and key.asset_key.to_user_string() in REPORTED:
                evaluation = history[0].event.dagster_event.asset_check_evaluation_data
                found[key.to_user_string()] = (
                    history[0].status.value, evaluation.severity,
                    {name: value.value for name, value in evaluation.metadata.items()},
                )  # fmt: skip
        return found

    run(url, instance, "refresh")
    by_run = results()
    with connect(url) as connection:
        connection.execute("TRUNCATE dagster.asset_check_executions")
    assert results() == {}
    for _ in range(2):
        batch(report, url)
        report.send(pytest.fail)
        assert results() == by_run
    assert len(by_run) == 8
    assert by_run["bot_metrics:every_active_bot_has_metrics"][:2] == ("SUCCEEDED", dg.AssetCheckSeverity.ERROR)


@pytest.mark.long
def test_what_rests_on_a_report_is_stale_until_it_is_computed_as_after_a_run(
    report: LiveReport, url: str, instance: dg.DagsterInstance
) -> None:
    def tell() -> None:
        batch(report, url)
        report.send(pytest.fail)

    tell()
    assert stale(instance, *REPORTED) == [FRESH] * len(REPORTED)
    run(url, instance, "recompute")
    assert stale(instance, *REPORTED, *BELIEFS) == [FRESH] * (len(REPORTED) + len(BELIEFS))
    tell()
    assert stale(instance, *REPORTED, *BELIEFS) == [FRESH] * len(REPORTED) + [
        STALE,
        FRESH,
    ]  # the next one's turn comes with it
    run(url, instance, "learn")
    assert stale(instance, *BELIEFS) == [FRESH, FRESH]
    tell()  # a second report is another version of what was learned from
    assert stale(instance, *BELIEFS) == [STALE, FRESH]
    run(url, instance, "refresh")
    assert stale(instance, *REPORTED) == [FRESH] * len(REPORTED)
    assert stale(instance, *BELIEFS) == [STALE, FRESH]


def test_parents_come_in_the_order_of_the_chain() -> None:
    parents = parents_of(build_defs())
    assert tuple(parents) == REPORTED
    assert parents["bot_metrics"] == ["trade_scores", "trades"]
    assert "bot_rankings" in parents["fund_allocations"]
