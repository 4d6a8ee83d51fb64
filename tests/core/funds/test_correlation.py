"""Which bots move together, in which order they are shown, and as how many bets they count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from knowdefeat_pipeline.core.funds.correlation import cluster_order, correlation, effective_bets


def test_correlation_is_pearson_s_over_common_days() -> None:
    rng = np.random.default_rng(3)
    pnl, traded = rng.normal(size=(60, 5)) * [1, 1e-8, 1e8, 3, 5], rng.random((60, 5)) < 0.7
    frame = pd.DataFrame(np.where(traded, pnl, np.nan))
    assert np.allclose(correlation(pnl, traded), frame.corr(min_periods=10), equal_nan=True, atol=1e-9)


def test_those_that_move_together_stand_together() -> None:
    rng = np.random.default_rng(5)
    group = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    pnl = rng.normal(size=(60, 3))[:, group] + 0.2 * rng.normal(size=(60, 8))
    order = group[cluster_order(correlation(pnl, np.ones(pnl.shape, bool)))]
    assert np.count_nonzero(np.diff(order)) == 2  # three groups, each in one piece


def test_groups_that_have_nothing_in_common_count_as_many_bets_as_there_are() -> None:
    same = np.kron(np.eye(4), np.ones((3, 3)))  # 4 groups of 3 that are the same
    assert effective_bets(same) == pytest.approx(4.0)
    assert effective_bets(np.full((3, 3), np.nan)) == 3.0
    assert effective_bets(np.zeros((0, 0))) == 0.0


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_bets_are_from_one_to_as_many_as_bots(bots: int, seed: int) -> None:
    pnl = np.random.default_rng(seed).normal(size=(30, bots))
    found = correlation(pnl, np.ones(pnl.shape, bool))
    assert 1 - 1e-9 <= effective_bets(found) <= bots + 1e-9
    assert sorted(cluster_order(found).tolist()) == list(range(bots))
    values = np.linalg.eigvalsh(found)
    assert effective_bets(found) == pytest.approx(values.sum() ** 2 / np.sum(values**2))


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 8]))
def test_the_order_is_that_of_scipy_s_single_linkage_ties_included(bots: int, seed: int, decimals: int) -> None:
    found = np.corrcoef(np.random.default_rng(seed).normal(size=(max(bots, 1), 6))).reshape(max(bots, 1), -1)[
        :bots, :bots
    ]
    found = found.round(decimals)  # of few digits: many are equally far apart
    distance = np.sqrt((1 - np.clip(found, -1, 1)) / 2)
    np.fill_diagonal(distance, 0.0)
    expected = leaves_list(linkage(squareform(distance, checks=False), "single")) if bots > 1 else np.arange(bots)
    assert cluster_order(found).tolist() == expected.tolist()
