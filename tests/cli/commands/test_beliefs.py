"""Beliefs, consensus and sizes from the command line."""

import json
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades
from tests.cli.conftest import Shell

END = datetime(2025, 3, 1, tzinfo=UTC)
STRATEGIES = {"breakout", "mean_reversion", "momentum", "pairs", "scalper"}


@pytest.fixture
def traded(shell: Shell) -> Shell:
    """Six bots of five strategies over eight days; the market has labels."""
    trades = simulate("base", bots=6, days=8, seed=3, end=END).trades
    load_trades(shell.database, read_frame(trades, "table", END), "trades.csv")
    with connect(shell.database) as connection:
        connection.execute(
            "INSERT INTO market_regimes (day, ticker, timeframe, open_time, label) "
            "SELECT at::date, ticker, '1h', at, CASE WHEN extract(hour FROM at) < 12 THEN 'TRENDING' ELSE 'RANGING' END "
            "FROM generate_series('2025-02-19'::timestamptz, '2025-02-28 23:00Z', '1 hour') AS at, "
            "(SELECT DISTINCT ticker FROM trades) AS t"
        )
    return shell


@pytest.fixture
def learned(traded: Shell) -> Shell:
    """The last two days computed."""
    with dg.DagsterInstance.ephemeral() as instance:
        defs = build_defs({"database": DatabaseAt(url=traded.database)})
        refresh_days(defs, instance, date(2025, 2, 27), date(2025, 2, 28), job="recompute")
    return traded


def by_strategy(rows: list[dict]) -> dict[str, dict]:
    return {row["strategy_id"]: row for row in rows}


@pytest.mark.long
def test_run_and_backfill_learn(traded: Shell) -> None:
    assert all(check["passed"] for check in traded.json("run", "--from", "2025-02-27")["checks"])
    beliefs = traded.json("beliefs")
    assert (beliefs["day"], beliefs["regimes"]) == ("2025-02-28", {"TRENDING": 0, "RANGING": 1, "VOLATILE": 0})
    assert {row["strategy_id"] for row in beliefs["beliefs"]} == STRATEGIES
    assert {row["regime"] for row in beliefs["beliefs"]} == {"*"}
    assert sum(row["weight"] for row in beliefs["beliefs"]) == 1
    (all_,) = beliefs["calibration"]
    assert (all_["strategy_id"], all_["trades"]) == ("*", all_["stated_trades"])
    traded.json("backfill", "--from", "2025-02-26", "--to", "2025-02-26")
    assert [row["day"] for row in traded.json("beliefs", "history", "--strategy", "pairs")] == [
        "2025-02-26", "2025-02-27", "2025-02-28"
    ]  # fmt: skip


def test_a_strategy_under_every_regime(learned: Shell) -> None:
    rows = learned.json("beliefs", "--strategy", "pairs")["beliefs"]
    assert {row["regime"] for row in rows} == {"*", "TRENDING", "RANGING", "VOLATILE"}
    shown = learned("beliefs", "--strategy", "pairs")
    assert "Calibration of stated confidence: Brier score" in shown
    assert "Regimes that hold, by trades: RANGING 100%." in shown
    assert all(name in shown for name in ("as things stand", "VOLATILE", "% interval"))
    assert {row["regime"] for row in learned.json("beliefs", "--regime", "trending")["beliefs"]} == {"TRENDING"}
    assert "no regime" in learned("beliefs", "--regime", "sideways", status=2)
    assert "No beliefs for 'nobody' on " in learned("beliefs", "--strategy", "nobody", status=1)


def test_recommended_are_those_with_the_largest_edge_in_the_regime(learned: Shell) -> None:
    rows = learned.json("beliefs", "recommend", "--regime", "TRENDING")
    edges = [row["edge"] for row in rows]
    assert {row["strategy_id"] for row in rows} == STRATEGIES
    assert edges == sorted(edges, reverse=True)
    assert all(row["edge_low"] < row["edge"] < row["edge_high"] and row["effective_samples"] > 0 for row in rows)
    other = learned.json("beliefs", "recommend", "--regime", "RANGING")
    assert by_strategy(other)["pairs"]["edge"] != by_strategy(rows)["pairs"]["edge"]
    assert "Strategies for TRENDING" in learned("beliefs", "recommend", "--regime", "TRENDING")
    assert "No bar of the market data was VOLATILE" in learned("beliefs", "recommend", "--regime", "VOLATILE")


@pytest.mark.long
def test_reset_backtest_and_withdrawal_show_at_once_and_stay_on_record(learned: Shell, tmp_path: Path) -> None:
    before = learned.json("beliefs")
    file = tmp_path / "sweep.csv"
    times = pd.date_range("2025-02-20", periods=40, freq="3h", tz="UTC")
    pd.DataFrame({"time": times, "strategy_id": "new", "result": [3.0, -1.0] * 20, "regime": "ranging"}).to_csv(
        file, index=False
    )
    learn = ("beliefs", "learn-backtest", file, "--source", "sweep", "--discount", "0.25")
    assert "40 outcomes of 1 strategy, each counting 0.25" in learned(*learn)
    with_backtest = by_strategy(learned.json("beliefs")["beliefs"])
    assert set(with_backtest) == STRATEGIES | {"new"}
    assert with_backtest["new"]["edge"] > 0
    assert "nothing changed" in learned(*learn)
    learned("beliefs", "withdraw", "sweep", "--reason", "look-ahead")
    assert learned.json("beliefs") == before
    learned("beliefs", "reset", "--strategy", "pairs", "--reason", "rewritten")
    after = by_strategy(learned.json("beliefs")["beliefs"])
    assert after["pairs"]["confidence"] == 0
    assert after["pairs"]["win_rate"] == pytest.approx(after["pairs"]["prior_win_rate"], abs=1e-12)
    kinds = [
        (row["kind"], row["source"], row["strategy_id"], row["reason"]) for row in learned.json("beliefs", "ledger")
    ]
    assert kinds == [
        ("reset", None, "pairs", "rewritten"),
        ("withdrawal", "sweep", None, "look-ahead"),
        ("backtest", "sweep", None, "backtest sweep"),
    ]
    assert "look-ahead" in learned("beliefs", "ledger")


def test_backtests_that_cannot_be_learned_are_refused(learned: Shell, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("time,strategy_id,result,regime\n2025-02-20,a,1,SIDEWAYS\n")
    learn = ("beliefs", "learn-backtest", file, "--source", "bad")
    assert "row 1: 'SIDEWAYS' is no regime" in learned(*learn, "--discount", 1, status=1)
    assert "above 0 and at most 1" in learned(*learn, "--discount", 30, status=2)
    file.write_text("time,strategy_id,result\n2025-02-20,a,much\n")
    assert "row 1, column 'result': 'much'" in learned(*learn, "--discount", 1, status=1)
    assert "No backtest was learned under the name 'bad'" in learned(
        "beliefs", "withdraw", "bad", "--reason", "x", status=1
    )
    assert "No decisions yet" in learned("beliefs", "ledger")


def test_consensus_of_signals(learned: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {name: row["weight"] for name, row in by_strategy(learned.json("beliefs")["beliefs"]).items()}
    file = tmp_path / "signals.csv"
    file.write_text(
        "strategy_id,timeframe,direction,confidence\npairs,1h,LONG,80\nscalper,1d,SHORT,60\nmomentum,1h,long,50\n"
    )
    found = learned.json("consensus", "--signals", file, "--timeframe-weight", "1h=1", "--timeframe-weight", "1d=2")
    long, short = 0.8 * weights["pairs"] + 0.5 * weights["momentum"], 0.6 * weights["scalper"] * 2
    assert (found["long_score"], found["short_score"]) == pytest.approx((long, short))
    larger = max(long, short) / (long + short)
    direction = ("LONG" if long > short else "SHORT") if larger >= 0.6 else "NEUTRAL"
    assert (found["direction"], found["agreement"]) == (direction, pytest.approx(larger))
    assert "agreement" in learned("consensus", "--signals", file, "--threshold", 0.9)
    signals = [{"strategy_id": "pairs", "direction": "SHORT", "confidence": 0.8}]
    monkeypatch.setattr("sys.stdin", StringIO(json.dumps(signals)))
    from_stdin = learned.json("consensus", "--signals", "-", "--confidence-scale", 1)
    assert (from_stdin["direction"], from_stdin["short_score"]) == ("SHORT", pytest.approx(0.8 * weights["pairs"]))


def test_a_confidence_of_80_is_refused_where_0_to_1_is_declared(learned: Shell, tmp_path: Path) -> None:
    file = tmp_path / "signals.csv"
    file.write_text("strategy_id,direction,confidence\npairs,LONG,80\n")
    refused = learned("consensus", "--signals", file, "--confidence-scale", 1, status=1)
    assert "signal 1: the confidence 80 does not lie in 0..1" in " ".join(refused.split())
    sized = ("size", "--strategy", "pairs", "--base", 1000, "--confidence", 80)
    assert "does not lie in 0..1" in learned(*sized, "--confidence-scale", 1, status=1)
    file.write_text("strategy_id,direction,confidence\nnobody,LONG,80\n")
    assert "'nobody' has no weight" in learned("consensus", "--signals", file, status=1)
    file.write_text("strategy,side\na,LONG\n")
    refused = learned("consensus", "--signals", file, status=1)
    assert "no column strategy_id, direction, confidence" in " ".join(refused.split())


@pytest.mark.long
def test_sizes(learned: Shell) -> None:
    belief = by_strategy(learned.json("beliefs")["beliefs"])["pairs"]
    sized = ("size", "--strategy", "pairs", "--base", 500, "--confidence", 75)
    found = learned.json(*sized)
    assert found["size"] == pytest.approx(500 * belief["win_rate"] / belief["prior_win_rate"] * 0.75)
    # Nobody stated it: it is the most that a bot of the strategy had open at once.
    assert (found["capital_is_estimated"], found["cap"]) == (True, pytest.approx(found["capital"] / 10))
    sure = max(belief["edge"] - 0.6744897501960817 * belief["edge_sd"], 0)
    assert found["kelly_size"] == pytest.approx(min(found["capital"] * 0.5 * sure / found["volatility"], found["cap"]))
    assert learned.json(*sized, "--cap", 100)["size"] == 100
    assert "half Kelly" in learned(*sized)
    assert learned.json(*sized, "--capital", 0, "--cap", 1)["kelly_size"] is None
    for option in ("--capital", "--cap", "--base"):
        for wrong in ("1e-300", "1e15", "1e300", "inf", "nan", "-1"):
            told = " ".join(learned(*sized, f"{option}={wrong}", status=2).replace("│", " ").split())
            assert option in told
            assert "cannot be computed with; write 0, or from 1e-18 to below 1e+15" in told
        assert "'much' is not an amount" in " ".join(learned(*sized, option, "much", status=2).split())
    assert "No beliefs for 'nobody' on " in learned(
        "size", "--strategy", "nobody", "--base", 1, "--confidence", 1, status=1
    )


def test_an_empty_database_says_what_to_do_next(shell: Shell, tmp_path: Path) -> None:
    for command in (("beliefs",), ("beliefs", "history"), ("beliefs", "recommend", "--regime", "RANGING")):
        assert "Nothing has been computed yet. Run: knowdefeat run" in shell(*command, status=1)
    sized = ("size", "--strategy", "a", "--base", 1, "--confidence", 1)
    assert "knowdefeat run" in shell(*sized, status=1)
    file = tmp_path / "sweep.csv"
    file.write_text("time,strategy_id,result\n2025-02-20,a,1\n")
    told = shell("beliefs", "learn-backtest", file, "--source", "sweep", "--discount", 1)
    assert "It takes effect once trades have been learned. Next: knowdefeat run" in told
