"""Market data on the command line: files in, a run, and the regimes and scores that came of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.market.regimes import label_regimes
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

START = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame, _ = simulate_regimes("plain", bars=1000, seed=5)
    return frame.assign(open_time=pd.date_range(START, periods=len(frame), freq="h"))


@pytest.fixture
def bars_file(tmp_path: Path, bars: pd.DataFrame) -> Path:
    path = tmp_path / "BTC_1h.csv.gz"
    bars.to_csv(path, index=False)
    return path


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    """Six trades of each of two bots, in BTC over the last days of the bars."""
    exits = [START + timedelta(days=36, hours=3 * n) for n in range(12)]
    frame = pd.DataFrame(
        {
            "trade_id": range(12), "bot_id": [1, 2] * 6, "ticker": "BTC", "direction": "LONG", "status": "closed",
            "entry_time": [at - timedelta(hours=2) for at in exits], "exit_time": exits, "entry_price": 100,
            "exit_price": np.arange(101, 113), "notional": 1000,
        }
    )  # fmt: skip
    path = tmp_path / "trades.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.long
def test_bars_and_trades_become_regimes_and_scores(
    shell: Shell, database: str, bars: pd.DataFrame, bars_file: Path, trades_file: Path
) -> None:
    shown = shell("ingest-bars", bars_file)
    assert "1,000 rows: 1,000 new" in shown
    assert "2025-03-01 00:00  2025-04-11 15:00" in shown
    report = shell.json("ingest-bars", bars_file)[0]
    assert (report["rows_read"], report["inserted"], report["unchanged"]) == (1000, 0, 1000)
    assert "no regime has been computed yet. Run: knowdefeat run" in shell("regimes", status=1)

    done = shell.json("run", "--trades", trades_file)
    assert done["market"] == {"from": "2025-03-01", "to": "2025-04-11"}
    assert shell.json("run")["market"] is None
    (now,) = shell.json("regimes")
    labels = label_regimes(bars)
    last = labels.iloc[-1]
    assert (now["ticker"], now["timeframe"], now["label"]) == ("BTC", "1h", last["label"])
    assert [now[f"p_{name}"] for name in ("trending", "ranging", "volatile")] == list(last[2:5])
    changes = labels["open_time"][labels["label"] != labels["label"].shift()]
    hour = timedelta(hours=1)
    assert datetime.fromisoformat(now["since"]) == changes.iloc[-1] + hour
    assert datetime.fromisoformat(now["as_of"]) == last["open_time"] + hour
    shares = labels["label"][-720:].value_counts(normalize=True)
    assert now["trending"] == pytest.approx(shares.get("TRENDING", 0.0))
    assert sum(now[name] for name in ("trending", "ranging", "volatile", "neutral")) == pytest.approx(1)
    runs = shell.json("regimes", "--history", "--ticker", "BTC", "--timeframe", "1h")
    assert sum(run["bars"] for run in runs) == 720
    assert (runs[0]["label"], runs[0]["since"]) == (now["label"], now["since"])
    assert now["label"] in shell("regimes")
    assert "later bars" not in shell.output
    assert f"{changes.iloc[-1] + hour:%Y-%m-%d %H:%M}" in shell("regimes", "--history")
    assert "no regime of that ticker" in shell("regimes", "--ticker", "ETH", status=1)

    metrics = shell.json("metrics", "--ticker", "*")
    with connect(database) as connection:
        means = connection.execute(
            "SELECT avg(price_model_score), avg(volume_model_score) FROM trade_scores JOIN trades USING (trade_id) "
            "GROUP BY bot_id ORDER BY bot_id"
        ).fetchall()
    found = [(row["price_model_score"], row["volume_model_score"]) for row in metrics]
    assert np.array(found) == pytest.approx(np.array(means))
    assert [row["price_wall_score"] for row in metrics] == [None, None]


@pytest.mark.long
def test_late_bars_are_taken_in_by_the_next_run(
    shell: Shell, bars: pd.DataFrame, bars_file: Path, trades_file: Path, tmp_path: Path
) -> None:
    early = tmp_path / "early.csv"
    bars[:860].to_csv(early, index=False)
    shell("ingest-bars", early, "--ticker", "BTC", "--timeframe", "1h")
    shell("run", "--trades", trades_file)
    before = shell.json("metrics", "--ticker", "*")
    shell("ingest-bars", bars_file)
    assert "There are later bars without a label. Next: knowdefeat run" in shell("regimes")
    assert shell.json("run")["market"] == {"from": "2025-04-05", "to": "2025-04-11"}
    assert shell.json("metrics", "--ticker", "*") != before
    assert len(shell.json("backfill", "--from", "2025-04-06")["runs"]) == 1


@pytest.mark.long
def test_without_market_data_the_next_step_is_named(shell: Shell, trades_file: Path) -> None:
    assert "knowdefeat ingest-bars FILE --ticker BTC-USD --timeframe 1h" in shell("regimes", status=1)
    assert shell.json("regimes") == []
    assert shell.json("run", "--trades", trades_file)["market"] is None


def test_differing_and_refused_rows_are_named_and_can_be_taken(
    shell: Shell, bars: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "BTC_1h.csv"
    bars[:10].to_csv(path, index=False)
    shell("ingest-bars", path)
    changed = bars[:10].astype({"volume": object})
    changed.loc[3, "volume"] = 5.0
    changed.loc[4, "volume"] = "many"
    changed.to_csv(path, index=False)
    shown = shell("ingest-bars", path)
    assert "10 rows: 0 new, 8 known, 2 quarantined" in shown
    assert "1 quarantined: conflicting_values (knowdefeat quarantine list)" in shown
    assert [row["row_number"] for row in shell.json("quarantine", "list")] == [4, 5]
    assert "conflicting_values" in shell("quarantine", "list")
    assert shell.json("ingest-bars", path, "--replace")[0]["replaced"] == 1
    shell("quarantine", "release", 2, "--set", f"volume={bars['volume'][4]}")
    assert "Row 2 was released" in shell.output


def test_order_books_are_ingested(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "book.csv"
    path.write_text("time,side,price,size\n2025-03-01 10:00,bid,99,2\n2025-03-01 10:00,ask,101,3\n")
    assert shell.json("ingest-books", path, "--ticker", "BTC")[0]["inserted"] == 2
    assert "2 rows: 0 new, 2 known" in shell("ingest-books", path, "--ticker", "BTC")


def test_a_file_that_cannot_be_read_is_a_message_and_those_before_it_are_loaded(
    shell: Shell, bars_file: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing_1h.csv"
    assert f"{missing}: there is no such file" in shell("ingest-bars", bars_file, missing, status=1)
    assert "1,000 new" in shell.output
    nameless = tmp_path / "bars.csv"
    nameless.write_text("time,open,high,low,close\n2025-01-01,1,1,1,1\n")
    assert "--ticker VALUE --timeframe VALUE" in shell("ingest-bars", nameless, status=1)
