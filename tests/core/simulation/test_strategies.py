"""The worlds keep their promises, and the learner keeps its own in them. Seeds are not those of the benchmark."""

import numpy as np
import pytest

from knowdefeat_pipeline.core.beliefs.replay import books_before_each
from knowdefeat_pipeline.core.beliefs.state import Rules
from knowdefeat_pipeline.core.simulation.strategies import (
    FURTHER_WORLDS,
    STRATEGY_WORLDS,
    SWAP_AT,
    StrategyWorld,
    book_sharpe,
    recovery,
    regret,
    simulate_beliefs,
    simulate_swap,
    true_weights,
)


def learned(world: StrategyWorld, method: str = "edge") -> tuple[np.ndarray, np.ndarray]:
    weights, p_win = np.empty(world.edge.shape), np.empty(world.edge.shape)
    for book in books_before_each(world.outcomes, Rules(), method):
        rounds = book.instants.astype(int)
        weights[rounds], p_win[rounds] = book.weights, book.beliefs.p_win
    return weights, p_win


@pytest.mark.parametrize("name", STRATEGY_WORLDS)
def test_worlds_are_what_they_say(name: str) -> None:
    worlds = [simulate_beliefs(name, seed) for seed in range(12)]
    world = worlds[0]
    assert (world.active.sum(axis=1) == 4).all()
    noise = np.concatenate([(w.result - w.edge).ravel() for w in worlds])
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.02)
    edges = np.concatenate([w.edge for w in worlds])
    assert edges.mean() == pytest.approx(0.03, abs=0.03)
    assert edges.std() == pytest.approx(0.10, abs=0.02)
    wins = np.concatenate([(w.result > 0).ravel() for w in worlds])
    assert wins.mean() == pytest.approx(np.mean([w.p_win.mean() for w in worlds]), abs=0.005)
    moved = (np.diff(world.edge, axis=0) != 0).any(axis=1).mean()
    assert {"stationary": moved == 0, "switching": moved < 0.02, "drifting": moved == 1, "regimes": moved < 0.04}[name]
    assert np.unique(world.label).tolist() == ([0, 1, 2, 3] if name == "regimes" else [-1])
    again = simulate_beliefs(name, 0)
    assert again.result.tobytes() == world.result.tobytes()


@pytest.mark.parametrize("name", FURTHER_WORLDS)
def test_further_worlds_are_what_they_say(name: str) -> None:
    law = FURTHER_WORLDS[name]
    worlds = [simulate_beliefs(name, seed) for seed in range(6)]
    world = worlds[0]
    assert (world.active.sum(axis=1) == law.strategies // 2).all()
    assert not (world.active & ~world.alive).any()
    assert (world.alive.sum(axis=1) == law.strategies).all()
    noise = np.stack([w.result - w.edge for w in worlds])
    assert noise.mean() == pytest.approx(0, abs=0.03)
    # A skewed result's size varies: its variance is E[exp(2 · N(-.08, .4))] = exp(.16).
    assert noise.std() == pytest.approx(np.exp(0.08) if name == "skewed" else 1, abs=0.06)
    wins = np.concatenate([(w.result > 0).ravel() for w in worlds])
    assert wins.mean() == pytest.approx(np.mean([w.p_win.mean() for w in worlds]), abs=0.02)
    shared = np.mean([np.corrcoef(of.T)[0, 1] for of in noise])
    assert shared == pytest.approx(law.common, abs=0.05)
    if law.births:
        assert (np.diff(world.alive.astype(int), axis=0) != 0).sum(axis=0).tolist() == [1] * 2 * law.strategies
    if not law.labels_mean:
        assert (world.edge == world.edge[0]).all()
        assert len(np.unique(world.label)) == 4


def test_labels_are_right_as_often_as_they_should_be() -> None:
    world = simulate_beliefs("regimes", 5, rounds=8000)
    regime = np.unique(world.edge[:, 0], return_inverse=True)[1]
    best = [np.bincount(world.label[regime == number]).max() for number in range(4)]
    assert sum(best) / 8000 == pytest.approx(0.85, abs=0.02)


def test_figures_by_hand() -> None:
    world = StrategyWorld(
        edge=np.array([[0.2, 0.1, 0.9], [0.2, 0.1, 0.9]]),
        result=np.array([[1.0, 3.0, 9.0], [2.0, 0.0, 9.0]]),
        p_win=np.full((2, 3), 0.5),
        active=np.array([[True, True, False], [True, True, False]]),
        label=np.array([-1, -1]),
    )
    half = np.array([[0.25, 0.25, 0.5], [0.5, 0.5, 0.0]])
    assert regret(world, half) == pytest.approx(0.05)
    assert book_sharpe(world, half) == pytest.approx(1.5 / np.sqrt(0.5))
    # Of the whole book: .9 less .05 + .025 + .45; results .25 + .75 + 4.5 and .5 + 0 + 4.5.
    assert regret(world, half[[0, 0]], world.alive) == pytest.approx(0.375)
    assert book_sharpe(world, half[[0, 0]], world.alive) == pytest.approx(5.25 / np.sqrt(0.125))
    assert regret(world, true_weights(world)) == pytest.approx(0.2 - (0.04 + 0.01) / 0.3)


def test_recovery_counts_from_the_swap() -> None:
    weights = np.tile([0.6, 0.3, 0.1], (600, 1))
    assert recovery(weights) == 600 - SWAP_AT
    weights[530:] = [0.1, 0.3, 0.6]
    assert recovery(weights) == 30


@pytest.mark.parametrize(("method", "worlds"), [("edge", STRATEGY_WORLDS), ("best", STRATEGY_WORLDS[:1])])
def test_the_learner_leaves_much_less_than_equal_weights(method: str, worlds: tuple[str, ...]) -> None:
    left, equal, mean_square = 0.0, 0.0, []
    for name in worlds:
        for seed in (501, 502):
            world = simulate_beliefs(name, seed, rounds=1000)
            weights, p_win = learned(world, method)
            assert (weights.sum(axis=1) == 1).all()
            left, equal = left + regret(world, weights), equal + regret(world, np.ones_like(weights))
            mean_square.append(((p_win - world.p_win)[world.active] ** 2).mean())
    assert left / equal < 0.75
    assert np.sqrt(np.mean(mean_square)) < 0.045


def test_a_new_best_leads_soon_after_a_swap() -> None:
    assert np.median([recovery(learned(simulate_swap(seed))[0]) for seed in range(501, 508)]) <= 100


def test_an_unknown_world_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of stationary, switching, drifting, regimes"):
        simulate_beliefs("flat", 1)
