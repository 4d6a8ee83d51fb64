"""Refused rows: listed, released with corrections, discarded."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.store.imported import list_imports
from knowdefeat_pipeline.store.imports import undo_import
from knowdefeat_pipeline.store.quarantine import discard, release
from knowdefeat_pipeline.store.quarantined import QuarantineError, list_rows, show
from knowdefeat_pipeline.store.trades import load_trades

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
HEADER = "Nr,bot_id,ticker,Seite,status,entry_time,exit_time,entry_price,exit_price,shares,conf"
GOOD = "1,1,TSLA,LONG,closed,2025-02-11 20:00,2025-02-11 21:00,200,210,50,80"


def ingest(url: str, folder: Path, *lines: str, **options: Any) -> None:
    path = folder / "trades.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    mapping = {"Nr": "source_trade_id", "Seite": "direction", "conf": "signal_confidence"}
    reading = read_trades(
        path, now=NOW, mapping=mapping, timezone="Europe/Zurich", confidence_scale=100, currency="CHF", **options
    )
    load_trades(url, reading, path.name)


def select(url: str, statement: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_a_row_is_held_with_all_that_is_known_of_it(database: str, tmp_path: Path):
    bad = "2,1,COIN,UP,closed,2025-02-11 20:00,2025-02-11 21:00,200,210,50,80"
    ingest(database, tmp_path, GOOD, bad, source="paper")
    (row,) = list_rows(database)
    assert row == show(database, row.quarantine_id)
    assert (row.source, row.file_name, row.row_number, row.status) == ("paper", "trades.csv", 2, "held")
    assert (row.reason, row.column_name) == ("unknown_direction", "Seite")
    assert row.message == "Seite 'UP' is not a direction; write LONG or SHORT (buy and sell are read too)."
    assert row.original == dict(zip(HEADER.split(","), bad.split(","), strict=True))


def test_a_corrected_row_is_read_as_its_file_was(database: str, tmp_path: Path):
    ingest(
        database, tmp_path, GOOD, "2,1,COIN,UP,closed,2025-02-11 20:00,2025-02-11 21:00,200,210,50,80", source="paper"
    )
    (row,) = list_rows(database)
    recorded = release(database, row.quarantine_id, {"Seite": "SHORT", "fees": "3"}, LATER)
    assert (recorded.inserted, recorded.updated, recorded.unchanged) == (1, 0, 0)
    columns = "source, source_trade_id, direction, entry_time, notional, fees, pnl, signal_confidence, quote_currency"
    assert select(database, f"SELECT {columns} FROM trades WHERE ticker = 'COIN'") == [
        ("paper", "2", "SHORT", datetime(2025, 2, 11, 19, tzinfo=UTC), 10_000.0, 3.0, -503.0, 0.8, "CHF")
    ]
    settled = show(database, row.quarantine_id)
    assert (settled.status, settled.settled_at, settled.note) == ("released", LATER, "Seite = SHORT, fees = 3")
    assert list_rows(database) == []
    assert list_rows(database, "released") == list_rows(database, None) == [settled]
    with pytest.raises(QuarantineError, match="Row 1 has already been released, at 2026-01-02 00:00:00 UTC"):
        release(database, row.quarantine_id, {}, LATER)


@pytest.mark.parametrize("kind", ["option", "column", "both"])
def test_a_row_that_is_released_knows_what_was_said_of_the_whole_file(database: str, tmp_path: Path, kind: str) -> None:
    """Bot, currency, account, clock and capital, as where it had been right at once."""
    header, capital, columns = "id,ticker,side,entry_time,exit_time,entry_price,exit_price,shares", None, ""
    if kind != "column":
        capital = 2500.0
    if kind != "option":
        header, columns = f"{header},capital", ",800"
    row = "1,X,{},2025-02-11 20:00,2025-02-11 21:00,200,210,50" + columns

    def ingest(side: str) -> None:
        path = tmp_path / "trades.csv"
        path.write_text(f"{header}\n{row.format(side)}\n")
        said = {"bot_id": "grid", "status": "closed"}
        reading = read_trades(
            path, now=NOW, account="paper", currency="CHF", timezone="Europe/Zurich", constants=said, capital=capital
        )
        load_trades(database, reading, path.name)

    bots = "SELECT name, quote_currency, strategy_id, capital FROM bots"
    trades = "SELECT source, status, entry_time, pnl FROM trades"
    ingest("UP")
    (held,) = list_rows(database)
    assert select(database, bots) == []
    release(database, held.quarantine_id, {"side": "LONG"}, LATER)
    released = select(database, bots), select(database, trades)
    (found,) = list_imports(database)
    undo_import(database, found.import_id, "me", LATER)
    assert select(database, bots) == []
    ingest("LONG")
    assert released == (select(database, bots), select(database, trades))
    assert released[0] == [("grid", "CHF", None, 2500.0 if kind == "option" else 800.0)]
    assert released[1] == [("table:paper", "closed", datetime(2025, 2, 11, 19, tzinfo=UTC), 500.0)]


def test_a_field_may_be_corrected_by_its_own_name(database: str, tmp_path: Path):
    ingest(database, tmp_path, GOOD, "2,1,COIN,UP,open,2025-02-11 20:00,,200,,50,80")
    release(database, 1, {"direction": "LONG"}, LATER)
    assert select(database, "SELECT direction FROM trades WHERE ticker = 'COIN'") == [("LONG",)]


def test_a_row_that_is_still_bad_stays(database: str, tmp_path: Path):
    ingest(database, tmp_path, GOOD, "2,1,COIN,UP,closed,2025-02-11 20:00,2025-02-11 21:00,200,210,50,80")
    with pytest.raises(QuarantineError, match=r"Row 1 stays in quarantine: entry_price '-1' is not a price; write"):
        release(database, 1, {"Seite": "LONG", "entry_price": "-1"}, LATER)
    with pytest.raises(
        QuarantineError, match="Row 1 has no column 'Side'; its columns are Nr, Seite, bot_id, conf, entry_price, "
    ):
        release(database, 1, {"Side": "LONG"}, LATER)
    assert show(database, 1).status == "held"
    assert select(database, "SELECT count(*) FROM trades") == [(1,)]


def test_a_repeated_trade_cannot_be_forced_in(database: str, tmp_path: Path):
    ingest(database, tmp_path, GOOD, GOOD.replace("1,1,", "2,1,", 1), holds_duplicates=True)
    with pytest.raises(QuarantineError) as failure:
        release(database, 1, {}, LATER)
    assert str(failure.value) == (
        "Row 1 stays in quarantine: Nr '2' repeats trade 1 (table, 1): bot, ticker, direction, entry and exit times "
        "and prices are the same; the trade is kept once: discard this row, or correct what differs."
    )
    assert show(database, 1).status == "held"
    assert release(database, 1, {"exit_price": "211"}, LATER).inserted == 1


def test_a_conflicting_trade_is_released_under_an_id_of_its_own(database: str, tmp_path: Path):
    ingest(database, tmp_path, GOOD)
    ingest(database, tmp_path, GOOD.replace("210", "220"))
    with pytest.raises(QuarantineError, match="already names another trade"):
        release(database, 1, {}, LATER)
    release(database, 1, {"Nr": "1b"}, LATER)
    assert select(database, "SELECT source_trade_id, exit_price FROM trades ORDER BY 1") == [
        ("1", 210.0),
        ("1b", 220.0),
    ]


def test_a_row_with_too_many_fields_is_released_when_they_are_put_right(database: str, tmp_path: Path):
    ingest(database, tmp_path, "3,1,COIN,LONG,closed,2025-02-11 20:00,2025-02-11 21:00,1,200,1,210,50,80", GOOD)
    prices = {"entry_price": "1200", "exit_price": "1210", "shares": "50", "conf": "80"}
    release(database, 1, prices, LATER)
    assert select(database, "SELECT entry_price, notional FROM trades WHERE source_trade_id = '3'") == [
        (1200.0, 60_000.0)
    ]


def test_a_settled_row_is_not_held_again(database: str, tmp_path: Path):
    bad = "2,1,COIN,UP,open,2025-02-11 20:00,,200,,50,80"
    ingest(database, tmp_path, GOOD, bad)
    discard(database, 1, "a test order", LATER)
    row = show(database, 1)
    assert (row.status, row.note, row.settled_at) == ("discarded", "a test order", LATER)
    ingest(database, tmp_path, GOOD, bad)
    assert list_rows(database, None) == [row]
    with pytest.raises(QuarantineError, match="Row 1 has already been discarded, at"):
        discard(database, 1, None, LATER)


def test_a_row_that_is_not_there(database: str):
    for settle in (
        lambda: show(database, 5),
        lambda: discard(database, 5, None, LATER),
        lambda: release(database, 5, {}, LATER),
    ):
        with pytest.raises(
            QuarantineError, match=r"There is no row 5 in quarantine\. List rows: knowdefeat quarantine list"
        ):
            settle()


def test_listing_is_limited_and_in_order(database: str, tmp_path: Path):
    ingest(database, tmp_path, GOOD, *(f"{n},1,COIN,UP,open,2025-02-11 20:00,,200,,50,80" for n in range(2, 6)))
    assert [row.row_number for row in list_rows(database, limit=3)] == [2, 3, 4]
