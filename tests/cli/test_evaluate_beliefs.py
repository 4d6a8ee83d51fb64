"""`knowdefeat evaluate beliefs` from a file to a file, without a database."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.core.simulation.strategies import among, regret, simulate_beliefs


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["knowdefeat", "evaluate", "beliefs", *map(str, arguments)])
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    found = simulate_beliefs("stationary", 3, rounds=400).outcomes
    path = tmp_path / "outcomes.csv"
    names = np.array(found.strategies)[found.strategy]
    pd.DataFrame({"time": found.time.astype(int), "strategy_id": names, "result": found.result}).to_csv(
        path, index=False
    )
    return path


def test_a_simulated_history_is_judged_from_outside(
    outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tmp_path / "weights.csv"
    assert evaluate(monkeypatch, "--outcomes", outcomes, "--out", answer) == 0
    assert "400 times, 3,200 rows" in " ".join(capsys.readouterr().out.split())
    assert evaluate(monkeypatch, "--outcomes", outcomes, "--out", tmp_path / "again.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"times": 400, "strategies": 8, "rows": 3200}
    assert (tmp_path / "again.csv").read_bytes() == answer.read_bytes()
    table = pd.read_csv(answer)
    assert list(table.columns) == ["time", "strategy_id", "weight", "p_win", "edge", "exposure"]
    weights = table.pivot(index="time", columns="strategy_id", values="weight").to_numpy()
    assert (weights.sum(axis=1) == 1).all()
    world = simulate_beliefs("stationary", 3, rounds=400)
    assert regret(world, weights) < 0.8 * regret(world, np.ones_like(weights))
    assert among(weights, world.active).shape == (400, 8)


def test_parquet_a_unit_and_the_other_method(outcomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.read_csv(outcomes)
    stamps = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(frame["time"], unit="h")
    frame.assign(time=stamps, regime="calm").to_parquet(tmp_path / "o.parquet", index=False)
    answers = []
    for name, unit, source in (("a.parquet", "1h", tmp_path / "o.parquet"), ("b.parquet", "1", outcomes)):
        status = evaluate(
            monkeypatch, "--outcomes", source, "--out", tmp_path / name, "--unit", unit, "--method", "best"
        )
        assert status == 0
        answers.append(pd.read_parquet(tmp_path / name))
    assert answers[0]["time"].iloc[-1] == stamps.max()
    assert answers[0]["weight"].gt(0).groupby(answers[0]["time"]).sum().iloc[-1] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.json"], "x.json: write .csv or .parquet"),
        (["--out", "x.csv", "--unit", "-1"], "--unit -1: write a number above 0"),
        (["--out", "x.csv", "--unit", "1h"], "--unit 1h: write a number above 0"),
    ],
)
def test_what_is_wrong_is_said(
    outcomes: Path,
    arguments: list,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(monkeypatch, "--outcomes", outcomes, *arguments) != 0
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_bad_cell_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time,strategy_id,result\n1,a,x\n", encoding="utf-8")
    assert evaluate(monkeypatch, "--outcomes", path, "--out", tmp_path / "y.csv") == 1
    assert "row 1, column 'result': 'x' cannot be read as a finite number" in " ".join(capsys.readouterr().err.split())
