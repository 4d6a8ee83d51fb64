"""What happens by the clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.automation.jobs import ADJUSTING, CHAIN
from knowdefeat_pipeline.automation.schedules import daily_weights
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.settings import SettingError, Settings, Upkeep


def requests(at: datetime, calendar: Calendar | None = None) -> list[dg.RunRequest]:
    schedule = daily_weights(Upkeep(), calendar or Calendar())
    result = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at))
    return list(result.run_requests or [])


def days(request: dg.RunRequest) -> tuple[str, str]:
    tags = request.tags
    return tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]


def test_the_day_that_ended_and_then_the_running_one() -> None:
    first, second = requests(datetime(2025, 3, 1, 0, 15, tzinfo=UTC))
    assert days(first) == ("2025-02-28", "2025-02-28")
    assert days(second) == ("2025-03-01", "2025-03-01")
    assert first.run_key != second.run_key
    assert first.run_config == second.run_config == ADJUSTING


def test_days_are_utc_whatever_the_clock_on_the_wall() -> None:
    evening = datetime(2025, 3, 1, 20, 15, tzinfo=ZoneInfo("America/New_York"))  # 01:15 of the 2nd
    assert [days(request)[0] for request in requests(evening)] == ["2025-03-01", "2025-03-02"]
    assert [days(request)[0] for request in requests(evening, Calendar(date(2025, 3, 2)))] == ["2025-03-02"]


def test_when_is_settled_by_the_environment() -> None:
    assert Upkeep.from_environment({}) == Upkeep(time(0, 15), time(3, 30), "UTC", 14)
    given = {
        "KNOWDEFEAT_DAILY_AT": "06:40",
        "KNOWDEFEAT_MAINTENANCE_AT": "23:05",
        "KNOWDEFEAT_TIMEZONE": "Europe/Zurich",
        "KNOWDEFEAT_KEEP_RUN_DAYS": "3",
    }
    upkeep = Upkeep.from_environment(given)
    assert upkeep == Upkeep(time(6, 40), time(23, 5), "Europe/Zurich", 3)
    schedule = daily_weights(upkeep, Calendar())
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("40 6 * * *", "Europe/Zurich")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KNOWDEFEAT_DAILY_AT", "25:00"),
        ("KNOWDEFEAT_MAINTENANCE_AT", "noon"),
        ("KNOWDEFEAT_TIMEZONE", "Mars/Olympus"),
        ("KNOWDEFEAT_TIMEZONE", "Europe"),
        ("KNOWDEFEAT_TIMEZONE", "../etc"),
        ("KNOWDEFEAT_KEEP_RUN_DAYS", "0"),
        ("KNOWDEFEAT_KEEP_RUN_DAYS", "-1"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name}='{value}' is not a .*\. Write "):
        Upkeep.from_environment({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KNOWDEFEAT_WEBHOOK_URL", "file:///hidden"),
        ("KNOWDEFEAT_WEBHOOK_SECRET", "hidden"),
        ("KNOWDEFEAT_WEBHOOK_SECRET", "whsec_aGlkZGVu"),
    ],
)
def test_what_a_webhook_cannot_be_is_refused_and_never_shown(name: str, value: str) -> None:
    assert Settings.from_environment({"KNOWDEFEAT_WEBHOOK_URL": ""}).webhook_url is None
    with pytest.raises(SettingError, match=name) as refusal:
        Settings.from_environment({name: value})
    assert value not in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_everything_runs_by_itself_once_the_daemon_does() -> None:
    repository = build_defs().get_repository_def()
    running = {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs}
    assert running == {
        "daily_weights": "15 0 * * *",
        "nightly_audit": "15 1 * * *",
        "nightly_maintenance": "30 3 * * *",
    }
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_every_asset_of_the_chain_is_late_after_a_day_and_a_half() -> None:
    graph = build_defs().resolve_asset_graph()
    for name in CHAIN:
        policy = graph.get(dg.AssetKey(name)).freshness_policy
        windows = policy.warn_window.to_timedelta(), policy.fail_window.to_timedelta()
        assert windows == (timedelta(hours=26), timedelta(hours=36))
