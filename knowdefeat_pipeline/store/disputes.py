"""What may stand otherwise once an import is undone: held rows, and trades that they may stand against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.quarantine import read_again

KEY = ["source_trade_id", "bot_id"]


@dataclass(frozen=True)
class Held:
    """Rows of one import that were refused in the light of other trades. `rows`: by the number of a valid row of the
    reading, the numbers in quarantine of all rows that became it."""

    import_id: int | None
    file_name: str
    simulated: bool
    reading: Reading
    rows: Mapping[int, tuple[int, ...]]


def dispute(connection: psycopg.Connection, import_id: int, source: str, now: datetime) -> list[Held]:
    """Put into `disputed` the ids whose rows may stand otherwise without an import of the source, and into `held_again`
    the held rows that may be recorded then, which are returned, too, read again.

    What is recorded otherwise may stand against further rows, of bots and sources that the import did not speak of.
    """
    connection.execute(
        "CREATE TEMP TABLE disputed (source text, source_trade_id text, PRIMARY KEY (source, source_trade_id)) "
        "ON COMMIT DROP"
    )
    connection.execute(
        "CREATE TEMP TABLE held_again (quarantine_id bigint, reason text, source text, source_trade_id text, "
        "bot text, ticker text, entry_time timestamptz, quote_currency text, bot_id integer) ON COMMIT DROP"
    )
    alike = "SELECT FROM imports WHERE undone_at IS NULL AND (layout ->> 'holds_duplicates')::boolean LIMIT 1"
    sources, found = set[str](), {source}
    while found > sources:
        sources = found
        held = _held_rows(connection, sources, now)
        if not held and connection.execute(alike).fetchone() is None:
            break  # nothing stands against anything, as of most imports
        while connection.execute(query("trades/undo_disputed"), {"import_id": import_id}).rowcount:
            pass  # what is disputed now may dispute more
        found = sources.union(name for (name,) in connection.execute("SELECT DISTINCT source FROM disputed"))
    return held


def _held_rows(connection: psycopg.Connection, sources: set[str], now: datetime) -> list[Held]:
    """The rows that may be recorded once trades of the sources are gone, read again; they alone are in `held_again`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query("trades/undo_held"), {"sources": [*sources]}).fetchall()
    held = [_held([*rows], now) for _, rows in groupby(found, itemgetter("import_id", "source", "file_name", "layout"))]
    connection.execute("TRUNCATE held_again")
    reasons = {row["quarantine_id"]: row["reason"] for row in found}
    for group in held:
        copy_arrow(connection, "held_again", _keys(group, reasons), _KEYS)
    connection.execute(
        "UPDATE held_again AS h SET bot_id = n.bot_id FROM bot_names AS n WHERE n.name = bot_name(h.bot)"
    )
    # One word for a bot, whether it is known or not.
    connection.execute("UPDATE held_again SET bot = coalesce(bot_id::text, bot_name(bot))")
    return held


_KEYS = ["quarantine_id", "reason", "source", "source_trade_id", "bot", "ticker", "entry_time", "quote_currency"]


def _held(rows: Sequence[dict[str, Any]], now: datetime) -> Held:
    first = rows[0]
    reading = read_again(first["source"], first["layout"], {row["row_number"]: row["original"] for row in rows}, now)
    ids = {row["row_number"]: row["quarantine_id"] for row in rows}
    all_rows = {
        number: tuple(ids[row] for row in (number, *reading.parts.get(number, ())))
        for number in reading.valid["row_number"].tolist()
    }
    return Held(first["import_id"], first["file_name"], first["simulated"], reading, all_rows)


def _keys(held: Held, reasons: Mapping[int, str]) -> pa.Table:
    valid = held.reading.valid[["row_number", *KEY, "ticker", "entry_time", "quote_currency"]].rename(
        columns={"bot_id": "bot"}
    )
    ids = valid.assign(quarantine_id=valid["row_number"].map(held.rows), source=held.reading.source)
    ids = ids.explode("quarantine_id").astype({"quarantine_id": "int64"})
    return pa.Table.from_pandas(
        ids.assign(reason=ids["quarantine_id"].map(reasons).astype("str"))[_KEYS], preserve_index=False
    )
