"""What allocation aims at: targets in proportion to which funds are wished for, before caps."""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.funds.correlation import cluster_order
from knowdefeat_pipeline.core.units import Floats, Ints

MIDDLE_SCORE = 50.0


def by_score(rank_score: Floats) -> Floats:
    """max(0, rank_score - 50); 0 where a bot has no score."""
    return np.maximum(np.nan_to_num(rank_score, nan=MIDDLE_SCORE) - MIDDLE_SCORE, 0.0)


def by_edge(edge: Floats) -> Floats:
    """max(0, edge); 0 where nothing is believed."""
    return np.maximum(np.nan_to_num(edge, nan=0.0), 0.0)


def equal(count: int) -> Floats:
    """The same for all."""
    return np.full(count, 1 / count) if count else np.zeros(0)


def inverse_variance(variance: Floats) -> Floats:
    """1 / variance, summing to 1. Raises ValueError for a variance that is not above 0."""
    bad = np.flatnonzero(~(variance > 0))
    if len(bad):
        raise ValueError(f"bot {bad[0]} has a variance of {variance[bad[0]]}; leave out bots without spread")
    out: Floats = (1 / variance) / (1 / variance).sum()
    return out


def hierarchical_risk_parity(covariance: Floats) -> Floats:
    """Hierarchical risk parity, summing to 1 (López de Prado, 2016): single linkage on the correlation distance, then
    halves of the ordered bots share in inverse proportion to their variances. Equals `inverse_variance` where nothing
    correlates. Raises ValueError for a variance that is not above 0 and for a matrix that is not symmetric."""
    if not np.allclose(covariance, covariance.T):
        raise ValueError("a covariance matrix is symmetric")
    alone = inverse_variance(np.diag(covariance))
    if len(alone) < 2:
        return alone
    scale = np.sqrt(np.diag(covariance))
    order = cluster_order(covariance / np.outer(scale, scale))
    shares = np.ones(len(alone))
    _bisect(order, covariance, shares)
    out: Floats = shares / shares.sum()
    return out


def _bisect(order: Ints, covariance: Floats, shares: Floats) -> None:
    """Divide the share of the bots in `order` between its halves, down to single bots."""
    if len(order) < 2:
        return
    left, right = order[: len(order) // 2], order[len(order) // 2 :]
    of_left, of_right = _variance(left, covariance), _variance(right, covariance)
    shares[left] *= of_right / (of_left + of_right)
    shares[right] *= of_left / (of_left + of_right)
    _bisect(left, covariance, shares)
    _bisect(right, covariance, shares)


def _variance(members: Ints, covariance: Floats) -> float:
    """The variance of the members held by inverse variance."""
    part = covariance[np.ix_(members, members)]
    share = inverse_variance(np.diag(part))
    return float(share @ part @ share)
