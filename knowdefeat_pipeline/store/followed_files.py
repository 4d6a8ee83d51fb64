"""Files that are followed: where each was left, and what of it has arrived."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records

if TYPE_CHECKING:
    from knowdefeat_pipeline.sources.growing import Identity

HEARTBEAT = 10.0  # seconds between two words of a follower
SILENT = 3 * HEARTBEAT  # seconds without one after which a file is taken for followed no more


def follow(connection: psycopg.Connection, path: Path) -> tuple[Identity | None, str | None]:
    """Note that a file is followed; which file it was and the source of its trades, None where it was not read yet."""
    from knowdefeat_pipeline.sources.growing import Identity  # the pages, which only list them, read no file

    ((device, inode, source),) = connection.execute(query("followed_files/follow"), {"path": str(path)}).fetchall()
    return None if device is None else Identity(int(device), int(inode)), source


def note_identity(connection: psycopg.Connection, path: Path, identity: Identity | None) -> None:
    """Note which file is read there from now on; None: the next one that comes."""
    device, inode = identity or (None, None)
    connection.execute(
        "UPDATE followed_files SET (device, inode) = (%s, %s) WHERE path = %s", (device, inode, str(path))
    )


def note_reading(connection: psycopg.Connection, path: Path, source: str | None, trades: int) -> None:
    """Note what a reading brought. `trades`: new and changed ones."""
    about = {"path": str(path), "source": source, "trades": trades}
    connection.execute(query("followed_files/note_reading"), about)


def note_looks(connection: psycopg.Connection, troubles: Mapping[Path, str | None]) -> None:
    """Note that these files are followed still, and why one cannot be read."""
    about = {"paths": [str(path) for path in troubles], "troubles": [*troubles.values()]}
    connection.execute(query("followed_files/note_looks"), about)


def followed_files(connection: psycopg.Connection) -> list[Record]:
    """The files that are followed, or were (not `is_followed`), with the last arrival of each."""
    return records(connection, query("followed_files/list"), {"silent": SILENT})
