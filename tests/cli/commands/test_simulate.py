"""`knowdefeat simulate`: worlds in files, to be judged from outside."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS
from knowdefeat_pipeline.core.simulation.panels import simulate_panel
from tests.cli.conftest import Shell

SIZE = ("--bots", 6, "--days", 25, "--seed", 3, "--end", "2025-03-01")
END = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("world", list(BOT_WORLDS))
def test_a_panel_holds_the_true_skill(shell: Shell, tmp_path: Path, world: str) -> None:
    path = tmp_path / "panel.parquet"
    told = shell.json("simulate", "--world", world, *SIZE, "--panel", path)
    found, expected = pd.read_parquet(path), simulate_panel(world, bots=6, days=25, seed=3, end=END)
    assert told == {"panel": str(path), "rows": len(found)}
    np.testing.assert_array_equal(found["skill"], expected.skill)
    np.testing.assert_array_equal(found["expected"], expected.expected)
    np.testing.assert_array_equal(found[list(VARIABLE_NAMES)], expected.frame[list(VARIABLE_NAMES)])
    assert found["skill"].any() == (world != "null")


def test_panel_and_trades_are_of_one_history_and_can_be_judged(shell: Shell, tmp_path: Path) -> None:
    panel, trades = tmp_path / "panel.csv", tmp_path / "trades.csv"
    shown = shell("simulate", *SIZE, "--panel", panel, "--out", trades)
    assert f"knowdefeat backtest --panel {panel}" in " ".join(shown.split())
    known, closed = pd.read_csv(panel), pd.read_csv(trades).dropna(subset=["exit_time"])
    row = known.dropna(subset=["label"]).iloc[-1]
    after = pd.to_datetime(closed["exit_time"], utc=True) - pd.Timestamp(row["as_of"])
    own = closed[(closed["bot_id"] == row["bot_id"]) & (after > pd.Timedelta(0)) & (after <= pd.Timedelta(days=1))]
    assert own["reported_pnl"].sum() == pytest.approx(row["label"])
    assert shell.json("backtest", "--panel", panel, "--sets", "equal")["days"] > 15


def test_what_cannot_be_is_a_message(shell: Shell, tmp_path: Path) -> None:
    assert "choose one of base, informative" in shell("simulate", "--world", "best", status=1)
    assert ".csv or .parquet" in shell("simulate", "--panel", tmp_path / "panel.txt", status=1)
    assert "no folder" in shell("simulate", "--out", tmp_path / "none" / "trades.csv", status=1)
