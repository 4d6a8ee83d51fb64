"""An application whose clock is two hours behind the database's counts a trade that closes now, by the database."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.live import Listener
from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.automation.sensors import new_trades
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.runs import bring_up_to_date
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings

BEHIND = timedelta(hours=2)
CLOSE = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " SELECT 1, 'COIN', 'LONG', 'closed', now - interval '1 hour', now, 100, 101, 100 FROM clock_timestamp() AS now"
)


class _Anywhen(type):
    """Instants of the real class are instants of the slow one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class SlowClock(datetime, metaclass=_Anywhen):
    """`datetime`, whose present is two hours ago."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - BEHIND


@pytest.fixture
def url(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of an application that is two hours behind, in which a trade has closed just now."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    monkeypatch.setattr(new_trades, "LISTENING", 0.0)
    for name, module in [*sys.modules.items()]:
        if name.startswith("knowdefeat_pipeline") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", SlowClock)
    with connect(database) as connection:
        connection.execute(CLOSE)
    return database


def counted(url: str) -> list[tuple[int]]:
    """How many trades the last day's figures count, which are true after the last trade closed."""
    with connect(url) as connection:
        return connection.execute(
            "SELECT lifetime_trades FROM bot_metrics WHERE ticker = '*' AND as_of > (SELECT max(exit_time) FROM trades)"
        ).fetchall()


def by_the_sensor(url: str) -> None:
    resources = {"database": DatabaseAt(url=url), "clock": Clock()}
    with open_instance() as instance:
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            request = new_trades.build(Calendar())(context)
        assert isinstance(request, dg.RunRequest), request
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        days = (datetime.fromisoformat(day).date() for day in (first, last))
        refresh_days(build_defs(resources), instance, *days, tags=request.tags)


def by_the_listener(url: str) -> None:
    report = LiveReport(open_instance, parents_of(build_defs()), seconds=0)
    said: list[str] = []
    stopped: Callable[[], bool] = lambda: any("refreshed in" in words for words in said)  # noqa: E731
    Listener(url, Calendar(), Clock().now, said.append, report, stopped).run()


def by_a_command(url: str) -> None:
    bring_up_to_date(Settings.from_environment(), url, quiet=True)


@pytest.mark.long
@pytest.mark.parametrize("count", [by_the_sensor, by_the_listener, by_a_command])
def test_a_trade_that_closes_now_by_the_database_is_counted(url: str, count: Callable[[str], None]) -> None:
    count(url)
    assert counted(url) == [(1,)]
    assert SlowClock.now(UTC) < datetime.now(UTC) - BEHIND + timedelta(minutes=1)
