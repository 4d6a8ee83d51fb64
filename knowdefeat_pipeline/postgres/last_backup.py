"""When, where and of which database the last backup was written: a note in the home, for whoever asks how old it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from knowdefeat_pipeline.postgres.identity import present_server
from knowdefeat_pipeline.settings import make_private

NOTE = "last_backup.json"


class Origin(NamedTuple):
    """What tells databases apart: the server (None: it does not tell) and the name on it."""

    system_identifier: int | None
    database: str


@dataclass(frozen=True)
class LastBackup:
    """A backup: when it was complete, its file, which may have been moved since, and of which database it is (None: an
    earlier version noted none)."""

    at: datetime
    file: Path
    origin: Origin | None


def origin_of(connection: psycopg.Connection) -> Origin:
    """The database that we are connected to. Raises ForeignTransactions before the schema tells of servers."""
    return Origin(present_server(connection).system_identifier, connection.info.dbname)


def note_backup(home: Path, file: Path, origin: Origin) -> None:
    """Note that a backup of that database was written to this file now."""
    make_private(home)
    note = home / NOTE
    unfinished = note.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    noted = {"at": datetime.now(UTC).isoformat(), "file": str(file.absolute()), "origin": origin}
    unfinished.write_text(json.dumps(noted))
    unfinished.replace(note)


def last_backup(home: Path) -> LastBackup | None:
    """The last backup that was noted; None where none was, or the note cannot be read."""
    try:
        noted = json.loads((home / NOTE).read_text())
        origin = Origin(*noted["origin"]) if noted.get("origin") else None
        return LastBackup(datetime.fromisoformat(noted["at"]), Path(noted["file"]), origin)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
