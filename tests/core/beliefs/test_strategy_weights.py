"""Adaptive weights: exact values, exact sums, and what must not move them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

from knowdefeat_pipeline.core.beliefs.strategy_weights import (
    adaptive_weights,
    exact_shares,
    exposure,
    most_move,
    probability_best,
    probability_exceeds,
    regime_changed,
    steady_path,
    steady_weights,
)

EDGES = st.lists(st.floats(-3, 3), min_size=1, max_size=30)


def test_win_rates_compared() -> None:
    assert 1 - beta.cdf(0.5, 8, 4) == pytest.approx(0.88671875, abs=1e-12)
    assert probability_exceeds(5, 7, 8, 4) == pytest.approx(0.09919028, abs=5e-9)
    assert probability_exceeds(8, 4, 5, 7) == pytest.approx(1 - probability_exceeds(5, 7, 8, 4), abs=1e-12)
    assert probability_exceeds(3.5, 2.5, 3.5, 2.5) == pytest.approx(0.5, abs=1e-9)


def test_two_normals_in_closed_form() -> None:
    # (0.3 - 0.1) / hypot(0.3, 0.4) = 0.4
    found = probability_best(np.array([0.3, 0.1]), np.array([0.3, 0.4]))
    assert found == pytest.approx([norm.cdf(0.4), 1 - norm.cdf(0.4)])


@pytest.mark.parametrize("narrow", [1.0, 0.05, 1e-6])
def test_many_normals_against_the_exact_answer_for_two_and_sampling(narrow: float) -> None:
    mean, sd = np.array([0.3, 0.1, -9.0]), np.array([0.3, 0.4, narrow])
    exact = norm.cdf(0.4)
    assert probability_best(mean, sd) == pytest.approx([exact, 1 - exact, 0], abs=1e-5)
    mean, sd = np.array([0.0, 0.1, 0.2, -0.1]), np.array([0.2, narrow, 0.1, 0.4])
    draws = (mean + sd * np.random.default_rng(1).standard_normal((200_000, 4))).argmax(axis=1)
    assert probability_best(mean, sd) == pytest.approx(np.bincount(draws, minlength=4) / 200_000, abs=5e-3)


def test_the_third_moment_by_quadrature() -> None:
    edge, sd = np.array([0.05, 0.0, -0.02]), np.array([0.08, 0.08, 0.2])
    x = np.linspace(-1, 1, 200_001)
    moments = [(np.maximum(x, 0) ** 3 * norm.pdf(x, e, 0.08 / 4)).sum() for e in edge]
    assert adaptive_weights(edge, sd, floor=0.0) == pytest.approx(np.array(moments) / sum(moments), abs=1e-6)


def test_little_knowledge_earns_nothing() -> None:
    vague = adaptive_weights(np.array([0.05, 0.05, 0.05]), np.array([0.1, 0.1, 0.9]))
    assert vague == pytest.approx([1 / 3] * 3)


@given(EDGES, st.sampled_from(["edge", "best"]), st.floats(0, 1))
def test_weights_sum_to_exactly_one_keep_the_floor_and_follow_the_edge(edges: list, method: str, floor: float) -> None:
    edge = np.array(edges)
    found = adaptive_weights(edge, np.full(len(edge), 0.1), method, floor)
    assert found.sum() == sum(found.tolist()) == 1
    assert (found >= floor / len(edge) - 1e-11).all()
    assert (np.diff(found[np.argsort(edge)]) >= -1e-9).all()


@given(EDGES, st.sampled_from([0.001, 7.0, 1000.0]))
def test_the_unit_of_the_edge_does_not_matter(edges: list, unit: float) -> None:
    edge, sd = np.array(edges), np.full(len(edges), 0.1)
    assert adaptive_weights(edge * unit, sd * unit) == pytest.approx(adaptive_weights(edge, sd), abs=1e-9)


def test_where_all_lose_the_least_loser_leads() -> None:
    found = adaptive_weights(np.array([-5.0, -0.20, -0.25]), np.full(3, 0.1))
    assert found[1] > found[2] > found[0] == pytest.approx(0.02 / 3)


@pytest.mark.parametrize("method", ["edge", "best"])
def test_a_strategy_that_is_not_there_moves_nothing(method: str) -> None:
    edge, sd = np.array([[0.1, 9.0, 0.2], [0.1, 0.3, 0.2]]), np.full((2, 3), 0.1)
    found = adaptive_weights(edge, sd, method, known=np.array([[True, False, True], [True, True, True]]))
    assert found[0, 1] == 0
    assert found[0, [0, 2]].tolist() == adaptive_weights(edge[0, [0, 2]], sd[0, :2], method).tolist()
    assert found[1].tolist() == adaptive_weights(edge[1], sd[1], method).tolist()


def test_weights_move_at_most_so_far_towards_their_target() -> None:
    held, target = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert steady_weights(held, target, 0.2) == pytest.approx([0.9, 0.1], abs=1e-11)
    assert steady_weights(held, target, 2.0).tolist() == [0.0, 1.0]
    assert steady_weights(held, target, np.inf).tolist() == [0.0, 1.0]
    assert steady_weights(np.array([0.55, 0.45]), np.array([0.5, 0.5]), 0.1).tolist() == [0.5, 0.5]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 20), st.integers(0, 20))
def test_a_path_of_weights_is_steady_exact_and_the_same_in_parts(seed: int, days: int, count: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    targets, most = rng.dirichlet(np.full(count, 0.3), days), rng.uniform(0, 0.5, days)
    path, last = steady_path(targets, most)
    assert (path.sum(axis=1) == 1).all()
    assert (path >= 0).all()
    assert (np.abs(np.diff(path, axis=0)).sum(axis=1) <= most[1:] + 1e-9).all()
    first, held = steady_path(targets[:cut], most[:cut])
    rest, end = steady_path(targets[cut:], most[cut:], held if cut else None)
    assert np.concatenate([first, rest]).tobytes() == path.tobytes()
    if cut < days:
        assert end.tobytes() == last.tobytes()
    day = path[0]
    for target, by in zip(targets[1:], most[1:], strict=True):
        day = steady_weights(day, target, by)
    assert day == pytest.approx(path[-1], abs=1e-9)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ((1, 0, 0), (0, 1, 0), True),
        ((0.95, 0.05, 0), (0.05, 0.95, 0), True),
        ((0.94, 0.06, 0), (0.05, 0.95, 0), False),
        ((0.5, 0.5, 0), (0, 0.5, 0.5), False),
        ((0, 0, 0), (0, 0.9, 0), True),
        ((0, 0, 0), (0, 0, 0), False),
    ],
)
def test_when_a_regime_changed(before: tuple, after: tuple, changed: bool) -> None:
    both = [np.array(of, dtype=float) for of in (before, after)]
    assert regime_changed(*both) is changed
    assert most_move(1.5, *both) == (np.inf if changed else pytest.approx(0.3))
    assert most_move(1.5, *both, was_reset=True) == np.inf


def test_the_share_of_the_book_to_hold() -> None:
    # P(edge > 0) of one sd above 0 is .841345, of none .5, of two .977250: .758544 of full, nothing, and full.
    edge, sd = np.array([0.1, 0.0, 0.2, -0.3]), np.full(4, 0.1)
    assert exposure(np.array([1.0, 0, 0, 0]), edge, sd) == pytest.approx((norm.cdf(1) - 0.5) / 0.45)
    assert exposure(np.array([0.0, 1, 0, 0]), edge, sd) == 0
    assert exposure(np.array([0.0, 0, 1, 0]), edge, sd) == 1
    assert exposure(np.array([0.0, 0, 0, 1]), edge, sd) == 0
    assert exposure(np.array([0.5, 0.1, 0.3, 0.1]), edge, sd) == pytest.approx(0.5 * (norm.cdf(1) - 0.5) / 0.45 + 0.3)
    assert exposure(
        np.full((2, 3), 1 / 3), np.array([[-0.1, -0.2, 0.0], [1.0, 1.0, 1.0]]), np.ones((2, 3)) / 10
    ).tolist() == [0, 1]


def test_shares_are_rounded_by_largest_remainder() -> None:
    thirds = exact_shares(np.full(3, 1 / 3))
    assert thirds.sum() == 1
    assert (thirds * 2**40).tolist() == [366503875926, 366503875925, 366503875925]


def test_what_cannot_be_weighed_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="no method 'mean'"):
        adaptive_weights(one, one, "mean")
    with pytest.raises(ValueError, match=r"floor must be in \[0, 1\], got 1.5"):
        adaptive_weights(one, one, floor=1.5)
    with pytest.raises(ValueError, match="deviations positive"):
        adaptive_weights(one, 0 * one)
    with pytest.raises(ValueError, match="at least one strategy"):
        adaptive_weights(one, one, known=np.array([False]))
