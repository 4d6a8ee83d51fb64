"""Imports: taking in what was read, and undoing it; `imported` looks at what was taken in.

Undoing leaves what the other imports alone would have left, loaded in their order: what they have just so is theirs,
what they said otherwise is recorded anew (see `store.disputes` and `store.replay`), bots are as they say
(`store.imported_bots`), and the rest goes. The days that it touches become stale. (Rows of one id, rows that are alike
and rows of one bot in several currencies in one file are taken in the order in which their trades were first recorded.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

import psycopg

from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect, query, run_script
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.disputes import dispute
from knowdefeat_pipeline.store.imported import UndoError, find_import
from knowdefeat_pipeline.store.imported_bots import as_imports_say
from knowdefeat_pipeline.store.locks import lock_every_day
from knowdefeat_pipeline.store.quarantine import discard_of_import, release_again
from knowdefeat_pipeline.store.replay import replay
from knowdefeat_pipeline.store.simulation import forget_bots, forget_days, forget_late_days
from knowdefeat_pipeline.store.trades import LoadReport, load, lock_loads, plan


@dataclass(frozen=True)
class Undone:
    """What became of the trades of an import that was undone: `removed`, `restored` to what was said before, or `kept`
    because another import has them too, by import in `heirs`; the rows that could be recorded now that they are gone
    (`released`), and those that are held now, as what they repeated or moved on is gone (`refused`)."""

    import_id: int
    removed: int
    restored: int
    kept: int
    discarded: int
    released: int
    heirs: dict[int, int] = field(default_factory=dict)
    refused: int = 0


def take_in(
    connection: psycopg.Connection,
    reading: Reading,
    file_name: str,
    *,
    replaces: bool = False,
    author: str = "manual",
    content_hash: str | None = None,
) -> LoadReport:
    """Record a reading as an import (see `trades.load`). Where it `replaces`, rows that had been held and that it has
    recorded are settled. Raises psycopg.Error."""

    def settle(import_id: int) -> None:
        if replaces:
            release_again(connection, reading.source, clock.now(connection), import_id)

    return load(
        connection, reading, file_name, replaces=replaces, author=author, content_hash=content_hash, then=settle
    )


def undo_import(url: str, import_id: int, author: str, now: datetime) -> Undone:
    """Take an import back in one transaction. Raises UndoError for one that is not there or was undone.

    A refresh that was under way may still have written days that are no more: they are forgotten once it has ended.
    """
    with connect(url) as connection:
        with connection.transaction():
            undone, since = _undo(connection, import_id, author, now)
        if since is not None:
            forget_late_days(connection, since, now.date())
    return undone


def _undo(connection: psycopg.Connection, import_id: int, author: str, now: datetime) -> tuple[Undone, date | None]:
    """What became of the import, and the first day that its trades were of, None where none went."""
    lock_loads(connection)
    lock_every_day(connection)
    connection.execute("LOCK TABLE trades IN SHARE ROW EXCLUSIVE MODE")  # what a bot writes now, it writes afterwards
    found = find_import(connection, import_id)
    if found.undone_at is not None:
        at = f"{found.undone_at:%Y-%m-%d %H:%M:%S} UTC"
        raise UndoError(f"Import {import_id} was undone already, at {at} by {found.undone_by}")
    connection.execute(
        "UPDATE imports SET undone_at = clock_timestamp(), undone_by = %s WHERE import_id = %s", [author, import_id]
    )
    discarded = discard_of_import(connection, import_id, now)
    about = {"import_id": import_id}
    plan(connection, 0)
    connection.execute(query("trades/undo_leaving"), about)
    held = dispute(connection, import_id, found.source, now)
    run_script(connection, "trades/undo_statements", about)
    names = [name for (name,) in connection.execute(query("trades/undo_names")).fetchall()]
    with as_imports_say(connection, names, undone=import_id):
        since = _take_away(connection, import_id)
        released, refused = replay(connection, import_id, held, now)
        connection.execute(query("trades/undo_positions"), about)
        heirs, counts = _outcome(connection, import_id)
        _forget_what_rested_on_it(connection)
    return Undone(
        import_id, counts["removed"], counts["restored"], sum(heirs.values()), discarded, released, heirs, refused
    ), since


def _take_away(connection: psycopg.Connection, import_id: int) -> date | None:
    """Of what the import spoke: what nobody else did goes, what others had just so becomes theirs, and the rest, of
    which it is noted what they said, goes too; the first day of what went."""
    ((since,),) = connection.execute(query("trades/undo_since")).fetchall()
    run_script(connection, "trades/undo_trades", {"import_id": import_id})
    connection.execute("SELECT set_config('knowdefeat.marked_at', 'known', true)")
    connection.execute(query("trades/write_contents"))
    connection.execute("DROP TABLE contents")
    return since  # type: ignore[no-any-return]


def _outcome(connection: psycopg.Connection, import_id: int) -> tuple[dict[int, int], Counter[str]]:
    """How many of the import's trades are another's now, by import, and how many were removed and restored."""
    heirs: Counter[int] = Counter()
    counts: Counter[str] = Counter()
    for outcome, heir, trades in connection.execute(query("trades/undo_outcome"), {"import_id": import_id}):
        if outcome == "kept":
            heirs[heir] += trades
        else:
            counts[outcome] += trades
    return dict(sorted(heirs.items())), counts


def _forget_what_rested_on_it(connection: psycopg.Connection) -> None:
    """Bots of which nothing but the import spoke go, with their results, and days on which nothing else had closed."""
    connection.execute(query("trades/undo_bots"))
    forget_bots(connection)
    forget_days(connection)
