"""Windows [low, high) of a series reduced: each by itself, so that no bit depends on its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from knowdefeat_pipeline.core.units import Array, Bools, Floats, Ints

CHUNK_ELEMENTS = 125_000
SIDE_BY_SIDE = 100  # rows from which on it pays to turn a matrix


def reduce_windows(operation: np.ufunc, values: Array, low: Ints, high: Ints, empty: float) -> Array:
    """`operation` (add, maximum, minimum) over the values of each window [low, high); `empty` where there are none.

    Each window is reduced by itself, so its bits do not depend on its neighbours.
    """
    if len(low) == 0:
        return values[:0]
    bounds = np.stack([low, high], axis=1).ravel()
    reduced = operation.reduceat(np.append(values, 0), bounds)[::2]
    return np.where(high > low, reduced, empty)


def accumulated(operation: np.ufunc, values: Array) -> Array:
    """`operation.accumulate(values, axis=1)`, to the last bit.

    In a row each step waits for the one before it. Many rows take each step together, several times as fast.
    """
    if len(values) < SIDE_BY_SIDE:
        out: Array = operation.accumulate(values, axis=1)
        return out
    steps = np.array(values.T, order="C")
    for before, step in pairwise(steps):
        operation(before, step, out=step)
    return steps.T


@dataclass(frozen=True)
class Dense:
    """A chunk of windows of similar length laid out as a matrix, one window a row, padded at the end.

    `pick` are the windows' numbers, `low` and `length` where each begins in the series' rows and how many it has.
    The width follows from the window's own length, so that a sum over a row never depends on its neighbours.
    """

    pick: Ints
    low: Ints
    length: Ints
    width: int

    @property
    def inside(self) -> Bools:
        """Whether an entry is no padding."""
        out: Bools = np.arange(self.width) < self.length[:, None]
        return out

    @property
    def index(self) -> Ints:
        """The positions in the series' rows, -1 on padding."""
        return np.where(self.inside, self.low[:, None] + np.arange(self.width), -1)

    def rows(self, values: Floats) -> Floats:
        """The values of each window, 0 on padding. `values` are `padded`."""
        return self.cleared(sliding_window_view(values, self.width)[self.low])

    def cleared(self, rows: Floats) -> Floats:
        """These rows, on whose padding 0 is written."""
        shortest = int(self.length.min())
        rows[:, shortest:][np.arange(shortest, self.width) >= self.length[:, None]] = 0
        return rows


def padded(values: Floats, low: Ints, high: Ints) -> Floats:
    """The series' values, and behind them as many as the widest matrix of these windows has columns."""
    return np.append(values, np.zeros(_width(high - low).max(initial=0)))


def dense_chunks(low: Ints, high: Ints, elements: int = CHUNK_ELEMENTS) -> Iterator[Dense]:
    """All non-empty windows [low, high), as matrices of at most `elements` entries (or one row)."""
    length = high - low
    width = _width(length)
    for size in np.unique(width[width > 0]).tolist():
        members = np.flatnonzero(width == size)
        rows = max(1, elements // size)
        for begin in range(0, len(members), rows):
            pick = members[begin : begin + rows]
            yield Dense(pick, low[pick], length[pick], size)


def _width(length: Ints) -> Ints:
    """The next power of two, or from 256 on the next eighth of it: few widths, and little padding."""
    power = np.where(length > 0, 1 << np.ceil(np.log2(np.maximum(length, 1))).astype(np.int64), 0)
    step = np.where(power >= 256, power // 8, np.maximum(power, 1))
    return -(-length // step) * step


def flat_ranges(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """All indices of the ranges [start, stop), one after another, with the number of the range that each is from."""
    count = stop - start
    number = np.repeat(np.arange(len(start)), count)
    return number, np.arange(len(number)) + (start - np.cumsum(count) + count)[number]
