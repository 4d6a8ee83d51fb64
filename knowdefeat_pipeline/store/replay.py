"""Recording anew what the imports that are left say of trades of which the one that is undone spoke, too.

Each import says its part in its turn and by the rules of every load (`store.trades`), so that what is recorded and what
is held is what a clean load of the imports that are left would have recorded and held. What an import says of a trade
is the trade as the import recorded it (`trades`, `trade_revisions`, `imports.repeats`), or its held rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import pandas as pd
import psycopg
from psycopg.rows import dict_row

from knowdefeat_pipeline.postgres.connection import query, run_script
from knowdefeat_pipeline.sources import exported
from knowdefeat_pipeline.sources.reading import Finding, Reading
from knowdefeat_pipeline.store.disputes import Held
from knowdefeat_pipeline.store.imported_bots import let_bots_arrive
from knowdefeat_pipeline.store.quarantine import read_again, release_again
from knowdefeat_pipeline.store.trades import (
    finding,
    hold,
    judge,
    note_repeats,
    plan,
    refused_rows,
    stage,
    write,
)


def replay(connection: psycopg.Connection, undone: int, held: Sequence[Held], now: datetime) -> tuple[int, int]:
    """Record what `statements` and the held rows of `disputed` ids say, import after import; how many rows that had
    been held are recorded, and how many that had been recorded are held.

    The trades of the statements are gone, and the loads are locked.
    """
    scope = [
        number
        for (number,) in connection.execute(
            "SELECT DISTINCT quarantine_id FROM held_again JOIN disputed USING (source, source_trade_id)"
        ).fetchall()
    ]
    _set_aside(connection, scope, undone, now)
    groups = [part for group in held if (part := _among(group, {*scope})).rows]
    plan(connection, 0)
    refused = 0
    for step in _steps(connection, groups):
        refused += step.take(connection, now)
        if step.replaces and step.import_id is not None:
            release_again(connection, step.source, now, step.import_id, scope)
    about = {"scope": scope, "undone": undone}
    ((released,),) = connection.execute(query("trades/replay_released"), about).fetchall()
    return int(released), refused


def _set_aside(connection: psycopg.Connection, scope: Sequence[int], undone: int, now: datetime) -> None:
    """Held rows that are recorded anew are settled by that, unless they are refused again."""
    connection.execute(
        "UPDATE trade_quarantine SET status = 'released', note = %s, settled_at = %s, released_by = %s"
        " WHERE quarantine_id = ANY(%s)",
        (f"import {undone} was undone", now, undone, scope),
    )
    connection.execute("DELETE FROM quarantine_repeats WHERE quarantine_id = ANY(%s)", (scope,))


def _among(held: Held, scope: set[int]) -> Held:
    rows = {number: ids for number, ids in held.rows.items() if scope.issuperset(ids)}
    valid = held.reading.valid[held.reading.valid["row_number"].isin(rows)]
    return replace(held, rows=rows, reading=replace(held.reading, valid=valid))


@dataclass(frozen=True)
class Step:
    """One import, and what of it is recorded anew: so many `statements`, and its held rows."""

    import_id: int | None
    source: str
    file_name: str
    replaces: bool
    holds_duplicates: bool
    imported_at: str
    marked_at: str
    statements: int
    simulated: bool
    held: Sequence[Held] = ()

    def take(self, connection: psycopg.Connection, now: datetime) -> int:
        """Record it, and hold what is refused; how many rows of that had been recorded."""
        about = {"source": self.source, "import_id": self.import_id, "simulated": self.simulated}
        places, valid = self._numbered()
        let_bots_arrive(connection)  # by which these rows are judged
        names, _ = stage(connection, valid)
        run_script(connection, "trades/replay_stage", about)
        judge(connection, about, self.holds_duplicates, replaces=self.replaces)
        run_script(connection, "trades/replay_ids", about)
        connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", [self.marked_at])
        connection.execute(query("trades/write_contents"))
        connection.execute("DROP TABLE contents")
        connection.execute("SELECT set_config('knowdefeat.marked_at', %s, true)", [self.imported_at])
        write(connection, about, replaces=self.replaces, marked_at=self.marked_at)
        recorded = "SELECT bot_id, name FROM bots WHERE bot_id IN (SELECT bot_id FROM incoming)"
        held = self._hold(connection, places, {**dict(connection.execute(recorded).fetchall()), **names}, now)
        note_repeats(connection, self.import_id)
        return held

    def _numbered(self) -> tuple[list[int], pd.DataFrame | None]:
        """The held rows behind what was recorded, which had been first; and by how much each part is moved."""
        places, frames, last = [], [], self.statements
        for part in self.held:
            places.append(last)
            frames.append(part.reading.valid.assign(row_number=part.reading.valid["row_number"] + last))
            last = int(frames[-1]["row_number"].max())
        return places, pd.concat(frames, ignore_index=True) if frames else None

    def _hold(
        self, connection: psycopg.Connection, places: Sequence[int], names: Mapping[int, str], now: datetime
    ) -> int:
        """Held again is what is refused again; what was recorded and is refused now is held as it was recorded."""
        refused = refused_rows(connection)
        for place, part in reversed([*zip(places, self.held, strict=True)]):
            own = [finding(_moved(row, place), names) for row in refused if row["row_number"] > place]
            refused = [row for row in refused if row["row_number"] <= place]
            self._hold_rows(connection, part.reading, part.file_name, own)
        if refused:
            # Numbers that no held row of the import has: more than one undoing may hold rows of it.
            ((last,),) = connection.execute(
                "SELECT coalesce(max(row_number), 0) FROM trade_quarantine WHERE import_id IS NOT DISTINCT FROM %s",
                [self.import_id],
            ).fetchall()
            rows = {last + number: row for number, row in _as_exported(connection, refused).items()}
            reading = read_again(self.source, exported.layout().as_json(), rows, now)
            alone, own = replace(reading, parts={}), [finding(_moved(row, -last), names) for row in refused]
            self._hold_rows(connection, alone, self.file_name, own)
        return len(refused)

    def _hold_rows(
        self, connection: psycopg.Connection, reading: Reading, file_name: str, findings: Sequence[Finding]
    ) -> None:
        about = (self.source, reading.layout.as_json(), file_name)
        hold(connection, *about, reading.refuse(findings), import_id=self.import_id, simulated=self.simulated)


def _moved(row: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A refused row with the numbers of its file; rows that were recorded have none there."""
    other = row["other_row"]
    return {
        **row,
        "row_number": row["row_number"] - place,
        "other_row": other - place if other and other > place else None,
    }


def _as_exported(
    connection: psycopg.Connection, refused: Sequence[Mapping[str, Any]]
) -> dict[int, dict[str, str | None]]:
    """Rows of `incoming` that were recorded before, as our own export writes trades, by their numbers."""
    found = connection.execute(
        "SELECT i.row_number, to_jsonb(i) || jsonb_build_object('bot_id', b.name)"
        " FROM incoming AS i JOIN bots AS b USING (bot_id) WHERE i.row_number = ANY(%s) ORDER BY 1",
        ([row["row_number"] for row in refused],),
    ).fetchall()
    return {number: {name: _text(row.get(name)) for name in exported.layout().columns} for number, row in found}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _steps(connection: psycopg.Connection, groups: Sequence[Held]) -> Iterator[Step]:
    """The imports in their order; rows from before imports were kept come first."""
    held = {key: [*parts] for key, parts in groupby(groups, lambda part: (part.import_id, part.reading.source))}
    for (number, source), parts in held.items():
        if number is None:
            duplicates = any(part.reading.layout.holds_duplicates for part in parts)
            yield Step(None, source, parts[0].file_name, False, duplicates, "", "", 0, parts[0].simulated, parts)
    with connection.cursor(row_factory=dict_row) as cursor:
        about = {"held": [number for number, _ in held if number is not None]}
        found = cursor.execute(query("trades/replay_steps"), about).fetchall()
    for row in found:
        parts = held.get((row["import_id"], row["source"]), [])
        yield Step(**{**row, "simulated": row["simulated"] or any(part.simulated for part in parts)}, held=parts)
