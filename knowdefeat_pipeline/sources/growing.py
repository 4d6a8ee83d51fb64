"""Files that grow while they are read: whether one has changed, what of it is new, and where it went when it was moved
or copied.

What was read once is not read as new again, so that a file may be read as a whole each time it has changed: a log that
grows, a database, a file that is written anew. Rows that are gone are no news.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources.fields import COLUMNS
from knowdefeat_pipeline.sources.raw import Content
from knowdefeat_pipeline.sources.readers import databases
from knowdefeat_pipeline.sources.reading import Reading

CHUNK = 2**20
TICK = 20_000_000
"""Nanoseconds within which two changes may have the same time."""
REFUSED = ["reason", "original"]


class Identity(NamedTuple):
    """Which file it is, whatever it is called."""

    device: int
    inode: int


class State(NamedTuple):
    """How a file looks. `is_settled`: a later change would show."""

    identity: Identity
    content: tuple[int, ...]
    is_settled: bool


@dataclass(frozen=True)
class Known:
    """What was read of a file before: the source of its trades, the trades and the refused rows."""

    source: str
    valid: pd.DataFrame
    refused: pd.DataFrame

    @classmethod
    def of(cls, reading: Reading) -> Known:
        """What a reading knows."""
        return cls(reading.source, reading.valid[[*COLUMNS]], reading.refused[REFUSED])


def look(path: Path) -> State | None:
    """How a file looks now, None where there is none."""
    try:
        found, content = path.stat(), databases.state(path)
    except FileNotFoundError:
        return None
    return State(Identity(found.st_dev, found.st_ino), content, abs(time.time_ns() - content[0]) > TICK)


def moved(path: Path, identity: Identity) -> Path | None:
    """Where the file is that was at `path`, if it was only renamed: in its folder, under a name that begins alike.

    `trades.csv.1`, `trades.csv.2026-11-29`, `trades-old.csv` are such names of `trades.csv`. None where it is gone.
    """
    alike = (other for other in _alike(path) if (found := look(other)) is not None and found.identity == identity)
    return next(alike, None)


def copied(path: Path, content: Content) -> Path | None:
    """Where a copy is of the file that was at `path`: in its folder, under a name that begins alike. It begins with
    what was read of the file, and may go on. None where there is none."""
    return next((other for other in _alike(path) if other.is_file() and begins_with(other, content)), None)


def begins_with(path: Path, content: Content) -> bool:
    """Whether a file begins with these bytes, as one that only grew does; a database may always. Raises
    FileNotFoundError."""
    if content.size is None:
        return True
    if path.stat().st_size < content.size:
        return False
    found, rest = hashlib.sha256(), content.size
    with path.open("rb") as file:
        while rest and (part := file.read(min(rest, CHUNK))):
            found.update(part)
            rest -= len(part)
    return found.hexdigest() == content.sha256


def _alike(path: Path) -> list[Path]:
    """The files beside one whose names begin like its own."""
    found = path.parent.glob(f"{_literal(path.stem)}*") if path.parent.is_dir() else ()
    return sorted(other for other in found if other != path)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def news(reading: Reading, known: Known | None) -> Reading:
    """Of a reading only what was not read before just so: new rows and changed ones. All rows of a trade are one."""
    if known is None or known.source != reading.source:
        return reading
    valid = reading.valid[_not_in(known.valid, reading.valid[[*COLUMNS]])]
    refused = reading.refused[_not_in(known.refused, reading.refused[REFUSED])]
    parts = {number: rows for number, rows in reading.parts.items() if number in {*valid["row_number"].tolist()}}
    kept = {*valid["row_number"], *refused["row_number"], *(row for rows in parts.values() for row in rows)}
    raw = reading.raw.keep(np.isin(reading.raw.row_number, np.array([*kept], dtype="int64")))
    raw = replace(raw, misshapen=[row for row in raw.misshapen if row[0] in kept])
    return replace(
        reading,
        raw=raw,
        valid=valid.reset_index(drop=True),
        refused=refused.reset_index(drop=True),
        parts=parts,
    )


def _not_in(known: pd.DataFrame, rows: pd.DataFrame) -> Bools:
    both = pd.concat([known, rows], ignore_index=True)
    return ~both.duplicated().to_numpy(bool)[len(known) :]
