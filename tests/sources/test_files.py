"""Files read from end to end: formats, refusals with their exact words, and files that fail as a whole."""

import csv
import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROW = {
    "trade_id": "7",
    "bot_id": "1",
    "strategy": "ma",
    "symbol": "TSLA",
    "side": "buy",
    "status": "closed",
    "entry_time": "2025-02-11 20:00:00",
    "exit_time": "2025-02-11 21:00:00",
    "entry_price": "200",
    "exit_price": "210",
    "mark_price": "",
    "notional": "10000",
    "fees": "3",
    "pnl": "497",
    "currency": "USD",
    "confidence": "0.8",
    "entry_quality": "0.5",
}


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path, **options: Any) -> Reading:
    return read_trades(path, now=NOW, **options)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


REFUSALS = [
    (
        {"side": "UP"},
        "unknown_direction",
        "side 'UP' is not a direction; write LONG or SHORT (buy and sell are read too).",
    ),
    ({"status": "done"}, "unknown_status", "status 'done' is not a status; write open, pending_exit or closed."),
    ({"entry_price": "-3"}, "bad_price", "entry_price '-3' is not a price; write a finite number above 0."),
    ({"exit_price": "nan"}, "bad_price", "exit_price 'nan' is not a price; write a finite number above 0."),
    ({"entry_price": "inf"}, "bad_price", "entry_price 'inf' is not a price; write a finite number above 0."),
    (
        {"status": "open", "exit_time": "", "exit_price": "-1"},
        "bad_price",
        "exit_price '-1' is not a price; write a finite number above 0.",
    ),
    (
        {"notional": "0"},
        "bad_notional",
        "notional '0' is not a size; write a finite number above 0 that gives a finite pnl.",
    ),
    (
        {"exit_time": "2025-02-11 19:00:00"},
        "exit_before_entry",
        "exit_time '2025-02-11 19:00:00' is earlier than the entry at 2025-02-11 20:00:00; "
        "correct one of the two times.",
    ),
    (
        {"exit_time": ""},
        "closed_without_exit",
        "exit_time is empty, but the trade is closed; fill it in, or set the status to open.",
    ),
    (
        {"exit_price": ""},
        "closed_without_exit",
        "exit_price is empty, but the trade is closed; fill it in, or set the status to open.",
    ),
    (
        {"status": "pending_exit"},
        "open_with_exit",
        "exit_time '2025-02-11 21:00:00' is given, but the trade is not closed; set the status to closed, "
        "or clear the exit time.",
    ),
    (
        {"exit_time": "2026-01-01 00:06:00"},
        "future_time",
        "exit_time '2026-01-01 00:06:00' lies in the future (now is 2026-01-01 00:00:00 UTC; 5 minutes of clock skew "
        "are allowed); check the writer's clock, or import with the right time zone.",
    ),
    (
        {"entry_time": "1850-02-11 20:00:00"},
        "impossible_time",
        "entry_time '1850-02-11 20:00:00' lies before 1970; correct it, or import with the right unit of time.",
    ),
    (
        {"exit_time": "0001-01-01 00:00:00"},
        "impossible_time",
        "exit_time '0001-01-01 00:00:00' lies before 1970; correct it, or import with the right unit of time.",
    ),
    (
        {"notional": "1e300"},
        "poison",
        "notional '1e300' is, or gives a net pnl, beyond what can be computed with: prices and sizes reach from 1e-18 to "
        "below 1e+15, other money is 0 or from 1e-100 to below 1e+15 in size; correct it.",
    ),
    ({"fees": "n.a."}, "unreadable_value", "fees 'n.a.' cannot be read as a finite number; correct the value."),
    (
        {"bot_id": ""},
        "unreadable_value",
        "bot_id is empty, and a trade needs the bot that traded, by its number or any other name; fill it in.",
    ),
    (
        {"entry_time": "yesterday"},
        "unreadable_value",
        "entry_time 'yesterday' cannot be read as a time (ISO 8601, such as 2025-02-11 20:50:31; with its UTC offset "
        "where the local clock skips or repeats it); correct the value.",
    ),
    ({"symbol": ""}, "unreadable_value", "symbol is empty, and a trade needs what was traded; fill it in."),
    (
        {"notional": "", "pnl": ""},
        "unreadable_value",
        "notional is empty, and a closed trade needs its size or its net pnl; fill in one of them.",
    ),
    (
        {"symbol": "BTC\x1b[2J"},
        "bad_name",
        "symbol 'BTC�[2J' is no plain name; write one of at most 200 characters, not all blank, without line breaks, control "
        "and invisible characters.",
    ),
    (
        {"confidence": "80"},
        "confidence_out_of_range",
        "confidence '80' is outside 0 to 1; correct it, or import with a confidence scale of 100 "
        "if the file counts from 0 to 100.",
    ),
]


@pytest.mark.parametrize(("change", "reason", "message"), REFUSALS)
def test_a_refused_row_is_kept_whole_with_its_reason(table: Path, change: dict, reason: str, message: str):
    bad = {**ROW, "trade_id": "8", **change}
    reading = read(write(table, ROW, bad, {**ROW, "trade_id": "9"}))
    assert reading.valid["row_number"].tolist() == [1, 3]
    refused = reading.refused.to_dict("records")
    assert len(refused) == 1
    assert (refused[0]["row_number"], refused[0]["reason"], refused[0]["message"]) == (2, reason, message)
    assert refused[0]["message"].startswith(refused[0]["column_name"])
    assert json.loads(refused[0]["original"]) == bad


def test_rows_with_another_number_of_fields_are_refused_and_the_rest_goes_on(tmp_path: Path):
    table = tmp_path / "trades.csv"
    header = "trade_id,bot_id,symbol,side,status,entry_time,entry_price,notional"
    good = "1,TSLA,long,open,2025-01-01,5,100"
    table.write_text(f'{header}\na,{good}\n\nb,1\nc,{good},x,y\n"d\nd",{good}\ne,{good}\n')
    reading = read(table)
    assert reading.rows_read == 5
    assert reading.valid[["row_number", "source_trade_id"]].to_numpy().tolist() == [[1, "a"], [5, "e"]]
    assert reading.refused["row_number"].tolist() == [2, 3, 4]
    assert reading.refused["reason"].tolist() == ["unreadable_value"] * 2 + ["bad_name"]
    assert reading.refused["message"].tolist()[:2] == [
        "row 2 of trades.csv is cut short: it has 2 of the 8 fields that the header names, and ends in column 'bot_id'. "
        "Fetch the file again, load it and discard this row; or release it with what is missing or wrong: "
        "--set COLUMN=VALUE.",
        "row 3 of trades.csv has 10 fields, and the header names 8: a value may hold the separator without being in "
        "quotes. Correct the row in the file, load that and discard this row; or release it with what is missing or "
        "wrong: --set COLUMN=VALUE.",
    ]
    short, long, broken = (json.loads(original) for original in reading.refused["original"])
    assert (short["trade_id"], short["bot_id"], short["symbol"]) == ("b", "1", None)
    assert (broken["trade_id"], broken["notional"]) == ("d\nd", "100")
    assert (long["notional"], long["field 9"], long["field 10"]) == ("100", "x", "y")


def test_know_defeats_own_export(shared_data: Path):
    path = shared_data / "know_defeat" / "all_trades.csv"
    reading = read(path)
    assert (reading.source, reading.layout.format, reading.rows_read) == ("know_defeat", "know_defeat", 245)
    assert reading.refused.empty
    assert reading.valid["status"].value_counts().to_dict() == {"closed": 242, "open": 3}
    first = reading.valid.iloc[0]
    assert first["source_trade_id"] == "1"
    assert first["entry_time"] == pd.Timestamp("2025-02-11 20:50:31.625626", tz="UTC")
    assert first["pnl"] == 10_000 * -1 * (346.85 - 346.23) / 346.23 - 0
    assert first["reported_pnl"] == -0.62
    pnl = reading.valid.groupby("bot_id")["pnl"].sum()
    assert pnl.round(6).to_dict() == {"2": -351.121572, "3": -1038.156375, "4": 131.526307}


def test_the_stated_pnl_shows_that_a_size_is_a_quantity(shared_data: Path):
    path = shared_data / "sp500_ma_bots" / "trades.parquet"
    reading = read(path)
    raw = pd.read_parquet(path)
    valid = reading.valid
    assert (reading.source, len(valid), len(reading.refused)) == ("table:ma_cross", 204_412, 0)
    assert valid["status"].value_counts().to_dict() == {"closed": 204_137, "open": 275}
    np.testing.assert_array_equal(valid["notional"], raw["trade_size"] * raw["entry_price"])
    closed = (valid["status"] == "closed").to_numpy()
    np.testing.assert_allclose(valid["pnl"][closed], raw["trade_pnl"][closed], rtol=1e-9, atol=1e-8)
    np.testing.assert_array_equal(valid["mark_price"][~closed], raw["exit_price"][~closed])
    np.testing.assert_array_equal(valid["reported_pnl"], raw["trade_pnl"])
    np.testing.assert_array_equal(valid["quantity"], raw["trade_size"])
    assert reading.notes[0] == (
        "trade_size is the size in units: so the pnl that the file states is right in 204,137 of 204,137 closed trades "
        "(--size quantity)"
    )
    assert reading.notes[1].startswith("275 trades that are not closed have an exit price and no exit time")
    assert "columns not used: params, trade_return" in reading.notes


def test_csv_and_parquet_give_the_same_trades(shared_data: Path, tmp_path: Path):
    table = pq.read_table(shared_data / "sp500_ma_bots" / "trades.parquet").slice(0, 5000)
    table.to_pandas().to_csv(tmp_path / "trades.csv", index=False)
    pq.write_table(table, tmp_path / "trades.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "trades.csv").valid, read(tmp_path / "trades.parquet").valid)


def sized(size: float, unit: str, rows: int = 200, wrong: int = 0, rounded: int = 2) -> list[dict[str, str]]:
    """Trades with prices 40..60 and a stated pnl that takes `size` for `unit`, but for the first `wrong` rows."""
    random = np.random.default_rng(5)
    entry, leave = random.uniform(40, 60, (2, rows)).round(2)
    notional = size * entry if unit == "quantity" else np.full(rows, size)
    pnl = notional * (leave - entry) / entry - 1
    pnl[:wrong] += 1000
    return [
        {
            **{name: value for name, value in ROW.items() if name not in ("notional", "pnl")},
            "trade_id": str(number),
            "trade_size": str(size),
            "entry_price": str(entry[number]),
            "exit_price": str(leave[number]),
            "fees": "1",
            "trade_pnl": str(round(pnl[number], rounded)),
        }
        for number in range(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "options", "size"),
    [
        (sized(150, "quantity"), {}, "quantity"),
        (sized(5000, "notional"), {}, "notional"),
        (sized(150, "quantity", wrong=2), {}, "quantity"),
        (sized(150, "quantity"), {"terms": {"size": "quantity"}}, "quantity"),
        (sized(150, "quantity"), {"terms": {"size": "notional", "pnl": "computed"}}, "notional"),
        (sized(5000, "notional"), {"terms": {"size": "quantity", "pnl": "computed"}}, "quantity"),
        (sized(150, "quantity"), {"mapping": {"trade_size": "notional"}, "terms": {"pnl": "computed"}}, "notional"),
        # The stated pnl says what a column means, whatever it is called.
        (sized(150, "quantity"), {"mapping": {"trade_size": "notional"}}, "quantity"),
        (sized(5000, "notional"), {"mapping": {"trade_size": "quantity"}}, "notional"),
    ],
)
def test_the_unit_of_a_size_column(table: Path, rows: list, options: dict, size: str):
    reading = read(write(table, *rows), **options)
    written = float(rows[0]["trade_size"])
    assert reading.layout.terms.size == size
    expected = written if size == "notional" else written * reading.valid["entry_price"]
    assert (reading.valid["notional"] == expected).all()


@pytest.mark.parametrize(
    ("rows", "options"),
    [(sized(150, "quantity", wrong=3), {}), (sized(150, "quantity"), {"terms": {"size": "notional"}})],
)
def test_a_file_whose_stated_pnl_contradicts_its_columns_is_refused(table: Path, rows: list, options: dict):
    with pytest.raises(SourceError, match=r"no reading gives the pnl in 'trade_pnl' in 99 of 100 closed trades\."):
        read(write(table, *rows), **options)


def test_a_size_of_unknown_unit_is_asked_for(table: Path):
    row = {name: value for name, value in ROW.items() if name not in ("notional", "pnl")} | {"size": "50"}
    with pytest.raises(SourceError) as failure:
        read(write(table, row))
    assert str(failure.value) == (
        f"{table}: column 'size' may hold a size in quote currency or in units, and the file states no pnl that would "
        "tell: say --size notional or --size quantity"
    )
    for size, notional in (("notional", 50.0), ("quantity", 10_000.0)):
        assert read(table, terms={"size": size}).valid.loc[0, "notional"] == notional


def test_columns_may_be_named_by_the_user(table: Path):
    row = {**ROW, "Kurs": "201.5", "Stück": "10", "pnl": "82"}
    mapping = {"Kurs": "entry_price", "Stück": "quantity"}
    del row["notional"]
    reading = read(write(table, row), mapping=mapping)
    assert reading.valid.loc[0, ["entry_price", "notional"]].tolist() == [201.5, 2015.0]
    assert "columns not used: entry_price" in reading.notes


@pytest.mark.parametrize(
    ("options", "source"),
    [({}, "table:ma"), ({"account": "paper"}, "table:paper"), ({"source": "broker"}, "broker")],
)
def test_the_source_is_named_after_account_or_strategy(table: Path, options: dict, source: str):
    assert read(write(table, ROW), **options).source == source


def test_the_source_of_several_strategies_is_the_format(table: Path):
    assert read(write(table, ROW, {**ROW, "trade_id": "8", "strategy": "rsi"})).source == "table"
    assert read(write(table, {**ROW, "strategy": ""})).source == "table"


def test_a_source_that_is_no_plain_name(table: Path):
    with pytest.raises(SourceError, match=r"the source 'a�b' is no plain name; write one of .*: --source NAME"):
        read(write(table, ROW), source="a\nb")
    for blank in (" ", "\u200b"):
        with pytest.raises(SourceError, match=r"is no plain name; write one of .* not all blank"):
            read(write(table, ROW), source=blank)
    with pytest.raises(SourceError, match="the source 'table:aaa"):
        read(write(table, ROW), account="a" * 195)
    only = {**ROW, "strategy": "s" * 200}  # a plain name, but no longer with the format before it
    assert read(write(table, only)).source == "table"


def test_naive_times_are_read_in_the_given_zone(table: Path):
    reading = read(write(table, ROW), timezone="Europe/Zurich")
    assert reading.valid.loc[0, "entry_time"] == pd.Timestamp("2025-02-11 19:00", tz="UTC")
    assert "times without a zone are read as Europe/Zurich" in reading.notes


def test_a_confidence_scale_of_100(table: Path):
    assert (
        read(write(table, {**ROW, "confidence": "80"}), confidence_scale=100).valid.loc[0, "signal_confidence"] == 0.8
    )


def test_the_currency_of_rows_that_name_none(table: Path):
    reading = read(write(table, {**ROW, "currency": ""}, {**ROW, "trade_id": "8", "currency": "eur"}), currency="chf")
    assert reading.valid["quote_currency"].tolist() == ["CHF", "EUR"]


def test_not_a_number_stands_for_missing_where_no_number_is_needed(tmp_path: Path):
    rows = pd.DataFrame([{**ROW, "fees": np.nan}, {**ROW, "trade_id": "8", "status": "open", "exit_time": None}])
    numbers = rows.assign(
        exit_price=[210.0, np.nan], notional=[np.nan, np.nan], mark_price=np.nan, confidence=np.nan, fees=np.nan
    )
    path = tmp_path / "trades.parquet"
    pq.write_table(pa.Table.from_pandas(numbers, preserve_index=False).replace_schema_metadata(), path)
    nan = pq.read_table(path)
    for name in ("exit_price", "notional", "fees"):
        position = nan.column_names.index(name)
        values = pa.array(numbers[name].to_numpy(), from_pandas=False)
        nan = nan.set_column(position, name, values)
    pq.write_table(nan, path)
    reading = read(path)
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[1, "bad_notional"]]
    assert reading.valid["source_trade_id"].tolist() == ["8"]


def test_a_byte_order_mark_and_windows_line_ends(table: Path):
    write(table, ROW)
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert read(table).valid.loc[0, "source_trade_id"] == "7"


HEADER = ",".join(ROW) + "\n"
LINE = ",".join(ROW.values()) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; fetch it again"),
        (b" \n\n", "the file is empty; fetch it again"),
        (HEADER.encode(), "the table is empty: it has a header and no rows; check the export"),
        (HEADER.strip().encode(), "the table is empty: it has a header and no rows; check the export"),
        (
            (HEADER + LINE + '8,1,"m\n' + LINE).encode(),
            "row 2: a quote is not closed (unexpected end of data), as in a truncated file; fetch it again, "
            "or correct the row",
        ),
        (
            (HEADER + LINE).encode() + "8,1,ö".encode() + b",m\xe4,x",
            f"row 2, byte offset {len(HEADER + LINE) + 8}: the text is not UTF-8; save the file as UTF-8",
        ),
        (
            (HEADER + LINE + "8,\0").encode(),
            f"row 2, byte offset {len(HEADER + LINE) + 2}: a NUL byte, so this is not text; save the file as UTF-8",
        ),
        (b"a,b,a\n1,2,3\n", "the column 'a' appears 2 times; give each column its own name"),
        (
            (HEADER + LINE.replace("200", "abc") + LINE.replace("200", "def")).encode(),
            "row 1, column 'entry_price': 'abc' and all other values cannot be read as a price; "
            "correct the column, or name another one with --map COLUMN=entry_price",
        ),
        (
            b"trade_id,bot_id,side,status,entry_time,size\n1,2,long,open,2025-01-01,3\n",
            "no column for ticker (what was traded), entry_price (the price at entry, in quote currency); "
            "nor, which a closed trade needs, for exit_time and exit_price; "
            "the columns are trade_id, bot_id, side, status, entry_time, size; "
            "name the right ones with --map COLUMN=ticker --map COLUMN=entry_price --map COLUMN=exit_time "
            "--map COLUMN=exit_price; what is the same in all rows needs no column: --ticker NAME",
        ),
        (
            b"trade_id,bot_id,ticker,side,status,entry_time,entry_price\n1,2,TSLA,long,open,2025-01-01,3\n",
            "no column for notional (the position's size at entry, in quote currency); "
            "nor, which a closed trade needs, for exit_time and exit_price; "
            "the columns are trade_id, bot_id, ticker, side, status, entry_time, entry_price; "
            "name the right ones with --map COLUMN=notional --map COLUMN=exit_time --map COLUMN=exit_price",
        ),
    ],
)
def test_csv_files_that_cannot_be_read(table: Path, content: bytes, message: str):
    table.write_bytes(content)
    with pytest.raises(SourceError) as failure:
        read(table)
    assert str(failure.value) == f"{table}: {message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"timezone": "Mars/Olympus"},
            "there is no time zone 'Mars/Olympus'; give an IANA name such as Europe/Zurich, ",
        ),
        ({"confidence_scale": 10}, "the confidence scale 10 is not known; it is 1 or 100"),
        (
            {"mapping": {"Kurs": "entry_price"}},
            f"--map names the column 'Kurs', which is not there; the columns are {', '.join(ROW)}",
        ),
        ({"mapping": {"fees": "cost"}}, "--map fees=cost: no field is called 'cost'; the fields are source_trade_id, "),
        (
            {"mapping": {"fees": "notional", "pnl": "notional"}},
            "--map gives the field notional to more than one column (fees, pnl); keep one",
        ),
    ],
)
def test_options_that_do_not_fit(table: Path, options: dict, message: str):
    with pytest.raises(SourceError) as failure:
        read(write(table, ROW), **options)
    assert str(failure.value).startswith(f"{table}: {message}")


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path):
    with pytest.raises(SourceError, match=r"no\.csv: there is no such file; check the path"):
        read(tmp_path / "no.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match=r"pipe\.csv: this is no file but a pipe, a device or a folder; write"):
        read(tmp_path / "pipe.csv")
    for content, message in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "this is a document of Windows or of an old Office"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook".encode("utf-16-le"),
            "this is a workbook of an old Excel; save it as .xlsx or .csv",
        ),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "this document is locked by a password; save it without one, or as .csv",
        ),
        (b"PK\x03\x04", "the zip archive is cut short, damaged or locked (File is not a zip file); unpack it yourself"),
        (b"<html>", "this is a page or XML; CSV, TSV, Parquet"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><html>", "this is a page or XML; CSV, TSV, Parquet"),
        ("<?xml version='1.0'?>".encode("utf-16"), "this is a page or XML; CSV, TSV, Parquet"),
        (b"<\x91\x00\xfe\x02 random", "row 0, byte offset 2: a NUL byte, so this is not text"),
        (b"PK\x03\x04 xl/", "the Excel file is cut short or damaged"),
        (b"SQLite format 3\0 and no more", "the SQLite file cannot be read"),
    ):
        (tmp_path / "trades.dat").write_bytes(content)
        with pytest.raises(SourceError) as failure:
            read(tmp_path / "trades.dat")
        assert f"trades.dat: {message}" in str(failure.value)


def test_gzipped_files(tmp_path: Path):
    plain = write(tmp_path / "trades.csv", ROW)
    zipped = tmp_path / "trades.csv.gz"
    whole = gzip.compress(plain.read_bytes())
    zipped.write_bytes(whole)
    pd.testing.assert_frame_equal(read(zipped).valid, read(plain).valid)
    zipped.write_bytes(plain.read_bytes())  # what a file is, its content says
    pd.testing.assert_frame_equal(read(zipped).valid, read(plain).valid)
    for damaged in (whole[:-9], whole[:20] + b"xx" + whole[22:]):
        zipped.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"trades.csv.gz: the gzip file is cut short or damaged .*fetch it again"):
            read(zipped)


def test_parquet_files_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "trades.parquet"
    table = pa.Table.from_pandas(pd.DataFrame([ROW]))
    pq.write_table(table, path)
    whole = path.read_bytes()
    for content in (whole[:-20], whole[: len(whole) // 2], b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(
            SourceError, match=r"trades.parquet: the Parquet file is cut short or damaged \(.+\); fetch it"
        ):
            read(path)
    pq.write_table(table.slice(0, 0), path)
    with pytest.raises(SourceError, match=r"trades\.parquet: the table is empty: it has a header and no rows"):
        read(path)
    position = table.column_names.index("entry_price")
    pq.write_table(table.set_column(position, "entry_price", pa.array([True])), path)
    with pytest.raises(SourceError) as failure:
        read(path)
    assert str(failure.value) == (
        f"{path}: row 1, column 'entry_price': type bool ('True') cannot hold a price; "
        "correct the column, or name another one with --map COLUMN=entry_price"
    )


def test_an_exit_at_a_price_of_0_counts_where_the_stated_pnl_proves_it(tmp_path: Path):
    path = tmp_path / "options.csv"
    path.write_text(
        "id,bot,pair,side,opened_at,closed_at,open_price,close_price,units,fee,pnl\n"
        "1,7,A-USD,buy,2025-03-02,2025-03-03,2,3,10,1,9\n"
        "2,7,B-USD,buy,2025-03-02,2025-03-03,2,0,10,1,-21\n"
        "3,7,C-USD,sell,2025-03-02,2025-03-03,2,0,10,1,19\n"
        "4,7,D-USD,buy,2025-03-02,2025-03-03,2,0.00,10,1,\n"
        "5,7,E-USD,buy,2025-03-02,,2,0,10,1,\n"
    )
    reading = read(path)
    assert reading.valid[["source_trade_id", "status", "pnl"]].fillna(0.0).to_numpy().tolist() == [
        ["1", "closed", 9.0],
        ["2", "closed", -21.0],
        ["3", "closed", 19.0],
        ["5", "open", 0.0],
    ]
    assert reading.valid["exit_price"].tolist()[:3] == [3.0, 1e-18, 1e-18]
    assert (
        "2 trades left at a price of 0, as the stated net pnl proves: recorded at 1e-18, the least price"
        in reading.notes
    )
    assert reading.refused["row_number"].tolist() == [4]
    assert reading.refused["message"][0].startswith(
        "close_price '0.00' is no price: many exports write 0 where there is none. If the position ended worthless, "
        "release this row with --set close_price=1e-18"
    )


def test_a_last_row_cut_short_says_where_and_what_to_do(tmp_path: Path):
    path = write(tmp_path / "log.csv", ROW)
    path.write_text(path.read_text() + "9,1,TS")
    (message,) = read(path).refused["message"]
    assert message.startswith("row 2 of log.csv is cut short: it has 3 of the ")
    assert message.endswith("or release it with what is missing or wrong: --set COLUMN=VALUE.")


@pytest.mark.parametrize(
    ("heading", "more", "entry"),
    [
        ("Open Time (America/New_York)", {}, "2025-07-13 13:00"),
        ("Open Time(Europe/Zurich)", {}, "2025-07-13 07:00"),
        ("Open Time", {"timezone": "America/New_York"}, "2025-07-13 13:00"),
        ("Open Time", {"TZ": "UTC+2"}, "2025-07-13 07:00"),
        ("Open Time", {"TZ": ""}, "2025-07-13 09:00"),
    ],
)
def test_a_clock_that_a_heading_or_a_column_names_is_that_of_the_times(
    tmp_path: Path, heading: str, more: dict[str, str], entry: str
) -> None:
    path = _with_clock(tmp_path, heading, more)
    assert read_trades(path, now=NOW).valid["entry_time"].tolist() == [pd.Timestamp(entry, tz="UTC")]


@pytest.mark.parametrize(
    ("heading", "more", "named"),
    [
        ("Open Time (EST)", {}, "EST"),
        ("Open Time (local time)", {}, "LOCAL TIME"),
        ("Open Time", {"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ],
)
def test_a_clock_that_is_not_told_is_asked_for(tmp_path: Path, heading: str, more: dict[str, str], named: str) -> None:
    path = _with_clock(tmp_path, heading, more)
    with pytest.raises(SourceError, match=f"{named}.*--timezone"):
        read_trades(path, now=NOW)
    (entry,) = read_trades(path, now=NOW, timezone="America/New_York").valid["entry_time"]
    assert entry == pd.Timestamp("2025-07-13 13:00", tz="UTC")


def _with_clock(tmp_path: Path, heading: str, more: dict[str, str]) -> Path:
    path = tmp_path / "trades.csv"
    names = ["id", "bot", "pair", "side", heading, "open_price", "units", "status", *more]
    cells = ["1", "a", "BTC-USD", "buy", "2025-07-13 09:00", "100", "1", "open", *more.values()]
    path.write_text(",".join(names) + "\n" + ",".join(cells) + "\n")
    return path


def _workbook(path: Path, formats: tuple[str, ...], titles: int = 0) -> Path:
    """A trade a format, in which its prices and its pnl are shown."""
    book = openpyxl.Workbook()
    sheet = book.active
    for title in range(titles):
        sheet.append([f"Report {title}", 1000])
        sheet.cell(sheet.max_row, 2).number_format = "[$£-809]#,##0.00"
    sheet.append(["id", "bot", "symbol", "side", "opened at", "closed at", "open price", "close price", "qty", "pnl"])
    for number, code in enumerate(formats):
        times = pd.Timestamp("2025-02-13 09:00"), pd.Timestamp("2025-02-13 10:00")
        sheet.append([number, "a", "SAP", "buy", *times, 100, 110.5, 5, 52.5])
        for at in (7, 8, 10):
            sheet.cell(sheet.max_row, at).number_format = code
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("code", "currency"),
    [
        ("#,##0.00\\ [$€-407]", "EUR"),
        ('#,##0.00\\ "€";[Red]-#,##0.00\\ "€"', "EUR"),
        ("[$£-809]#,##0.00", "GBP"),
        ('#,##0.00 "CHF"', "CHF"),
        ("[$$-409]#,##0.00", "USD"),
        ("#,##0.00", "USD"),
    ],
)
@pytest.mark.parametrize("titles", [0, 2])
def test_a_currency_that_a_workbook_shows_is_that_of_the_trades(
    tmp_path: Path, code: str, currency: str, titles: int
) -> None:
    reading = read_trades(_workbook(tmp_path / "trades.xlsx", (code, code), titles), now=NOW)
    assert reading.valid["quote_currency"].tolist() == [currency] * 2
    assert reading.valid["pnl"].tolist() == [52.5] * 2


def test_a_workbook_that_shows_several_currencies_in_a_column_is_held(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "trades.xlsx", ("[$€-407]0.00", "[$£-809]0.00"))
    reading = read_trades(path, now=NOW)
    assert (len(reading.valid), reading.refused["reason"].tolist()) == (0, ["foreign_unit"] * 2)
