"""`knowdefeat simulate`: worlds in files, to be judged from outside."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.ranking.panel import REQUIRED
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS
from knowdefeat_pipeline.core.simulation.fleet import simulate_fleet
from knowdefeat_pipeline.core.simulation.panels import simulate_panel
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

SIZE = ("--bots", 6, "--days", 25, "--seed", 3, "--end", "2025-03-01")
END = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.long
@pytest.mark.parametrize("world", list(BOT_WORLDS))
def test_a_panel_holds_the_true_skill(shell: Shell, tmp_path: Path, world: str) -> None:
    path = tmp_path / "panel.parquet"
    told = shell.json("simulate", "--world", world, *SIZE, "--panel", path)
    found, expected = pd.read_parquet(path), simulate_panel(world, bots=6, days=25, seed=3, end=END)
    assert told == {"panel": str(path), "rows": len(found)}
    np.testing.assert_array_equal(found["skill"], expected.skill)
    np.testing.assert_array_equal(found["expected"], expected.expected)
    pd.testing.assert_frame_equal(
        found[list(REQUIRED)], expected.frame[list(REQUIRED)].reset_index(drop=True), check_dtype=False
    )
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


def test_a_fleet_comes_with_its_bars_and_the_truth(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    told = shell.json("simulate", "--fleet", "realistic", *SIZE, "--out", path)
    expected = simulate_fleet("realistic", bots=6, days=25, seed=3, end=END)
    assert told == {
        "file": str(path),
        "trades": len(expected.trades),
        "bars": str(tmp_path / "trades.bars.csv"),
        "truth": str(tmp_path / "trades.truth.csv"),
    }
    truth = pd.read_csv(told["truth"])
    assert truth["kind"].tolist() == ["steady", "luck", "grid", "martingale", "lottery", "breaking"]
    np.testing.assert_allclose(truth["edge"], expected.truth["edge"])
    assert "choose one of realistic" in shell("simulate", "--fleet", "best", status=1)
    assert "give one of them" in shell("simulate", "--fleet", "realistic", "--panel", tmp_path / "p.csv", status=1)
    assert "add --fleet realistic" in shell("simulate", "--truth", tmp_path / "t.csv", status=1)


def test_a_fleet_in_the_database_is_marked_by_its_bars(shell: Shell, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    loaded = shell.json("simulate", "--fleet", "realistic", "--bots", 8, *SIZE[2:], "--truth", truth)
    assert loaded["inserted"] == len(simulate_fleet("realistic", bots=8, days=25, seed=3, end=END).trades)
    assert len(pd.read_csv(truth)) == 8
    with connect(shell.database) as connection:
        ((tickers, hours),) = connection.execute(
            "SELECT count(DISTINCT ticker), count(*) FROM price_bars WHERE timeframe = '1h'"
        ).fetchall()
        ((unmarked,),) = connection.execute(
            "SELECT count(*) FROM positions_at('{2025-02-28}', '{2025-03-01}') WHERE pnl IS NULL"
        ).fetchall()
    assert (tickers, hours, unmarked) == (4, 4 * 25 * 24, 0)
