"""What requests say, as routes take it: of each kind the bounds on which the rest of the program can count."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, Field

from knowdefeat_pipeline.settings import EARLIEST_DAY, LATEST_DAY

INTEGERS = 2**31
"""PostgreSQL's integers are below it, and so are the numbers of versions."""
_SPELLED = re.compile("~(7E|2F|2E)", re.IGNORECASE)

Day = Annotated[date, Field(ge=EARLIEST_DAY, le=LATEST_DAY)]
"""A UTC day; those around it can be computed, too."""
DayAsked = Annotated[Day | None, Query(description="UTC day; the last one computed by default.")]
"""The day that a route is asked about."""
Version = Annotated[int, Field(ge=0, lt=INTEGERS)]
"""The number of a version, 0 for none."""


def in_utc(value: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError where it names no offset, and where the calendar has no such moment.

    >>> in_utc(datetime.fromisoformat("2025-01-01T00:00:00+05:00")).isoformat()
    '2024-12-31T19:00:00+00:00'
    """
    if value.tzinfo is None:
        raise ValueError("a time with its offset is needed")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time from the year 1 to 9999 in UTC is needed") from None


Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""A moment with its offset, in UTC."""


def version_number(text: str) -> int | None:
    """The number of a version as headers and forms write it; None for what is none.

    >>> version_number("12"), version_number("9" * 5000), version_number("-1"), version_number("²")
    (12, None, None, None)
    """
    is_number = text.isascii() and text.isdigit() and len(text) < 11
    return int(text) if is_number and int(text) < INTEGERS else None


def named_version(if_match: str) -> int | None:
    """The first version that If-Match names; None where it names none.

    >>> named_version('"3"'), named_version('W/"x", "4"'), named_version("x")
    (3, 4, None)
    """
    tags = (version_number(tag.strip().strip('"')) for tag in if_match.split(","))
    return next((number for number in tags if number is not None), None)


def segment(name: str) -> str:
    """A name as one segment of an address.

    No client and no proxy leaves `.` and `..` as they are, and many take an encoded `/` for one that parts segments:
    such names are spelled with `~`, which nobody touches.

    >>> segment("grid 01"), segment("BTC/USDT"), segment(".."), segment("a~b"), segment("v1.2")
    ('grid%2001', 'BTC~2FUSDT', '~2E~2E', 'a~7Eb', 'v1.2')
    """
    written = name.replace("~", "~7E").replace("/", "~2F")
    return quote(written.replace(".", "~2E") if name in (".", "..") else written, safe="")


def spelled(text: str) -> str:
    """The name that `segment` wrote, once the server has decoded it.

    >>> spelled("BTC~2FUSDT"), spelled("~2e"), spelled("a~7E2Fb"), spelled("a~b")
    ('BTC/USDT', '.', 'a~2Fb', 'a~b')
    """
    return _SPELLED.sub(lambda found: chr(int(found[1], 16)), text)


def bot_address(bot: str) -> str:
    """The page of a bot.

    >>> bot_address("a/b")
    '/bots/a~2Fb'
    """
    return f"/bots/{segment(bot)}"


Spelled = AfterValidator(spelled)
"""Of a name in the path of a route."""
Bot = Annotated[str, Path(description="The bot, by name or id."), Spelled]
"""A bot, as a parameter of a route whose path has `{bot:path}`, so that an encoded `/` comes through."""
