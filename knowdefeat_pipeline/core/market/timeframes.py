"""How long the bars of a timeframe last."""

from __future__ import annotations

import re
from datetime import timedelta

_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10_080}


class BarError(ValueError):
    """Bars that cannot be used; the message names the row, the column and the remedy."""


def bar_length(timeframe: str) -> timedelta:
    """How long a bar of a timeframe lasts: a number and m, h, d or w, such as 15m or 1d. Raises BarError.

    >>> bar_length("15m"), bar_length("1d")
    (datetime.timedelta(seconds=900), datetime.timedelta(days=1))
    """
    match = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", timeframe)
    if not match:
        raise BarError(f"'{timeframe}' is not a timeframe; write a number and m, h, d or w, such as 15m, 1h or 1d")
    return timedelta(minutes=int(match[1]) * _MINUTES[match[2]])
