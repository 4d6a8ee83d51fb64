"""Adaptive weights: how much each strategy counts, from what is believed of its edge; and how much is held at all.

`adaptive_weights` are the target; `steady_weights` move towards it at a pace that a book can be traded at. What that
costs over simulated histories: `python -m benchmarks.beliefs` shows it as `steadiness`.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.beliefs.decayed_sums import sum_in_order
from knowdefeat_pipeline.core.beliefs.state import WeighingMethod
from knowdefeat_pipeline.core.units import Bools, Floats

FLOOR = 0.02
NARROWING = 0.25
GRAIN = 2**40
GRID = 2001
REACH = 6.0
MOVE_A_DAY = 0.2
"""The most that the weights move in a day: the sum of all moves."""
REGIME_CHANGED = 0.9
"""The probability of a change of regime from which on the weights follow at once."""
ROUNDING = 1e-9
EVEN, SURE = 0.5, 0.95
"""P(edge > 0) of a strategy that is not held at all, and of one that is held in full."""


def most_move(days: float, before: Floats, after: Floats, was_reset: bool = False) -> float:
    """By how much weights may move in so many days, in which the regimes' probabilities went from `before` to `after`
    (R,): 0.2 a day, and without bound where a regime changed or a person reset what was learned."""
    return np.inf if was_reset or regime_changed(before, after) else MOVE_A_DAY * days


def steady_weights(held: Floats, target: Floats, most: float) -> Floats:
    """Weights (K,) moved from those `held` towards the `target` by at most `most` in all (the sum of absolute moves).

    Both sum to 1, and so does the answer, exactly. Example: from (1, 0) towards (0, 1) by at most 0.2 is (0.9, 0.1).
    """
    return exact_shares(_towards(held, target, most))


def steady_path(targets: Floats, most: Floats, held: Floats | None = None) -> tuple[Floats, Floats]:
    """Weights (B, K) that follow `targets`, each instant by at most `most` (B,), and where they stand at the end.

    `held` (K,): where an earlier part of the path ended; without one the path begins at the first target. The path is
    the same however it is split.
    """
    path = np.empty_like(targets)
    for at, target in enumerate(targets):
        held = target if held is None else _towards(held, target, most[at])
        path[at] = held
    return exact_shares(path), np.zeros(targets.shape[1]) if held is None else held


def _towards(held: Floats, target: Floats, most: float) -> Floats:
    move = target - held
    size = float(sum_in_order(np.abs(move)))
    return target if size <= most else held + move * (most / size)


def regime_changed(before: Floats, after: Floats) -> bool:
    """Whether the regime changed with a probability of at least 0.9, from probabilities (R,) to probabilities.

    They sum to at most 1; what is missing is undecided. The probability is the least that they are compatible with:
    half the sum of absolute differences. All markets going from TRENDING to RANGING is a change; half of them is none.
    """
    both = [np.append(of, 1 - of.sum()) for of in (before, after)]
    return float(np.abs(both[1] - both[0]).sum()) / 2 >= REGIME_CHANGED - ROUNDING


def exposure(weights: Floats, edge: Floats, edge_sd: Floats) -> Floats:
    """The share (...) of a book with these weights (..., K) that should be held at all; the rest is cash.

    Each strategy is held by its P(edge > 0), a normal around its edge: not at all up to 1/2, in full from 0.95 on, in
    proportion between. The share is their mean, weighed; 0 where no strategy has P(edge > 0) > 1/2.
    """
    held = np.clip((scipy.special.ndtr(edge / edge_sd) - EVEN) / (SURE - EVEN), 0.0, 1.0)
    out: Floats = np.minimum(sum_in_order(weights * held), 1.0)
    return out


def adaptive_weights(
    edge: Floats,
    edge_sd: Floats,
    method: WeighingMethod = "edge",
    floor: float = FLOOR,
    known: Bools | None = None,
) -> Floats:
    """Weights (..., K) of K strategies with posterior edges of the same shape; every row sums to exactly 1.

    `edge`: in proportion to E[max(e, 0)^3] of a normal around each edge, a quarter as wide as the median posterior. It
    lies between max(edge, 0), best for the Sharpe ratio once edges are known, and all on the best, which has the least
    regret; the width is shared, so that knowing little of a strategy earns it nothing. Where every edge is negative,
    edges count from the largest. `best`: the probability that the strategy's edge is the largest. Either way each
    strategy keeps `floor` / K. `known` (..., K): where False, a strategy is not there yet; it gets 0 and moves nothing.
    Raises ValueError for another method, a floor outside 0..1, and edges or deviations that are not usable.
    """
    if method not in get_args(WeighingMethod):
        raise ValueError(f"there is no method {method!r}; choose one of {', '.join(get_args(WeighingMethod))}")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must be in [0, 1], got {floor}")
    if not (np.isfinite(edge).all() and np.isfinite(edge_sd).all() and (edge_sd > 0).all()):
        raise ValueError("edges are finite and their standard deviations positive")
    known = np.ones(edge.shape, dtype=bool) if known is None else known
    if not known.any(axis=-1).all():
        raise ValueError("weights need at least one strategy")
    raw = (_third_moment if method == "edge" else _probability_best)(edge, edge_sd, known)
    shares = raw / sum_in_order(raw)[..., None]
    return exact_shares(np.where(known, floor / known.sum(axis=-1, keepdims=True) + (1 - floor) * shares, 0.0))


def _third_moment(edge: Floats, edge_sd: Floats, known: Bools) -> Floats:
    best = np.where(known, edge, -np.inf).max(axis=-1, keepdims=True)
    width = NARROWING * np.nanmedian(np.where(known, edge_sd, np.nan), axis=-1, keepdims=True)
    z = (edge - np.minimum(best, 0.0)) / width
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(known, np.maximum((z**3 + 3 * z) * scipy.special.ndtr(z) + (z**2 + 2) * density, 0.0), 0.0)


def _probability_best(edge: Floats, edge_sd: Floats, known: Bools) -> Floats:
    raw = np.zeros(edge.shape)
    for row in np.ndindex(edge.shape[:-1]):
        there = known[row]
        raw[row][there] = probability_best(edge[row][there], edge_sd[row][there])
    return raw


def probability_best(mean: Floats, sd: Floats) -> Floats:
    """P(the k-th of independent normals is the largest), (K,): closed for two, else by quadrature.

    The quadrature sums the steps of each distribution function over a common grid times the others' values, so that a
    narrow distribution between two points loses nothing.
    """
    if len(mean) == 2:
        first = scipy.special.ndtr((mean[0] - mean[1]) / np.hypot(sd[0], sd[1]))
        return np.array([first, 1 - first])
    grid = np.linspace((mean - REACH * sd).min(), (mean + REACH * sd).max(), GRID)
    z = (grid - mean[:, None]) / sd[:, None]
    below, logs = scipy.special.ndtr(z), scipy.special.log_ndtr(z)
    others = np.exp(logs.sum(axis=0) - logs)
    raw = (np.diff(below, axis=1) * (others[:, 1:] + others[:, :-1]) / 2).sum(axis=1)
    out: Floats = raw / raw.sum()
    return out


def probability_exceeds(a: float, b: float, other_a: float, other_b: float, nodes: int = 200) -> float:
    """P(Beta(a, b) > Beta(other_a, other_b)) for independent win rates, by Gauss-Jacobi quadrature over the first."""
    x, weight = scipy.special.roots_jacobi(nodes, b - 1, a - 1)
    return float(weight @ scipy.special.betainc(other_a, other_b, (1 + x) / 2) / weight.sum())


def exact_shares(shares: Floats) -> Floats:
    """Shares (..., K) of 1 rounded to multiples of 2^-40 by largest remainder.

    Such numbers add without rounding: they sum to exactly 1 in any order.
    """
    grains = shares * GRAIN
    whole = np.floor(grains)
    missing = GRAIN - whole.sum(axis=-1, keepdims=True)
    order = np.argsort(np.argsort(whole - grains, axis=-1, kind="stable"), axis=-1, kind="stable")
    out: Floats = (whole + (order < missing)) / GRAIN
    return out
