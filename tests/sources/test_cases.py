"""Small files that went wrong elsewhere: separators, spellings, encodings, blank rows, times. Each is read as it means."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2027, 1, 1, tzinfo=UTC)
ENTRY, EXIT = "2026-11-02T09:00:00+00:00", "2026-11-02T11:30:00+00:00"


@pytest.fixture
def cases(shared_data: Path) -> Path:
    return shared_data / "cases"


def read(path: Path, **options: object) -> Reading:
    return read_trades(path, now=NOW, **options)  # type: ignore[arg-type]


def moments(reading: Reading, field: str) -> list[str]:
    return [moment.isoformat() for moment in reading.valid[field]]


@pytest.mark.parametrize(
    ("name", "prices", "units", "fee"),
    [
        ("semicolon", (62000, 62400), 0.05, 1.2),
        ("tab", (62000, 62400), 0.05, 1.2),
        ("euro", (62000.5, 62400.25), 0.05, 1.2),
        ("thousands", (62000, 62400.5), 0.05, 1.2),
        ("utf16", (62000, 62400), 0.05, 1.2),
        ("excelblank", (62000, 62400), 0.1, 1.2),
        ("blankrows", (62000, 62400), 0.1, 1.2),
    ],
)
def test_one_trade_in_many_spellings(cases: Path, name: str, prices: tuple[float, float], units: float, fee: float):
    reading = read(cases / f"{name}.csv")
    assert (reading.rows_read, len(reading.valid), len(reading.refused)) == (1, 1, 0)
    trade = reading.valid.iloc[0]
    assert (trade["source_trade_id"], trade["bot_id"], trade["direction"]) == ("A1", "7", "LONG")
    assert (trade["entry_price"], trade["exit_price"]) == prices
    assert (moments(reading, "entry_time"), moments(reading, "exit_time")) == ([ENTRY], [EXIT])
    assert trade["notional"] == pytest.approx(units * prices[0], rel=1e-15)
    assert trade["fees"] == fee
    assert trade["pnl"] == pytest.approx(units * (prices[1] - prices[0]) - fee, rel=1e-12)


def test_epochs_in_milliseconds(cases: Path):
    reading = read(cases / "epochms.csv")
    assert moments(reading, "entry_time") == [ENTRY, ENTRY]
    assert moments(reading, "exit_time") == [EXIT, "2026-11-02T11:30:00.001000+00:00"]
    assert reading.valid["pnl"].tolist() == pytest.approx([18.8, 18.8])


def test_an_order_of_day_and_month_that_no_cell_proves_is_asked_for(cases: Path):
    with pytest.raises(SourceError) as asked:
        read(cases / "times.csv")
    assert str(asked.value) == (
        f"{cases / 'times.csv'}: the dates of opened_at, closed_at, such as '11/02/2026 09:00', can be read day first "
        "or month first; say which with --dates day-first or --dates month-first"
    )


def test_twelve_spellings_of_times(cases: Path):
    reading = read(cases / "times.csv", dates="month-first")
    assert reading.refused.empty
    assert moments(reading, "entry_time") == [
        *[ENTRY] * 7,
        "2026-11-02T09:00:00.123456+00:00",
        ENTRY,
        "2026-11-02T14:00:00+00:00",
        ENTRY,
        ENTRY,
    ]
    minutes = [30, 31, 32, 33, 34, 35, 36, 37, None, None, 37, 37]
    expected = [None if minute is None else pd.Timestamp(f"2026-11-02 11:{minute}Z") for minute in minutes]
    expected[7] = pd.Timestamp("2026-11-02 11:37:00.5Z")
    expected[8] = pd.Timestamp("2026-11-02 11:31:12Z")  # 0.48 of a day
    expected[9] = pd.Timestamp("2026-11-02 16:37:00.5Z")
    assert reading.valid["exit_time"].tolist() == expected
    assert moments(read(cases / "times.csv", dates="day-first"), "entry_time")[6] == "2026-02-11T09:00:00+00:00"


def test_without_a_status_it_follows_from_the_exit(cases: Path):
    with pytest.raises(SourceError, match=r"no column for bot_id .*; what is the same in all rows .*: --bot NAME$"):
        read(cases / "nostatus.csv")
    trade = read(cases / "nostatus.csv", constants={"bot_id": "7"}).valid.iloc[0]
    assert (trade["bot_id"], trade["status"], trade["pnl"], trade["reported_pnl"]) == ("7", "closed", 10, 10)
