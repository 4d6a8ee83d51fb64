"""The experts: closed forms, the prior, and memory that fades."""

import numpy as np
import pytest

from knowdefeat_pipeline.core.learning.ridge_experts import (
    EXPERTS,
    FAMILIES,
    HALF_LIVES,
    NAMED_SETS,
    RANK_VARIANCE,
    STRENGTHS,
    Ridges,
    precision,
    prior_direction,
    ridge,
)
from knowdefeat_pipeline.core.ranking.weight_set import validate
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, SLOW_NAMES, VARIABLE_NAMES


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, 0.5, (rows, 19)), rng.uniform(-0.5, 0.5, rows)


@pytest.mark.parametrize("seed", range(5))
def test_ridge_toward_a_prior_is_least_squares_with_the_prior_as_further_rows(seed: int) -> None:
    x, y = draw(60, seed)
    rng = np.random.default_rng(seed + 100)
    root, prior = rng.standard_normal((19, 19)), rng.standard_normal(19)
    expected = np.linalg.lstsq(np.vstack([x, root]), np.append(y, root @ prior), rcond=None)[0]
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, root.T @ root, prior), expected, rtol=1e-7, atol=1e-9)


def test_ridge_in_closed_form() -> None:
    """One variable at a time: (Σxy + λ·prior) / (Σx² + λ)."""
    gram, moment, prior = np.diag([4.0, 0.0, 1.0]), np.array([2.0, 0.0, -3.0]), np.array([1.0, 5.0, 0.0])
    found = ridge(gram, moment, 2 * np.eye(3), prior)
    assert found.tolist() == pytest.approx([(2 + 2 * 1) / 6, 5.0, -3 / 3])


def test_ridge_has_the_least_squares_and_the_prior_as_its_ends() -> None:
    x, y = draw(100, 3)
    prior = prior_direction()
    free = ridge(x.T @ x, x.T @ y, 1e-9 * np.eye(19), prior)
    np.testing.assert_allclose(free, np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, 1e12 * np.eye(19), prior), prior, atol=1e-9)


def test_the_prior_is_half_the_defaults_by_their_days_and_a_quarter_each_slow_variable() -> None:
    prior = dict(zip(VARIABLE_NAMES, 100 * prior_direction(), strict=True))
    money = [name for name in VARIABLE_NAMES if name.endswith("_performance")]
    assert sum(prior[name] for name in money) == pytest.approx(25)
    # default · days: 15/24, 12.5/12, 10, 52.5 and 150 points.
    assert prior["one_month_performance"] / prior["one_day_performance"] == pytest.approx(15)
    assert prior["one_week_performance"] / prior["one_hour_performance"] == pytest.approx(52.5 * 24 / 15)
    assert [prior[name] for name in SLOW_NAMES] == [25, 25]
    others = [name for name in VARIABLE_NAMES if name not in (*money, *SLOW_NAMES)]
    assert all(prior[name] == pytest.approx(DEFAULT_WEIGHTS[name] / 2) for name in others)


def test_the_named_sets() -> None:
    assert {name: validate(weights) for name, weights in NAMED_SETS.items()} == NAMED_SETS
    assert NAMED_SETS["know_defeat"] == DEFAULT_WEIGHTS
    recommended = NAMED_SETS["recommended"]
    assert [recommended[name] for name in ("quarter_result", "avg_win_rate", "one_month_performance")] == [25, 5, 17.5]


def test_families_hold_each_variable_once() -> None:
    assert sorted(name for family in FAMILIES for name in family) == sorted(VARIABLE_NAMES)


def test_a_family_moves_more_easily_than_one_of_its_members() -> None:
    inverse = precision(prior_direction())
    week, month = (VARIABLE_NAMES.index(f"one_{name}_performance") for name in ("week", "month"))
    against = np.zeros(19)
    against[[week, month]] = prior_direction()[[month, week]] * [1, -1]
    together = np.where(np.isin(VARIABLE_NAMES, FAMILIES[1]), prior_direction(), 0.0)
    cost = [v @ inverse @ v / (v @ v) for v in (together, against)]
    assert cost[0] == pytest.approx(1 / 1.25)
    assert cost[1] == pytest.approx(1 / 0.25)


def test_before_any_day_all_hold_the_prior() -> None:
    assert np.array_equal(Ridges().weights(), np.tile(prior_direction(), (len(EXPERTS), 1)))


def test_incremental_experts_equal_the_regression_over_all_rows() -> None:
    ridges, days = Ridges(), [draw(9, seed) for seed in range(40)]
    for day, (x, y) in enumerate(days):
        ridges.learn(x, y, 0.0 if day == 0 else 1.5)
    found = ridges.weights()
    for expert, (half_life, strength) in enumerate(EXPERTS):
        age = 1.5 * np.arange(39, -1, -1).repeat(9)
        weight = 0.5 ** (age / half_life)
        x, y = np.vstack([x for x, _ in days]), np.concatenate([y for _, y in days])
        gram, moment = (x * weight[:, None]).T @ x, (x * weight[:, None]).T @ y
        direction = prior_direction()
        slope = 0.05 * np.sqrt(weight.sum() / 12 / (direction @ gram @ direction))
        penalty = strength / 12 * precision(direction)
        exact = np.linalg.solve(gram + penalty, moment + slope * penalty @ direction)
        np.testing.assert_allclose(found[expert], exact / np.abs(exact).sum(), rtol=1e-8, atol=1e-12)
    assert (len(HALF_LIVES), len(STRENGTHS), RANK_VARIANCE) == (3, 2, 1 / 12)


def test_what_is_learned_is_found() -> None:
    rng, ridges = np.random.default_rng(5), Ridges()
    for _ in range(300):
        x = rng.uniform(-0.5, 0.5, (20, 19))
        ridges.learn(x, 0.3 * x[:, 8] - 0.3 * x[:, 2] + 0.1 * rng.standard_normal(20), 1.0)
    for weights in ridges.weights():
        assert np.argmax(weights) == 8
        assert np.argmin(weights) == 2
        assert np.abs(weights).sum() == pytest.approx(1)
