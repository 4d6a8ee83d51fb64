"""Bars and order books of any spelling as the same rows; what is refused, and why."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.market import BARS, BOOKS, MarketLayout, MarketReading, read_market

NOW = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)
HEADER = "open_time,open,high,low,close,volume"
HOUR = {"ticker": "BTC", "timeframe": "1h"}


def read(folder: Path, *lines: str, header: str = HEADER, form=BARS, **options) -> MarketReading:
    path = folder / "file.csv"
    path.write_text("\n".join([header, *lines, ""]))
    return read_market(path, form, now=NOW, constants=options.pop("constants", HOUR), **options)


def reasons(reading: MarketReading) -> list[tuple]:
    refused = reading.refused[["row_number", "reason", "column_name"]].astype(object)
    return [*refused.where(refused.notna(), None).itertuples(index=False, name=None)]


def test_a_bar_by_hand(tmp_path: Path) -> None:
    reading = read(tmp_path, "2025-02-01 10:00,100,110,90,105,7.5")
    assert reading.valid.to_dict("records") == [
        {
            "row_number": 1, "ticker": "BTC", "timeframe": "1h", "open_time": pd.Timestamp("2025-02-01 10:00", tz="UTC"),
            "open": 100.0, "high": 110.0, "low": 90.0, "close": 105.0, "volume": 7.5,
        }
    ]  # fmt: skip
    assert reading.refused.empty
    assert reading.notes == ("times without a zone are read as UTC",)


@pytest.mark.parametrize(
    "time",
    [
        "2025-02-01T10:00:00Z", "2025-02-01 11:00:00+01:00", "1738404000", "1738404000.0", "1738404000000",
        "1738404000000000", "1738404000000000000", " 1738404000 ",
    ],
)  # fmt: skip
def test_times_of_any_spelling_are_the_same_instant(tmp_path: Path, time: str) -> None:
    reading = read(tmp_path, f"{time},100,110,90,105,", "2025-02-01T12:00Z,1,1,1,1,1")
    assert list(reading.valid["open_time"]) == list(
        pd.to_datetime(["2025-02-01 10:00", "2025-02-01 12:00"], utc=True).as_unit("us")
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["int64", "float64", "timestamp"])
def test_parquet_times_are_timestamps_or_numbers(tmp_path: Path, unit: str, kind: str) -> None:
    times = pd.date_range("2025-02-01", periods=3, freq="h", tz="UTC").as_unit(unit)
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), 5.0), index=range(3))
    frame["Date"] = times if kind == "timestamp" else times.asi8.astype(kind)
    frame.to_parquet(tmp_path / "file.parquet")
    reading = read_market(tmp_path / "file.parquet", BARS, now=NOW, constants=HOUR)
    assert list(reading.valid["open_time"]) == list(times.as_unit("us"))


def test_numbers_that_are_no_times_since_1970_are_refused(tmp_path: Path) -> None:
    reading = read(tmp_path, "20250131,1,1,1,1,1", "2025-02-01,1,1,1,1,1")
    assert reasons(reading) == [(1, "unreadable_value", "open_time")]


def test_a_zone_for_times_that_name_none(tmp_path: Path) -> None:
    reading = read(tmp_path, "2025-02-01 10:00,1,1,1,1,1", timezone="America/New_York")
    assert reading.valid["open_time"].iloc[0] == pd.Timestamp("2025-02-01 15:00", tz="UTC")
    with pytest.raises(SourceError, match="no time zone 'Mars'"):
        read(tmp_path, "2025-02-01 10:00,1,1,1,1,1", timezone="Mars")


def test_every_refused_row_says_why_and_is_kept_whole(tmp_path: Path) -> None:
    rows = [
        "2025-02-01 00:00,100,110,90,105,7",
        "yesterday,100,110,90,105,7",
        "2025-02-01 02:00,,110,90,105,7",
        "2025-02-01 03:00,100,110,90,-1,7",
        "2025-02-01 04:00,100,104,90,105,7",
        "2025-02-01 05:00,100,110,101,105,7",
        "2025-02-01 06:00,100,110,90,105,-7",
        "2025-02-01 07:00,inf,110,90,105,7",
        "2025-03-02 08:00,100,110,90,105,7",
        "2025-02-01 09:00,100,110,90,105",
        "2025-02-01 10:00,100,110,90,105,",
        "2025-02-01 11:00,abc,110,90,105,1",
        "2025-02-01 12:00,100,110,90,105,1e30",
    ]
    reading = read(tmp_path, *rows)
    assert list(reading.valid["row_number"]) == [1, 11]
    assert reasons(reading) == [
        (2, "unreadable_value", "open_time"),
        (3, "unreadable_value", "open"),
        (4, "bad_price", "close"),
        (5, "bad_range", "high"),
        (6, "bad_range", "low"),
        (7, "bad_amount", "volume"),
        (8, "bad_price", "open"),
        (9, "future_time", "open_time"),
        (10, "unreadable_value", None),
        (12, "unreadable_value", "open"),
        (13, "poison", "volume"),
    ]
    messages = dict(zip(reading.refused["row_number"], reading.refused["message"], strict=True))
    assert messages[3] == "open is empty, and the first price is needed; fill it in."
    assert messages[4] == "close '-1' is not a price; write a finite number above 0."
    assert "now is 2025-03-01 12:30:00 UTC" in messages[9]
    assert messages[13] == (
        "volume '1e30' is beyond what can be computed with: volumes and sizes stay below 1e+30; correct it."
    )
    assert json.loads(reading.refused["original"].iloc[2]) == dict(
        zip(HEADER.split(","), rows[3].split(","), strict=True)
    )


def test_a_bar_that_is_still_open_is_left_to_a_later_load(tmp_path: Path) -> None:
    reading = read(tmp_path, "2025-03-01 11:00,1,1,1,1,1", "2025-03-01 12:00,1,1,1,1,1")
    assert (list(reading.valid["row_number"]), reading.unfinished, len(reading.refused)) == ([1], 1, 0)


def test_rows_of_the_same_key(tmp_path: Path) -> None:
    bar = "2025-02-01 10:00,100,110,90,105,7"
    reading = read(
        tmp_path, bar, "2025-02-01 11:00,1,1,1,1,", bar, bar.replace("105", "106"), "2025-02-01 11:00,1,1,1,1,"
    )
    assert (list(reading.valid["row_number"]), reading.repeated) == ([1, 2], 2)
    assert reasons(reading) == [(4, "conflicting_values", "open_time")]
    assert "with other values (row 1)" in reading.refused["message"].iloc[0]


def test_ticker_and_timeframe_from_columns_options_or_the_name(tmp_path: Path) -> None:
    columns = read(
        tmp_path, "ETH,1H,2025-02-01,1,1,1,1,1", "ETH,1M,2025-02-01,1,1,1,1,1", "*,1d,2025-02-01,1,1,1,1,1",
        header="Symbol,Interval,Open Time,Open,High,Low,Close,Vol", constants={},
    )  # fmt: skip
    assert list(columns.valid[["ticker", "timeframe"]].iloc[0]) == ["ETH", "1h"]
    assert reasons(columns) == [(2, "bad_timeframe", "Interval"), (3, "unreadable_value", "Symbol")]
    named = read(tmp_path, "2025-02-01,1,1,1,1,1", constants={"ticker": "B" * 201, "timeframe": "1h"})
    assert reasons(named) == [(1, "bad_name", "ticker")]
    assert (
        named.refused["message"].iloc[0].startswith(f"ticker '{'B' * 199}…' is no plain name; write one of at most 200")
    )
    for name, ticker, timeframe in (("BTC-USD_15m.csv", "BTC-USD", "15m"), ("TSLA_1d_2024.csv", "TSLA", "1d")):
        (tmp_path / name).write_text(f"{HEADER}\n2025-02-01,1,1,1,1,1\n")
        reading = read_market(tmp_path / name, BARS, now=NOW)
        assert list(reading.valid[["ticker", "timeframe"]].iloc[0]) == [ticker, timeframe]
        assert f"ticker {ticker} and timeframe {timeframe}: from the file's name" in reading.notes
    reading = read_market(tmp_path / "TSLA_1d_2024.csv", BARS, now=NOW, constants={"ticker": "NVDA"})
    assert list(reading.valid[["ticker", "timeframe"]].iloc[0]) == ["NVDA", "1d"]
    with pytest.raises(SourceError, match=r"no column for ticker .* timeframe .*--ticker VALUE --timeframe VALUE"):
        read(tmp_path, "2025-02-01,1,1,1,1,1", constants={})


def test_bars_that_come_faster_than_they_last_are_refused_as_a_whole(tmp_path: Path) -> None:
    lines = [f"2025-02-01 00:{minute:02},1,1,1,1,1" for minute in range(0, 30, 5)]
    with pytest.raises(SourceError, match=r"file\.csv: the bars of BTC open every 5 minutes.*said to be 1h"):
        read(tmp_path, *lines)


def test_columns_are_named_by_map(tmp_path: Path) -> None:
    reading = read(
        tmp_path, "2025-02-01,1,2,0.5,1.5", header="when,first,high,low,close",
        mapping={"when": "open_time", "first": "open"},
    )  # fmt: skip
    assert reading.valid["volume"].isna().all()
    for mapping, message in (({"x": "open"}, "'x', which is not there"), ({"when": "pnl"}, "the fields of bars are")):
        with pytest.raises(SourceError, match=message):
            read(tmp_path, "1,1", header="when,close", mapping=mapping)
    with pytest.raises(SourceError, match=r"no column for close \(the last price\).*--map COLUMN=close"):
        read(tmp_path, "2025-02-01,1,2,0.5", header="time,open,high,low")


def test_order_books(tmp_path: Path) -> None:
    reading = read(
        tmp_path, "2025-02-01 10:00:00.5,buy,99,2", "2025-02-01 10:00:00.5,Ask,101,0", "2025-02-01 10:00:00.5,up,101,1",
        "2025-02-01 10:00:00.5,BID,99,3", header="timestamp,side,price,qty", form=BOOKS, constants={"ticker": "BTC"},
    )  # fmt: skip
    assert reading.valid[["side", "price", "size"]].to_numpy().tolist() == [["BID", 99.0, 2.0], ["ASK", 101.0, 0.0]]
    assert reasons(reading) == [(3, "unknown_side", "side"), (4, "conflicting_values", "timestamp")]


def test_a_layout_survives_being_kept() -> None:
    layout = MarketLayout("bars", {"open": "o"}, {"ticker": "BTC", "timeframe": "1h"}, "Europe/Zurich")
    assert MarketLayout.from_json(json.loads(json.dumps(layout.as_json()))) == layout
    assert layout.source == "bars:BTC:1h"


@pytest.mark.parametrize("ticker", ["BTCUSDT", "ETHUSDT"])
def test_real_bars_load_as_they_are(shared_data: Path, ticker: str) -> None:
    reading = read_market(shared_data / "ohlcv" / f"{ticker}_1h.csv.gz", BARS, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert (len(reading.valid), len(reading.refused), reading.unfinished) == (8760, 0, 0)
    assert set(reading.valid["ticker"]) == {ticker}
