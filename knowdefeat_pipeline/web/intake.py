"""Who writes asks here: one deed after the other, done by the `recorder`, a process with the rights for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import Request

from knowdefeat_pipeline.settings import handed_on
from knowdefeat_pipeline.web.problems import Problem

MOST_AT_ONCE = 8  # requests that are taken in, those that wait for their turn among them
RETRY_AFTER = "1"  # seconds after which one that came too many may come again
LONGEST = 300.0  # seconds that a deed may take
TOO_LONG = (
    "Reading and recording this took longer than {seconds:g} s, which is the most, and was ended. Sent again it takes "
    "as long: send it in parts, or load it as a file: knowdefeat ingest FILE"
)
FAREWELL = 0.5  # seconds that a deed may still take once this process is to end


class Intake:
    """`url`: the database's, as a role that may record trades. The recorder is started by the first deed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._recorder: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that are taken in. Raises Problem where all are taken."""
        if not self._places.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{MOST_AT_ONCE} requests are being taken in already. Try again, or send trades together: "
                "POST /api/v1/trades/bulk",
                {"Retry-After": RETRY_AFTER},
            )
        try:
            yield
        finally:
            self._places.release()

    def ask(self, deed: str, **about: Any) -> Any:
        """What became of a deed of the recorder. Raises Problem where it was refused, or not done in time."""
        line = json.dumps({"deed": deed, **about}).encode() + b"\n"
        with self._turn:
            line_back, overran = self._answer(line)
            answer = json.loads(line_back or "null")
            if self._recorder and (answer is None or answer.get("ends")):
                self._recorder.wait()
        if answer is None and overran:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, TOO_LONG.format(seconds=LONGEST))
        if answer is None:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "What records trades ended before it answered. Send it again: what was recorded is not recorded twice.",
                {"Retry-After": RETRY_AFTER},
            )
        if "refused" in answer:
            status = HTTPStatus(answer["refused"])
            headers = {"Retry-After": RETRY_AFTER} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
            raise Problem(status, answer["text"], headers)
        return answer["done"]

    def _answer(self, line: bytes) -> tuple[bytes, bool]:
        """The recorder's line, empty where it ended without; and whether it was ended, as the deed took too long."""
        recorder = self._running()
        if recorder.stdin is None or recorder.stdout is None:
            raise ValueError("the recorder has no pipes")
        overran = threading.Event()

        def end() -> None:
            overran.set()
            recorder.kill()

        alarm = threading.Timer(LONGEST, end)
        alarm.start()
        try:
            recorder.stdin.write(line)
            recorder.stdin.flush()
            return recorder.stdout.readline(), overran.is_set()
        except BrokenPipeError:
            return b"", overran.is_set()
        finally:
            alarm.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._recorder is None or self._recorder.poll() is not None:
            self._recorder = subprocess.Popen(
                [sys.executable, "-m", "knowdefeat_pipeline.web.recorder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | handed_on(database_url=self._url),
            )
        return self._recorder

    def close(self) -> None:
        """Let the recorder end. A deed that is under way then is undone by the database."""
        recorder = self._recorder
        if recorder is None:
            return
        if recorder.stdin is not None and not self._turn.locked():
            recorder.stdin.close()
        try:
            recorder.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            recorder.kill()
            recorder.wait()
        if recorder.stdout is not None:
            recorder.stdout.close()


def a_place(request: Request) -> Iterator[None]:
    """A dependency of routes that write: a place for as long as the request is under way."""
    with request.app.state.site.intake.place():
        yield
