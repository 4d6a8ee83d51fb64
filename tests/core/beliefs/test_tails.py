"""Tails of results: the values of the formulas, and what tails must not do."""

from dataclasses import replace

import numpy as np
import pytest

from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at, beliefs_before
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.beliefs.tails import tail_edges

RULES = Rules()
PRIOR = State.prior(RULES)


def rounds(results: np.ndarray) -> Outcomes:
    """Strategies that all trade at each instant: results (instants, strategies)."""
    instants, strategies = results.shape
    return Outcomes(
        strategies=tuple(f"s{number:02}" for number in range(strategies)), regimes=(),
        time=np.repeat(np.arange(float(instants)), strategies), strategy=np.tile(np.arange(strategies), instants),
        regime=np.full(results.size, -1), result=results.ravel().astype(float), weight=np.ones(results.size),
    )  # fmt: skip


def test_three_strategies_at_four_instants() -> None:
    results = np.array([[3, 0, -5], [1, 2.5, -0.5], [-4, 0.3, 0.2], [2, -2, 6]])
    for count, expected in enumerate((-0.00985121, -0.00727574, -0.01673935, 0.00237408), start=1):
        state = fold(PRIOR, rounds(results[:count]), RULES)
        assert tail_edges(state.tails).mean[0] == pytest.approx(expected, abs=5e-9)


def test_the_tails_are_part_of_the_edge_before_each_instant_and_after() -> None:
    results = np.random.default_rng(4).standard_t(3, (200, 5))
    outcomes = rounds(results)
    body = replace(outcomes, result=np.clip(outcomes.result, -2, 2))
    for (_, whole), (_, bodies) in zip(
        beliefs_before(PRIOR, outcomes, RULES), beliefs_before(PRIOR, body, RULES), strict=True
    ):
        for row in range(0, 200, 20):
            tails = tail_edges(fold(PRIOR, outcomes.rows(0, 5 * row), RULES).knowing(whole.strategies).tails)
            assert whole.edge[row] - bodies.edge[row] == pytest.approx(tails.mean, abs=1e-12)
            assert (whole.p_win[row] == bodies.p_win[row]).all()


def test_strategies_that_differ_are_told_apart_and_others_share_one_mean() -> None:
    # n = 100 each; tails of one sum up to -60, of the others to 0: m. = -60/600, v = .36 - .15² = .3375.
    sums = np.array([[100.0, -60.0, 144.0], [100.0, 0.0, 0.0], [100.0, 0.0, 0.0], [100.0, 0.0, 0.0]])
    # b = mean of (-.6 + .1)², .1², .1², .1², less .3375/100; k = v / b = 5.08, at least 50.
    found = tail_edges(sums)
    assert found.mean == pytest.approx([(-60 - 5) / 150, -5 / 150, -5 / 150, -5 / 150])
    assert found.variance == pytest.approx([0.3375 / 150] * 4)
    assert (found.prior_mean[0], found.prior_variance[0]) == pytest.approx((-0.1, 0.3375 / 50))
    alike = tail_edges(np.tile([100.0, -10.0, 50.0], (4, 1)))
    assert alike.mean == pytest.approx([(-10 - 1e6 * 40 / 600) / (100 + 1e6)] * 4)


def test_strategies_that_never_traded_change_no_bit() -> None:
    state = fold(PRIOR, rounds(np.random.default_rng(5).standard_t(3, (300, 9))), RULES)
    wider = state.knowing([f"new {number}" for number in range(40)])
    before, after = (beliefs_at(of, of.time, RULES) for of in (state, wider))
    place = [wider.strategies.index(name) for name in state.strategies]
    assert before.edge.tobytes() == after.edge[:, place].tobytes()
    assert before.edge_sd.tobytes() == after.edge_sd[:, place].tobytes()


def test_many_small_wins_and_rare_large_losses_are_no_edge() -> None:
    """92 % wins of .29 and 8 % losses of 3.39: worth nothing, where results clipped at 2 seem worth +.11."""
    rng = np.random.default_rng(6)
    win, loss = np.sqrt(0.08 / 0.92), np.sqrt(0.92 / 0.08)
    state = fold(PRIOR, rounds(np.where(rng.random((2000, 6)) < 0.92, win, -loss)), RULES)
    tails = tail_edges(state.tails)
    assert tails.mean == pytest.approx([-0.08 * (loss - 2)] * 6, abs=0.03)
    assert np.abs(beliefs_at(state, state.time, RULES).edge).max() < 0.06
