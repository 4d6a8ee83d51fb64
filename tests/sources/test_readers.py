"""Kinds of files: one table as text, Parquet, Arrow, JSON, Excel and SQLite, gzipped or not, gives the same trades."""

import gzip
import io
import json
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from knowdefeat_pipeline.sources.files import read_raw, read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.readers import archives, databases
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def moment(day: int, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second)  # noqa: DTZ001 (as files write it: without a zone)


TRADES: list[dict[str, Any]] = [
    {
        "id": f"T{number}",
        "bot": 7,
        "symbol": "BTC-USD",
        "side": "sell" if number % 2 else "buy",
        "open time": moment(number, 9, 30),
        "close time": None if number == 3 else moment(number, 10, 15, 30),
        "open price": 100.5 + number,
        "close price": None if number == 3 else 110.25,
        "qty": 2,
        "fee": 0.75,
    }
    for number in (1, 2, 3)
]
NAMES = list(TRADES[0])


def plain(value: Any) -> Any:
    return value.isoformat(" ") if isinstance(value, datetime) else value


def csv(trades: list[dict[str, Any]], separator: str = ",") -> bytes:
    lines = [NAMES, *(["" if row[name] is None else str(plain(row[name])) for name in NAMES] for row in trades)]
    return "\n".join(map(separator.join, lines)).encode() + b"\n"


def parquet(trades: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(trades), buffer)
    return buffer.getvalue()


def arrow(trades: list[dict[str, Any]], version: int = 2) -> bytes:
    buffer = io.BytesIO()
    feather.write_feather(pa.Table.from_pylist(trades), buffer, version=version)
    return buffer.getvalue()


def stream(trades: list[dict[str, Any]]) -> bytes:
    table, buffer = pa.Table.from_pylist(trades), io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def array(trades: list[dict[str, Any]]) -> bytes:
    return json.dumps(trades, default=plain, indent=1).encode()


def document(trades: list[dict[str, Any]]) -> bytes:
    return json.dumps({"version": 3, "trades": trades, "tags": ["a"], "empty": []}, default=plain).encode()


def lines(trades: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, default=plain) for row in trades).encode()


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def cells_of(trades: list[dict[str, Any]]) -> list[list[Any]]:
    return [NAMES, *([row[name] for name in NAMES] for row in trades)]


def excel(trades: list[dict[str, Any]]) -> bytes:
    return workbook(("Trades", cells_of(trades)))


def database(path: Path, **tables: list[dict[str, Any]]) -> Path:
    with sqlite3.connect(path) as connection:
        for name, rows in tables.items():
            columns = list(rows[0])
            quoted = ", ".join(f'"{column}"' for column in columns)
            connection.execute(f'CREATE TABLE "{name}" ({quoted})')
            marks = ", ".join("?" * len(columns))
            values = [[plain(row[column]) for column in columns] for row in rows]
            connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
    connection.close()
    return path


def sqlite(trades: list[dict[str, Any]], folder: Path) -> bytes:
    return database(folder / "made.db", trades=trades).read_bytes()


def read(path: Path, **options: Any) -> Reading:
    return read_trades(path, now=NOW, **options)


KINDS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "CSV": csv,
    "TSV": lambda trades: csv(trades, "\t"),
    "Parquet": parquet,
    "Arrow": arrow,
    "Arrow stream": stream,
    "JSON": array,
    "NDJSON": lines,
    "Excel": excel,
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, "SQLite", "document"])
def test_every_kind_gives_the_same_trades_whatever_the_file_is_called(tmp_path: Path, kind: str, zipped: bool):
    make = {**KINDS, "SQLite": lambda trades: sqlite(trades, tmp_path), "document": document}[kind]
    path = tmp_path / "export.dat"
    path.write_bytes(gzip.compress(make(TRADES)) if zipped else make(TRADES))
    reading = read(path)
    assert reading.raw.origin.format == ("JSON" if kind == "document" else kind)
    assert reading.refused.empty
    valid = reading.valid
    assert valid["row_number"].tolist() == [1, 2, 3]
    assert valid["source_trade_id"].tolist() == ["T1", "T2", "T3"]
    assert valid["direction"].tolist() == ["SHORT", "LONG", "SHORT"]
    assert valid["status"].tolist() == ["closed", "closed", "open"]
    assert valid["entry_time"].tolist() == [pd.Timestamp(2026, 11, day, 9, 30, tz="UTC") for day in (1, 2, 3)]
    assert valid["exit_time"].tolist()[:2] == [pd.Timestamp(2026, 11, day, 10, 15, 30, tz="UTC") for day in (1, 2)]
    assert valid["pnl"].tolist()[:2] == pytest.approx([2 * (101.5 - 110.25) - 0.75, 2 * (110.25 - 102.5) - 0.75])


def test_one_of_several_tables_of_a_database(tmp_path: Path):
    orders = [{"order_id": 1, "price": 2.5}]
    path = database(tmp_path / "bot.sqlite", orders=orders, trades=TRADES)
    assert read(path).raw.origin.part == "trades"  # the only one that a trade can be made of
    path = database(tmp_path / "two.sqlite", history=TRADES, live=TRADES[:2])
    with pytest.raises(
        SourceError, match=r"there are several tables; say which to read with --table NAME: history, live$"
    ):
        read(path)
    assert read(path, table="live").rows_read == 2
    with pytest.raises(SourceError, match="there is no table 'old'; those with rows are history, live"):
        read(path, table="old")


def test_a_database_is_read_while_its_program_writes_and_nothing_is_left_beside_it(tmp_path: Path):
    path = database(tmp_path / "live.db", trades=TRADES)
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE trades SET fee = 5")  # it is in the log alone
        before = sorted(tmp_path.iterdir())
        assert read(path).valid["fees"].unique().tolist() == [5.0]
        writer.execute("UPDATE trades SET fee = 6")
        assert sorted(tmp_path.iterdir()) == before
    writer.close()
    content, names = path.read_bytes(), sorted(tmp_path.iterdir())
    assert read(path).valid["fees"].unique().tolist() == [6.0]
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == (content, names)


def test_one_of_several_sheets_and_a_header_below_titles(tmp_path: Path):
    rows = [["Statement of account 7"], [], [None, "as of", moment(30, 0, 0)], *cells_of(TRADES), [None] * 10]
    total = ["Total", *[None] * 8, 2.25]
    path = tmp_path / "statement.xlsx"
    path.write_bytes(workbook(("Summary", [["Balance", 5]]), ("Trades", [*rows, total])))
    reading = read(path)
    assert (reading.raw.origin.part, reading.rows_read, len(reading.valid)) == ("Trades", 3, 3)
    assert "row 5 adds up others and is no trade: not read" in reading.notes
    path.write_bytes(workbook(("A", cells_of(TRADES)), ("B", cells_of(TRADES[:1]))))
    with pytest.raises(SourceError, match=r"there are several sheets; say which to read with --table NAME: A, B$"):
        read(path)
    assert read(path, table="B").rows_read == 1


def test_cells_of_a_workbook(tmp_path: Path):
    serial = [{**row, "open time": 46000.375 + row["bot"], "close time": 46328.5} for row in TRADES[:2]]
    path = tmp_path / "t.xlsx"
    path.write_bytes(
        excel([*serial, {**TRADES[0], "id": 12345, "open time": "02.11.2026 9:00", "close time": 46328.5}])
    )
    reading = read(path)
    assert reading.valid["source_trade_id"].tolist() == ["T1", "T2", "12345"]
    assert reading.valid["entry_time"].tolist() == [
        *[pd.Timestamp(1899, 12, 30, 9, tz="UTC") + pd.Timedelta(days=46007)] * 2,
        pd.Timestamp(2026, 11, 2, 9, tz="UTC"),
    ]
    assert reading.valid["exit_time"].unique().tolist() == [pd.Timestamp(2026, 11, 2, 12, tz="UTC")]


def test_arrays_of_a_document(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"a": TRADES, "b": TRADES[:1]}, default=plain))
    with pytest.raises(SourceError, match=r"there are several arrays; say which to read with --table NAME: a, b$"):
        read(path)
    assert read(path, table="b").rows_read == 1
    path.write_text('[{"id": 1},\n {"id": 2')
    with pytest.raises(SourceError, match=r"cannot be read as JSON \(line 2: .+\); check the export"):
        read(path)
    path.write_text('{"id": 1}\nnonsense\n{"id": 2}\n')
    with pytest.raises(SourceError, match=r"cannot be read as JSON \(line 2: .+\); check the export"):
        read(path)
    path.write_bytes(lines(TRADES)[:-20])
    reading = read(path)
    assert (len(reading.valid), reading.refused["row_number"].tolist()) == (2, [3])


def test_values_of_a_document_keep_their_meaning(tmp_path: Path):
    path = tmp_path / "d.ndjson"
    odd = {**TRADES[0], "id": 9223372036854775808, "fee": {"amount": "1"}, "open price": None, "extra": True}
    path.write_bytes(lines([*TRADES, odd]))
    raw = read_raw(path)
    assert raw.table.column("id").to_pylist() == ["T1", "T2", "T3", "9223372036854775808"]
    assert raw.table.column("fee").to_pylist() == ["0.75", "0.75", "0.75", '{"amount": "1"}']
    assert raw.table.column("extra").to_pylist() == [None, None, None, "true"]
    assert raw.table.column("open price").to_pylist() == [101.5, 102.5, 103.5, None]


def test_a_number_of_a_document_is_never_taken_for_thousands(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_bytes(array([{**TRADES[0], "open price": 1.234, "fee": "0,5"}]))
    assert read(path).valid[["entry_price", "fees"]].to_numpy().tolist() == [[1.234, 0.5]]


@pytest.mark.parametrize(
    ("head", "separator"),
    [("sep=;\n", ";"), ('"sep=;"\r\n', ";"), ("", ";"), ("", "|"), ("Account 7, of Zürich\n\nJanuary\n", ";")],
)
def test_separators_and_lines_above_the_header(tmp_path: Path, head: str, separator: str):
    path = tmp_path / "t.csv"
    path.write_bytes(head.encode() + csv(TRADES, separator))
    reading = read(path)
    assert (reading.rows_read, reading.raw.origin.separator, len(reading.valid)) == (3, separator, 3)
    assert ("the first 2 lines are a title and are not read" in reading.notes) == head.startswith("Account")


def test_a_comma_inside_a_cell_is_no_separator(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_bytes(csv([{**row, "symbol": "BTC, spot"} for row in TRADES], ";"))
    assert read(path).valid["ticker"].unique().tolist() == ["BTC, spot"]


@pytest.mark.parametrize(
    ("encoding", "name", "ticker"),
    [
        ("utf-8", "UTF-8", "Zürich"),
        ("utf-8-sig", "UTF-8 with a byte order mark", "Zürich"),
        ("utf-16", "UTF-16", "Zürich"),
        ("utf-32", "UTF-32", "Zürich"),
        ("utf-16-le", "UTF-16 without a byte order mark", "Zürich"),
        ("utf-16-be", "UTF-16 without a byte order mark", "Zürich"),
        ("cp1252", "Latin-1 (Windows-1252)", "Zürich – €"),
        ("latin-1", "Latin-1 (Windows-1252)", "Zürich"),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, name: str, ticker: str):
    path = tmp_path / "t.csv"
    path.write_bytes(csv([{**row, "symbol": ticker} for row in TRADES]).decode().encode(encoding))
    reading = read(path)
    assert reading.valid["ticker"].unique().tolist() == [ticker]
    assert reading.raw.origin.encoding == name
    assert ("Latin-1" in name) == any(note.startswith("the text is not UTF-8 and is read as") for note in reading.notes)


def test_an_encoding_that_is_neither_is_told_by_its_letters(tmp_path: Path):
    words = "Газпром обыкновенные акции московская биржа"
    path = tmp_path / "t.csv"
    path.write_bytes(csv([{**row, "symbol": words} for row in TRADES]).decode().encode("cp1251"))
    reading = read(path)
    assert reading.valid["ticker"].unique().tolist() == [words]
    assert reading.notes[0].startswith("the text is not UTF-8 and is read as cp1251: look whether")


def test_blank_rows_and_totals_are_no_rows(tmp_path: Path):
    path = tmp_path / "t.csv"
    first, *others = csv(TRADES).decode().splitlines()
    blank, total = "," * 9, "Summe:,,,,,,,,6,2.25"
    path.write_text(
        "\n".join([first, blank, others[0], " , ,,,,,,,,", "", others[1], ",,,", others[2], total, "Total,6", "\t "])
    )
    reading = read(path)
    assert (reading.rows_read, len(reading.refused)) == (3, 0)
    assert reading.valid["row_number"].tolist() == [2, 4, 6]
    assert reading.notes[0] == "rows 7, 8 add up others and are no trades: not read"


def test_what_only_looks_like_a_total_is_held(tmp_path: Path):
    rows = [
        {**TRADES[0], "symbol": "Total"},  # TotalEnergies, with times and an id
        {**TRADES[1], "id": "", "open time": None, "close time": None},  # no word of a sum
        {**TRADES[1], "id": "T9", "symbol": "Total", "open time": None, "close time": None},  # an id of its own
    ]
    path = tmp_path / "t.csv"
    path.write_bytes(csv(rows))
    reading = read(path)
    assert (reading.rows_read, reading.valid["ticker"].tolist()) == (3, ["Total"])
    assert reading.refused["row_number"].tolist() == [2, 3]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_row_cut_short_is_held_and_the_rest_is_read(tmp_path: Path, quoted: bool):
    path = tmp_path / "t.csv"
    content = csv(TRADES)
    if quoted:
        content = b"\n".join(b'"' + line.replace(b",", b'","') + b'"' for line in content.splitlines())
    path.write_bytes(content[: content.index(b"2026-11-03") + 5])
    reading = read(path)
    assert reading.valid["source_trade_id"].tolist() == ["T1", "T2"]
    assert reading.refused["row_number"].tolist() == [3]
    assert json.loads(reading.refused["original"][0])["id"] == "T3"
    assert reading.notes[0].startswith(
        "the last row is cut short in column 'open time' (5 of 10 fields), as in a trunc"
    )


def test_a_file_that_ends_in_the_middle_of_a_letter(tmp_path: Path):
    path = tmp_path / "t.csv"
    content = csv([{**row, "symbol": "ö"} for row in TRADES])
    path.write_bytes(content[: content.rindex("ö".encode()) + 1])
    reading = read(path)
    assert (reading.valid["ticker"].tolist(), reading.refused["row_number"].tolist()) == (["ö", "ö"], [3])


def test_headings_without_a_name_and_named_twice(tmp_path: Path):
    path = tmp_path / "t.csv"
    content = csv(TRADES).decode().splitlines()
    path.write_text("\n".join([f",{content[0]},", *(f"0,{line}," for line in content[1:])]))
    assert read(path).notes[-1] == "columns not used: column 1, column 12"
    path.write_text("\n".join([f"{content[0]},fee", *(f"{line},1" for line in content[1:])]))
    with pytest.raises(SourceError, match="the column 'fee' appears 2 times; give each column its own name"):
        read(path)


@pytest.mark.parametrize("kind", [stream, arrow])
def test_offsets_that_point_beyond_an_arrow_file_are_refused(tmp_path: Path, kind: Callable):
    table, sink = pa.table({"a": pa.array([b"abcd", b"efgh"], pa.binary())}), io.BytesIO()
    with (pa.ipc.new_stream if kind is stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    whole = sink.getvalue()
    assert whole.count(struct.pack("<3i", 0, 4, 8)) == 1
    path = tmp_path / "t.arrow"
    path.write_bytes(whole.replace(struct.pack("<3i", 0, 4, 8), struct.pack("<3i", 0, 4, 3000)))
    with pytest.raises(SourceError, match=r"the Arrow (file|stream) is cut short or damaged .*; fetch it again"):
        read_raw(path)


DIGITS = b"1" * 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"a": ' + DIGITS + b"}]", "the JSON is nested far deeper than any table, or has a number of thousands"),
        (
            b'{"a": 1}\n{"a": ' + DIGITS + b"}",
            "line 2 is nested far deeper than any table, or has a number of thousands",
        ),
        (b'{"a": 1}\n{"a": ' + b"[" * 100_000, "line 2 is nested far deeper than any table"),
        (b'[{"a": 1' + b"0" * 400 + b"}]", "a value that is no number or text"),
        (b'[{"a": "\\ud800"}]', "a value that is no number or text"),
    ],
)
def test_json_that_breaks_its_reader_is_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_raw(path)


def test_a_workbook_that_unpacks_to_far_too_much_or_is_damaged_is_refused(tmp_path: Path):
    path = tmp_path / "t.xlsx"
    path.write_bytes(excel(TRADES))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/more.xml", "w") as file:
        for _ in range(archives.SMALL // 2**20 + 1):
            file.write(bytes(2**20))
    with pytest.raises(SourceError, match="unpack to 68,157,440 or more, as those of no export do"):
        read_raw(path)
    content = bytearray(excel(TRADES))
    place = content.index(b"xl/worksheets/sheet1.xml") + len(b"xl/worksheets/sheet1.xml")
    content[place : place + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(SourceError, match="the Excel file is cut short or damaged"):
        read_raw(path)


def test_the_files_of_an_archive_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", csv(TRADES))
        archive.writestr("b.txt", b"x" * 1000)
    assert len(read(path).valid) == 3
    monkeypatch.setattr(archives, "LARGEST", 1100)  # more than each, less than both
    assert len(csv(TRADES)) < 1000
    with pytest.raises(SourceError, match="packed bytes unpack to"):
        list(archives.members(path.read_bytes()))


def test_a_view_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = database(tmp_path / "t.sqlite", trades=TRADES)
    with sqlite3.connect(path) as connection:
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        connection.execute(f"CREATE VIEW a AS {endless} SELECT i FROM n WHERE i < 0")
    monkeypatch.setattr(databases, "LONGEST", 0.1)
    for packed in (False, True):
        if packed:
            path.write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(SourceError, match=r"takes more than 0.1 seconds, as where a view of it never ends; export"):
            read(path)
