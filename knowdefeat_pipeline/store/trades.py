"""Recording the trades of a reading: new ones, progress of known ones, and the quarantine for the rest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.postgres.connection import connect, copy_arrow, query
from knowdefeat_pipeline.sources.canonical import COLUMNS, Reason, agrees
from knowdefeat_pipeline.sources.reading import Finding, Reading
from knowdefeat_pipeline.store.bots import arriving_keys
from knowdefeat_pipeline.store.simulation import remove_simulated

_LOCK = int.from_bytes(b"kdtrades", "big")  # the advisory lock that loads hold: one at a time
_MANY_ROWS = 10_000


@dataclass(frozen=True)
class LoadReport:
    """What became of a file: `rows_read` is the sum of inserted, updated, unchanged and quarantined rows.

    `removed`: trades of the simulated fleet, which made room.

    `quarantined`: rows by reason, of which `already_quarantined` were held, released or discarded before.
    `pnl_disagreements`: accepted closed trades whose stated pnl is not the computed one. `first_exit_day` and
    `last_exit_day`: UTC days of the accepted closed trades, None without any. `notes`: what the reader decided.
    """

    source: str
    file_name: str
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    already_quarantined: int = 0
    pnl_disagreements: int = 0
    first_exit_day: date | None = None
    last_exit_day: date | None = None
    notes: tuple[str, ...] = ()
    removed: int = 0


@dataclass(frozen=True)
class Recorded:
    """Rows written, rows that change nothing, the rows refused in the light of other trades (see `Reading`), and what
    the user should know of its bots."""

    inserted: int
    updated: int
    unchanged: int
    refused: pd.DataFrame
    notes: tuple[str, ...] = ()


def load_trades(url: str, reading: Reading, file_name: str, *, simulated: bool = False) -> LoadReport:
    """Record a reading in one transaction: all of it, or, if the database refuses anything, nothing.

    The same trade again changes nothing; a trade that moved on (open, pending_exit, closed) is updated; rows that
    contradict or repeat another trade go to quarantine with those that the reader refused. A simulated fleet makes room
    first; `simulated` marks the reading's trades as one.
    Raises DatabaseUnreachable and psycopg.Error.
    """
    with connect(url) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        removed = remove_simulated(connection)
        recorded = record(connection, reading, simulated=simulated)
        refused = pd.concat([reading.refused, recorded.refused], ignore_index=True)
        held = hold(connection, reading.source, reading.layout.as_json(), file_name, refused)
    return replace(_report(reading, file_name, recorded, refused, held), removed=removed)


def record(connection: psycopg.Connection, reading: Reading, *, simulated: bool = False) -> Recorded:
    """Write the valid trades of a reading, inside the caller's transaction. Quarantines nothing."""
    names = ["row_number", *COLUMNS, "pnl"]
    source = {"source": reading.source}
    connection.execute("SET LOCAL work_mem = '128MB'")
    connection.execute("SET LOCAL jit = off")
    if len(reading.valid) > _MANY_ROWS:  # columns that go together (bot, entry) make the planner expect far fewer rows
        connection.execute("SET LOCAL enable_nestloop = off")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    connection.execute(query("trades/load_stage"))
    code, bots = pd.factorize(reading.valid["bot_id"])
    keys, capital_notes = arriving_keys(connection, bots.tolist(), reading.capital)
    rows = reading.valid.assign(bot_id=np.array(keys, np.int32)[code])
    copy_arrow(connection, "incoming", pa.Table.from_pandas(rows, preserve_index=False), names)
    connection.execute("ANALYZE incoming (row_number, source_trade_id, bot_id, entry_time)")
    connection.execute(query("trades/load_currencies"))
    connection.execute(query("trades/load_unchanged"), source)
    connection.execute(query("trades/load_keys"), source)
    connection.execute(query("trades/load_twins_in_file"))
    for verdict in ("update", "insert"):
        connection.execute(query("trades/load_twins_recorded"), {**source, "verdict": verdict})
    connection.execute(query("trades/load_followers"))
    updated = connection.execute(query("trades/load_update")).rowcount
    inserted = connection.execute(query("trades/load_insert"), source | {"simulated": simulated}).rowcount
    if inserted:
        connection.execute("ANALYZE trades")  # a plan for the table as it was could take hours for the next reader
    refused = reading.refuse(_findings(connection, dict(zip(keys, bots, strict=True))))
    unchanged = len(reading.valid) - inserted - updated - len(refused)
    return Recorded(inserted, updated, unchanged, refused, tuple(capital_notes))


def _findings(connection: psycopg.Connection, names: Mapping[int, str]) -> list[Finding]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("trades/load_refused"), {"columns": [*COLUMNS]}).fetchall()
    return [_finding(row, names) for row in rows]


def _finding(row: dict[str, Any], names: Mapping[int, str]) -> Finding:
    reason = Reason(row["reason"])
    if reason is Reason.CURRENCY_MISMATCH:
        facts = {"currency": row["quote_currency"], "bot": names[row["bot_id"]], "other": row["account_currency"]}
        return row["row_number"], reason, "quote_currency", facts
    other = f"row {row['other_row']}"
    if row["other_row"] is None:
        other = f"trade {row['trade_id']} ({row['source']}, {row['source_trade_id']})"
    return row["row_number"], reason, "source_trade_id", {"other": other, "differing": row["differing"]}


def hold(
    connection: psycopg.Connection, source: str, layout: Mapping[str, object], file_name: str, refused: pd.DataFrame
) -> int:
    """Put the refused rows (see `Reading`) into quarantine; the number of those that were not there yet."""
    if refused.empty:
        return 0
    connection.execute(
        "CREATE TEMP TABLE refused ON COMMIT DROP AS "
        "SELECT row_number, reason, column_name, message, original FROM trade_quarantine WITH NO DATA"
    )
    copy_arrow(connection, "refused", pa.Table.from_pandas(refused, preserve_index=False))
    about = {"source": source, "file_name": file_name, "layout": Jsonb(layout)}
    return connection.execute(query("trades/quarantine_hold"), about).rowcount


def _report(reading: Reading, file_name: str, recorded: Recorded, refused: pd.DataFrame, held: int) -> LoadReport:
    accepted = reading.valid[~reading.valid["row_number"].isin(recorded.refused["row_number"])]
    closed = accepted[accepted["status"] == "closed"]
    stated = closed[closed["reported_pnl"].notna()]
    disagreeing = ~agrees(stated["pnl"].to_numpy(), stated["reported_pnl"].to_numpy())
    first, last = closed["exit_time"].min(), closed["exit_time"].max()
    return LoadReport(
        source=reading.source,
        file_name=file_name,
        rows_read=reading.rows_read,
        inserted=recorded.inserted,
        updated=recorded.updated,
        unchanged=recorded.unchanged,
        quarantined=dict(sorted(Counter(refused["reason"]).items())),
        already_quarantined=len(refused) - held,
        pnl_disagreements=int(disagreeing.sum()),
        first_exit_day=None if closed.empty else first.date(),
        last_exit_day=None if closed.empty else last.date(),
        notes=reading.notes + recorded.notes,
    )
