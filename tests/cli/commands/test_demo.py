"""The demo: what is planted in its bots stands beside what was found, every part has something to say, and all of it leaves
with its fleet."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.commands.simulate import load_demo
from knowdefeat_pipeline.cli.views import output
from knowdefeat_pipeline.cli.views.demo import found_of, planted_in
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.simulation.demo import BARS_BEFORE, DAMAGED, DAYS, MARKET, PLANTED, simulate_demo
from knowdefeat_pipeline.core.simulation.findings import Found
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.funds import fund_settings, save_settings
from tests.cli.conftest import Shell

Clone = Callable[[str], AbstractContextManager[str]]
END = datetime(2025, 7, 1, tzinfo=UTC)
LAST = date(2025, 6, 30)
NAME = {bot.role: bot.name for bot in PLANTED}
OWN = """source_trade_id,bot_id,ticker,direction,entry_time,exit_time,entry_price,exit_price,notional,fees
1,7,BTC-USD,LONG,2025-06-02 09:00,2025-06-02 11:00,100,101,1000,1
"""


@pytest.fixture(scope="module")
def loaded(cloned: Clone, template: str) -> Iterator[str]:
    """The demo of a fixed month, with all its days computed."""
    with cloned(template) as url:
        load_demo(url, simulate_demo(END))
        defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
        with dg.DagsterInstance.ephemeral() as instance:
            refresh_days(defs, instance, LAST - timedelta(days=DAYS + BARS_BEFORE - 1), LAST, job="market")
            refresh_days(defs, instance, LAST - timedelta(days=DAYS - 1), LAST, job="recompute")
        yield url


@pytest.fixture
def demo(loaded: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", loaded)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys, loaded)


def by_role(answer: Any) -> dict[str, Any]:
    return {bot["role"]: bot for bot in answer["bots"] if bot["role"] != "ordinary"}


def test_what_was_found_stands_beside_what_was_planted(demo: Shell) -> None:
    answer = demo.json("demo")
    assert answer["day"] == str(LAST)
    assert len(answer["bots"]) == 24
    found = by_role(answer)
    assert list(found) == [bot.role for bot in PLANTED]
    print({role: (bot["is_right"], bot["found"]) for role, bot in found.items()})
    assert False
