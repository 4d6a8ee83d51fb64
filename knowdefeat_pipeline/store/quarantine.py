"""The refused rows: releasing them corrected, and discarding them. `quarantined` looks at them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.sources.fields import FIELDS, NO_TRADE, Field, Reason
from knowdefeat_pipeline.sources.layout import Layout
from knowdefeat_pipeline.sources.market import FORMS, MarketLayout, read_rows
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.reading import Reading, read_table
from knowdefeat_pipeline.store.imported_bots import as_imports_say
from knowdefeat_pipeline.store.market import record_market
from knowdefeat_pipeline.store.quarantined import QuarantinedRow, QuarantineError, find_row
from knowdefeat_pipeline.store.trades import Recorded, lock_loads, note_repeats, record


def release(url: str, quarantine_id: int, corrections: Mapping[str, str], now: datetime) -> Recorded:
    """Correct a held row, read it again as its file was read, and record it: a trade under the same source, or a row of
    market data.

    `corrections`: column of the file (or field) -> new text. A row that is refused again stays held as it was and
    QuarantineError says why. A repeated trade cannot be forced in: the database holds each trade once. Nor can
    fills that make no trade, whatever is corrected, nor a trade of fills that another trade holds already.
    """
    with connect(url) as connection, connection.transaction():
        lock_loads(connection)  # before the row, as who loads or undoes takes them
        row = _find_held(connection, quarantine_id)
        # A correction would make a trade up, or count the fills of another trade twice.
        if row.reason == Reason.OVERLAPPING_TRADE or not NO_TRADE.keys().isdisjoint(row.original.values()):
            raise QuarantineError(f"Row {quarantine_id} stays in quarantine: {row.message}")
        again = _record_market_again if row.layout["format"] in FORMS else _record_again
        recorded = again(connection, row, corrections, now)
        if len(recorded.refused):
            raise QuarantineError(f"Row {quarantine_id} stays in quarantine: {recorded.refused['message'].iloc[0]}")
        corrected = ", ".join(f"{column} = {value}" for column, value in corrections.items())
        _settle(connection, quarantine_id, "released", corrected or None, now)
    return recorded


def discard(url: str, quarantine_id: int, note: str | None, now: datetime) -> None:
    """Settle a held row as not wanted; it stays on record. Raises QuarantineError."""
    with connect(url) as connection, connection.transaction():
        _find_held(connection, quarantine_id)
        _settle(connection, quarantine_id, "discarded", note, now)


def discard_of_import(connection: psycopg.Connection, import_id: int, now: datetime) -> int:
    """Settle the held rows of an import that is undone and that no other import has; how many."""
    about = {"import_id": import_id, "note": f"import {import_id} was undone", "now": now}
    return connection.execute(query("trades/undo_quarantine"), about).rowcount


def release_again(
    connection: psycopg.Connection, source: str, now: datetime, released_by: int, among: Sequence[int] | None = None
) -> int:
    """Settle the held rows of a source (`among`: of these alone) that no longer stand against what is recorded; how
    many. The loads are locked.

    `released_by`: the import of corrections that has recorded what they say; once it is undone they are held again. A
    row that is refused again stays held as it was, and so does one that would move on a trade of a later import.
    """
    about = {"source": source, "among": None if among is None else [*among]}
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        held = cursor.execute(query("trades/quarantine_again"), about).fetchall()
    if not held:
        return 0
    by_file = groupby(
        held,
        key=lambda row: (
            row.reason == Reason.ANOTHER_BOT, row.import_id, row.file_name, json.dumps(row.layout, sort_keys=True)
        ),
    )  # fmt: skip
    files = [_read_all_again([*group], now) for _, group in by_file]
    with as_imports_say(connection, {bot for _, reading in files for bot in reading.valid["bot_id"]}):
        released = [number for rows, reading in files for number in _record_all_again(connection, rows, reading)]
    connection.execute(
        "UPDATE trade_quarantine SET status = 'released', note = %s, settled_at = %s, released_by = %s"
        " WHERE quarantine_id = ANY(%s)",
        (f"recorded by import {released_by}", now, released_by, released),
    )
    return len(released)


def _read_all_again(rows: Sequence[QuarantinedRow], now: datetime) -> tuple[dict[int, QuarantinedRow], Reading]:
    """Rows of one file by their numbers, and what they read as."""
    first, by_number = rows[0], {row.row_number: row for row in rows}
    originals = {number: row.original for number, row in by_number.items()}
    return by_number, read_again(first.source, first.layout, originals, now)


def _record_all_again(
    connection: psycopg.Connection, rows: Mapping[int, QuarantinedRow], reading: Reading
) -> list[int]:
    """Record rows of one file as they are; the numbers in quarantine of those that are not refused again."""
    first = next(iter(rows.values()))
    recorded = record(
        connection,
        reading,
        first.import_id,
        capital={},  # its import has stated it
        simulated=first.simulated,
        keeps_later=True,
        of_one_bot=first.reason == Reason.ANOTHER_BOT,
    )
    refused = {*reading.refused["row_number"].tolist(), *recorded.refused["row_number"].tolist()}
    return [row.quarantine_id for number, row in rows.items() if number not in refused]


def read_again(
    source: str, layout: Mapping[str, Any], rows: Mapping[int, Mapping[str, str | None]], now: datetime
) -> Reading:
    """The reading of rows of one file, by their numbers."""
    names = dict.fromkeys(name for row in rows.values() for name in row)
    table = pa.table({name: pa.array([row.get(name) for row in rows.values()], pa.string()) for name in names})
    return read_table(RawTable(table, np.array([*rows])), Layout.from_json(layout), now, source=source)


def _find_held(connection: psycopg.Connection, quarantine_id: int) -> QuarantinedRow:
    row = find_row(connection, quarantine_id, lock=True)
    if row.status != "held":
        raise QuarantineError(
            f"Row {quarantine_id} has already been {row.status}, at {row.settled_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    return row


def _record_again(
    connection: psycopg.Connection, row: QuarantinedRow, corrections: Mapping[str, str], now: datetime
) -> Recorded:
    layout = Layout.from_json(row.layout)
    raw, columns = _corrected(row, corrections, layout.columns, FIELDS)
    reading = read_table(raw, replace(layout, columns=columns), now, source=row.source)
    if len(reading.refused):
        return Recorded(0, 0, 0, reading.refused)
    if row.import_id is None:  # from before imports were kept
        return record(connection, reading, None, capital=reading.capital, simulated=row.simulated)
    with as_imports_say(connection, reading.valid["bot_id"]):
        recorded = record(connection, reading, row.import_id, capital={}, simulated=row.simulated)
        note_repeats(connection, row.import_id)
        stated = {"import_id": row.import_id, "capital": Jsonb(dict(reading.capital))}
        connection.execute(query("trades/import_states"), stated)
    return recorded


def _record_market_again(
    connection: psycopg.Connection, row: QuarantinedRow, corrections: Mapping[str, str], now: datetime
) -> Recorded:
    layout = MarketLayout.from_json(row.layout)
    raw, columns = _corrected(row, corrections, layout.columns, layout.form.fields)
    constants = {name: text for name, text in layout.constants.items() if name not in columns}
    reading = read_rows(raw, replace(layout, columns=columns, constants=constants), now)
    if reading.unfinished:
        raise QuarantineError(f"Row {row.quarantine_id} stays in quarantine: its bar is still open")
    if len(reading.refused):
        return Recorded(0, 0, 0, reading.refused)
    inserted, _, refused = record_market(connection, reading)
    return Recorded(inserted, 0, 1 - inserted - len(refused), refused)


def _corrected(
    row: QuarantinedRow, corrections: Mapping[str, str], named: Mapping[str, str], fields: Mapping[str, Field]
) -> tuple[RawTable, dict[str, str]]:
    """The row with corrected cells, and field -> column; a field without a column may be given by its own name."""
    cells = dict(row.original)
    columns = dict(named)
    for name, text in corrections.items():
        column = name if name in cells else columns.get(name, name)
        if column not in cells and name not in fields:
            raise QuarantineError(
                f"Row {row.quarantine_id} has no column '{name}'; its columns are {', '.join(sorted(cells))}"
            )
        if column not in cells:
            columns[name] = name
        cells[column] = text
    table = pa.table({column: pa.array([text], pa.string()) for column, text in cells.items()})
    return RawTable(table, np.array([row.row_number])), columns


def _settle(connection: psycopg.Connection, quarantine_id: int, status: str, note: str | None, now: datetime) -> None:
    settled = {"quarantine_id": quarantine_id, "status": status, "note": note, "now": now}
    connection.execute(query("trades/quarantine_settle"), settled)
