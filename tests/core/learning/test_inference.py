"""Bootstrap, luck and deflated Sharpe ratios against published and simulated figures."""

from statistics import NormalDist

import numpy as np
import pytest

from knowdefeat_pipeline.core.learning.inference import (
    Estimate,
    best_is_luck,
    bootstrap_mean,
    deflated_sharpe,
    expected_maximum_sharpe,
    standard_error_under_null,
    stationary_indices,
)


@pytest.mark.parametrize(("trials", "expected"), [(100, 0.9004), (46, 0.9505)])
def test_the_published_deflated_sharpe_ratios(trials: int, expected: float) -> None:
    """Bailey & López de Prado 2014: 2.5 a year over 1,250 days of 250 a year, variance of the trials ½ a year."""
    found = deflated_sharpe(2.5 / 250**0.5, 1250, trials=trials, variance=0.5 / 250, skew=-3, kurtosis=10)
    assert found == pytest.approx(expected, abs=5e-5)


def test_one_trial_is_deflated_by_nothing() -> None:
    assert expected_maximum_sharpe(1, 4.0) == 0
    assert deflated_sharpe(0.0, 100, trials=1, variance=0.0) == 0.5
    # A normal of Sharpe .1 a day: 0.1 · √99 / √(1 + .01/2) standard errors above 0.
    assert deflated_sharpe(0.1, 100, trials=1, variance=0.0) == pytest.approx(
        NormalDist().cdf(0.1 * 99**0.5 / 1.005**0.5)
    )


def test_the_best_of_many_normals() -> None:
    best = np.random.default_rng(1).standard_normal((20_000, 100)).max(axis=1).mean()
    assert expected_maximum_sharpe(100, 1.0) == pytest.approx(best, abs=0.03)
    assert expected_maximum_sharpe(100, 9.0) == pytest.approx(3 * expected_maximum_sharpe(100, 1.0))


def test_undefined_deflated_sharpes_are_nan() -> None:
    assert np.isnan(deflated_sharpe(1.0, 1, trials=3, variance=1.0))
    assert np.isnan(deflated_sharpe(1.0, 100, trials=3, variance=1.0, skew=5.0))


def test_standard_error_under_null() -> None:
    assert standard_error_under_null(40, 240) == pytest.approx(1 / np.sqrt(39 * 240))
    assert np.isnan(standard_error_under_null(1, 240))
    assert np.isnan(standard_error_under_null(8, 0))


def test_blocks_of_the_bootstrap_are_runs_of_geometric_length() -> None:
    found = stationary_indices(1000, 200, np.random.default_rng(2))
    assert found.shape == (200, 1000)
    assert (found.min(), found.max()) == (0, 999)
    follows = (np.diff(found, axis=1) % 1000 == 1).mean()
    assert follows == pytest.approx(1 - 0.1, abs=0.005)  # 1000^(-1/3) = a tenth begin anew


def test_the_standard_error_of_independent_and_of_dependent_values() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(3000)
    found = bootstrap_mean(noise, seed=1)
    assert found.mean == pytest.approx(noise.mean())
    assert found.standard_error == pytest.approx(1 / np.sqrt(3000), rel=0.1)
    assert found.high - found.low == pytest.approx(3.92 / np.sqrt(3000), rel=0.1)
    moving = noise[2:] + noise[1:-1] + noise[:-2]  # long-run variance 9, where the values' own is 3
    assert bootstrap_mean(moving, seed=1).standard_error == pytest.approx(3 / np.sqrt(3000), rel=0.15)


def test_missing_values_are_left_out_and_seeds_repeat() -> None:
    assert bootstrap_mean(np.array([1.0, np.nan, 3.0]), seed=4).mean == 2
    assert bootstrap_mean(np.array([1.0, 2.0, 3.0]), seed=4) == bootstrap_mean(np.array([1.0, 2.0, 3.0]), seed=4)
    empty = bootstrap_mean(np.array([np.nan]), seed=4)
    assert np.isnan([empty.mean, empty.standard_error, empty.low, empty.high]).all()


def test_the_best_of_many_needs_a_larger_lead() -> None:
    lead = Estimate(2.2, 1.0, 0.24, 4.16)
    # Two-sided 5 %: 1.960 for one, 2.241 for the best of two (Bonferroni).
    assert not best_is_luck(lead, 1)
    assert best_is_luck(lead, 2)
    assert not best_is_luck(Estimate(2.25, 1.0, 0.0, 0.0), 2)
    assert best_is_luck(Estimate(0.0, 0.0, 0.0, 0.0), 1)
    assert best_is_luck(Estimate(np.nan, np.nan, np.nan, np.nan), 3)
