"""Imports: what they leave behind, what their undoing does, and corrections that keep what was corrected."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.bots import set_bot
from knowdefeat_pipeline.store.imported import UndoError, list_imports, show_import
from knowdefeat_pipeline.store.imports import take_in, undo_import
from knowdefeat_pipeline.store.quarantine import discard, release, release_again
from knowdefeat_pipeline.store.quarantined import show
from knowdefeat_pipeline.store.trades import LoadReport, load_trades
from knowdefeat_pipeline.store.trades import load as record_file
from tests.conftest import temporary_database
from tests.faults.earlier import make

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASES = "cases"
COLUMNS = ("id", "bot_id", "ticker", "direction", "status", "entry_time", "exit_time", "entry_price", "exit_price",
           "notional", "fee")  # fmt: skip
CLOSED = ("7", "1", "X", "LONG", "closed", "2025-03-01 09:00", "2025-03-01 10:00", "100", "110", "1000", "1")
OPEN = ("7", "1", "X", "LONG", "open", "2025-03-01 09:00", "", "100", "", "1000", "0")
CORRECTED = (*CLOSED[:-1], "3")
ADDED = (*OPEN[:7], "90", "", "1800", "0")


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return path


def load(
    url: str, path: Path, *rows: Sequence[str], replaces: bool = False, content_hash: str | None = None
) -> LoadReport:
    reading = read_trades(write(path, rows), now=NOW)
    return load_trades(url, reading, path.name, replaces=replaces, content_hash=content_hash)


def trades(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(
            "SELECT bot_id, source_trade_id, ticker, status, exit_price, fees, pnl FROM trades ORDER BY 1, 2"
        ).fetchall()


def sizes(url: str) -> list[tuple]:
    """What trades were entered at, and how large they are."""
    with connect(url) as connection:
        return connection.execute(
            "SELECT bot_id, source_trade_id, entry_price, notional FROM trades ORDER BY 1, 2"
        ).fetchall()


def positions(url: str) -> list[tuple]:
    """The trades that were recorded while they were open, and their marks."""
    with connect(url) as connection:
        return connection.execute(
            "SELECT t.bot_id, t.source_trade_id, p.entry_time, p.exit_time, array_agg(m.price ORDER BY m.marked_at)"
            " FROM positions p JOIN trades t USING (trade_id) LEFT JOIN position_marks m USING (trade_id)"
            " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2"
        ).fetchall()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


def test_an_import_says_what_it_was(database: str, file: Path) -> None:
    report = load(database, file, CLOSED, (*CLOSED[:8], "nan", *CLOSED[9:]), content_hash="ab")
    found = show_import(database, report.import_id)
    assert (found.file_name, found.source, found.content_hash, found.author) == ("trades.csv", "table", "ab", "manual")
    assert (found.rows_read, found.inserted, found.quarantined, found.held) == (2, 1, 1, 1)
    assert found.layout["terms"]["size"] == "notional"
    assert [row.import_id for row in list_imports(database)] == [report.import_id]


def test_the_same_file_again_is_no_import_of_its_own(database: str, file: Path) -> None:
    first = load(database, file, CLOSED, content_hash="ab")
    again = load(database, file, CLOSED, content_hash="ab")
    assert (again.import_id, again.inserted, again.unchanged) == (first.import_id, 0, 1)
    assert undo_import(database, first.import_id, "me", NOW).removed == 1
    assert trades(database) == []
    third = load(database, file, CLOSED, content_hash="ab")
    assert (third.inserted, third.import_id != first.import_id) == (1, True)


def test_a_correction_keeps_what_it_corrects_and_undoing_restores_it(database: str, file: Path) -> None:
    load(database, file, CLOSED)
    held = load(database, file, CORRECTED)
    assert held.quarantined == {"conflicting_trade": 1}
    with connect(database) as connection:
        ((message,),) = connection.execute("SELECT message FROM trade_quarantine").fetchall()
        assert "--replace" in message
        assert "fees" in message
    corrected = load(database, file, CORRECTED, replaces=True)
    assert (corrected.replaced, corrected.inserted) == (1, 0)
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 3.0, 97.0)]
    with connect(database) as connection:
        ((content, of),) = connection.execute("SELECT content, replaced_by FROM trade_revisions").fetchall()
    assert (content["fees"], of) == (1, corrected.import_id)
    undone = undo_import(database, corrected.import_id, "me", NOW)
    assert (undone.removed, undone.restored, undone.kept) == (0, 1, 0)
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 1.0, 99.0)]


def held_back(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute("SELECT reason, message, status FROM trade_quarantine ORDER BY 1, 2").fetchall()


def test_a_correction_that_names_another_bot_is_asked_about(database: str, file: Path) -> None:
    other = (CLOSED[0], "2", *CLOSED[2:])
    first = load(database, file, CLOSED)
    again = load(database, file, other, replaces=True)
    assert (again.inserted, again.replaced, again.quarantined) == (0, 0, {"another_bot": 1})
    assert [row[0] for row in trades(database)] == [1]  # 99.00 once
    message = (
        f"id '7' is a trade of bot 1 in this source, of import {first.import_id}, and here one of bot 2; if the bot was wrong, "
        f"knowdefeat imports undo {first.import_id}, and this row takes its place; if it is another trade, release this row."
    )
    assert held_back(database) == [("another_bot", message, "held")]
    undone = undo_import(database, first.import_id, "me", NOW)
    assert (undone.removed, undone.released) == (1, 1)
    assert trades(database) == [(2, "7", "X", "closed", 110.0, 1.0, 99.0)]


def test_a_row_that_is_another_bots_own_trade_is_released(database: str, file: Path) -> None:
    unrelated = load(database, file, ("8", *CLOSED[1:]))
    load(database, file, CLOSED)
    load(database, file, (CLOSED[0], "2", *CLOSED[2:]), replaces=True)
    undo_import(database, unrelated.import_id, "me", NOW)  # which it does not stand against
    assert [row[0] for row in trades(database)] == [1]
    with connect(database) as connection:
        ((number,),) = connection.execute("SELECT quarantine_id FROM trade_quarantine").fetchall()
    release(database, number, {}, NOW)
    assert [row[0] for row in trades(database)] == [1, 2]


def test_a_correction_that_went_to_another_source_says_so(database: str, file: Path) -> None:
    def of(strategy: str, fee: str, **options: bool) -> LoadReport:
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([(*COLUMNS, "strategy"), (*CLOSED[:-1], fee, strategy)])
        return load_trades(database, read_trades(file, now=NOW), file.name, **options)

    of("ma", "1")
    report = of("rsi", "3", replaces=True)  # the name of the source follows the strategy
    assert (report.source, report.inserted) == ("table:rsi", 1)
    assert report.notes[-1] == (
        "1 new trade has the bot and the id of trades of the source 'table:ma', which is not this one ('table:rsi'): "
        "if they correct those, undo this import and load the file with --source table:ma"
    )


def test_a_bot_that_has_the_trades_of_another_says_so(database: str, file: Path) -> None:
    """As of a file that was renamed, where its name is that of the bot."""
    rows = [CLOSED, ("8", *CLOSED[1:])]
    load(database, file, *rows)
    again = load(database, file, *((row[0], "grid 2", *row[2:]) for row in rows))
    assert again.inserted == 2
    assert again.notes[-1] == (
        "bot grid 2 is new, and 2 trades of its first ones have the id and the entry of trades of bot 1: if it is that one "
        "under another name, undo this import and load the file with --bot 1"
    )
    assert not any(
        "under another name" in note for note in load(database, file, (*CLOSED[:1], "3", "Y", *CLOSED[3:])).notes
    )


def test_a_correction_that_inherits_a_trade_is_asked_about_the_bot_that_has_its_id(database: str, file: Path) -> None:
    """It had found its trade recorded; without that, the other bot's trade was there first."""
    other = (CLOSED[0], "2", *CLOSED[2:])
    first, second = load(database, file, CLOSED), load(database, file, other)
    assert load(database, file, CLOSED, replaces=True).unchanged == 1
    undone = undo_import(database, first.import_id, "me", NOW)
    assert (undone.removed, undone.kept, undone.refused) == (1, 0, 1)
    assert [row[0] for row in trades(database)] == [2]
    ((reason, message, status),) = held_back(database)
    assert (reason, status) == ("another_bot", "held")
    assert f"'7' is a trade of bot 2 in this source, of import {second.import_id}, and here one of bot 1;" in message
    assert undo_import(database, second.import_id, "me", NOW).released == 1
    assert [row[0] for row in trades(database)] == [1]


def test_a_correction_that_has_the_trades_of_both_bots_inherits_them(database: str, file: Path) -> None:
    other = (CLOSED[0], "2", *CLOSED[2:])
    first, _ = load(database, file, CLOSED), load(database, file, other)
    third = load(database, file, CLOSED, other, replaces=True)
    undone = undo_import(database, first.import_id, "me", NOW)
    assert (undone.kept, undone.heirs, undone.refused) == (1, {third.import_id: 1}, 0)
    assert [row[0] for row in trades(database)] == [1, 2]
    assert held_back(database) == []


def test_ids_are_each_bots_own_where_the_file_shows_it_or_corrects_nothing(database: str, file: Path) -> None:
    second, third = (("7", bot, *CLOSED[2:]) for bot in ("2", "3"))
    load(database, file, CLOSED)
    assert load(database, file, second).inserted == 1  # no correction: another bot's trade
    report = load(database, file, CORRECTED, second, third, replaces=True)
    assert (report.replaced, report.unchanged, report.inserted) == (1, 1, 1)
    assert trades(database) == [
        (1, "7", "X", "closed", 110.0, 3.0, 97.0),
        (2, "7", "X", "closed", 110.0, 1.0, 99.0),
        (3, "7", "X", "closed", 110.0, 1.0, 99.0),
    ]


def test_what_another_import_has_too_stays(database: str, file: Path) -> None:
    first = load(database, file, CLOSED)
    second = load(database, file, CLOSED, ("8", *CLOSED[1:]))
    undone = undo_import(database, first.import_id, "me", NOW)
    assert (undone.removed, undone.kept) == (0, 1)
    assert len(trades(database)) == 2
    assert undo_import(database, second.import_id, "me", NOW).removed == 2


def test_rows_that_stood_against_it_are_recorded_once_it_is_gone(database: str, file: Path) -> None:
    first = load(database, file, CLOSED)
    load(database, file, CORRECTED)
    undone = undo_import(database, first.import_id, "me", NOW)
    assert (undone.removed, undone.released) == (1, 1)
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 3.0, 97.0)]


def test_a_row_that_two_imports_have_stays_held_for_the_one_that_is_left(database: str, file: Path) -> None:
    first = load(database, file, CLOSED)
    second = load(database, file, CORRECTED)
    third = load(database, file, ("8", *CLOSED[1:]), CORRECTED)
    with connect(database) as connection:  # once, for both
        assert connection.execute("SELECT import_id, row_number FROM trade_quarantine").fetchall() == [
            (second.import_id, 1)
        ]
    assert [row.held for row in list_imports(database)] == [1, 1, 0]
    assert undo_import(database, second.import_id, "me", NOW).discarded == 0
    with connect(database) as connection:
        assert connection.execute("SELECT import_id, row_number, status FROM trade_quarantine").fetchall() == [
            (third.import_id, 2, "held")
        ]
    assert undo_import(database, first.import_id, "me", NOW).released == 1
    assert [(row[1], row[6]) for row in trades(database)] == [("7", 97.0), ("8", 99.0)]
    assert undo_import(database, third.import_id, "me", NOW).removed == 2


def test_an_import_that_is_undone_holds_no_row_that_another_had_first(database: str, file: Path) -> None:
    load(database, file, CLOSED)
    load(database, file, CORRECTED)
    third = load(database, file, ("8", *CLOSED[1:]), CORRECTED)
    assert show_import(database, third.import_id).held == 1
    undo_import(database, third.import_id, "me", NOW)
    assert [row.held for row in list_imports(database)] == [0, 1, 0]
    assert held_back(database)[0][2] == "held"


def test_a_row_that_was_recorded_for_one_import_is_recorded_for_the_next(database: str, file: Path) -> None:
    first = load(database, file, CLOSED)
    second, third = (load(database, file, *rows) for rows in ([CORRECTED], [CORRECTED, ("8", *CLOSED[1:])]))
    undo_import(database, first.import_id, "me", NOW)
    undone = undo_import(database, second.import_id, "me", NOW)
    assert (undone.kept, undone.heirs, undone.discarded) == (1, {third.import_id: 1}, 0)
    assert [(row[1], row[6]) for row in trades(database)] == [("7", 97.0), ("8", 99.0)]
    assert undo_import(database, third.import_id, "me", NOW).removed == 2


def test_a_row_that_was_found_recorded_again_keeps_the_trade(database: str, file: Path) -> None:
    first = load(database, file, CLOSED)
    second = load(database, file, CORRECTED, replaces=True)
    load(database, file, CLOSED)  # held: the correction stands against it
    assert undo_import(database, second.import_id, "me", NOW).released == 1
    assert undo_import(database, first.import_id, "me", NOW).kept == 1
    assert [row[6] for row in trades(database)] == [99.0]


def test_a_row_that_a_person_discarded_stays_so_for_the_next_import(database: str, file: Path) -> None:
    load(database, file, CLOSED)
    second, third = (load(database, file, CORRECTED) for _ in range(2))
    with connect(database) as connection:
        ((number,),) = connection.execute("SELECT quarantine_id FROM trade_quarantine").fetchall()
    discard(database, number, "no trade", NOW)
    undo_import(database, second.import_id, "me", NOW)
    found = show(database, number)
    assert (found.status, found.note, found.import_id) == ("discarded", "no trade", third.import_id)


def test_a_row_that_a_correction_had_recorded_is_held_again_once_that_is_undone(database: str, file: Path) -> None:
    load(database, file, CLOSED)
    second = load(database, file, CORRECTED)
    third = load(database, file, CORRECTED, replaces=True)
    with connect(database) as connection, connection.transaction():
        assert release_again(connection, "table", NOW, third.import_id) == 1
    assert held_back(database)[0][2] == "released"
    undo_import(database, third.import_id, "me", NOW)
    assert held_back(database)[0][2] == "held"
    assert show_import(database, second.import_id).held == 1


def test_what_is_not_there_or_was_undone_is_refused(database: str, file: Path) -> None:
    with pytest.raises(UndoError, match="There is no import 9"):
        undo_import(database, 9, "me", NOW)
    report = load(database, file, CLOSED)
    undo_import(database, report.import_id, "me", NOW)
    with pytest.raises(UndoError, match="was undone already"):
        undo_import(database, report.import_id, "me", NOW)


def test_a_bot_that_moves_its_trade_on_takes_it_over(database: str, file: Path) -> None:
    report = load(database, file, OPEN)
    with connect(database) as connection:
        connection.execute("UPDATE trades SET status = 'closed', exit_time = '2025-03-01 11:00Z', exit_price = 90")
    assert undo_import(database, report.import_id, "me", NOW).removed == 0
    assert trades(database) == [(1, "7", "X", "closed", 90.0, 0.0, -100.0)]


MARKS = (*COLUMNS, "mark_price")


def test_a_position_that_was_added_to_is_what_it_was_once_that_is_undone(database: str, file: Path) -> None:
    load(database, file, OPEN)
    added = load(database, file, ADDED)
    assert (added.updated, sizes(database)) == (1, [(1, "7", 90.0, 1800.0)])
    undone = undo_import(database, added.import_id, "me", NOW)
    assert (undone.removed, undone.restored) == (0, 1)
    assert sizes(database) == [(1, "7", 100.0, 1000.0)]
    assert positions(database)[0][:4] == (1, "7", datetime(2025, 3, 1, 9, tzinfo=UTC), None)


def test_marks_stay_through_a_correction_and_go_with_the_import_that_told_them(database: str, file: Path) -> None:
    def told(*row: str, replaces: bool = False) -> int:
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([MARKS, row])
        return load_trades(database, read_trades(file, now=NOW), file.name, replaces=replaces).import_id

    entry, end = datetime(2025, 3, 1, 9, tzinfo=UTC), datetime(2025, 3, 1, 10, tzinfo=UTC)
    told(*OPEN, "104")
    second = told(*OPEN, "107")
    assert positions(database) == [(1, "7", entry, None, [104.0, 107.0])]
    third = told(*CLOSED, "")
    assert positions(database) == [(1, "7", entry, end, [104.0, 107.0])]
    fourth = told(*CORRECTED, "", replaces=True)
    assert positions(database) == [(1, "7", entry, end, [104.0, 107.0])]
    undo_import(database, second, "me", NOW)
    assert positions(database) == [(1, "7", entry, end, [104.0])]
    undo_import(database, third, "me", NOW)
    assert positions(database) == [(1, "7", entry, end, [104.0])]
    undo_import(database, fourth, "me", NOW)
    assert positions(database) == [(1, "7", entry, None, [104.0])]
    assert trades(database) == [(1, "7", "X", "open", None, 0.0, None)]


def test_the_mark_of_a_position_counts_once_the_import_that_had_it_closed_is_undone(database: str, file: Path) -> None:
    """Two files: in the first the trade has closed already, in the second, which tells of 10:00 last, it is open at 104."""
    other = ("8", *CLOSED[1:])

    def told(*rows: Sequence[str]) -> int:
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([MARKS, *rows])
        return load_trades(database, read_trades(file, now=NOW), file.name).import_id

    first = told((*CLOSED, ""))
    told((*OPEN, "104"), (*other, ""))
    assert positions(database) == []
    undo_import(database, first, "me", NOW)
    assert positions(database) == [(1, "7", datetime(2025, 3, 1, 9, tzinfo=UTC), None, [104.0])]
    with connect(database) as connection:
        assert connection.execute("SELECT marked_at FROM position_marks").fetchall() == [
            (datetime(2025, 3, 1, 10, tzinfo=UTC),)
        ]


def test_a_held_row_moves_its_trade_on_once_the_correction_is_undone(database: str, file: Path) -> None:
    load(database, file, OPEN)
    corrected = load(database, file, CORRECTED, replaces=True)
    load(database, file, CLOSED)  # held: the correction stands against it
    assert undo_import(database, corrected.import_id, "me", NOW).released == 1
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 1.0, 99.0)]


def test_a_held_row_counts_in_its_turn_before_a_later_correction(database: str, file: Path) -> None:
    load(database, file, OPEN)
    first = load(database, file, CORRECTED, replaces=True)
    held = load(database, file, CLOSED)
    load(database, file, OPEN, replaces=True)
    assert trades(database) == [(1, "7", "X", "open", None, 0.0, None)]
    undo_import(database, first.import_id, "me", NOW)
    assert trades(database) == [(1, "7", "X", "open", None, 0.0, None)]
    assert show_import(database, held.import_id).held == 0  # it closed the trade, which the correction opened again


def test_a_position_that_came_after_its_trade_had_closed_is_none_once_the_correction_is_undone(
    database: str, file: Path
) -> None:
    load(database, file, CLOSED)
    load(database, file, OPEN)  # known to have closed already
    assert positions(database) == []
    corrected = load(database, file, OPEN, replaces=True)
    assert [position[:2] for position in positions(database)] == [(1, "7")]
    undo_import(database, corrected.import_id, "me", NOW)
    assert positions(database) == []
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 1.0, 99.0)]


def test_a_row_that_repeated_a_correction_is_held_once_that_is_undone(database: str, file: Path) -> None:
    load(database, file, CLOSED)
    corrected = load(database, file, CORRECTED, replaces=True)
    repeat = load(database, file, CORRECTED)
    assert repeat.unchanged == 1
    undone = undo_import(database, corrected.import_id, "me", NOW)
    assert (undone.restored, undone.refused) == (1, 1)
    assert trades(database) == [(1, "7", "X", "closed", 110.0, 1.0, 99.0)]
    with connect(database) as connection:
        ((number, of, original),) = connection.execute(
            "SELECT quarantine_id, import_id, original FROM trade_quarantine WHERE status = 'held'"
        ).fetchall()
    assert (of, original["source_trade_id"], original["fees"]) == (repeat.import_id, "7", "3")
    release(database, number, {"source_trade_id": "8"}, NOW)
    assert [(row[1], row[6]) for row in trades(database)] == [("7", 99.0), ("8", 97.0)]


def test_of_rows_that_are_alike_the_next_is_recorded_once_the_first_is_undone(database: str, file: Path) -> None:
    """Of a format whose ids are worthless."""

    def told(number: str) -> int:
        reading = read_trades(write(file, [(number, *CLOSED[1:])]), now=NOW, holds_duplicates=True)
        return load_trades(database, reading, file.name).import_id

    first, second, third = map(told, "789")
    assert [row[1] for row in trades(database)] == ["7"]
    assert [row.held for row in list_imports(database)] == [1, 1, 0]
    assert undo_import(database, first, "me", NOW).released == 1
    assert [row[1] for row in trades(database)] == ["8"]
    assert show_import(database, third).held == 1
    undo_import(database, second, "me", NOW)
    assert [row[1] for row in trades(database)] == ["9"]


# Undoing any of some imports, in any order, leaves what the others alone would have left.

FIELDS = (*COLUMNS, "mark_price", "currency", "capital", "strategy")


def row(
    key: tuple[str, str],
    state: tuple[str, ...],
    *,
    mark: str = "",
    currency: str = "USD",
    capital: str = "",
    strategy: str = "",
) -> tuple[str, ...]:
    """A row of a trade; only an open one has a mark."""
    return (*key, *state[2:], mark if state[4] == "open" else "", currency, capital, strategy)


ANOTHER = (*OPEN[:5], "2025-03-01 08:00", *OPEN[6:])  # entered otherwise
PENDING = (*OPEN[:4], "pending_exit", *OPEN[5:])
STATES = st.sampled_from((OPEN, ADDED, CLOSED, CORRECTED, ANOTHER, PENDING))
BOTS = ("1", "2", "grid")
KEYS = st.sampled_from((("7", "1"), ("8", "1"), ("7", "2"), ("8", "2"), ("7", "grid"), ("9", "grid")))


@dataclass(frozen=True)
class File:
    """Rows of a file, and how it is loaded."""

    rows: tuple[tuple[str, ...], ...]
    replaces: bool = False
    holds_duplicates: bool = False
    source: str = "exchange"

    def load(self, url: str, path: Path) -> int:
        reading = read_once(self, path)
        with connect(url) as connection:
            return take_in(connection, reading, path.name, replaces=self.replaces).import_id


@cache
def read_once(file: File, path: Path) -> Reading:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([FIELDS, *file.rows])
    return read_trades(path, now=NOW, source=file.source, holds_duplicates=file.holds_duplicates)


@st.composite
def files(draw: st.DrawFn) -> File:
    """Of what a file says of one bot, the order of its rows counts only where they are recorded (see `store.imports`): one
    currency, and no rows that are alike where such are held."""
    strategy = draw(st.sampled_from(("", "", "ma", "rsi")))
    currency = {bot: draw(st.sampled_from(("USD", "USD", "USD", "EUR"))) for bot in BOTS}
    capital = {bot: draw(st.sampled_from(("", "", "500", "700"))) for bot in BOTS}
    holds_duplicates = draw(st.integers(0, 3)) == 3
    rows = tuple(
        row(
            (number, bot),
            draw(STATES),
            mark=draw(st.sampled_from(("", "104", "107"))),
            currency=currency[bot],
            capital=capital[bot],
            strategy=strategy,
        )
        for number, bot in draw(
            st.lists(KEYS, min_size=1, max_size=3, unique_by=itemgetter(1) if holds_duplicates else tuple)
        )
    )
    source = draw(st.sampled_from(("exchange", "exchange", "exchange", "broker")))
    return File(rows, draw(st.booleans()), holds_duplicates, source)


def held_of(url: str, numbers: Mapping[int, int]) -> list[tuple]:
    """The rows that are held, by the number of their file."""
    with connect(url) as connection:
        found = connection.execute(
            "SELECT DISTINCT i.import_id, q.reason, coalesce(q.original ->> 'id', q.original ->> 'source_trade_id')"
            " FROM trade_quarantine q LEFT JOIN quarantine_repeats r USING (quarantine_id)"
            " CROSS JOIN LATERAL (VALUES (q.import_id), (r.import_id)) AS i (import_id)"
            " WHERE q.status = 'held' AND i.import_id IS NOT NULL"
        ).fetchall()
    return sorted((numbers[import_id], *rest) for import_id, *rest in found)


def recorded(url: str, numbers: Mapping[int, int]) -> list[tuple]:
    """The trades with the file that says so, what was open and marked when, and the bots."""
    with connect(url) as connection:
        trades = connection.execute(
            "SELECT t.import_id, b.name, t.source, t.source_trade_id, trade_content(t) - 'bot_id', t.pnl,"
            " p.import_id, p.entry_time, p.exit_time,"
            " (SELECT array_agg(coalesce(m.price::text, 'no mark') || ' of ' || m.import_id ORDER BY m.import_id) FROM position_marks m"
            "  WHERE m.trade_id = t.trade_id)"
            " FROM trades t JOIN bots b USING (bot_id) LEFT JOIN positions p USING (trade_id) ORDER BY 2, 3, 4"
        ).fetchall()
        bots = connection.execute(
            "SELECT name, quote_currency, strategy_id, capital FROM bots ORDER BY name"
        ).fetchall()
    marks = [
        [re.sub(r"of (\d+)", lambda match: f"of {numbers[int(match[1])]}", mark) for mark in trade[-1] or ()]
        for trade in trades
    ]
    return [
        *(
            (numbers[trade[0]], *trade[1:6], numbers.get(trade[6]), *trade[7:9], told)
            for trade, told in zip(trades, marks, strict=True)
        ),
        *bots,
    ]


@pytest.fixture(scope="module")
def two_databases(server_url: str, template: str) -> Iterator[tuple[str, str]]:
    with temporary_database(server_url, template) as one, temporary_database(server_url, template) as other:
        yield one, other


def empty(url: str) -> None:
    with connect(url) as connection:
        connection.execute(
            "TRUNCATE trades, bots, bot_names, trade_quarantine, trade_revisions, imports RESTART IDENTITY CASCADE"
        )


@pytest.mark.long
@settings(
    max_examples=int(os.environ.get("KNOWDEFEAT_UNDO_EXAMPLES", "15")),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(st.one_of(files(), st.integers(0, 9)), min_size=2, max_size=7),
    order=st.randoms(use_true_random=False),
)
def test_undoing_leaves_what_the_others_alone_would_have_left(
    two_databases: tuple[str, str], tmp_path: Path, steps: list[File | int], order
) -> None:
    """Files are loaded, of which some repeat, move on, contradict or correct others, and undone; at last all of them are."""
    url, clean = two_databases
    empty(url)
    left: dict[int, tuple[int, File]] = {}
    for number, step in enumerate([*steps, *order.sample(range(10), 10), *[0] * 7]):
        if isinstance(step, File):
            left[step.load(url, tmp_path / f"{number}.csv")] = (number, step)
            continue
        if not left:
            continue
        gone = [*left][step % len(left)]
        undo_import(url, gone, "me", NOW)
        del left[gone]
        empty(clean)
        numbers = {file.load(clean, tmp_path / f"{at}.csv"): at for at, file in left.values()}
        told = {import_id: at for import_id, (at, _) in left.items()}
        assert recorded(url, told) == recorded(clean, numbers)
        assert held_of(url, told) == held_of(clean, numbers)


def test_rows_that_two_undoings_hold_come_back_both(database: str, file: Path) -> None:
    """Bots of dollars whose later files disagree on the currency: the one of euros was refused while dollars came
    first, and is refused no more once they have gone."""

    def take(currency: str, *bots: str) -> int:
        rows = [(CLOSED[0], bot, *CLOSED[2:], "", currency, "", "") for bot in bots]
        with file.open("w", newline="") as stream:
            csv.writer(stream).writerows([FIELDS, *rows])
        with connect(database) as connection:
            return take_in(connection, read_trades(file, now=NOW), file.name).import_id

    first, second, euros, last = take("USD", "7"), take("USD", "8"), take("EUR", "7", "8"), take("USD", "7", "8")
    undo_import(database, first, "me", NOW)
    undo_import(database, second, "me", NOW)
    held = "SELECT import_id, row_number FROM trade_quarantine WHERE status = 'held' ORDER BY 1, 2"
    with connect(database) as connection:
        assert connection.execute(held).fetchall() == [(last, 1), (last, 2)]
        currencies = "SELECT bot_id, quote_currency FROM bots ORDER BY 1"
        assert connection.execute(currencies).fetchall() == [(7, "EUR"), (8, "EUR")]
    undo_import(database, euros, "me", NOW)
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM trade_quarantine WHERE status = 'held'").fetchone() == (0,)
        assert connection.execute("SELECT import_id, count(*) FROM trades GROUP BY 1").fetchall() == [(last, 2)]


def test_a_bot_that_comes_back_accounts_in_what_its_first_file_says(database: str, file: Path) -> None:
    """Two corrections name bot 2, in euros and then in dollars, and both wait as their id is a trade of bot 1. Once that
    has gone, the first makes bot 2 one of euros, so that the second is refused for its currency."""

    def take(bot: str, currency: str) -> int:
        return File((row(("7", bot), CLOSED, currency=currency),), replaces=True).load(database, file)

    first, euros, dollars = take("1", "EUR"), take("2", "EUR"), take("2", "USD")
    assert [held[0] for held in held_back(database)] == ["another_bot", "another_bot"]
    assert undo_import(database, first, "me", NOW).released == 1
    told = {euros: 1, dollars: 2}
    assert held_of(database, told) == [(2, "currency_mismatch", "7")]
    with connect(database) as connection:
        assert connection.execute("SELECT import_id, quote_currency FROM trades").fetchall() == [(euros, "EUR")]
        assert connection.execute("SELECT name, quote_currency FROM bots").fetchall() == [("2", "EUR")]


def test_a_held_row_that_a_correction_lets_go_is_judged_by_the_bots_of_that_correction(
    database: str, file: Path
) -> None:
    def take(number: str, currency: str) -> LoadReport:
        file_of = File((row((number, "2"), CLOSED, currency=currency),), replaces=True)
        with connect(database) as connection:
            return take_in(connection, read_once(file_of, file), file.name, replaces=True)

    with connect(database) as connection:
        connection.execute(
            "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, entry_price,"
            " notional, quote_currency) VALUES ('exchange', '7', 1, 'X', 'LONG', 'open', '2025-03-01', 100, 1000, 'EUR')"
        )
        assert take("7", "EUR").quarantined == {"another_bot": 1}
        connection.execute("DELETE FROM trades")
    assert take("8", "USD").inserted == 1  # makes bot 2 one of dollars
    with connect(database) as connection:
        assert connection.execute("SELECT source_trade_id, quote_currency FROM trades").fetchall() == [("8", "USD")]
    assert [held[::2] for held in held_back(database)] == [("another_bot", "held")]


def test_a_bot_that_comes_back_has_the_capital_that_its_file_states(database: str, file: Path) -> None:
    """A correction of a trade of bot 2 is held as it was recorded once the trade is gone, as its id is a trade of bot 1
    then, and bot 2 goes; once that has gone too, both come back."""

    def take(bot: str, strategy: str, replaces: bool = False) -> int:
        capital = {"ma": "500", "rsi": "700"}.get(strategy, "")
        return File((row(("7", bot), CLOSED, capital=capital, strategy=strategy),), replaces).load(database, file)

    def bots() -> list[tuple]:
        with connect(database) as connection:
            return connection.execute("SELECT name, strategy_id, capital FROM bots ORDER BY name").fetchall()

    first, other, _ = take("2", "rsi"), take("1", ""), take("2", "ma", replaces=True)
    assert bots() == [("1", None, None), ("2", "rsi", 700.0)]
    assert undo_import(database, first, "me", NOW).refused == 1
    assert bots() == [("1", None, None)]
    assert undo_import(database, other, "me", NOW).released == 1
    assert bots() == [("2", "ma", 500.0)]


def bots(url: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(
            "SELECT name, strategy_id, quote_currency, capital FROM bots ORDER BY name"
        ).fetchall()


def test_a_bot_that_comes_back_has_the_capital_that_a_row_states_which_stays_held(database: str, file: Path) -> None:
    """Bot 2 is named by two corrections, whose ids are trades of bot 1. Once one of these has gone, bot 2 is known when
    the second file states its capital, though the row that says so waits still."""

    def take(bot: str, number: str, **said: str) -> int:
        return File((row((number, bot), CLOSED, **said),), replaces=bot == "2").load(database, file)

    take("1", "8")
    first = take("1", "7")
    take("2", "7")
    held = take("2", "8", capital="500")
    assert bots(database) == [("1", None, "USD", None)]
    assert undo_import(database, first, "me", NOW).released == 1
    assert bots(database) == [("1", None, "USD", None), ("2", None, "USD", 500.0)]
    assert held_of(database, {held: 0}) == [(0, "another_bot", "8")]


def test_a_bot_is_what_the_first_file_says_whose_row_waits_no_more(database: str, file: Path) -> None:
    """The first file of bot 1 waits, as its id is a trade of bot 2; a later one tells otherwise of the bot. Once the trade
    of bot 2 has gone, the first file was first."""
    first = File((row(("7", "2"), CLOSED),)).load(database, file)
    File((row(("7", "1"), CLOSED, strategy="ma", capital="500"),), replaces=True).load(database, file)
    File((row(("8", "1"), CLOSED, strategy="rsi", capital="700"),)).load(database, file)
    assert bots(database)[0] == ("1", "rsi", "USD", 700.0)
    assert undo_import(database, first, "me", NOW).released == 1
    assert bots(database) == [("1", "ma", "USD", 500.0)]


def test_a_row_that_waits_no_more_makes_its_bot_one_of_another_currency(database: str, file: Path) -> None:
    first = File((row(("7", "2"), CLOSED),)).load(database, file)
    euros = File((row(("7", "1"), CLOSED, currency="EUR"),), replaces=True).load(database, file)
    dollars = File((row(("8", "1"), CLOSED),)).load(database, file)
    undone = undo_import(database, first, "me", NOW)
    assert (undone.released, undone.refused) == (1, 1)
    assert bots(database) == [("1", None, "EUR", None)]
    assert [held[:2] for held in trades(database)] == [(1, "7")]
    assert held_of(database, {euros: 1, dollars: 2}) == [(2, "currency_mismatch", "8")]


def test_a_row_that_waits_no_more_stands_against_one_that_is_alike(database: str, file: Path) -> None:
    first = File((row(("7", "2"), CLOSED),)).load(database, file)
    File((row(("7", "1"), CLOSED),), replaces=True).load(database, file)
    alike = File((row(("8", "1"), CLOSED),), holds_duplicates=True).load(database, file)
    undone = undo_import(database, first, "me", NOW)
    assert (undone.released, undone.refused) == (1, 1)
    assert [held[:2] for held in trades(database)] == [(1, "7")]
    assert held_of(database, {alike: 2}) == [(2, "duplicate_trade", "8")]


def test_what_a_person_says_of_a_bot_stays_though_a_later_file_says_so_too(database: str, file: Path) -> None:
    File((row(("7", "1"), CLOSED, capital="500", strategy="ma"),)).load(database, file)
    second = File((row(("8", "1"), CLOSED, capital="700", strategy="rsi"),)).load(database, file)
    third = File((row(("9", "1"), CLOSED),)).load(database, file)
    with connect(database) as connection:
        set_bot(connection, "1", capital=700.0, strategy="rsi")
    for gone in (third, second):
        undo_import(database, gone, "me", NOW)
        assert bots(database) == [("1", "rsi", "USD", 700.0)]


def test_that_a_person_wants_the_capital_estimated_stays(database: str, file: Path) -> None:
    first = File((row(("7", "2"), CLOSED),)).load(database, file)
    File((row(("7", "1"), CLOSED, capital="500"),), replaces=True).load(database, file)
    File((row(("8", "1"), CLOSED, capital="700"),)).load(database, file)
    with connect(database) as connection:
        set_bot(connection, "1", estimated=True)
    assert undo_import(database, first, "me", NOW).released == 1
    assert bots(database) == [("1", None, "USD", None)]


def test_a_row_that_is_released_states_the_capital_as_its_file_did(database: str, file: Path) -> None:
    """Released late, it was of the first file all the same, and goes with it."""
    unreadable = row(("7", "1"), (*CLOSED[:7], "?", *CLOSED[8:]), capital="500")
    first = File((unreadable, row(("7", "2"), CLOSED))).load(database, file)
    second = File((row(("8", "1"), CLOSED, capital="700"),)).load(database, file)
    assert bots(database) == [("1", None, "USD", 700.0), ("2", None, "USD", None)]
    with connect(database) as connection:
        ((number,),) = connection.execute("SELECT quarantine_id FROM trade_quarantine").fetchall()
    assert release(database, number, {"entry_price": "100"}, NOW).inserted == 1
    assert bots(database)[0] == ("1", None, "USD", 500.0)
    undo_import(database, second, "me", NOW)
    assert bots(database)[0] == ("1", None, "USD", 500.0)
    undo_import(database, first, "me", NOW)
    assert bots(database) == []


def test_an_undone_import_seems_to_hold_no_row_whichever_version_undid_it(empty_database: str) -> None:
    make(empty_database, "0043")
    with connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO imports (source, file_name, layout, author, undone_at, undone_by)"
            " VALUES ('s', 'a', '{}', 'me', NULL, NULL), ('s', 'b', '{}', 'me', now(), 'me'), ('s', 'c', '{}', 'me', NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO trade_quarantine (source, file_name, row_number, reason, message, original, layout, import_id)"
            " VALUES ('s', 'a', 1, 'no_price', 'no price', '{}', '{}', 1)"
        )
        connection.execute(
            "INSERT INTO quarantine_repeats (quarantine_id, import_id, row_number) VALUES (1, 2, 1), (1, 3, 1)"
        )
    migrations.upgrade(empty_database)
    assert [(found.import_id, found.held) for found in list_imports(empty_database)] == [(3, 1), (2, 0), (1, 1)]


def test_corrections_and_who_brings_the_same_new_bots_both_commit(database: str, file: Path) -> None:
    """The corrections bring bot z, and let bot a in, whose row had waited; another enters both, in the order of names."""
    with connect(database) as connection:
        connection.execute(
            "INSERT INTO trades (source, source_trade_id, bot_name, ticker, direction, status, entry_time, entry_price,"
            " notional) VALUES ('exchange', '7', 'other', 'X', 'LONG', 'open', '2025-03-01', 100, 1000)"
        )
        File((row(("7", "a"), CLOSED),), replaces=True).load(database, file)
        connection.execute("DELETE FROM trades")
    corrections = read_once(File((row(("9", "z"), CLOSED),), replaces=True), file.with_name("corrections.csv"))
    entered = Event()

    def write() -> None:
        with connect(database) as connection, connection.transaction():
            entered.wait(60)
            for bot in ("a", "z"):
                connection.execute(
                    "INSERT INTO bots (name, quote_currency) VALUES (%s, 'USD') ON CONFLICT DO NOTHING", [bot]
                )

    def settle(import_id: int) -> None:
        assert release_again(connection, "exchange", NOW, import_id) == 1
        entered.set()
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not written.done() and not watching.execute(waiting).fetchall():
            pass

    with connect(database) as connection, connect(database) as watching, ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        record_file(connection, corrections, "corrections.csv", replaces=True, then=settle)
        written.result(60)
    with connect(database) as connection:
        traded = "SELECT name, source_trade_id FROM trades JOIN bots USING (bot_id) ORDER BY 1"
        assert connection.execute(traded).fetchall() == [("a", "7"), ("z", "9")]
