"""One day written again and again, as the running one is: only the rows that changed."""

from __future__ import annotations

import psycopg

from knowdefeat_pipeline.core.units import Ints
from knowdefeat_pipeline.store.memory import Memory, Renewed
from knowdefeat_pipeline.store.results import of_day, replace_bots, replace_days
from knowdefeat_pipeline.store.staleness import Mark, mark


def renew_day(
    connection: psycopg.Connection, memory: Memory, asset: str, found: Renewed, own: Mark
) -> tuple[Mark, Ints | None]:
    """Write the asset's table of the day of `own`, and the mark; that as recorded, and whose rows were written, None
    for all.

    The rows of bots that moved, where the day still stands as this memory has left it, else all. Call it inside a
    transaction.
    """
    (recorded,) = mark(connection, asset, own.day, own.day, [own])
    as_left = found.written is not None and recorded.replaced == found.written
    moved = found.moved if as_left else None
    if moved is not None:
        replace_bots(connection, asset, own.day, moved, found.table)
    else:
        replace_days(connection, asset, own.day, own.day, of_day(found.table, own.day))
    memory.wrote(asset, recorded.number)
    return recorded, moved
