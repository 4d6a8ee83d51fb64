"""Which bots move together: correlation of their daily results, the order that shows it, and how many bets they are."""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.units import Bools, Floats, Ints

COMMON_DAYS = 10
"""On at least so many days both have to trade: on 10, one pair of unrelated bots in 80,000 correlates above .95."""
EXACT = 1e-12
"""A spread below this share of the size of what is spread is rounding."""


def correlation(pnl: Floats, traded: Bools) -> Floats:
    """Between every two bots (N, N), over their common days; NaN under 10 of them and without spread."""
    day = traded.astype(np.float64)
    value = np.where(traded, pnl, 0.0)
    value = value / np.maximum(np.abs(value).max(axis=0), np.finfo(float).tiny)  # squares of any currency are numbers
    count = day.T @ day
    with np.errstate(all="ignore"):
        total, square = value.T @ day, (value**2).T @ day  # of the row's bot, on the days of the column's
        spread = square - total**2 / count
        spread = np.where(spread > EXACT * square, spread, np.nan)
        shared = value.T @ value - total * total.T / count
        found: Floats = shared / np.sqrt(spread * spread.T)
    return np.where(count >= COMMON_DAYS, found, np.nan)


def cluster_order(correlation: Floats) -> Ints:
    """The places (N) in an order in which those that move together stand together: the leaves of single linkage on the
    correlation distance. What is not known (NaN) counts as no correlation.

    >>> cluster_order(np.array([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]])).tolist()
    [1, 0, 2]
    """
    distance = np.sqrt((1 - np.clip(np.nan_to_num(correlation), -1, 1)) / 2)
    np.fill_diagonal(distance, 0.0)
    members = {bot: [bot] for bot in range(len(distance))}  # of each cluster, by its number
    cluster = np.arange(len(distance))  # the number of each bot's cluster
    for one, other in _linked(distance):
        left, right = sorted((int(cluster[one]), int(cluster[other])))
        number = len(distance) + len(distance) - len(members)  # those of two end in a third
        members[number] = members.pop(left) + members.pop(right)
        cluster[members[number]] = number
    return np.array([bot for order in members.values() for bot in order], dtype=np.int64)


def _linked(distance: Floats) -> list[tuple[int, int]]:
    """Which bots single linkage joins one after another, the nearest first: Prim's tree, its edges by their length.

    SciPy's own has the same order, ties included, and loads 30 MB for it, which the pages would keep.
    """
    bots = len(distance)
    joined, nearest = np.zeros(bots, bool), np.full(bots, np.inf)
    edges, at = [], 0
    for _ in range(bots - 1):
        joined[at] = True
        nearest = np.minimum(nearest, distance[at])
        following = int(np.argmin(np.where(joined, np.inf, nearest)))
        edges.append((float(nearest[following]), at, following))
        at = following
    return [(one, other) for _, one, other in sorted(edges, key=lambda edge: edge[0])]


def effective_bets(correlation: Floats) -> float:
    """As how many bets that have nothing to do with each other so many bots (N) count: N² / Σ ρ², the participation
    ratio of the eigenvalues of their correlation. From 1, where all are the same, to N. What is not known (NaN) counts
    as no correlation.

    >>> effective_bets(np.eye(3)), effective_bets(np.ones((3, 3)))
    (3.0, 1.0)
    """
    known = np.nan_to_num(correlation)
    np.fill_diagonal(known, 1.0)
    return float(len(known) ** 2 / np.sum(known**2)) if len(known) else 0.0
