"""What a request is answered with: computed once a version of the results, told apart by its ETag."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from fastapi import Request, Response

JSON = "application/json"
MOST_BYTES = 2**24  # of bodies that are held, those asked for last
WORTH_PACKING = 1000  # bytes from which on a body is gzipped for who takes it so
TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")  # q=0: not at all
PACKING = 6  # of 9: the last few percent take twice the time


@dataclass(frozen=True)
class Answer:
    """A body, its type, and headers beside it. `version`: of what it shows, where that tells it apart by itself."""

    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    version: int | None = None

    @property
    def etag(self) -> str:
        """The same for the same version or body, in whichever process."""
        if self.version is not None:
            return f'"{self.version}"'
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    @cached_property
    def packed(self) -> bytes:
        """The body gzipped, once for all who ask."""
        return gzip.compress(self.body, PACKING, mtime=0)


Compute = Callable[[], Answer]


@dataclass
class _Held:
    version: int
    answer: Answer
    etag: str


class AnswerCache:
    """Answers by what was asked, each computed once a version however many ask for it at the same time."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._bytes = 0

    def get(self, asked: str, version: Callable[[], int | None], compute: Compute) -> tuple[Answer, str]:
        """The answer and its ETag. While there is no version, it is computed anew each time."""
        with self._guard:
            lock = self._locks.setdefault(asked, threading.Lock())
        with lock:
            known = version()
            held = self._held.get(asked)
            if held is None or known is None or held.version != known:
                try:
                    answer = compute()
                except BaseException:  # of what is not there anybody may ask, and nothing is to be held of it
                    self._forget(asked)
                    raise
                if known is None:
                    self._forget(asked)
                    return answer, answer.etag
                held = _Held(known, answer, answer.etag)
            self._keep(asked, held)
        return held.answer, held.etag

    def _forget(self, asked: str) -> None:
        with self._guard:
            self._let_go(asked)

    def _keep(self, asked: str, held: _Held) -> None:
        with self._guard:
            before = self._held.get(asked)
            self._bytes += len(held.answer.body) - (len(before.answer.body) if before else 0)
            self._held[asked] = held
            self._held.move_to_end(asked)
            while self._bytes > MOST_BYTES and len(self._held) > 1:
                self._let_go(next(iter(self._held)))

    def _let_go(self, asked: str) -> None:
        held = self._held.pop(asked, None)
        self._locks.pop(asked, None)
        if held is not None:
            self._bytes -= len(held.answer.body)


def respond(request: Request, answer: Answer, etag: str) -> Response:
    """The answer, or 304 where whoever asks has it."""
    headers = {"ETag": etag, "Cache-Control": "no-cache", **answer.headers}
    packable = len(answer.body) >= WORTH_PACKING
    if packable:  # in either form: what a proxy keeps of one is not for whoever asks for the other
        headers["Vary"] = "Accept-Encoding"
    asked = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in asked or "*" in asked:
        return Response(status_code=304, headers=headers)
    if not (packable and TAKES_GZIP.search(request.headers.get("accept-encoding", ""))):
        return Response(answer.body, media_type=answer.media_type, headers=headers)
    return Response(answer.packed, media_type=answer.media_type, headers=headers | {"Content-Encoding": "gzip"})


def as_json(value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON as the API speaks it: numbers, null for what cannot be computed, times as RFC 3339 in UTC.

    >>> as_json({"at": datetime(2025, 1, 2, tzinfo=UTC), "pnl": Decimal("1.50"), "sqn": float("nan")}).body
    b'{"at":"2025-01-02T00:00:00Z","pnl":1.5,"sqn":null}'
    """
    try:
        text = _dumped(value)
    except ValueError:  # a NaN, which JSON does not know; rare enough to be looked for only then
        text = _dumped(_finite(value))
    # Half a character, as of a name that was sent so, is written as JSON writes it: \ud800.
    return Answer(text.encode(errors="backslashreplace"), headers=headers or {})


def _dumped(value: Any) -> str:
    return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)  # at most 9e15 smallest units, which floats have exactly
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
