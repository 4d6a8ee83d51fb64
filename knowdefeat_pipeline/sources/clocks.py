"""Clocks by which files write times: a zone of the IANA database, a fixed offset, or a broker's server."""

import re
from functools import cache
from zoneinfo import available_timezones

import pandas as pd

_FIXED = re.compile(r"(?:UTC|GMT)(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?)?", re.I)
_BROKER = re.compile(r"(?:UTC|GMT)\+(?P<hours>\d{1,2}) with New York DST", re.I)
_NEW_YORK, _NEW_YORK_WINTER = "America/New_York", 5  # hours behind UTC
REMEDY = "give an IANA name such as Europe/Zurich, an offset such as UTC+2, or 'UTC+2 with New York DST'"


@cache
def _zones() -> set[str]:
    """The names of the IANA database; to find them takes a walk through its files."""
    return available_timezones()


def is_clock(name: str) -> bool:
    """Whether `in_utc` knows a clock of this name.

    >>> is_clock("Europe/Zurich"), is_clock("UTC+2"), is_clock("UTC+2 with New York DST"), is_clock("Mars/Olympus")
    (True, True, True, False)
    """
    return bool(_FIXED.fullmatch(name) or _BROKER.fullmatch(name)) or name in _zones()


def in_utc(moments: pd.Series, clock: str) -> pd.Series:
    """Local times as UTC; NaT where the local clock skips or repeats the time.

    A broker's clock `UTC+2 with New York DST` runs seven hours ahead of New York all year, so that its day ends with
    New York's market: UTC+2 in New York's winter, UTC+3 in its summer.
    """
    broker, fixed = _BROKER.fullmatch(clock), _FIXED.fullmatch(clock)
    if broker:
        ahead = pd.Timedelta(hours=int(broker["hours"]) + _NEW_YORK_WINTER)
        return _localised(moments - ahead, _NEW_YORK)
    if fixed and clock not in _zones():
        hours, minutes = int(fixed["hours"] or 0), int(fixed["minutes"] or 0)
        ahead = pd.Timedelta(hours=hours, minutes=minutes) * (-1 if fixed["sign"] == "-" else 1)
        return _localised(moments - ahead, "UTC")
    return _localised(moments, clock)


def _localised(moments: pd.Series, zone: str) -> pd.Series:
    local = moments.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    return pd.Series(local.dt.tz_convert("UTC").dt.as_unit("us"))
