"""The version of the results that this process shows, and whoever waits for the next one.

One connection of the process hears what the database notifies, whatever number of browsers look. A version is no number
of the database's: it only tells whether something may have changed since, so that what was computed can be shown again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count

import psycopg

from knowdefeat_pipeline.postgres.connection import listen
from knowdefeat_pipeline.web.guard import SAFE, App, Message, Receive, Scope, Send

CHANNEL = "knowdefeat_results"  # on which the database notifies of results and decisions
RECONNECT = (0.5, 10.0)  # seconds: the first and the longest wait for a database that is away
HEARTBEAT = 15.0  # seconds between two signs of life of a stream, by which a browser notices that it broke
TICK = 30.0  # seconds after which pages are read anew unasked: that nobody computes any more, nobody notifies
SPACING = 0.2  # seconds between two events of a stream: a backfill commits many days

logger = logging.getLogger("knowdefeat.web")


class LiveResults:
    """`version`: None while nothing can be heard, when everything is read anew. `away_since`: since when that is so."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.away_since: datetime | None = datetime.now(UTC)
        self.viewers = 0
        # A process that was started anew begins elsewhere, so that no open page takes what it shows for the latest.
        self._versions = count(time.time_ns() // 1000)
        self._version = next(self._versions)
        self._changed = asyncio.Event()
        self._ended = False

    @property
    def version(self) -> int | None:
        """The same for as long as nothing has changed."""
        return None if self.away_since else self._version

    async def hear(self) -> None:
        """Listen until cancelled; a database that is away is waited for."""
        wait = RECONNECT[0]
        while True:
            try:
                async with await listen(self.url, CHANNEL) as connection:
                    self.away_since, wait = None, RECONNECT[0]
                    self._bump()  # what was notified meanwhile is lost
                    while True:
                        async for _ in connection.notifies(timeout=TICK):
                            self._bump()
                        self._bump()
            except psycopg.OperationalError as error:
                if self.away_since is None:
                    self.away_since = datetime.now(UTC)
                    self._bump()
                    logger.warning("Lost the connection to the database: %s", str(error).strip())
            await asyncio.sleep(wait)
            wait = min(2 * wait, RECONNECT[1])

    def decided(self) -> None:
        """Have what was computed read anew."""
        self._version = next(self._versions)

    def _bump(self) -> None:
        self._version = next(self._versions)
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Let every stream end, so that the process can."""
        self._ended = True
        self._changed.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """Server-Sent Events: `results` with the version at the beginning and whenever it is another one, `away` with
        the instant since when the database cannot be reached."""
        self.viewers += 1
        try:
            yield b"retry: 2000\n\n"
            told: object = None
            while not self._ended:
                changed, state = self._changed, (self.away_since, self._version)
                if state == told:
                    try:
                        await asyncio.wait_for(changed.wait(), HEARTBEAT)
                    except TimeoutError:
                        yield b": alive\n\n"
                    continue
                told = state
                yield self._event()
                await asyncio.sleep(SPACING)
        finally:
            self.viewers -= 1

    def _event(self) -> bytes:
        if self.away_since:
            return f"event: away\ndata: {self.away_since.isoformat()}\n\n".encode()
        return f"event: results\nid: {self._version}\ndata: {self._version}\n\n".encode()


def reading_anew(app: App, live: LiveResults) -> App:
    """The app, of which whoever wrote by it sees what he wrote: the database notifies of it, but a moment later than he
    may ask again."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < HTTPStatus.BAD_REQUEST:
                live.decided()
            await send(message)

        writes = scope["type"] == "http" and scope["method"] not in SAFE
        await app(scope, receive, sending if writes else send)

    return answering
