"""Which bots do the same: against pairwise correlations one by one."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.duplicates import duplicates


def plainly(pnl: np.ndarray, traded: np.ndarray) -> list[list[int]]:
    """The same pair by pair, groups joined one after the other."""
    group = list(range(pnl.shape[1]))
    for a, b in combinations(range(pnl.shape[1]), 2):
        both = traded[:, a] & traded[:, b]
        if both.sum() >= 10 and np.corrcoef(pnl[both, a], pnl[both, b])[0, 1] > 0.95:
            group = [group[a] if member == group[b] else member for member in group]
    found = [[bot for bot, member in enumerate(group) if member == code] for code in sorted(set(group))]
    return sorted(places for places in found if len(places) > 1)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.floats(0.5, 1))
def test_groups_are_those_of_each_pair(seed: int, bots: int, often: float) -> None:
    rng = np.random.default_rng(seed)
    leaders = rng.normal(size=(30, max(1, bots // 3)))
    pnl = leaders[:, rng.integers(leaders.shape[1], size=bots)] + 0.3 * rng.normal(size=(30, bots))
    traded = rng.random((30, bots)) < often
    scale = 10.0 ** rng.integers(-12, 12, bots)
    assert duplicates(np.where(traded, pnl * scale, 0.0), traded) == plainly(pnl, traded)


def test_a_chain_of_pairs_is_one_group() -> None:
    """The outer two correlate by .86 alone."""
    one, other = np.sin(np.arange(30.0)), np.cos(np.arange(30.0))
    pnl = np.stack([one, one + 0.3 * other, one + 0.6 * other], axis=1)
    assert np.corrcoef(pnl[:, 0], pnl[:, 2])[0, 1] == pytest.approx(0.86, abs=0.01)
    assert duplicates(pnl, np.ones(pnl.shape, bool)) == [[0, 1, 2]]


def test_results_that_never_change_are_like_nothing() -> None:
    pnl = np.full((30, 2), 0.1)
    assert duplicates(pnl, np.ones(pnl.shape, bool)) == []
    assert duplicates(pnl[:, :0], np.ones((30, 0), bool)) == []
