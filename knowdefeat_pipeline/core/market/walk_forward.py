"""When models of a series of bars are fitted, and from which bars: by position alone, so that nothing is ever revised.

Bars are counted from the start of their series. A fit happens `first` bars in, at every doubling of that up to `EVERY`,
and at every multiple of `EVERY`; it looks at the `TRAIL` bars before it and stays in force for the bars up to the next
fit, its block. What is said of a block's bars therefore rests on a bounded past, which makes a daily update cheap: it
loads the bars from `needed_from(since)` on, not the whole series.
"""

from __future__ import annotations

from collections.abc import Iterator

EVERY = 2048
TRAIL = 8192
LOOKBACK = 256
"""Bars before a fit's first one that its features may look at. Features are computed block by block from there on: even
the rounding of a running average is then the same whichever bars were loaded."""


class SeriesError(ValueError):
    """A call that leaves out bars which its answer rests on; the message says which."""


def block_start(position: int, first: int) -> int:
    """Where the fit in force at a bar was made; 0 where none was yet. `first` and `EVERY` are powers of two."""
    if position < first:
        return 0
    return position // EVERY * EVERY if position >= EVERY else 1 << (position.bit_length() - 1)


def blocks(since: int, end: int, first: int) -> Iterator[tuple[int, int, int]]:
    """The blocks that cover the bars [since, end): each one's oldest bar to fit on, its first bar and its end."""
    while since < end:
        start = block_start(since, first)
        stop = min(end, first if not start else min(2 * start, start + EVERY))
        yield max(0, start - TRAIL), start, stop
        since = stop


def features_from(oldest: int) -> int:
    """The first bar that the features of bars from `oldest` on look at."""
    return max(0, oldest - LOOKBACK)


def needed_from(since: int, first: int) -> int:
    """The first bar that the answers for bars `since` and later rest on."""
    return features_from(block_start(since, first) - TRAIL)


def check_history(position: int, since: int, first: int) -> None:
    """Raise SeriesError unless bars given from `position` on suffice for the answers from `since` on."""
    needed = needed_from(since, first)
    if not 0 <= position <= needed:
        raise SeriesError(
            f"answers from bar {since} of the series on need its bars from {needed} on, but the bars given begin at "
            f"{position}; give earlier bars too"
        )
