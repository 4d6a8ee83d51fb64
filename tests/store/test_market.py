"""Market data in the database: loaded once however often, conflicts held, the bars that an answer rests on."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from knowdefeat_pipeline.core.market.walk_forward import needed_from
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.market import BARS, BOOKS, Form, read_market
from knowdefeat_pipeline.store.market import MarketReport, load_market, read_tail
from knowdefeat_pipeline.store.quarantine import discard, release
from knowdefeat_pipeline.store.quarantined import QuarantineError, list_rows
from knowdefeat_pipeline.store.reads import bar_series, has_market_data

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = ("2025-02-01 10:00,100,110,90,105,7", "2025-02-01 11:00,105,120,100,110,", "2025-02-01 12:00,110,110,110,110,0")


def load(
    url: str, folder: Path, *lines: str, form: Form = BARS, replaces: bool = False, **constants: str
) -> MarketReport:
    header = "open_time,open,high,low,close,volume" if form is BARS else "observed_at,side,price,size"
    path = folder / "file.csv"
    path.write_text("\n".join([header, *lines, ""]))
    named = {"ticker": "BTC", **({"timeframe": "1h"} if form is BARS else {}), **constants}
    return load_market(url, read_market(path, form, now=NOW, constants=named), path.name, replaces=replaces)


def counts(report: MarketReport) -> tuple:
    return report.rows_read, report.inserted, report.replaced, report.unchanged, sum(report.quarantined.values())


def rows(url: str, table: str = "price_bars") -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(f"SELECT *, xmin::text FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


def test_loading_again_changes_nothing(database: str, tmp_path: Path) -> None:
    first = load(database, tmp_path, *LINES)
    before = rows(database)
    assert counts(first) == (3, 3, 0, 0, 0)
    assert asdict(first.series[0]) == {
        "ticker": "BTC", "timeframe": "1h", "rows": 3, "first": pd.Timestamp("2025-02-01 10:00Z"),
        "last": pd.Timestamp("2025-02-01 12:00Z"),
    }  # fmt: skip
    assert counts(load(database, tmp_path, *LINES, LINES[0])) == (4, 0, 0, 4, 0)
    assert rows(database) == before
    assert [row[2:8] for row in before] == [
        (datetime(2025, 2, 1, 10, tzinfo=UTC), 100, 110, 90, 105, 7),
        (datetime(2025, 2, 1, 11, tzinfo=UTC), 105, 120, 100, 110, None),
        (datetime(2025, 2, 1, 12, tzinfo=UTC), 110, 110, 110, 110, 0),
    ]


def test_a_differing_bar_is_held_and_never_overwrites(database: str, tmp_path: Path) -> None:
    load(database, tmp_path, *LINES)
    before = rows(database)
    other = LINES[1].replace("110,", "111,3")
    again = load(database, tmp_path, LINES[0], other, "2025-02-01 13:00,1,1,1,1,1")
    assert counts(again) == (3, 1, 0, 1, 1)
    assert rows(database)[:3] == before
    (held,) = list_rows(database)
    assert (held.source, held.row_number, held.reason, held.column_name) == (
        "bars:BTC:1h", 2, "conflicting_values", "open_time",
    )  # fmt: skip
    assert "recorded: open 105, high 120, low 100, close 110, volume none" in held.message
    assert "--replace" in held.message
    assert held.original["close"] == "111"
    assert load(database, tmp_path, other).already_quarantined == 1
    assert counts(load(database, tmp_path, *LINES[:1], other, replaces=True)) == (2, 0, 1, 1, 0)
    assert rows(database)[1][6:8] == (111, 3)


def test_the_same_bar_of_another_series_is_another_bar(database: str, tmp_path: Path) -> None:
    for ticker, timeframe in (("BTC", "1h"), ("BTC", "30m"), ("ETH", "1h")):
        assert load(database, tmp_path, LINES[0], ticker=ticker, timeframe=timeframe).inserted == 1
    with connect(database) as connection:
        assert bar_series(connection) == [("BTC", "1h"), ("BTC", "30m"), ("ETH", "1h")]
        assert has_market_data(connection)


def test_without_market_data(database: str) -> None:
    with connect(database) as connection:
        assert bar_series(connection) == []
        assert not has_market_data(connection)


def test_a_refused_row_is_released_corrected_or_discarded(database: str, tmp_path: Path) -> None:
    report = load(database, tmp_path, LINES[0], "2025-02-01 11:00,1,0.5,1,1,1", "2025-02-01 10:00,1,1,1,1,1")
    assert report.quarantined == {"bad_range": 1, "conflicting_values": 1}
    assert counts(report) == (3, 1, 0, 0, 2)
    with pytest.raises(QuarantineError, match=r"stays in quarantine: high '0\.7' contradicts"):
        release(database, 1, {"high": "0.7"}, NOW)
    with pytest.raises(QuarantineError, match="has no column 'height'"):
        release(database, 1, {"height": "2"}, NOW)
    assert release(database, 1, {"high": "2"}, NOW).inserted == 1
    with pytest.raises(QuarantineError, match="stays in quarantine: open_time '2025-02-01 10:00' is there already"):
        release(database, 2, {}, NOW)
    assert release(database, 2, {"timeframe": "2h"}, NOW).inserted == 1
    assert [row[1:3] for row in rows(database)] == [
        ("1h", datetime(2025, 2, 1, 10, tzinfo=UTC)),
        ("1h", datetime(2025, 2, 1, 11, tzinfo=UTC)),
        ("2h", datetime(2025, 2, 1, 10, tzinfo=UTC)),
    ]
    load(database, tmp_path, "never,1,1,1,1,1")
    discard(database, 3, "a footer", NOW)
    assert list_rows(database) == []


def test_a_database_that_refuses_a_row_takes_none(database: str, tmp_path: Path) -> None:
    with connect(database) as connection:
        connection.execute("ALTER TABLE price_bars ADD CHECK (close < 110)")
    with pytest.raises(Exception, match="price_bars"):
        load(database, tmp_path, *LINES)
    assert rows(database) == []


def test_order_books_are_loaded_alike(database: str, tmp_path: Path) -> None:
    levels = ("2025-02-01 10:00,BID,99,2", "2025-02-01 10:00,ASK,101,3", "2025-02-01 10:01,BID,99,2")
    assert counts(load(database, tmp_path, *levels, form=BOOKS)) == (3, 3, 0, 0, 0)
    again = load(database, tmp_path, levels[0], levels[1].replace(",3", ",4"), form=BOOKS)
    assert counts(again) == (2, 0, 0, 1, 1)
    assert [row[2:5] for row in rows(database, "order_book_levels")] == [
        ("ASK", 101, 3), ("BID", 99, 2), ("BID", 99, 2),
    ]  # fmt: skip


def test_the_tail_that_an_answer_rests_on(database: str) -> None:
    bars, _ = simulate_regimes("plain", bars=12_000, seed=1)
    bars = bars.assign(open_time=pd.date_range("2024-01-01", periods=len(bars), freq="h", tz="UTC"))
    store(database, "BTC", "1h", bars)
    store(database, "ETH", "1h", bars[:50])
    since = bars["open_time"].iloc[11_000]
    until = bars["open_time"].iloc[11_500]
    needed = partial(needed_from, first=64)
    with connect(database) as connection:
        tail = read_tail(connection, database, ("BTC", "1h"), since, until, needed)
        begun = read_tail(connection, database, ("ETH", "1h"), since - timedelta(days=900), until, needed)
        ended = read_tail(connection, database, ("ETH", "1h"), since, until, needed)
    position = needed_from(11_000, 64)
    assert (tail.position, tail.since) == (position, 11_000)
    pd.testing.assert_frame_equal(
        tail.bars, bars[position:11_500].reset_index(drop=True)[list(tail.bars)], check_dtype=False, check_exact=True
    )
    assert (begun.position, begun.since, len(begun.bars)) == (0, 0, 50)
    assert ended is None


def store(url: str, ticker: str, timeframe: str, bars: pd.DataFrame) -> None:
    """Record bars of one series."""
    import pyarrow as pa

    from knowdefeat_pipeline.postgres.connection import copy_arrow

    names = ["open_time", "open", "high", "low", "close", "volume"]
    with connect(url) as connection:
        table = pa.Table.from_pandas(bars[names].assign(ticker=ticker, timeframe=timeframe), preserve_index=False)
        copy_arrow(connection, "price_bars", table)
