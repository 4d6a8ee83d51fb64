"""Decayed sums: y[j] = decay[j] · y[j-1] + x[j] along each of many series, all at once.

Exponential forgetting in one pass. Splitting a series anywhere and carrying its last sum over gives the same bits, as
every sum is reached by the same operations in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.recurrence import linear_recurrence
from knowdefeat_pipeline.core.units import Floats, Ints


@dataclass(frozen=True)
class DecayedSums:
    """Decayed sums around each item, in the items' order; R rates, C columns.

    before: (N, R, C) decayed to the item's clock, without the item. previous: (N, R, C) right after the series' item
    before. after: (N, R, C) with the item. last: (S, R, C) and clock: (S,) where each series stands at the end.
    """

    before: Floats
    previous: Floats
    after: Floats
    last: Floats
    clock: Floats


def decayed_sums(
    series: Ints, clock: Floats, values: Floats, rates: Floats, carried: Floats, carried_clock: Floats
) -> DecayedSums:
    """Decayed sums of `values` (N, C) along `series` (codes into the S carried ones), ordered by `clock` within each.

    `rates` (R,) in (0, 1] per unit of the clock; `carried` (S, R, C) are the sums that earlier items left at
    `carried_clock` (S,).
    """
    count = len(carried)
    everything = np.concatenate([np.arange(count), series])
    order = np.argsort(everything, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ticks = np.concatenate([carried_clock, clock])[order]
    elapsed = np.diff(ticks, prepend=0.0)
    heads, items = place[:count], place[count:]
    ends = np.append(heads[1:], len(order)) - 1 if count else heads
    shape = (len(series), len(rates), values.shape[1])
    before, previous, after = np.empty(shape), np.empty(shape), np.empty(shape)
    last = np.empty(carried.shape)
    for at, rate in enumerate(rates):
        decay = _power(rate, np.maximum(elapsed, 0.0))
        decay[heads] = 0.0
        sums = linear_recurrence(decay, np.concatenate([carried[:, at], values])[order])
        previous[:, at] = sums[items - 1]
        before[:, at] = decay[items, None] * previous[:, at]
        after[:, at] = sums[items]
        last[:, at] = sums[ends]
    return DecayedSums(before, previous, after, last, ticks[ends])


def powers(rates: Floats, exponents: Floats) -> Floats:
    """Each rate to each exponent (...), (..., R), the same bits whatever else is computed with them."""
    return np.stack([_power(rate, exponents) for rate in rates], axis=-1)


def sum_in_order(values: Floats) -> Floats:
    """Sums along the last axis, strictly one after another: zeros among the values, such as of strategies that have not
    traded yet, change no bit."""
    start = np.zeros((*values.shape[:-1], 1))
    out: Floats = np.cumsum(np.concatenate([start, values], axis=-1), axis=-1)[..., -1]
    return out


def _power(rate: float, exponents: Floats) -> Floats:
    # Over one flat array: the last bit of a broadcast power depends on the shape of the arrays.
    return (rate ** np.ascontiguousarray(exponents).ravel()).reshape(exponents.shape)
