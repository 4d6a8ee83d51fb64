"""`knowdefeat backtest funds`: rules of allocation over a simulated fleet, read-only, against cash and equal weights."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.commands.simulate import load_fleet
from knowdefeat_pipeline.core.simulation.fleet import simulate_fleet
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.fund_replay import read_results
from knowdefeat_pipeline.store.session import Session
from tests.cli.conftest import Shell

Clone = Callable[[str], AbstractContextManager[str]]
END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 24
FLEET = simulate_fleet("realistic", bots=10, days=DAYS, seed=2, end=END)


@pytest.fixture(scope="module")
def ranked(cloned: Clone, template: str) -> Iterator[str]:
    """Ten bots with bars of their tickers, ranked on all days."""
    with cloned(template) as url:
        load_fleet(url, FLEET)
        defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
        with dg.DagsterInstance.ephemeral() as instance:
            refresh_days(defs, instance, (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date())
        yield url


@pytest.fixture
def shell(ranked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", ranked)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys, ranked)


def test_results_are_marked_by_the_bars(ranked: str) -> None:
    """Each day against the value of every position at both ends, looked up one by one."""
    instants = [END - timedelta(days=n) for n in (9, 8, 7)]
    closes = FLEET.bars.assign(at=FLEET.bars["open_time"] + pd.Timedelta(hours=1)).set_index(["ticker", "at"])["close"]

    def worth(trade: pd.Series, at: datetime) -> float:
        if trade["entry_time"] >= at:
            return 0.0
        if trade["exit_time"] < at:
            return float(trade["reported_pnl"])
        side = 1 if trade["direction"] == "LONG" else -1
        return float(trade["notional"] * side * (closes[trade["ticker"], at] / trade["entry_price"] - 1))

    expected = np.zeros((2, 10))
    for _, trade in FLEET.trades.iterrows():
        for k in (0, 1):
            expected[k, trade["bot_id"] - 1] += worth(trade, instants[k + 1]) - worth(trade, instants[k])
    with connect(ranked) as connection:
        found = read_results(Session(ranked, connection), instants, list(range(1, 11)))
    assert found.pnl == pytest.approx(expected, abs=1e-6)
    assert found.marks > 10
    assert found.unmarked == 0


@pytest.mark.long
def test_rules_are_compared_and_nothing_is_written(shell: Shell, ranked: str) -> None:
    def everything() -> list:
        tables = ("fund_settings", "fund_allocations", "bot_events", "refreshed_days", "bot_rankings")
        with connect(ranked) as connection:
            return [connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall() for table in tables]

    before = everything()
    found = shell.json("backtest", "funds", "--caps", "20%,100%", "--methods", "rank_score,equal", "--cautions", "none")
    names = [f"{method}, cap {cap}%, ungated" for method in ("rank_score", "equal") for cap in (20, 100)]
    assert list(found["rules"]) == [*names, "equal weights", "cash"]
    assert (found["currency"], found["bots"], found["days"], found["unmarked"]) == ("USD", 10, DAYS - 1, 0)
    rules = found["rules"]
    alike = ("growth", "drawdown", "turnover", "exposure")
    assert [rules["equal, cap 100%, ungated"][name] for name in alike] == [
        rules["equal weights"][name] for name in alike
    ]
    assert rules["cash"]["growth"] == rules["cash"]["exposure"] == 0
    assert 0 < rules["rank_score, cap 20%, ungated"]["exposure"] < 1
    gates = ("--cautions", "none,0.5", "--same-edge-limits", "5%,1")
    dear = shell.json("backtest", "funds", "--methods", "rank_score", *gates, "--cost-bps", 50)
    paid = dear["rules"]["rank_score, cap 10%, ungated"]
    assert paid["costs"] == pytest.approx(0.005 * 365 * paid["turnover"])
    gated = dear["rules"]["rank_score, cap 10%, P > 0.5"]["exposure"]
    assert dear["rules"]["rank_score, cap 10%, P > 0.5, same edge at most 5%"]["exposure"] <= gated
    assert 0 < gated < dear["rules"]["rank_score, cap 10%, ungated"]["exposure"]
    assert everything() == before


def test_the_report_and_what_cannot_be(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    shown = shell("backtest", "funds", "--methods", "rank_score,hrp", "--report", path)
    page = path.read_text(encoding="utf-8")
    assert "Backtest of funds" in shown
    assert "trades that were open at a day's end" in " ".join(shown.split())
    assert len(re.findall(r"<svg.*?</svg>", page)) == 3
    assert len(re.findall(r"<tr>", page)) == 1 + 4
    assert re.findall(r"(?:src|href)=", page) == []
    assert "an .html file" in shell("backtest", "funds", "--report", tmp_path / "r.pdf", status=1)
    assert "no method 'best'" in shell("backtest", "funds", "--methods", "best", status=2)
    few = " ".join(shell("backtest", "funds", "--from", (END - timedelta(days=5)).date(), status=1).split())
    assert "those whose next day is computed too are 4; at least 10 are needed. Ask for more days" in few
