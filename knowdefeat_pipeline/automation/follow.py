"""The follower: reads files again as they change, and records what is new in them, as `ingest` does.

It only ever reads the files. What it remembers of one spares it work and decides nothing: what is recorded already is
known to the database, so that after a kill at any instant it reads the whole file once more, and nothing comes twice. A
file that was moved away, or copied and cut off, as logs and databases are, is read to its end where it is now, before
what is in its place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import psycopg

from knowdefeat_pipeline.automation.freqtrade_api import ApiError
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect
from knowdefeat_pipeline.postgres.identity import require_own
from knowdefeat_pipeline.postgres.remedies import with_remedy
from knowdefeat_pipeline.postgres.server import EmbeddedPostgresError
from knowdefeat_pipeline.sources.growing import Identity, Known, State, begins_with, copied, look, moved, news
from knowdefeat_pipeline.sources.layout import TABLE, SourceError
from knowdefeat_pipeline.sources.raw import Content
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.followed_files import HEARTBEAT, follow, note_identity, note_looks, note_reading
from knowdefeat_pipeline.store.trades import LoadReport, load_trades

POLL = 0.25  # seconds between two looks at the files
REST = 4.0  # times the CPU time of a reading for which a file is then left alone, so that a large one costs a fifth
AGAIN = 30.0  # seconds after which what the database or the file system refused is tried again
UNFORESEEN = "it cannot be read, by a fault of this program, of which the log tells; mend or move the file"
RECONNECT = (1.0, 30.0)  # seconds: the first and the longest wait for a database that is away

# How connections say that the database is away.
AWAY = (psycopg.OperationalError, DatabaseUnreachable, EmbeddedPostgresError)

logger = logging.getLogger("knowdefeat.follow")


class Read(Protocol):
    """Reads a file: the one at `content` as if it were at `path`, for a source if that is known already."""

    def __call__(self, path: Path, content: Path, source: str | None, now: datetime) -> Reading: ...


@dataclass
class File:
    """A file as it was left. `content`: where it is now. `seen`, `known`: how it looked and what was read of it last,
    as trades and as bytes (`had`); `was_read`: there, since it is followed. `source`: that of its trades, where it
    would change as a plain table grows. `rests_until`: by the monotonic clock."""

    path: Path
    content: Path
    identity: Identity | None = None
    seen: State | None = None
    known: Known | None = None
    had: Content | None = None
    was_read: bool = False
    source: str | None = None
    rests_until: float = 0.0


@dataclass
class Followed:
    """What is followed at a path: the file there, and the one that was there before. `identity`: which one to go on
    with, also after a kill. `trouble`: why it cannot be read, None where it can. `unanswered`: the API that writes it
    did not answer the last time."""

    file: File
    identity: Identity | None = None
    earlier: File | None = None
    trouble: str | None = None
    unanswered: bool = False

    @property
    def path(self) -> Path:
        """Where it is looked for."""
        return self.file.path


def _is_of_table(source: str | None) -> bool:
    return source is not None and source.split(":")[0] == TABLE


@dataclass
class Follower:
    """One process's follower of some files.

    `read` reads one (see `Read`), `say` hears of what arrives and of trouble. `refresh`: has a file written that is no
    bot's own, and raises ApiError.
    """

    url: str
    paths: list[Path]
    read: Read
    say: Callable[[str], None]
    author: str = "follow"
    refresh: Mapping[Path, Callable[[], None]] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    _heard: float = field(default=-HEARTBEAT, init=False)

    def run(self) -> None:
        """Follow until stopped; a database that is away is waited for."""
        followed: list[Followed] = []
        wait = RECONNECT[0]
        while not self.stop():
            try:
                require_own(self.url)  # at every connection: another server may answer than the last time
                followed = followed or self._begin()
                while not self.stop():
                    for one in followed:
                        try:
                            self._look(one)
                        except OSError as error:  # a share that is away, say; the others are followed all the same
                            self._trouble(one, str(error))
                    self._tell(followed)
                    wait = RECONNECT[0]
                    time.sleep(POLL)
            except AWAY as error:
                for file in (file for one in followed for file in (one.file, one.earlier) if file):
                    file.known = file.seen = None  # the database that answers next may know less: a backup, a standby
                self.say(f"{with_remedy(error)}\nTrying again in {wait:g} s.")
                time.sleep(wait)
                wait = min(2 * wait, RECONNECT[1])

    def _begin(self) -> list[Followed]:
        followed = []
        with connect(self.url) as connection:
            for path in self.paths:
                identity, source = follow(connection, path)
                followed.append(Followed(File(path, path, source=source if _is_of_table(source) else None), identity))
                self.say(f"Following {path}")
        return followed

    def _tell(self, followed: list[Followed]) -> None:
        """Note every now and then that the files are followed."""
        if time.monotonic() >= self._heard + HEARTBEAT:
            with connect(self.url) as connection:
                note_looks(connection, {one.path: one.trouble for one in followed})
            self._heard = time.monotonic()

    def _look(self, followed: Followed) -> None:
        """Read what has changed: of a file that was moved away the rest, then what is there now."""
        if (refresh := self.refresh.get(followed.path)) is not None:
            try:
                refresh()
            except (ApiError, OSError) as error:  # its own, and of the file that it writes
                followed.unanswered = True
                self._trouble(followed, str(error))
                return
            if followed.unanswered:  # any other trouble lasts until the file can be read
                followed.unanswered = False
                self._trouble(followed, None)
        state, last, earlier = look(followed.path), followed.identity, followed.earlier
        is_another = state is None or state.identity != last
        if last and is_another and (earlier is None or earlier.identity != last):
            self._set_aside(followed, last)
        if earlier := followed.earlier:
            self._bring(followed, earlier, look(earlier.content))
        if state is None:
            self._trouble(followed, "there is no such file yet")
            return
        if followed.identity is None or (is_another and (earlier is None or earlier.was_read)):
            self._go_on_with(followed, state.identity)
        self._bring(followed, followed.file, state)

    def _go_on_with(self, followed: Followed, identity: Identity | None) -> None:
        """Note which file is read from now on, before it is: it may be moved away while nobody follows it."""
        with connect(self.url) as connection:
            note_identity(connection, followed.path, identity)
        followed.identity = identity

    def _set_aside(self, followed: Followed, identity: Identity) -> None:
        """Another file is there than the one that was read last, or none: that one is read to its end first."""
        file, place = followed.file, moved(followed.path, identity)
        if place is None:  # it was deleted
            self._go_on_with(followed, None)
        else:
            self.say(f"{followed.path.name} was moved to {place.name}")
            followed.earlier = File(file.path, place, identity, known=file.known, source=file.source)
        had = file.had if place is None else None  # it may have been copied
        followed.file = File(file.path, file.path, known=file.known, had=had, source=file.source)

    def _bring(self, followed: Followed, file: File, state: State | None) -> None:
        """Record what is new in a file, if it has changed."""
        if state is None or state == file.seen or time.monotonic() < file.rests_until:
            return
        began = time.process_time()
        try:
            report = self._record(followed, file)
        except SourceError as error:
            self._trouble(followed, str(error))
            file.seen = state
            file.rests_until = time.monotonic() + REST * (time.process_time() - began)
            return
        except AWAY:
            raise
        except FileNotFoundError:  # moved just now
            return
        except (OSError, psycopg.Error) as error:
            self._trouble(followed, with_remedy(error))
            file.rests_until = time.monotonic() + AGAIN
            return
        except Exception:  # one file must not keep the others from being read
            if followed.trouble != UNFORESEEN:
                logger.exception("%s cannot be read", file.content)
            self._trouble(followed, UNFORESEEN)
            file.rests_until = time.monotonic() + AGAIN
            return
        file.seen = state if state.is_settled else None
        self._note(followed, file, report)
        file.rests_until = time.monotonic() + REST * (time.process_time() - began)

    def _record(self, followed: Followed, file: File) -> LoadReport | None:
        """Read a file whole and record what was not read before; None where that is nothing."""
        with connect(self.url) as connection:
            now = clock.now(connection)
        try:
            reading = self.read(file.path, file.content, file.source, now)
        finally:  # also where what is left cannot be read
            self._bring_copy(followed, file)
        file.had = reading.raw.content
        content_hash = reading.content_hash if file.known is None else None  # what is new in a file is no file
        new = news(reading, file.known)
        report = None
        if new.rows_read or file.known is None:
            report = load_trades(self.url, new, file.path.name, author=self.author, content_hash=content_hash)
        file.known = Known.of(reading)
        file.was_read = True
        # A plain table is named after its only strategy, and keeps that name when it gets another one.
        file.source = reading.source if _is_of_table(reading.source) else None
        return report

    def _bring_copy(self, followed: Followed, file: File) -> None:
        """Record the rest of a file that was copied, then cut off or written anew: asked after each reading, so that
        none goes by unseen."""
        had = file.had
        if had is None or file is followed.earlier or begins_with(file.content, had):
            return
        place = copied(file.path, had)
        state = look(place) if place else None
        if place is None or state is None:  # written anew, without a copy
            return
        if followed.earlier is None or followed.earlier.identity != state.identity:
            self.say(f"{file.path.name} was copied to {place.name}")
            followed.earlier = File(file.path, place, state.identity, known=file.known, source=file.source)
        self._bring(followed, followed.earlier, state)

    def _note(self, followed: Followed, file: File, report: LoadReport | None) -> None:
        """Note what came, and that nothing hinders."""
        if report or followed.trouble:
            came = report.inserted + report.updated if report else 0
            source = file.known.source if file.known else None
            with connect(self.url) as connection:
                note_reading(connection, followed.path, source, came)
        followed.trouble = None
        if report:
            self._say_what_came(file, report)

    def _say_what_came(self, file: File, report: LoadReport) -> None:
        held = sum(report.quarantined.values()) - report.already_quarantined
        parts = [f"{report.inserted:,} new", f"{report.updated:,} updated"]
        parts += [f"{report.unchanged:,} known"] if report.unchanged else []
        parts += [f"{held:,} held (knowdefeat quarantine list)"] if held else []
        parts += [f"{report.explained:,} held before explained"] if report.explained else []
        self.say(f"{file.content.name}: {counted(report.rows_read, 'row')}: {', '.join(parts)}")
        if report.removed:
            self.say("The simulated fleet was removed to make room for real trades.")

    def _trouble(self, followed: Followed, said: str | None) -> None:
        """Tell trouble once, and note it; None: it is over."""
        if said == followed.trouble:
            return
        followed.trouble = said
        told = said or "it is read again"
        self.say(told if str(followed.path) in told else f"{followed.path}: {told}")
        with connect(self.url) as connection:
            note_looks(connection, {followed.path: said})
