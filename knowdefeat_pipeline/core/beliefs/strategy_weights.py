"""Adaptive weights: how much each strategy counts, from what is believed of its edge."""

from __future__ import annotations

from typing import get_args

import numpy as np
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.beliefs.state import WeighingMethod
from knowdefeat_pipeline.core.units import Bools, Floats

FLOOR = 0.02
NARROWING = 0.25
GRAIN = 2**40
GRID = 2001
REACH = 6.0


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
    shares = raw / raw.sum(axis=-1, keepdims=True)
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
