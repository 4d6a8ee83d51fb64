"""Cells of every spelling."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from knowdefeat_pipeline.sources.cells import Cells, accepts, read


def text(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def times(cells: Cells) -> list[str | None]:
    return [None if pd.isna(value) else value.isoformat() for value in cells.values]


def test_numbers():
    cells = read(
        "amount", text("1.5", " +2 ", "1e3", ".5", "-0", "", "NULL", None, "nan", "inf", "1,000", "0x1", "1_0"), "UTC"
    )
    expected = [1.5, 2, 1000, 0.5, 0, np.nan, np.nan, np.nan, np.nan, np.inf, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(cells.values, expected)
    assert np.flatnonzero(cells.unreadable).tolist() == [10, 11, 12]
    assert np.flatnonzero(cells.nan).tolist() == [8]


def test_numbers_are_rounded_correctly():
    spelled = ["0.1", "346.23", "9007199254740993", "1.7976931348623157e308", "5e-324"]
    assert read("amount", text(*spelled), "UTC").values.tolist() == [float(number) for number in spelled]


def test_whole_numbers():
    cells = read("integer", text("4", "4.0", "4.5", "2147483647", "2147483648", "x", ""), "UTC")
    np.testing.assert_array_equal(cells.values, [4, 4, np.nan, 2147483647, np.nan, np.nan, np.nan])
    assert np.flatnonzero(cells.unreadable).tolist() == [2, 4, 5]


def test_bots_are_texts_and_numbers_stay_numbers():
    cells = read("bot", text(" grid-eth-01 ", "635138577566547135", "8.95E+14", "7.0", ""), "UTC")
    assert cells.values.fillna("none").tolist() == ["grid-eth-01", "635138577566547135", "8.95E+14", "7.0", "none"]
    assert not cells.unreadable.any()
    whole = read("bot", pa.chunked_array([pa.array([7, 635138577566547135, None], pa.int64())]), "UTC")
    assert whole.values.fillna("none").tolist() == ["7", "635138577566547135", "none"]
    # A column of numbers with a gap comes as fractions: beyond 2^53 nobody knows which number it was.
    gaps = read("bot", pa.chunked_array([pa.array([7.0, None, 2.0**53, 1.5])]), "UTC")
    assert gaps.values.fillna("none").tolist() == ["7", "none", "none", "none"]
    assert gaps.unreadable.tolist() == [False, False, True, True]


def test_times_with_and_without_a_zone():
    cells = read(
        "time",
        text(
            "2025-02-11 20:50:31.625626",
            "2025-02-11T20:50:31Z",
            "2025-02-11 20:50:31+00",
            "2025-02-11 20:50:31.5 UTC",
            "2025-02-11 20:50:31.123456789-05:00",
            "2025-02-11",
            "",
        ),
        "America/New_York",
    )
    assert times(cells) == [
        "2025-02-12T01:50:31.625626+00:00",
        "2025-02-11T20:50:31+00:00",
        "2025-02-11T20:50:31+00:00",
        "2025-02-11T20:50:31.500000+00:00",
        "2025-02-12T01:50:31.123456+00:00",
        "2025-02-11T05:00:00+00:00",
        None,
    ]
    assert cells.naive
    assert not cells.unreadable.any()


def test_times_that_are_none():
    cells = read("time", text("2025-02-30", "11/02/2025", "20250211", "soon", "2025-02-11 25:00"), "UTC")
    assert cells.unreadable.all()


def test_local_times_that_the_clock_skips_or_repeats_are_unreadable():
    cells = read("time", text("2025-11-02 01:30", "2025-03-09 02:30", "2025-11-02 01:30-05:00"), "America/New_York")
    assert times(cells) == [None, None, "2025-11-02T06:30:00+00:00"]
    assert cells.unreadable.tolist() == [True, True, False]


def test_texts():
    cells = read("text", text(" TSLA ", "", "\\N", None, "x" * 501, "a\0b", "NA"), "UTC")
    assert [None if pd.isna(value) else value for value in cells.values[:4]] == ["TSLA", None, None, None]
    assert np.flatnonzero(cells.unreadable).tolist() == [4, 5]
    assert cells.values[6] == "NA"


@pytest.mark.parametrize(
    ("kind", "array", "expected"),
    [
        ("text", pa.array([1, 204412]), ["1", "204412"]),
        ("text", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ("amount", pa.array([1, 2], pa.int8()), [1.0, 2.0]),
        ("amount", pa.array([Decimal("346.23"), Decimal("0.10")]), [346.23, 0.1]),
        ("time", pa.array([0, 86_400_000_000_001], pa.timestamp("ns")), ["1970-01-01", "1970-01-02"]),
        ("time", pa.array([0, 1], pa.date32()), ["1970-01-01", "1970-01-02"]),
        ("time", pa.array([0, 86_400], pa.timestamp("s", "Asia/Tokyo")), ["1970-01-01", "1970-01-02"]),
        ("amount", pa.nulls(2), [np.nan, np.nan]),
    ],
)
def test_typed_columns(kind: str, array: pa.Array, expected: list):
    cells = read(kind, pa.chunked_array([array]), "UTC")
    wanted = pd.to_datetime(pd.Series(expected), utc=True).dt.as_unit("us") if kind == "time" else pd.Series(expected)
    pd.testing.assert_series_equal(cells.values, wanted)
    assert not cells.unreadable.any()


def test_types_that_cannot_hold_a_kind():
    assert accepts("time", pa.string())
    assert accepts("amount", pa.decimal128(10, 2))
    assert not accepts("amount", pa.bool_())
    assert not accepts("amount", pa.timestamp("us"))
    assert accepts("time", pa.float64())
    assert not accepts("time", pa.bool_())
    assert not accepts("text", pa.list_(pa.string()))
