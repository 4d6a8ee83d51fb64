"""Numbers and dates in every notation: what a table says is read back, however it was written."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.sources import cells, clocks, moments, numerals
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import Layout, SourceError
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2027, 1, 1, tzinfo=UTC)
HEADER = ("id", "bot", "symbol", "side", "open time", "close time", "open price", "close price", "qty", "fee", "pnl")


def text(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def grouped(value: float, digits: int, decimal: str, group: str) -> str:
    whole, _, fraction = f"{abs(value):,.{digits}f}".partition(".")
    return ("-" if value < 0 else "") + whole.replace(",", group) + (decimal + fraction if digits else "")


@pytest.mark.parametrize(
    ("decimal", "cell", "value"),
    [
        ("comma", "1.234,56", 1234.56),
        ("point", "1,234.56", 1234.56),
        ("comma", "1 234,56", 1234.56),
        ("comma", "1\u202f234,56", 1234.56),
        ("point", "1'234.56", 1234.56),
        ("point", "1’234’567.5", 1234567.5),
        ("point", "12,34,567.89", 1234567.89),
        ("point", "1,234", 1234.0),
        ("comma", "1,234", 1.234),
        ("comma", "1.234", 1234.0),
        ("point", "$1,234.50", 1234.5),
        ("comma", "1.234,50 €", 1234.5),
        ("point", "-$5.00", -5.0),
        ("point", "$-5.00", -5.0),
        ("point", "($1.20)", -1.2),
        ("point", "(1.20)", -1.2),
        ("point", "1.20-", -1.2),
        ("point", "−1.20", -1.2),
        ("point", "+1.20", 1.2),
        ("point", "0.1 BTC", 0.1),
        ("point", "EUR 12", 12.0),
        ("point", "US$ 12", 12.0),
        ("point", "1e-8", 1e-8),
        ("comma", "1,5E3", 1500.0),
        ("point", ".5", 0.5),
        ("comma", ",5", 0.5),
        ("point", "5.", 5.0),
        ("point", "12,34", None),
        ("point", "1,2345", None),
        ("point", "0,123", None),
        ("comma", "0.5", None),
        ("point", "1.234.567", None),
        ("point", "10k", None),
        ("point", "5 pips", None),
        ("point", "-(5)", None),
        ("point", "(5", None),
        ("point", "$5 USD", None),
        ("point", "0x1", None),
        ("point", "1_0", None),
        ("point", "about 5", None),
    ],
)
def test_one_number(decimal: numerals.Decimal, cell: str, value: float | None):
    for column in (text(cell), text(cell, "$5", None)):  # alone, and beside a cell whose parts are to be told
        read = numerals.read(column, decimal)
        assert bool(read.readable[0]) == (value is not None)
        assert (None if pd.isna(read.values[0]) else read.values[0]) == value


def test_a_percentage_is_a_fraction_and_nothing_else():
    column = text("80%", "0.8", "12,5 %")
    assert cells.read("fraction", column, "UTC", "comma").values.tolist()[::2] == [0.8, 0.125]
    assert cells.read("amount", column, "UTC", "point").unreadable.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("column", "proves", "either"),
    [
        (("1,5", "1,234"), "comma", "1,234"),
        (("1,234.5", "1,234"), "point", "1,234"),
        (("1,234", "2,345"), None, "1,234"),
        (("1.5", "1,5"), None, None),
        (("1.5", "2.5", "1,5"), "point", None),
        (("1,234", "1.5", "1,5"), None, "1,234"),
        (("$5", "$6"), None, None),
        (("1.234,5", "soon"), "comma", None),
    ],
)
def test_what_a_column_proves(column: tuple[str, ...], proves: str | None, either: str | None):
    seen = numerals.weigh(text(*column))
    assert (seen.proves, seen.either, seen.plain) == (proves, either, False)


def test_what_plain_numbers_prove():
    def weigh(*values: str | None) -> numerals.Evidence:
        column = pa.chunked_array([pa.array(values, pa.string())])
        assert cells.is_plain(column)
        return numerals.weigh_plain(column)

    assert weigh("1", "-2", None, "n/a", " ") == numerals.Evidence(0, 0, None, True)
    assert weigh("1.234", " 2.345 ") == numerals.Evidence(0, 0, "1.234", True)
    assert weigh("1.234", "2.3", "0.123", "1e-3") == numerals.Evidence(2, 0, "1.234", True)


def write(path: Path, rows: list[list[str]], separator: str = ",", header: tuple[str, ...] = HEADER) -> Path:
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in [list(header), *rows]]
    path.write_text("\n".join(map(separator.join, quoted)) + "\n", encoding="utf-8")
    return path


def row(number: int, **changes: str) -> list[str]:
    values = dict(zip(HEADER, (str(number), "1", "BTC-EUR", "buy", "2026-11-02 09:00", "2026-11-03 10:00", "100", "110", "2", "1", "19"), strict=True))  # fmt: skip
    return [*(values | {name.replace("_", " "): text for name, text in changes.items()}).values()]


def read(path: Path, **options: object) -> Reading:
    terms = {"pnl": "computed", "fees": "cost"}  # what the pnl proves is no matter here
    return read_trades(path, now=NOW, **{"terms": terms, **options})  # type: ignore[arg-type]


def test_numbers_that_can_be_read_two_ways_are_asked_for(tmp_path: Path):
    path = write(tmp_path / "t.csv", [row(1, open_price="1,234", close_price="1,240"), row(2, fee="2")])
    with pytest.raises(SourceError) as asked:
        read(path)
    assert str(asked.value) == (
        f"{path}: the numbers of open price, close price, such as '1,234', can be read with a decimal point or with a "
        "decimal comma; say which with --decimal point or --decimal comma"
    )
    assert read(path, decimal="point").valid["entry_price"].tolist() == [1234.0, 100.0]
    comma = read(path, decimal="comma")
    assert comma.valid["entry_price"].tolist() == [1.234, 100.0]
    assert comma.notes[0] == "numbers of open price, close price are read with a decimal comma"


def test_other_columns_of_the_file_answer_for_one_that_leaves_it_open(tmp_path: Path):
    point = read(write(tmp_path / "p.csv", [row(1, open_price="1,234", qty="0.5")]))
    assert point.valid["entry_price"].tolist() == [1234.0]
    comma = read(write(tmp_path / "c.csv", [row(1, open_price="1.234", qty="0,5")], ";"))
    assert (comma.valid["entry_price"].tolist(), comma.valid["notional"].tolist()) == ([1234.0], [617.0])
    mixed = write(tmp_path / "m.csv", [row(1, open_price="1,234", qty="0,5", fee="0.25")])
    with pytest.raises(SourceError, match="the numbers of open price, such as '1,234'"):
        read(mixed)


def test_plain_numbers_of_three_decimals_are_asked_for_only_where_commas_are_likely(tmp_path: Path):
    rows = [row(1, open_price="1.105", close_price="1.107")]
    assert read(write(tmp_path / "a.csv", rows)).valid["entry_price"].tolist() == [1.105]
    semicolon = write(tmp_path / "b.csv", rows, ";")
    with pytest.raises(SourceError, match=r"open price, close price, such as '1\.105'"):
        read(semicolon)
    assert read(semicolon, decimal="point").valid["entry_price"].tolist() == [1.105]
    assert read(semicolon, decimal="comma").valid["entry_price"].tolist() == [1105.0]


def test_columns_that_a_program_wrote_stay_as_they_are_whatever_is_said_of_the_others(tmp_path: Path):
    rows = [row(1, open_price="1,234", fee="1.5"), row(2, open_price="1,250", fee="1.234", qty="0,5")]
    reading = read(write(tmp_path / "t.csv", rows), decimal="comma")
    assert reading.valid[["entry_price", "fees"]].to_numpy().tolist() == [[1.234, 1.5], [1.25, 1.234]]


def test_both_questions_are_asked_at_once(tmp_path: Path):
    path = write(tmp_path / "t.csv", [row(1, open_price="1,234", open_time="03/04/2026 9:00")])
    with pytest.raises(SourceError, match=r"--decimal point or --decimal comma; the dates of open time, .*--dates"):
        read(path)


def test_a_cell_that_does_not_fit_its_column_is_held_and_stays_so(tmp_path: Path):
    rows = [row(1, fee="1.5"), row(2, fee="1,2"), row(3, fee="2.25"), row(4, fee="1,000.5")]
    reading = read(write(tmp_path / "t.csv", rows))
    assert reading.valid["fees"].tolist() == [1.5, 2.25, 1000.5]
    assert reading.refused["message"].tolist() == ["fee '1,2' cannot be read as a finite number; correct the value."]
    assert Layout.from_json(reading.layout.as_json()) == reading.layout


def test_units_of_money_and_of_the_asset(tmp_path: Path):
    rows = [
        row(1, open_price="€100.00", close_price="110 EUR", qty="2 BTC", fee="1 EUR"),
        row(2, fee="0.0094 BNB"),
        row(3, qty="3 ETH"),
        row(4, open_price="$100.00"),
    ]
    reading = read(write(tmp_path / "t.csv", rows), currency="EUR")
    assert reading.valid["source_trade_id"].tolist() == ["1"]
    assert reading.valid["pnl"].tolist() == [19.0]
    assert reading.refused[["row_number", "reason", "column_name"]].to_numpy().tolist() == [
        [2, "foreign_unit", "fee"],
        [3, "foreign_unit", "qty"],
        [4, "foreign_unit", "open price"],
    ]
    assert reading.refused["message"][0] == (
        "fee '0.0094 BNB' names another currency or unit than the trade has; convert it, "
        "or say the trade's currency in a column or with --currency."
    )


def test_a_heading_in_another_currency_is_held_and_never_taken_for_that_of_the_trade(tmp_path: Path):
    header = tuple({"fee": "fee_bnb", "qty": "Qty (BTC)"}.get(name, name) for name in HEADER)
    rows = [row(1), row(2, fee=""), row(3, fee="", symbol="ETH-EUR")]
    reading = read(write(tmp_path / "t.csv", rows, header=header))
    assert reading.valid["source_trade_id"].tolist() == ["2"]
    assert reading.refused[["row_number", "reason", "column_name"]].to_numpy().tolist() == [
        [1, "foreign_unit", "fee_bnb"],
        [3, "foreign_unit", "Qty (BTC)"],
    ]


@pytest.mark.parametrize(
    ("heading", "cell", "said", "currency"),
    [
        ("pnl", "19 €", None, "EUR"),
        ("PnL (EUR)", "19", None, "EUR"),
        ("PnL USDT", "19", None, "USDT"),
        ("PnL (BTC)", "", None, "EUR"),
        ("pnl", "$19", None, "USD"),
        ("pnl", "$19", "CAD", "CAD"),
        ("pnl", "19", None, "EUR"),
    ],
)
def test_the_currency_that_a_file_names(tmp_path: Path, heading: str, cell: str, said: str | None, currency: str):
    path = write(tmp_path / "t.csv", [row(1, pnl=cell)], header=(*HEADER[:-1], heading))
    reading = read(path, currency=said)
    assert reading.valid["quote_currency"].tolist() == [currency]
    assert reading.valid["reported_pnl"].dropna().tolist() == ([19.0] if cell else [])
    by = ", by their pairs" if currency == "EUR" and "€" not in cell and heading != "PnL (EUR)" else ""
    assert f"no currency column: all figures are in {currency}{by}" in reading.notes


def test_each_pair_names_its_currency(tmp_path: Path):
    """Of a ticker that names none it is the default, of an inverse contract what it is of; what is said goes first."""
    tickers = ("BTC-EUR", "BTCUSDT", "ETH/BTC", "TSLA", "XBTUSD_PERP")
    rows = [
        (*row(number, symbol=ticker), "inverse" if "PERP" in ticker else "") for number, ticker in enumerate(tickers)
    ]
    path = write(tmp_path / "t.csv", rows, header=(*HEADER, "contract_type"))
    reading = read(path, terms={"pnl": "computed", "size": "quantity"})
    assert reading.valid["quote_currency"].tolist() == ["EUR", "USDT", "BTC", "USD", "XBT"]
    note = "no currency column: figures are in the currency of each pair (BTC, EUR, USD …), of what names none in USD"
    assert note in reading.notes
    said = read(path, terms={"pnl": "computed", "size": "quantity"}, currency="CAD")
    assert said.valid["quote_currency"].tolist() == ["CAD"] * 5


@pytest.mark.parametrize(
    ("cell", "dates", "moment"),
    [
        ("2026/11/02", None, "2026-11-02"),
        ("2026.11.02 09:00", None, "2026-11-02 09:00"),
        ("2026-1-2 9:00", None, "2026-01-02 09:00"),
        ("02.11.2026 9:00", None, "2026-11-02 09:00"),
        ("2.11.26", None, "2026-11-02"),
        ("11/02/2026 3:04 PM", "month-first", "2026-11-02 15:04"),
        ("11/02/2026 3:04:05 p.m.", "month-first", "2026-11-02 15:04:05"),
        ("11/02/2026 12:00 AM", "month-first", "2026-11-02 00:00"),
        ("11/2/26 12:30PM", "month-first", "2026-11-02 12:30"),
        ("02/11/2026 - 09:00:00", "day-first", "2026-11-02 09:00"),
        ("02-11-2026, 09:00", "day-first", "2026-11-02 09:00"),
        ("2026-11-02 09:00:00,123", None, "2026-11-02 09:00:00.123"),
        ("2026-11-02 09:00:00 +02:00", None, "2026-11-02 07:00"),
        ("2026-11-02 09:00 GMT-5", None, "2026-11-02 14:00"),
        ("02.11.2026 09:00 UTC", None, "2026-11-02 09:00"),
        ("2 Nov 2026 9:00", None, "2026-11-02 09:00"),
        ("02-Nov-26 09:00", None, "2026-11-02 09:00"),
        ("November 2, 2026 9:00 AM", None, "2026-11-02 09:00"),
        ("29.02.2024", None, "2024-02-29"),
        ("1793610000", None, "2026-11-02 09:00"),
        ("1793610000.5", None, "2026-11-02 09:00:00.5"),
        ("1793610000000", None, "2026-11-02 09:00"),
        ("1793610000000.0", None, "2026-11-02 09:00"),
        ("1793610000000001", None, "2026-11-02 09:00:00.000001"),
        ("1793610000000001999", None, "2026-11-02 09:00:00.000001"),
        ("1.79361e12", None, "2026-11-02 09:00"),
        ("46328.375", None, "2026-11-02 09:00"),
        ("29.02.2026", None, None),
        ("02.13.2026", None, None),
        ("31/04/2026", "day-first", None),
        ("13:00 PM 02.11.2026", None, None),
        ("02.11.2026 13:00 PM", None, None),
        ("02.11.2026 24:00", None, None),
        ("02/11/2026", None, None),
        ("2026-11-02 09:00 EST", None, None),
        ("20261102", None, None),
        ("12345", None, None),
    ],
)
def test_one_time(cell: str, dates: moments.Dates | None, moment: str | None):
    read = cells.read("time", text(cell), "UTC", dates=dates)
    assert read.unreadable.tolist() == [moment is None]
    assert (None if pd.isna(read.values[0]) else read.values[0]) == (moment and pd.Timestamp(moment, tz="UTC"))


def test_one_cell_proves_the_order_of_day_and_month_for_all(tmp_path: Path):
    rows = [row(1, open_time="03/04/2026 9:00", close_time="25/04/2026 10:00")]
    reading = read(write(tmp_path / "d.csv", rows))
    assert reading.valid["entry_time"].tolist() == [pd.Timestamp("2026-04-03 09:00Z")]
    assert "dates are read day first" in reading.notes
    rows = [row(1, open_time="03/04/2026 9:00", close_time="04/25/2026 10:00")]
    assert read(write(tmp_path / "m.csv", rows)).valid["entry_time"].tolist() == [pd.Timestamp("2026-03-04 09:00Z")]
    rows = [row(1, open_time="13/04/2026", close_time="04/25/2026"), row(2, open_time="03/04/2026")]
    with pytest.raises(SourceError, match=r"the dates of open time, such as '03/04/2026', can be read day first or"):
        read(write(tmp_path / "both.csv", rows))
    rows = [row(1, open_time="05/05/2026", close_time="06/06/2026")]
    assert read(write(tmp_path / "same.csv", rows), dates="day-first").valid["exit_time"].tolist() == [
        pd.Timestamp("2026-06-06", tz="UTC")
    ]


@pytest.mark.parametrize(
    ("clock", "local", "utc"),
    [
        ("UTC+2 with New York DST", "2026-01-15 12:00", "2026-01-15 10:00"),
        ("UTC+2 with New York DST", "2026-07-15 12:00", "2026-07-15 09:00"),
        # New York changes on 2026-03-08, Europe three weeks later: between them a European zone is an hour off.
        ("UTC+2 with New York DST", "2026-03-16 12:00", "2026-03-16 09:00"),
        ("Europe/Helsinki", "2026-03-16 12:00", "2026-03-16 10:00"),
        ("utc+3 WITH new york dst", "2026-01-15 12:00", "2026-01-15 09:00"),
        ("UTC+2", "2026-07-15 12:00", "2026-07-15 10:00"),
        ("UTC-03:30", "2026-07-15 12:00", "2026-07-15 15:30"),
        ("GMT+5", "2026-07-15 12:00", "2026-07-15 07:00"),
    ],
)
def test_clocks(clock: str, local: str, utc: str):
    assert clocks.is_clock(clock)
    assert clocks.in_utc(pd.Series(pd.to_datetime([local])), clock).tolist() == [pd.Timestamp(utc, tz="UTC")]


def test_the_broker_clock_ends_its_day_with_new_york_all_year():
    midnights = pd.Series(pd.date_range("2026-01-01", "2026-12-31", freq="D"))
    utc = clocks.in_utc(midnights, "UTC+2 with New York DST")
    assert set(utc.dt.tz_convert("America/New_York").dt.strftime("%H:%M")) == {"17:00"}


def test_a_zone_in_the_heading_is_that_of_its_cells(tmp_path: Path):
    header = tuple({"open time": "Open Time (UTC+8)"}.get(name, name) for name in HEADER)
    reading = read(write(tmp_path / "t.csv", [row(1)], header=header), timezone="Europe/Zurich")
    assert reading.valid["entry_time"].tolist() == [pd.Timestamp("2026-11-02 01:00Z")]
    assert reading.valid["exit_time"].tolist() == [pd.Timestamp("2026-11-03 09:00Z")]


AMOUNTS = st.decimals(min_value=1, max_value=9_999_999, places=2).map(float)
TIMES = st.integers(1_577_836_800, 1_790_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
STYLES = st.sampled_from([(".", ","), (".", ""), (".", " "), (".", "'"), (",", "."), (",", ""), (",", "\u202f")])
DATES = st.sampled_from(
    [
        *("%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d %b %Y %H:%M:%S"),
        *("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "epoch", "epoch ms"),
    ]
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


def spelled(moment: datetime, style: str) -> str:
    seconds = int(moment.timestamp())
    return {"epoch": str(seconds), "epoch ms": f"{seconds}000"}.get(style) or moment.strftime(style)


@pytest.mark.long
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, TIMES), min_size=1, max_size=12),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    style=STYLES,
    dates=DATES,
    encoding=ENCODINGS,
    stated=st.booleans(),
)
def test_any_notation_is_read_back(
    tmp_path: Path, rows: list, separator: str, style: tuple[str, str], dates: str, encoding: str, stated: bool
):
    decimal, group = style
    lines = [list(HEADER)]
    for number, (entry, leave, fee, moment) in enumerate(rows):
        prices = [grouped(value, 2, decimal, group) for value in (entry, leave, 2.0, -fee, fee)]
        if encoding == "cp1252":
            prices = [price.replace("\u202f", "\u00a0") for price in prices]
        lines.append([str(number), "1", "Zürich", "Sell", spelled(moment, dates), spelled(moment, dates), *prices])
    cells_of = [[f'"{cell}"' if separator in cell else cell for cell in line] for line in lines]
    content = "\r\n".join(map(separator.join, cells_of)) + "\r\n"
    path = tmp_path / "trades.txt"
    path.write_bytes(((f"sep={separator}\r\n" if stated else "") + content).encode(encoding))
    order = "month-first" if dates.startswith("%m") else "day-first"
    reading = read(path, dates=order)
    assert reading.refused.empty
    assert reading.valid["ticker"].unique().tolist() == ["Zürich"]
    assert reading.valid["entry_price"].tolist() == [entry for entry, *_ in rows]
    assert reading.valid["exit_price"].tolist() == [leave for _, leave, *_ in rows]
    assert reading.valid["fees"].tolist() == [-fee for _, _, fee, _ in rows]
    assert reading.valid["entry_time"].tolist() == [pd.Timestamp(moment) for *_, moment in rows]
    assert reading.valid["status"].unique().tolist() == ["closed"]
    assert reading.valid["direction"].unique().tolist() == ["SHORT"]
