"""The audit as Dagster's checks on a real database: what it reports of results and of the states of days."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.audit import CHECK_KEYS, STATES
from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.catalogue import BATCH_TAG, CHAIN
from knowdefeat_pipeline.assets.partition_states import PartitionStates, partition_states
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import RunFailed, audit_days, refresh_days
from knowdefeat_pipeline.automation.schedules import nightly_audit
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Upkeep
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.audit import RULES
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 2, 25), date(2025, 2, 28)


class World:
    """Four days of six bots, and an instance that remembers runs."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.url, self.instance = url, instance
        resources = {"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())}
        self.definitions = build_defs(resources)

    def refresh(self, first: date, last: date, **tags: str) -> list[dict[str, Any]]:
        return refresh_days(self.definitions, self.instance, first, last, tags=tags).checks

    def audit(self) -> dict[tuple[str, str], dict[str, Any]]:
        checks = audit_days(self.definitions, self.instance, FIRST, LAST).checks
        return {(check["asset"], check["check"]): check for check in checks}

    def failed(self) -> set[tuple[str, str]]:
        return {key for key, check in self.audit().items() if not check["passed"]}

    def states(self, first: date) -> list[PartitionStates]:
        with connect(self.url) as connection:
            return partition_states(self.instance, connection, CHAIN, (first, LAST), Calendar())

    def execute(self, statement: str, *parameters: object) -> None:
        with connect(self.url) as connection:
            connection.execute(statement, parameters)


@pytest.fixture
def world(database: str) -> Iterator[World]:
    trades = simulate("base", bots=6, days=40, seed=3, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet")
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(database, instance)


def test_what_the_chain_wrote_passes_and_says_over_what(world: World) -> None:
    refreshed = world.refresh(FIRST, LAST)
    assert {(check["asset"], check["check"]) for check in refreshed}.isdisjoint(
        (key.asset_key.to_user_string(), key.name) for key in CHECK_KEYS
    )
    checks = world.audit()
    assert set(checks) == {(rule.asset, rule.name) for rule in RULES} | {(asset, STATES) for asset in CHAIN}
    assert all(check["passed"] for check in checks.values())
    for rule in RULES:
        assert checks[rule.asset, rule.name]["metadata"] == {"days": "2025-02-25 to 2025-02-28", "wrong": 0}
    assert checks["bot_metrics", STATES]["metadata"] == {
        "days computed": 4,
        "days failed": 0,
        "failed": "none",
        "days missing": 0,
        "missing": "none",
    }


def test_an_offender_is_counted_and_shown_and_stops_nothing(world: World) -> None:
    world.refresh(FIRST, LAST)
    world.execute(
        "UPDATE bot_metrics_rows SET only_ticker = NULL, total_pnl = total_pnl + 1 WHERE bot_id <= 2 AND ticker = '*'"
    )
    check = world.audit()["bot_metrics", "tickers_sum_to_the_bot"]
    assert (check["passed"], check["severity"], check["metadata"]["wrong"]) == (False, "ERROR", 8)
    table = check["metadata"]["first"].splitlines()
    assert table[0] == "| day | bot_id | trades_of_tickers | trades_of_bot | pnl_of_tickers | pnl_of_bot |"
    assert len(table) == 2 + 5
    assert table[2].startswith("| 2025-02-25 | 1 |")


def test_a_day_without_weights_is_found(world: World) -> None:
    world.refresh(FIRST, LAST)
    world.execute("DELETE FROM variable_weights_rows WHERE day = %s", FIRST)
    assert world.failed() == {("variable_weights", "weights_make_100")}


def test_rows_in_quarantine_are_a_warning(world: World) -> None:
    world.refresh(FIRST, LAST)
    world.execute(
        "INSERT INTO trade_quarantine (source, file_name, row_number, reason, message, original, layout)"
        " VALUES ('s', 'f.csv', 3, 'no_direction', 'no direction', '{}', '{}')"
    )
    check = world.audit()["trades", "quarantine_is_empty"]
    assert (check["passed"], check["severity"], check["metadata"]["wrong"]) == (False, "WARN", 1)


@pytest.mark.long
def test_failed_and_missing_days_are_listed(world: World) -> None:
    world.refresh(FIRST, FIRST)
    world.refresh(LAST, LAST)
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE bot_rankings_rows RENAME TO moved")
    with pytest.raises(RunFailed):
        world.refresh(LAST, LAST)
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE moved RENAME TO bot_rankings_rows")
    states = {s.asset: s for s in world.states(FIRST - timedelta(days=20))}
    gap = [FIRST + timedelta(days=1), FIRST + timedelta(days=2)]
    for asset in ("trades", "bot_metrics", "win_streaks"):
        assert (states[asset].computed, states[asset].failed, states[asset].missing) == ([FIRST, LAST], [], gap)
    for asset in ("bot_rankings", "variable_weights"):
        assert (states[asset].computed, states[asset].failed, states[asset].missing) == ([FIRST], [LAST], gap)
    found = world.audit()["bot_rankings", STATES]
    assert (found["passed"], found["severity"]) == (False, "WARN")
    assert found["metadata"] == {
        "days computed": 1,
        "days failed": 1,
        "failed": "2025-02-28",
        "days missing": 2,
        "missing": "2025-02-26 to 2025-02-27",
    }
    world.refresh(FIRST, LAST)
    assert all(s.complete for s in world.states(FIRST))


def test_without_days_the_last_computed_day_is_audited(world: World) -> None:
    world.refresh(FIRST, LAST)
    result = world.definitions.resolve_job_def("audit").execute_in_process(instance=world.instance)
    days = {
        evaluation.metadata["days"].value
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name != STATES
    }
    assert days == {"2025-02-28 to 2025-02-28"}


def test_every_night_the_day_that_ended_is_audited() -> None:
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2025, 3, 1, 1, 40, tzinfo=UTC))
    assert nightly_audit(Upkeep())(context).tags == {
        "dagster/asset_partition_range_start": "2025-02-28",
        "dagster/asset_partition_range_end": "2025-02-28",
    }


def test_pictures_are_on_the_last_day_of_a_run_unless_new_trades_began_it(world: World) -> None:
    def shown(asset: str) -> set[str]:
        event = world.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == LAST.isoformat()
        metadata = event.asset_materialization.metadata
        assert "preview" in metadata
        pictures = set(metadata) & {"equity", "scores"}
        assert all(str(metadata[name].value).startswith("![") for name in pictures)
        return pictures

    world.refresh(FIRST, LAST)
    assert (shown("bot_metrics"), shown("bot_rankings")) == ({"equity"}, {"scores"})
    world.refresh(LAST, LAST, **{BATCH_TAG: "a batch"})
    assert (shown("bot_metrics"), shown("bot_rankings")) == (set(), set())
