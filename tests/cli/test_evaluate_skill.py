"""`knowdefeat evaluate skill` from a file to a file, without a database; and real fleets."""

import sqlite3
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.cli import main

BOT, TRADE = np.repeat(np.arange(6), 60), np.tile(np.arange(60), 6)
PNL = np.array([0.5, 0.3, 0.1, 0.0, -0.1, -0.3])[BOT] + np.sin(1 + 7 * BOT + 3 * TRADE)
COLUMNS = ["bot_id", "p_skill", "edge", "edge_low", "edge_high", "verdict"]


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["knowdefeat", "evaluate", "skill", *map(str, arguments)])
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def frame() -> pd.DataFrame:
    """The six bots, two trades a day, rows in the order of time."""
    time = (
        pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(TRADE // 2, unit="D") + pd.to_timedelta(TRADE, unit="s")
    )
    strategy = np.where(BOT < 3, "A", "B")
    trades = pd.DataFrame({"exit_time": time, "bot_id": BOT, "strategy_id": strategy, "pnl": PNL})
    return trades.sort_values("exit_time", kind="stable")


def test_six_bots_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame().to_csv(tmp_path / "trades.csv", index=False)
    assert evaluate(monkeypatch, "--trades", tmp_path / "trades.csv", "--out", tmp_path / "skill.csv") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "6 bots by 360 trades: 2 good, 1 likely good, 1 cannot be told from luck" in said
    assert "Expected share of false ones among the good: 0.0%" in said
    table = pd.read_csv(tmp_path / "skill.csv")
    assert list(table.columns) == COLUMNS
    assert table["bot_id"].tolist() == list(range(6))
    assert table["p_skill"].round(6).tolist() == [0.999999, 0.999074, 0.921749, 0.376315, 0.119107, 0.003206]
    assert table["edge"].round(6).tolist() == [0.504450, 0.326067, 0.154600, -0.032315, -0.120845, -0.283666]


def test_numbers_of_days_parquet_and_no_strategies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trades = frame().drop(columns="strategy_id").assign(bot_id=lambda rows: "bot " + rows["bot_id"].astype(str))
    trades["exit_time"] = (trades["exit_time"] - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(days=1)
    trades.to_parquet(tmp_path / "trades.parquet", index=False)
    assert evaluate(monkeypatch, "--trades", tmp_path / "trades.parquet", "--out", tmp_path / "o.parquet") == 0
    table = pd.read_parquet(tmp_path / "o.parquet")
    assert table["bot_id"].tolist() == [f"bot {number}" for number in range(6)]
    assert table["p_skill"].round(6).tolist() == [0.999998, 0.997507, 0.829705, 0.514593, 0.177690, 0.003883]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit_time,bot_id\n2025-01-01T00:00:00Z,1\n", "pnl"),
        ("exit_time,bot_id,pnl\n2025-01-01T00:00:00Z,1,abc\n", "row 1, column 'pnl': 'abc'"),
        ("exit_time,bot_id,pnl\n2025-01-01T00:00:00Z,1,\n", "column 'pnl'"),
        ("exit_time,bot_id,pnl\nsoon,1,5\n", "column 'exit_time': 'soon'"),
    ],
)
def test_what_cannot_be_read_is_named(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trades.csv").write_text(text)
    assert evaluate(monkeypatch, "--trades", tmp_path / "trades.csv", "--out", tmp_path / "o.csv") != 0
    assert problem in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o.csv").exists()


def test_no_strategy_of_real_freqtrade_bots_can_be_judged(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(shared_data / "freqtrade" / "tradesv3.sqlite") as database:
        trades = pd.read_sql_query(
            "SELECT close_date AS exit_time, strategy AS bot_id, strategy AS strategy_id, close_profit_abs AS pnl "
            "FROM trades WHERE is_open = 0",
            database,
        )
    trades.to_csv(tmp_path / "trades.csv", index=False)
    assert evaluate(monkeypatch, "--trades", tmp_path / "trades.csv", "--out", tmp_path / "o.csv") == 0
    table = pd.read_csv(tmp_path / "o.csv")
    assert table["verdict"].str.startswith("cannot be judged").all()
    assert len(table) == 19


def test_what_five_hours_of_three_real_bots_can_say(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = pd.read_csv(shared_data / "know_defeat" / "all_trades.csv").dropna(subset=["exit_time"])
    side = np.where(trades["trade_direction"] == "LONG", 1, -1)
    change = (trades["exit_price"] - trades["entry_price"]) / trades["entry_price"]
    pd.DataFrame(
        {"exit_time": trades["exit_time"], "bot_id": trades["bot_id"], "pnl": side * change * trades["trade_size"]}
    ).to_csv(tmp_path / "trades.csv", index=False)
    assert evaluate(monkeypatch, "--trades", tmp_path / "trades.csv", "--out", tmp_path / "o.csv") == 0
    table = pd.read_csv(tmp_path / "o.csv").set_index("bot_id")
    assert not (table["verdict"] == "good").any()
    assert list(table.index) == [2, 3, 4]
