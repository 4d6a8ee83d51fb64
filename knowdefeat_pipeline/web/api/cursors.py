"""Keyset pagination: a part of a list says after which row the next one begins, whatever came in between."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request

from knowdefeat_pipeline.settings import EARLIEST_DAY, LATEST_DAY
from knowdefeat_pipeline.web.parameters import in_utc
from knowdefeat_pipeline.web.problems import Problem

Row = TypeVar("Row")
LONGEST = 10_000  # characters of a cursor; those of the longest names have some thousands
FOREIGN = "cursor: take it from next or Link of an answer, as it is"


def cursor(place: Sequence[Any]) -> str:
    """A place in a list as a word of an address.

    >>> read_cursor(cursor([1.5, 7]), plain, number)
    [1.5, 7]
    """
    return base64.urlsafe_b64encode(json.dumps([*place], default=str).encode()).decode().rstrip("=")


def read_cursor(text: str, *kinds: Callable[[Any], Any]) -> list[Any]:
    """The place that `cursor` wrote, of values of these kinds. Raises Problem for anything else."""
    try:
        place = json.loads(base64.urlsafe_b64decode(text[:LONGEST] + "=" * (-len(text) % 4)))
        if not isinstance(place, list):
            raise ValueError("no list")
        return [kind(value) for kind, value in zip(kinds, place, strict=True)]
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, FOREIGN) from None


def plain(value: Any) -> Any:
    """A value that is compared here, and reaches no database: a number, a text, or yes and no."""
    if not isinstance(value, int | float | str):
        raise ValueError("a list or nothing")
    return value


def number(value: Any) -> int:
    """The number of a row: one of PostgreSQL's type bigint."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("no number of a row")
    return value


def day(value: Any) -> date:
    """A UTC day."""
    found = date.fromisoformat(value)
    if not EARLIEST_DAY <= found <= LATEST_DAY:
        raise ValueError("no day of a list")
    return found


def instant(value: Any) -> datetime:
    """A moment, which names its offset."""
    return in_utc(datetime.fromisoformat(value))


def part(
    rows: Sequence[Row], key: Callable[[Row], tuple[Any, ...]], after: Sequence[Any] | None, limit: int
) -> tuple[list[Row], list[Any] | None]:
    """The rows behind a place in rows sorted by `key`, at most so many, and the place of the last where more follow.
    Raises Problem for a place of another list.

    >>> part([1, 3, 5, 7], lambda row: (row,), [2], 2)
    ([3, 5], [5])
    """
    try:
        behind = list(rows) if after is None else [row for row in rows if key(row) > tuple(after)]
    except TypeError:  # a place in a list of another kind
        raise Problem(HTTPStatus.BAD_REQUEST, FOREIGN) from None
    shown = behind[:limit]
    return shown, [*key(shown[-1])] if len(behind) > limit and shown else None


def next_address(request: Request, place: Sequence[Any] | None) -> str | None:
    """The address of the part behind that place, on this server; None where nothing follows."""
    if place is None:
        return None
    address = request.url.include_query_params(cursor=cursor(place))
    return f"{address.path}?{address.query}"


def links(following: str | None) -> dict[str, str]:
    """The header that names the next part."""
    return {"Link": f'<{following}>; rel="next"'} if following else {}
