"""What records the trades that come over HTTP: python -m knowdefeat_pipeline.web.recorder, which `intake` starts.

A process of its own: it has the rights to write trades, which the process of the pages has not, and what foreign bytes
do to memory and time does not reach who looks at pages. It reads a request a line from standard input and writes an
answer a line to standard output, JSON both, until its input ends. Each deed is one that the command line has too.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.files import every_source, read_trades
from knowdefeat_pipeline.sources.frames import read_exported, read_records
from knowdefeat_pipeline.sources.preview import as_record
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store import imported, imports, quarantine, quarantined
from knowdefeat_pipeline.store.bots import BotError
from knowdefeat_pipeline.store.trades import TradeError, changed_trade
from knowdefeat_pipeline.web.answers import as_json
from knowdefeat_pipeline.web.problems import HALF, told_of_database

MEMORY = 2**31  # bytes of data at most: what unpacks to more ends here, and not the machine
CGROUPS = Path("/sys/fs/cgroup")
MOST_REFUSED = 100  # rows that an answer names
STATUSES: Mapping[type[Exception], HTTPStatus] = {
    TradeError: HTTPStatus.NOT_FOUND,
    BotError: HTTPStatus.NOT_FOUND,
    imported.UndoError: HTTPStatus.CONFLICT,
    quarantined.QuarantineError: HTTPStatus.CONFLICT,
    DatabaseUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""How a refusal is told; any other is 422."""

UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
NO_RIGHTS = "This server was started without the rights to record trades; knowdefeat up gives them."
TOO_MUCH = "This unpacks to more than can be taken at once. Nothing of it was recorded; send it in parts."
FAULT = (
    "This could not be done, by a fault of this program, of which the recorder's log tells. Sending it again gives the "
    "same; nothing comes twice by it."
)
ONE = "one trade"  # what an import of one trade is called
DEEDS = ("record_file", "preview_file", "record_trade", "change_trade", "undo", "release", "discard")

Answer = dict[str, Any]
logger = logging.getLogger("knowdefeat.recorder")


class Recorder:
    """One connection that stays, and the deeds, which are named as whoever asks names them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection | None = None

    def record_file(
        self, path: str, name: str, how: Mapping[str, Any], author: str, replaces: bool = False
    ) -> list[Answer]:
        """Take in a file; what became of each of its sources. Raises SourceError."""
        readings = self._read(path, name, how)
        return [self._take_in(reading, name, author, reading.content_hash, replaces) for reading in readings]

    def preview_file(self, path: str, name: str, how: Mapping[str, Any]) -> list[Answer]:
        """How a file would be read; writes nothing. Raises SourceError."""
        return [as_record(name, reading) for reading in self._read(path, name, how)]

    def record_trade(self, trade: Mapping[str, Any], source: str, content_hash: str, author: str) -> Answer:
        """Take in one trade. Raises SourceError."""
        return self._take_in(read_records([trade], source, self._now()), ONE, author, content_hash)

    def change_trade(self, source: str, trade: str, bot: str | None, changes: Mapping[str, Any], author: str) -> Answer:
        """Take in a recorded trade with changes. Raises TradeError, BotError and SourceError."""
        row = changed_trade(self._connected(), source, trade, bot, changes)
        return self._take_in(read_exported([row], source, self._now()), ONE, author)

    def undo(self, import_id: int, author: str) -> Answer:
        """Take an import back. Raises UndoError."""
        return asdict(imports.undo_import(self.url, import_id, author, self._now()))

    def release(self, quarantine_id: int, corrections: Mapping[str, str]) -> Answer:
        """Correct a held row and record it. Raises QuarantineError and SourceError."""
        recorded = quarantine.release(self.url, quarantine_id, corrections, self._now())
        return {"inserted": recorded.inserted, "updated": recorded.updated, "unchanged": recorded.unchanged}

    def discard(self, quarantine_id: int, note: str | None) -> Answer:
        """Settle a held row as not wanted. Raises QuarantineError."""
        quarantine.discard(self.url, quarantine_id, note, self._now())
        return {}

    def _read(self, path: str, name: str, how: Mapping[str, Any]) -> list[Reading]:
        read = partial(read_trades, _bare(name), content=Path(path), now=self._now(), **how)
        return every_source(lambda source: read(of_source=source))

    def _take_in(
        self, reading: Reading, name: str, author: str, content_hash: str | None = None, replaces: bool = False
    ) -> Answer:
        connection = self._connected()
        report = imports.take_in(connection, reading, name, replaces=replaces, author=author, content_hash=content_hash)
        held = report.quarantined
        refused = quarantined.refused_of_import(connection, report.import_id, MOST_REFUSED) if held else []
        return asdict(report) | {"refused": refused}

    def _now(self) -> datetime:
        """By the database's clock. A connection that broke since the last deed is replaced."""
        try:
            return clock.now(self._connected())
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._connected().close()
            return clock.now(self._connected())

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.url)
        return self._connection


def answer(recorder: Recorder, line: bytes) -> Answer:
    """What became of a request: `done`, or `refused` with a status and the sentence that says why."""
    asked = json.loads(line)
    deed = asked.pop("deed")
    if deed not in DEEDS:
        raise ValueError(f"{deed} is no deed")
    try:
        return {"done": getattr(recorder, deed)(**asked)}
    except KnowDefeatError as error:
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), UNPROCESSABLE)
        return _refused(status, str(error))
    except (psycopg.DataError, psycopg.IntegrityError) as error:  # nothing of it was written
        return _refused(UNPROCESSABLE, _words(error))
    except UnicodeEncodeError:
        return _refused(UNPROCESSABLE, HALF)
    except psycopg.errors.InsufficientPrivilege as error:
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, f"{error.diag.message_primary}. {NO_RIGHTS}")
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        logger.warning("The database did not answer: %s", str(error).strip())
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, told_of_database(error))
    except MemoryError:
        raise
    except Exception:  # what no reader foresaw in foreign bytes must not end what others record by
        logger.exception("%s failed", deed)
        return _refused(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT)


def _words(error: psycopg.Error) -> str:
    """What the database says, or where it was not asked the driver, as of a text that PostgreSQL cannot hold."""
    return " ".join(filter(None, [error.diag.message_primary, error.diag.message_hint])) or str(error)


def _bare(name: str) -> Path:
    """The name of an upload without the folders that a client puts before it: none of them is one of ours."""
    return Path(name.replace("\\", "/").rsplit("/", 1)[-1] or "upload")


def _refused(status: HTTPStatus, text: str) -> Answer:
    return {"refused": int(status), "text": text}


def most_memory(hard: int, cgroups: Path = CGROUPS, own: str | None = None) -> int:
    """Bytes of data that we may take: no more than the hard limit, nor than half of our container, as the pages are
    in it too.

    `own`: our group there, None = the one that the system names. One that has no limit, or is of the first version of
    cgroups, counts for none.
    """
    if own is None:
        lines = Path("/proc/self/cgroup").read_text() if Path("/proc/self/cgroup").exists() else ""
        own = next((line[3:] for line in lines.splitlines() if line.startswith("0::")), "/")
    file = cgroups / own.lstrip("/") / "memory.max"
    limit = file.read_text().strip() if file.exists() else "max"
    bounds = [MEMORY]
    if hard != resource.RLIM_INFINITY:
        bounds.append(hard)
    if limit != "max":
        bounds.append(int(limit) // 2)
    return min(bounds)


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most_memory(hard), hard))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody prints is no answer
    recorder = Recorder(database_url(Settings.from_environment()))
    gc.freeze()  # what was loaded to begin with stays: looking through it would hold up every few hundred trades
    for line in sys.stdin.buffer:
        try:
            found = answer(recorder, line)
        except MemoryError:
            # With all that was taken; the next request finds another one in our place.
            answers.write(_line(_refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_MUCH) | {"ends": True}))
            return
        answers.write(_line(found))


def _line(found: Answer) -> bytes:
    return as_json(found).body + b"\n"


if __name__ == "__main__":
    main()
