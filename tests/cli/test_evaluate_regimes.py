"""`knowdefeat evaluate regimes`: a file of bars in, a file of labels out, the same for every format and order."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.core.market.labels import PROBABILITIES
from knowdefeat_pipeline.core.market.regimes import label_regimes
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes

BARS, _ = simulate_regimes("plain", bars=600, seed=1)
OTHER, _ = simulate_regimes("strong", bars=400, seed=2)


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["knowdefeat", "evaluate", "regimes", *map(str, arguments)])
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, parse_dates=["open_time"])


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def assert_labels(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found["label"]) == list(expected["label"])
    assert list(found["open_time"]) == list(expected["open_time"])
    for name in PROBABILITIES:
        assert list(found[name]) == pytest.approx(list(expected[name]), abs=1e-12)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_format_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    bars, output = write(BARS, tmp_path / f"bars{suffix}"), tmp_path / f"labels{suffix.removesuffix('.gz')}"
    assert evaluate(monkeypatch, "--bars", bars, "--out", output) == 0
    found = read(output)
    assert list(found) == ["open_time", "label", *PROBABILITIES, "average_true_range"]
    assert_labels(found, label_regimes(BARS))
    first = output.read_bytes()
    assert evaluate(monkeypatch, "--bars", bars, "--out", output) == 0
    assert output.read_bytes() == first


def test_series_are_labelled_apart_and_rows_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = pd.concat([BARS.assign(ticker="A", timeframe="1h"), OTHER.assign(ticker="B", timeframe="1h")])
    shuffled = both.sample(frac=1, random_state=1)
    output = tmp_path / "labels.csv"
    assert evaluate(monkeypatch, "--bars", write(shuffled, tmp_path / "bars.csv"), "--out", output) == 0
    found = read(output)
    assert list(found)[:2] == ["ticker", "timeframe"]
    assert list(found["ticker"]) == list(shuffled["ticker"])
    for ticker, bars in (("A", BARS), ("B", OTHER)):
        assert_labels(found[found["ticker"] == ticker].sort_values("open_time"), label_regimes(bars))


def test_numbers_will_do_for_open_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = write(BARS.assign(open_time=range(1, 601), volume=float("nan")), tmp_path / "bars.csv")
    assert evaluate(monkeypatch, "--bars", bars, "--out", tmp_path / "labels.csv") == 0
    found = pd.read_csv(tmp_path / "labels.csv")
    assert list(found["open_time"]) == list(range(1, 601))
    assert list(found["label"]) == list(label_regimes(BARS)["label"])


def test_a_prefix_of_the_file_gets_the_same_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (600, 450):
        bars = write(BARS[:count], tmp_path / "bars.csv")
        assert evaluate(monkeypatch, "--bars", bars, "--out", tmp_path / f"{count}.csv") == 0
    whole, prefix = (Path(tmp_path / name).read_text().splitlines() for name in ("600.csv", "450.csv"))
    assert whole[:451] == prefix


def test_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bars, output = write(BARS, tmp_path / "bars.csv"), tmp_path / "labels.csv"
    assert evaluate(monkeypatch, "--bars", bars, "--out", output, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    shares = label_regimes(BARS)["label"].value_counts(normalize=True)
    assert summary["bars"] == 600
    assert {name: share for name, share in summary["shares"].items() if share} == pytest.approx(shares.to_dict())
    assert evaluate(monkeypatch, "--bars", bars, "--out", output) == 0
    assert f"600 bars, TRENDING {shares['TRENDING']:.1%}, RANGING" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: bars.drop(columns="high"), "no column high;"),
        (lambda bars: bars.astype({"close": "str"}).replace({"close": {str(bars["close"][4]): "much"}}), "row 5, column 'close': 'much'"),
        (lambda bars: bars.assign(low=bars["low"].where(bars.index != 6, -2.0)), "row 7, column 'low': -2.0; a price is"),
        (lambda bars: bars.assign(open=bars["open"].where(bars.index != 8)), "row 9, column 'open': '' is no value"),
        (lambda bars: pd.concat([bars, bars[3:4]]), "row 601, column 'open_time': 2024-01-01 03:00:00+00:00; each bar opens after"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change, message: str
) -> None:
    bars = write(change(BARS), tmp_path / "bars.csv")
    assert evaluate(monkeypatch, "--bars", bars, "--out", tmp_path / "labels.csv") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert str(bars) in said
    assert message in said
    assert not (tmp_path / "labels.csv").exists()


def test_output_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(monkeypatch, "--bars", tmp_path / "none.csv", "--out", tmp_path / "labels.xlsx") == 1
    assert "write .csv or .parquet" in capsys.readouterr().err
    assert evaluate(monkeypatch, "--bars", tmp_path / "none.csv", "--out", tmp_path / "no" / "labels.csv") == 1
    assert "there is no folder" in capsys.readouterr().err
    assert evaluate(monkeypatch, "--bars", tmp_path / "none.csv", "--out", tmp_path / "labels.csv") == 1
    assert "there is no such file" in capsys.readouterr().err
