"""AdaHedge keeps its promise, and does by hand what it should."""

import numpy as np
import pytest

from knowdefeat_pipeline.core.learning.adahedge import AdaHedge


def regret(losses: np.ndarray) -> float:
    """What the mixture lost beyond the best expert."""
    hedge, total = AdaHedge(losses.shape[1]), 0.0
    for row in losses:
        shares = hedge.weights()
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1)
        total += shares @ row
        hedge.learn(row)
    return total - losses.sum(axis=0).min()


@pytest.mark.parametrize("seed", range(100))
def test_the_bound_holds_on_random_sequences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    days, experts = int(rng.integers(1, 400)), int(rng.integers(2, 12))
    scale, shift = 10.0 ** rng.uniform(-3, 3), rng.normal()
    drift = rng.normal(size=experts) * rng.uniform(0, 1) * np.sign(np.arange(days) - days * rng.random())[:, None]
    losses = scale * (shift + np.tanh(rng.standard_normal((days, experts)) + drift))
    width = np.ptp(losses, axis=1).max()
    bound = width * (np.sqrt(days * np.log(experts)) + 4 / 3 * np.log(experts) + 2)
    assert regret(losses) <= bound


def test_an_adversary_who_always_hits_the_leader() -> None:
    """The worst there is: the bound is tight in √T, so the regret grows, and stays under it."""
    hedge, total, sums = AdaHedge(2), 0.0, np.zeros(2)
    for _ in range(500):
        shares = hedge.weights()
        loss = np.where(shares >= shares.max(), 1.0, 0.0) if shares[0] != shares[1] else np.array([1.0, 0.0])
        total += shares @ loss
        sums += loss
        hedge.learn(loss)
    assert 5 < total - sums.min() <= np.sqrt(500 * np.log(2)) + 4 / 3 * np.log(2) + 2


def test_by_hand() -> None:
    hedge = AdaHedge(2)
    assert hedge.weights().tolist() == [0.5, 0.5]
    hedge.learn(np.array([0.0, 1.0]))  # infinite rate: the mix loss is that of the best, 0; the gap is ½
    assert hedge.mixability_gap == 0.5
    # The second is behind by 1 at the rate ln 2 / ½: it counts ¼ of the first.
    assert hedge.weights().tolist() == pytest.approx([0.8, 0.2])


def test_a_common_shift_and_a_common_scale_change_nothing() -> None:
    losses = np.random.default_rng(1).standard_normal((50, 4))
    hedges = [AdaHedge(4), AdaHedge(4), AdaHedge(4)]
    for row in losses:
        for hedge, changed in zip(hedges, (row, row + 7, row * 1000), strict=True):
            hedge.learn(changed)
    for hedge in hedges[1:]:
        np.testing.assert_allclose(hedge.weights(), hedges[0].weights(), rtol=1e-9)


def test_equal_losses_teach_nothing_and_one_expert_keeps_all() -> None:
    hedge = AdaHedge(3)
    hedge.learn(np.ones(3))
    assert hedge.weights().tolist() == pytest.approx([1 / 3] * 3)
    alone = AdaHedge(1)
    alone.learn(np.array([5.0]))
    assert alone.weights().tolist() == [1.0]
