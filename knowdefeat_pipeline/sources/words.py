"""The words by which exports say which way a trade went and how far it has come."""

from collections.abc import Mapping

import pandas as pd


def _each(meaning: str, words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(", "), meaning)


DIRECTIONS: Mapping[str, str] = {
    **_each(
        "LONG",
        "LONG, BUY, B, L, OPEN LONG, BUY LONG, BUY TO OPEN",
    ),
    **_each(
        "SHORT",
        "SHORT, SELL, S, OPEN SHORT, SELL SHORT, SHORT SELL, SELL TO OPEN",
    ),
}
"""What a direction may be called. Words of orders that close a position, such as `Close Long`, are no directions."""

STATUSES: Mapping[str, str] = {
    **_each(
        "open",
        "OPEN, OPENED, ACTIVE, RUNNING, BOUGHT",
    ),
    **_each(
        "pending_exit",
        "PENDING EXIT, CLOSING",
    ),
    **_each(
        "closed",
        "CLOSED, COMPLETED, COMPLETE, FILLED, FINISHED, EXITED, TP, SL, TAKE PROFIT, TAKE PROFIT FINISHED, STOP "
        "LOSS, STOP LOSS FINISHED, STOPPED OUT, PANIC SOLD, PANIC SELL FINISHED, TRAILING STOP, TRAILING STOP "
        "FINISHED, LIQUIDATED",
    ),
}
"""What a trade's status may be called. A cancelled order is no trade, so there is no word for it."""


def spelled(word: str) -> str:
    """A word in the spelling of the tables above.

    >>> spelled(" stop-loss_finished ")
    'STOP LOSS FINISHED'
    """
    return " ".join(word.upper().replace("_", " ").replace("-", " ").split())


def translated(words: "pd.Series[str]", table: Mapping[str, str]) -> "pd.Series[str]":
    """Each word as the table has it; missing where it knows none."""
    places, different = pd.factorize(words)
    known = pd.array([table.get(spelled(word)) for word in different], dtype="str")
    return pd.Series(known.take(places, allow_fill=True), index=words.index)
