"""Targets: inverse variance by hand, hierarchical risk parity where its answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.targets import by_edge, by_score, equal, hierarchical_risk_parity, inverse_variance


def test_scores_and_edges_count_above_the_middle() -> None:
    assert by_score(np.array([70.0, 50.0, 30.0, np.nan])).tolist() == [20, 0, 0, 0]
    assert by_edge(np.array([0.2, -0.1, np.nan])).tolist() == [0.2, 0, 0]
    assert equal(4).tolist() == [0.25] * 4


def test_inverse_variance_by_hand() -> None:
    assert inverse_variance(np.array([1.0, 2.0, 4.0])) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    with pytest.raises(ValueError, match=r"bot 1 has a variance of 0.0"):
        inverse_variance(np.array([1.0, 0.0]))


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20))
def test_without_correlation_risk_parity_is_inverse_variance(variances: list) -> None:
    variance = np.array(variances)
    np.testing.assert_allclose(hierarchical_risk_parity(np.diag(variance)), inverse_variance(variance), rtol=1e-12)


def test_twins_share_what_one_would_get() -> None:
    # Bots 0 and 2 are all but the same: their cluster has a variance of 1, as has bot 1.
    covariance = np.array([[1, 0, 0.999999], [0, 1, 0], [0.999999, 0, 1.0]])
    held = hierarchical_risk_parity(covariance)
    assert held.sum() == pytest.approx(1)
    assert held[[0, 2]] == pytest.approx([held[0]] * 2, abs=0.3)
    assert held[1] > 0.3


def test_four_bots_in_two_pairs_by_hand() -> None:
    # Pairs (0, 2) and (1, 3), correlated .8, of variances 1 and 4: pair variances .9 and 3.6 at halves each.
    covariance = np.diag([1.0, 4.0, 1.0, 4.0])
    covariance[0, 2] = covariance[2, 0] = 0.8
    covariance[1, 3] = covariance[3, 1] = 3.2
    assert hierarchical_risk_parity(covariance) == pytest.approx([0.4, 0.1, 0.4, 0.1])


def test_a_matrix_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="symmetric"):
        hierarchical_risk_parity(np.array([[1.0, 0.5], [0.0, 1.0]]))
