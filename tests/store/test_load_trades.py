"""From a file to the tables: what is recorded, what moves on, what is refused, and that nothing is lost."""

import csv
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.canonical import agrees as agrees_in_python
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.within_file import all_held
from knowdefeat_pipeline.store.arrivals import trade_days
from knowdefeat_pipeline.store.trades import LoadReport, load_trades

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("trades", "bots", "trade_quarantine")
CLOSED = {
    "trade_id": "7",
    "bot_id": "1",
    "strategy": "ma",
    "ticker": "TSLA",
    "direction": "LONG",
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
}
OPEN = {**CLOSED, "status": "open", "exit_time": "", "exit_price": "", "pnl": ""}
HELD = {"holds_duplicates": True}
REMEDY = (
    "load the file with --replace if this is a correction, else give the trade an id of its own, "
    "or import it under an account of its own."
)
COMPUTED = {"pnl": "computed", "fees": "cost"}
OTHER = {**CLOSED, "trade_id": "99", "ticker": "COIN"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(CLOSED))
        writer.writeheader()
        writer.writerows(rows)
    return path


def ingest(url: str, path: Path, **options: Any) -> LoadReport:
    """Load a file, whatever pnl it states."""
    return load_trades(url, read_trades(path, now=NOW, **{"terms": COMPUTED, **options}), path.name)


def load(url: str, path: Path, *rows: dict[str, str], **options: Any) -> LoadReport:
    return ingest(url, write(path, list(rows)), **{"account": "a", **options})


def select(url: str, statement: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(statement).fetchall()


def dump(url: str) -> dict[str, list[tuple]]:
    return {table: select(url, f"SELECT t::text FROM {table} t ORDER BY 1") for table in TABLES}


def outcome(report: LoadReport) -> tuple[int, int, int, dict]:
    became = report.inserted + report.updated + report.unchanged + report.joined
    assert report.rows_read == became + sum(report.quarantined.values())
    return report.inserted, report.updated, report.unchanged, dict(report.quarantined)


def messages(url: str) -> list[str]:
    return [message for (message,) in select(url, "SELECT message FROM trade_quarantine ORDER BY quarantine_id")]


def test_know_defeats_own_export_once_and_again(database: str, shared_data: Path):
    path = shared_data / "know_defeat" / "all_trades.csv"
    report = ingest(database, path)
    assert outcome(report) == (232, 0, 0, {"duplicate_trade": 13})
    assert (report.source, report.file_name, report.already_quarantined) == ("know_defeat", "all_trades.csv", 0)
    assert report.pnl_disagreements == 229
    assert report.first_exit_day == report.last_exit_day == date(2025, 2, 11)
    assert select(database, "SELECT status, count(*) FROM trades GROUP BY 1 ORDER BY 1") == [
        ("closed", 230),
        ("open", 2),
    ]
    sums = select(
        database, "SELECT bot_id, count(pnl), round(sum(pnl)::numeric, 6)::float8 FROM trades GROUP BY 1 ORDER BY 1"
    )
    assert sums == [(2, 74, -165.973458), (3, 108, -1038.156375), (4, 48, 131.526307)]
    ids = [int(key) for (key,) in select(database, "SELECT source_trade_id FROM trades ORDER BY trade_id")]
    assert ids == sorted(ids)
    assert messages(database)[-1] == (
        "trade_id '245' repeats row 244: bot, ticker, direction, entry and exit times and prices are the same; "
        "the trade is kept once: discard this row, or correct what differs."
    )
    before = dump(database)
    again = ingest(database, path)
    assert outcome(again) == (0, 0, 232, {"duplicate_trade": 13})
    assert (again.already_quarantined, again.pnl_disagreements) == (13, 229)
    assert dump(database) == before


@pytest.mark.long
def test_a_large_table_whose_size_is_a_quantity(database: str, shared_data: Path):
    path = shared_data / "sp500_ma_bots" / "trades.parquet"
    report = ingest(database, path, terms={})
    assert outcome(report) == (204_412, 0, 0, {})
    assert (report.source, report.pnl_disagreements) == ("table:ma_cross", 0)
    assert (report.first_exit_day, report.last_exit_day) == (date(1990, 1, 11), date(2022, 12, 28))
    stated = pq.read_table(path, columns=["trade_pnl", "trade_status"]).to_pandas()
    expected = stated.loc[stated["trade_status"] == "closed", "trade_pnl"].sum()
    ((count, total),) = select(database, "SELECT count(*), sum(pnl) FROM trades WHERE status = 'closed'")
    assert count == 204_137
    assert total == pytest.approx(expected, rel=1e-9)
    assert select(database, "SELECT count(mark_price), count(exit_price) FROM trades WHERE status = 'open'") == [
        (275, 0)
    ]
    assert outcome(ingest(database, path, terms={})) == (0, 0, 204_412, {})


def test_a_trade_moves_forward_only(database: str, file: Path):
    pending = {**OPEN, "status": "pending_exit"}
    assert outcome(load(database, file, OPEN, OTHER)) == (2, 0, 0, {})
    assert outcome(load(database, file, {**OPEN, "mark_price": "205"})) == (0, 1, 0, {})
    assert select(database, "SELECT mark_price FROM trades WHERE status = 'open'") == [(205.0,)]
    assert outcome(load(database, file, pending)) == (0, 1, 0, {})
    assert outcome(load(database, file, OPEN)) == (0, 0, 1, {})
    assert outcome(load(database, file, CLOSED)) == (0, 1, 0, {})
    recorded = dump(database)
    assert outcome(load(database, file, OPEN, pending, CLOSED)) == (0, 0, 3, {})
    assert dump(database) == recorded
    assert select(database, "SELECT status, pnl, exit_price FROM trades WHERE source_trade_id = '7'") == [
        ("closed", 497.0, 210.0)
    ]


def test_all_states_of_a_trade_in_one_file(database: str, file: Path):
    pending = {**OPEN, "status": "pending_exit"}
    assert outcome(load(database, file, CLOSED, pending, OPEN, CLOSED)) == (1, 0, 3, {})
    assert select(database, "SELECT status, pnl FROM trades") == [("closed", 497.0)]


def test_another_trade_under_a_recorded_id_is_in_conflict(database: str, file: Path):
    load(database, file, CLOSED)
    later = {**OPEN, "entry_time": "2025-02-11 20:00:01"}
    report = load(database, file, {**CLOSED, "exit_price": "211", "fees": "4"}, {**CLOSED, "entry_price": "201"}, later)
    assert outcome(report) == (0, 0, 0, {"conflicting_trade": 3})
    remedy = REMEDY
    known = "trade_id '7' already names another trade: trade 1 (table:a, 7) differs in"
    assert messages(database) == [
        f"{known} exit_price, fees; {remedy}",
        f"{known} entry_price; {remedy}",
        f"{known} status, entry_time, exit_time, exit_price, reported_pnl; {remedy}",
    ]
    assert select(database, "SELECT exit_price, fees FROM trades") == [(210.0, 3.0)]


def test_a_position_is_added_to_while_it_is_open(database: str, file: Path):
    """Its average and size are those of the last reading; once it has closed, earlier ones change nothing."""
    more = {**OPEN, "entry_price": "190", "notional": "19000"}
    now = "SELECT status, entry_price, notional FROM trades WHERE source_trade_id = '7'"
    assert outcome(load(database, file, OPEN)) == (1, 0, 0, {})
    assert outcome(load(database, file, more)) == (0, 1, 0, {})
    assert select(database, now) == [("open", 190.0, 19000.0)]
    assert outcome(load(database, file, OPEN, more)) == (0, 0, 2, {})
    closed = {**CLOSED, "entry_price": "190", "notional": "19000"}
    assert outcome(load(database, file, closed)) == (0, 1, 0, {})
    assert select(
        database, f"SELECT status, entry_price, notional, pnl FROM ({now.replace('notional', 'notional, pnl')})"
    ) == [("closed", 190.0, 19000.0, pytest.approx(19000 * 20 / 190 - 3))]
    assert outcome(load(database, file, OPEN, more, closed)) == (0, 0, 3, {})
    assert outcome(load(database, file, CLOSED)) == (0, 0, 0, {"conflicting_trade": 1})


def test_another_trade_under_an_id_of_the_same_file_is_in_conflict(database: str, file: Path):
    report = load(database, file, CLOSED, {**CLOSED, "notional": "5000"})
    assert outcome(report) == (1, 0, 0, {"conflicting_trade": 1})
    assert messages(database) == [f"trade_id '7' already names another trade: row 1 differs in notional; {REMEDY}"]


def test_rows_that_are_alike_but_for_their_ids_are_trades(database: str, file: Path):
    assert outcome(load(database, file, CLOSED, {**CLOSED, "trade_id": "8"})) == (2, 0, 0, {})
    assert outcome(load(database, file, CLOSED, {**CLOSED, "trade_id": "9"})) == (1, 0, 1, {})
    assert select(database, "SELECT sum(pnl) FROM trades") == [(3 * 497.0,)]


def test_where_duplicates_are_held_the_same_trade_is_kept_once_whatever_its_id(database: str, file: Path):
    rows = [CLOSED, {**CLOSED, "trade_id": "8"}, {**CLOSED, "trade_id": "9", "exit_price": "211"}]
    assert outcome(load(database, file, *rows, **HELD)) == (2, 0, 0, {"duplicate_trade": 1})
    assert outcome(load(database, file, {**CLOSED, "trade_id": "5"}, **HELD)) == (0, 0, 0, {"duplicate_trade": 1})
    assert outcome(load(database, file, CLOSED, account="b", **HELD)) == (0, 0, 0, {"duplicate_trade": 1})
    same = "bot, ticker, direction, entry and exit times and prices are the same"
    remedy = "the trade is kept once: discard this row, or correct what differs."
    assert messages(database) == [
        f"trade_id '8' repeats row 1: {same}; {remedy}",
        f"trade_id '5' repeats trade 1 (table:a, 7): {same}; {remedy}",
        f"trade_id '7' repeats trade 1 (table:a, 7): {same}; {remedy}",
    ]


def test_a_recorded_trade_is_kept_before_a_new_id_of_it(database: str, file: Path):
    load(database, file, OPEN)
    report = load(database, file, {**CLOSED, "trade_id": "6"}, CLOSED, **HELD)
    assert outcome(report) == (0, 1, 0, {"duplicate_trade": 1})
    assert select(database, "SELECT source_trade_id, status FROM trades") == [("7", "closed")]


def test_a_trade_that_closes_makes_room_for_one_like_it(database: str, file: Path):
    load(database, file, OPEN)
    assert outcome(load(database, file, {**OPEN, "trade_id": "8"}, CLOSED, **HELD)) == (1, 1, 0, {})
    assert select(database, "SELECT source_trade_id, status FROM trades ORDER BY 1") == [("7", "closed"), ("8", "open")]


def test_earlier_states_of_a_repeated_trade_are_refused_with_it(database: str, file: Path):
    again = {"trade_id": "8"}
    report = load(database, file, CLOSED, {**OPEN, **again}, {**CLOSED, **again}, **HELD)
    assert outcome(report) == (1, 0, 0, {"duplicate_trade": 2})


def test_currencies_are_never_mixed(database: str, file: Path):
    report = load(database, file, CLOSED, {**OTHER, "currency": "EUR"}, {**OTHER, "bot_id": "2", "currency": "EUR"})
    assert outcome(report) == (2, 0, 0, {"currency_mismatch": 1})
    mismatch = "sums never mix currencies; give the trades in"
    assert messages(database) == [
        f"currency is 'EUR', but bot 1 accounts in 'USD' and {mismatch} 'EUR' a bot of their own, "
        "or say what they are in with --currency."
    ]
    report = load(database, file, {**OTHER, "bot_id": "2", "trade_id": "5"})
    assert outcome(report) == (0, 0, 0, {"currency_mismatch": 1})
    assert select(database, "SELECT bot_id, quote_currency, strategy_id, capital FROM bots ORDER BY 1") == [
        (1, "USD", "ma", None),
        (2, "EUR", "ma", None),
    ]


def test_the_same_bad_row_is_held_once(database: str, file: Path):
    bad = {**CLOSED, "direction": "UP"}
    assert load(database, file, OTHER, bad).already_quarantined == 0
    report = load(database, file, bad, OTHER)
    assert (report.quarantined, report.already_quarantined) == ({"unknown_direction": 1}, 1)
    rows = select(database, "SELECT row_number, source, file_name, status, original FROM trade_quarantine")
    assert rows == [(2, "table:a", "trades.csv", "held", bad)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (",".join(CLOSED).encode(), "the table is empty: it has a header and no rows"),
        (b"a,b\n1,2\n", "no column for source_trade_id (the id of the trade in its source), bot_id"),
        (f'{",".join(CLOSED)}\n8,1,"\n{",".join(OTHER.values())}\n'.encode(), "row 1: a quote is not closed"),
        (f"{','.join(CLOSED)}\n{','.join(OTHER.values())}\n".encode() + b"\0", "row 2, byte offset"),
        (
            "\n".join([",".join(CLOSED), *[",".join({**OTHER, "entry_time": "now"}.values())] * 2]).encode(),
            "row 1, column 'entry_time': 'now' and all other values cannot be read as a time",
        ),
    ],
)
def test_a_file_that_fails_leaves_the_database_as_it_was(database: str, file: Path, content: bytes, message: str):
    load(database, file, CLOSED, {**OTHER, "status": "?"})
    before = dump(database)
    file.write_bytes(content)
    with pytest.raises(SourceError) as failure:
        ingest(database, file)
    assert str(failure.value).startswith(f"{file}: {message}")
    assert dump(database) == before


def test_what_the_database_refuses_leaves_it_as_it_was(database: str, file: Path):
    load(database, file, CLOSED)
    before = dump(database)
    far = {**OTHER, "exit_time": "2999-01-01 00:00"}
    reading = read_trades(
        write(file, [far, {**far, "trade_id": "8", "direction": "?"}]), now=datetime(3000, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="lies in the future"):
        load_trades(database, reading, file.name)
    assert dump(database) == before


ROWS = st.fixed_dictionaries(
    {
        "trade_id": st.sampled_from(["1", "2", "3", "4", ""]),
        "bot_id": st.sampled_from(["1", "1", "1", "2", "two"]),
        "ticker": st.sampled_from(["TSLA", "TSLA", "COIN", "*"]),
        "direction": st.sampled_from(["LONG", "LONG", "sell", "UP"]),
        "status": st.sampled_from(["open", "pending_exit", "closed", "closed", "gone"]),
        "entry_time": st.sampled_from(["2025-02-11 20:00:00", "2025-02-11 20:00:00", "2025-02-12", "2027-01-01"]),
        "exit_time": st.sampled_from(["", "", "2025-02-12 01:00:00", "2025-02-11"]),
        "entry_price": st.sampled_from(["200", "200", "0.1", "-1", "x"]),
        "exit_price": st.sampled_from(["", "210", "210", "0.3", "nan"]),
        "notional": st.sampled_from(["10000", "1000", "", "0", "1e308"]),
        "fees": st.sampled_from(["", "0.1", "-0.7", "inf"]),
        "pnl": st.sampled_from(["", "", "7.25"]),
        "currency": st.sampled_from(["USD", "USD", "USD", "EUR"]),
    }
)
PLAUSIBLE = st.builds(
    lambda state, **changes: {**state, **changes},
    st.sampled_from([OPEN, {**OPEN, "status": "pending_exit"}, CLOSED, CLOSED]),
    trade_id=st.sampled_from(["1", "2", "3", "4"]),
    entry_price=st.sampled_from(["200", "200", "0.1"]),
    notional=st.sampled_from(["10000", "10000", "333.33"]),
)


@pytest.mark.long
@given(st.lists(st.one_of(PLAUSIBLE, ROWS.map(lambda row: {**CLOSED, **row})), max_size=25), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_alone_tells_what_an_empty_database_holds_of_it(
    database: str, file: Path, rows: list[dict[str, str]], holds_duplicates: bool
):
    with connect(database) as connection:
        connection.execute(
            "TRUNCATE trade_ranges, trade_scores, trades, bots, trade_quarantine, quarantine_repeats RESTART IDENTITY"
        )
    readable = [{**OTHER, "trade_id": "98", "entry_price": "5"}, OTHER]
    reading = read_trades(
        write(file, [*rows, *readable]), now=NOW, terms=COMPUTED, account="a", holds_duplicates=holds_duplicates
    )
    told = all_held(reading)
    report = load_trades(database, reading, file.name)
    assert Counter(told["reason"]) == report.quarantined
    held = select(database, "SELECT row_number, reason, message FROM trade_quarantine")  # equal rows once
    assert {*held} <= {*told[["row_number", "reason", "message"]].itertuples(index=False, name=None)}
    assert {(reason, message) for _, reason, message in held} == {*zip(told["reason"], told["message"], strict=True)}


@pytest.mark.long
@given(st.lists(st.one_of(PLAUSIBLE, ROWS.map(lambda row: {**CLOSED, **row})), max_size=25))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_lost_and_twice_is_once(database: str, file: Path, rows: list[dict[str, str]]):
    with connect(database) as connection:
        connection.execute(
            "TRUNCATE trade_ranges, trade_scores, trades, bots, trade_quarantine, quarantine_repeats RESTART IDENTITY"
        )
    readable = [{**OTHER, "trade_id": "98", "entry_price": "5"}, OTHER]
    report = load(database, file, *rows, *readable)
    inserted, updated, unchanged, quarantined = outcome(report)
    assert inserted + updated + unchanged + report.joined + sum(quarantined.values()) == len(rows) + 2
    assert updated == 0
    assert select(database, "SELECT count(*) FROM trades") == [(inserted,)]
    before = dump(database)
    again = load(database, file, *rows, *readable)
    assert outcome(again) == (0, 0, inserted + unchanged, quarantined)
    assert again.already_quarantined == sum(quarantined.values())
    assert dump(database) == before


def test_a_pnl_in_whole_dollars_agrees_as_it_is_written_and_what_does_not_is_named(database: str, file: Path):
    """99 figures rounded to dollars prove the reading, in the notes as in the counts; the one that is off is named."""
    rows = [
        {**CLOSED, "trade_id": str(n), "exit_price": f"{200 + n / 7:.2f}", "pnl": f"{50 * round(n / 7, 2) - 3:.0f}"}
        for n in range(20, 120)
    ]
    rows[41]["pnl"] = "7"
    report = load(database, file, *rows, terms={})
    assert (report.inserted, report.pnl_disagreements) == (100, 1)
    (proof,) = [note for note in report.notes if "so the pnl that the file states" in note]
    assert "is right in 99 of 100 closed trades" in proof
    (named,) = [note for note in report.notes if "as stated" in note]
    assert named == (
        "1 net pnl as stated is not what prices, size and costs give, which counts: row 42 states 7 and computes 432.5"
    )
    with connect(database) as connection:
        (day,) = trade_days(connection, date(2025, 2, 11), date(2025, 2, 11))
    assert (day["closed"], day["reported"], day["disagreeing"]) == (100, 100, 1)


def test_a_pnl_agrees_in_python_as_in_the_database(database: str):
    pnl = [100.0, 100.0, 1e6, -1e6, 3.0, 0.0]
    stated = [100.005, 100.006, 1_000_001.0, -1_000_001.1, 3.4, 0.6]
    for rounding in (0.005, 0.5001):
        arrays = select(
            database,
            f"SELECT pnl_agrees(p, s, {rounding}) FROM unnest(ARRAY{pnl}::float8[], ARRAY{stated}::float8[]) AS t (p, s)",
        )
        assert [agrees for (agrees,) in arrays] == agrees_in_python(np.array(pnl), np.array(stated), rounding).tolist()
