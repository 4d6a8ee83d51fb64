"""`knowdefeat evaluate`: files in, files out, and messages that help."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from tests.core.panels import plain


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def _run(*arguments: object, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["knowdefeat", "evaluate", "weights", *map(str, arguments)])
        ended = 0
        try:
            main()
        except SystemExit as done:
            ended = done.code or 0
        output, errors = capsys.readouterr()
        assert ended == status, output + errors
        return " ".join((output if status == 0 else errors).split())

    return _run


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_weights_and_scores_of_a_file_are_those_of_the_learner(run, tmp_path: Path, suffix: str) -> None:
    frame = plain(50, 8, seed=4).sample(frac=1, random_state=2)
    panel, out, scores = (tmp_path / f"{name}.{suffix}" for name in ("panel", "weights", "scores"))
    read, write = (pd.read_csv, "to_csv") if suffix == "csv" else (pd.read_parquet, "to_parquet")
    getattr(frame, write)(panel, index=False)
    told = run("--panel", panel, "--out", out, "--scores", scores)
    assert f"{out}: weights of 50 as_ofs." in told
    found, scored = read(out), read(scores)
    expected = Panel.of(frame)
    in_force = learn_weights(expected).weights
    assert list(found.columns) == ["as_of", *VARIABLE_NAMES]
    assert np.array_equal(found[list(VARIABLE_NAMES)].to_numpy(), in_force)
    assert pd.to_datetime(found.as_of, utc=True).tolist() == sorted(frame.as_of.unique())
    assert list(scored.columns) == ["as_of", "bot_id", "score"]
    assert scored.bot_id.tolist() == expected.frame.bot_id.tolist()
    np.testing.assert_allclose(scored.score, expected.rank_scores(in_force), rtol=1e-12)


def test_bots_may_have_names_and_json_tells_the_evidence(run, tmp_path: Path) -> None:
    frame = plain(40, 6, seed=5)
    frame.assign(bot_id="bot_" + frame["bot_id"].astype("str")).to_csv(tmp_path / "panel.csv", index=False)
    scores = tmp_path / "scores.csv"
    told = json.loads(run("--panel", tmp_path / "panel.csv", "--out", tmp_path / "w.csv", "--scores", scores, "--json"))
    assert (told["as_ofs"], told["days"]) == (40, 39)
    assert list(told["rank_ic"]) == ["learned", "default", "equal", "persistence", "random"]
    assert told["rank_ic"]["default"]["mean"] == pytest.approx(
        np.nanmean(learn_weights(Panel.of(frame)).ic["default"]), abs=1e-12
    )
    assert "over 39 days of 6 bots" in told["statement"]
    assert set(pd.read_csv(scores).bot_id) == {f"bot_{number}" for number in range(1, 7)}


def test_as_ofs_may_be_numbers_of_days(run, tmp_path: Path) -> None:
    frame = plain(40, 8, seed=6)
    numbered = frame.assign(as_of=frame.groupby("as_of").ngroup() + 100)
    numbered.to_csv(tmp_path / "panel.csv", index=False)
    run("--panel", tmp_path / "panel.csv", "--out", tmp_path / "w.csv", "--scores", tmp_path / "s.csv")
    found = pd.read_csv(tmp_path / "w.csv")
    assert found.as_of.tolist() == list(range(100, 140))
    assert np.array_equal(found[list(VARIABLE_NAMES)].to_numpy(), learn_weights(Panel.of(frame)).weights)
    assert pd.read_csv(tmp_path / "s.csv").as_of.tolist() == numbered.as_of.tolist()


def test_a_cell_that_cannot_be_read_is_named(run, tmp_path: Path) -> None:
    frame = plain(2, 6, seed=5)
    frame["label"] = frame["label"].astype(object)
    frame.loc[3, "label"] = "much"
    frame.to_csv(tmp_path / "panel.csv", index=False)
    told = run("--panel", tmp_path / "panel.csv", "--out", tmp_path / "w.csv", status=1)
    assert "panel.csv: row 4, column 'label': 'much' cannot be read as a finite number; correct the cell" in told


def test_what_cannot_be_done_is_said_before_and_after_reading(run, tmp_path: Path) -> None:
    panel = tmp_path / "panel.csv"
    frame = plain(3, 6, seed=5)
    frame.drop(columns="label").to_csv(panel, index=False)
    assert "no column label;" in run("--panel", panel, "--out", tmp_path / "w.csv", status=1)
    pd.concat([frame, frame.iloc[:1]]).to_csv(panel, index=False)
    told = run("--panel", panel, "--out", tmp_path / "w.csv", status=1)
    assert "bot 1 has two rows at 2025-01-02" in told
    assert not (tmp_path / "w.csv").exists()
    assert "write .csv or .parquet" in run("--panel", panel, "--out", tmp_path / "w.json", status=1)
    told = run("--panel", panel, "--out", tmp_path / "no" / "w.csv", status=1)
    assert "there is no folder" in told


def test_where_no_day_has_settled_no_figure_is_shown(run, tmp_path: Path) -> None:
    panel, out = tmp_path / "panel.csv", tmp_path / "w.csv"
    plain(3, 6, seed=5).assign(label=np.nan).to_csv(panel, index=False)
    told = run("--panel", panel, "--out", out)
    assert told.startswith(f"{out}: weights of 3 as_ofs. No day has settled yet:")
    assert "nan" not in told
