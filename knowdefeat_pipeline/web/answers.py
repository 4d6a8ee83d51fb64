"""What a request is answered with: computed once a version of the results, told apart by its ETag."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fastapi import Request, Response

JSON = "application/json"
MOST_ANSWERS = 256  # that are held, the latest asked for


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
            self._held.pop(asked, None)
            self._locks.pop(asked, None)

    def _keep(self, asked: str, held: _Held) -> None:
        with self._guard:
            self._held[asked] = held
            self._held.move_to_end(asked)
            while len(self._held) > MOST_ANSWERS:
                oldest, _ = self._held.popitem(last=False)
                self._locks.pop(oldest, None)


def respond(request: Request, answer: Answer, etag: str) -> Response:
    """The answer, or 304 where whoever asks has it."""
    headers = {"ETag": etag, "Cache-Control": "no-cache", **answer.headers}
    asked = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in asked or "*" in asked:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type=answer.media_type, headers=headers)


def as_json(value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON as the API speaks it: numbers, null for what cannot be computed, times as RFC 3339 in UTC.

    >>> as_json({"at": datetime(2025, 1, 2, tzinfo=UTC), "pnl": Decimal("1.50"), "sqn": float("nan")}).body
    b'{"at":"2025-01-02T00:00:00Z","pnl":1.5,"sqn":null}'
    """
    try:
        text = _dumped(value)
    except ValueError:  # a NaN, which JSON does not know; rare enough to be looked for only then
        text = _dumped(_finite(value))
    return Answer(text.encode(), headers=headers or {})


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
