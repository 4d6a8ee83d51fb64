"""When and where the last backup was written: a note in the home, for whoever asks how old it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from knowdefeat_pipeline.settings import make_private

NOTE = "last_backup.json"


@dataclass(frozen=True)
class LastBackup:
    """A backup: when it was complete, and its file, which may have been moved since."""

    at: datetime
    file: Path


def note_backup(home: Path, file: Path) -> None:
    """Note that a backup was written to this file now."""
    make_private(home)
    note = home / NOTE
    unfinished = note.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), "file": str(file.absolute())}))
    unfinished.replace(note)


def last_backup(home: Path) -> LastBackup | None:
    """The last backup that was noted; None where none was, or the note cannot be read."""
    try:
        noted = json.loads((home / NOTE).read_text())
        return LastBackup(datetime.fromisoformat(noted["at"]), Path(noted["file"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
