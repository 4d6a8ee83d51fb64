"""Position sizes by hand."""

import pytest
from scipy.stats import norm

from knowdefeat_pipeline.core.decisions.position_size import base_size, kelly_size


def test_the_guides_size() -> None:
    assert base_size(1000, posterior=0.6, prior=0.5, confidence=75, cap=5000) == pytest.approx(900)
    assert base_size(1000, posterior=0.6, prior=0.5, confidence=75, cap=800) == 800
    assert base_size(1000, posterior=0.6, prior=0.5, confidence=0, cap=800) == 0


def test_kelly_stakes_a_lower_quantile_of_the_edge() -> None:
    # Edge .2 ± .1: the lower quartile is .2 - .0674; half of .1326 / .02 of the capital.
    quartile = norm.ppf(0.25, 0.2, 0.1)
    assert kelly_size(1000, 0.2, 0.1, volatility=0.02, cap=1e9) == pytest.approx(1000 * 0.5 * quartile / 0.02)
    assert kelly_size(1000, 0.2, 0.1, volatility=0.02, cap=300) == 300
    assert kelly_size(1000, 0.05, 0.1, volatility=0.02, cap=300) == 0
    assert kelly_size(1000, 0.01, 0.0, volatility=0.02, cap=1e9, quantile=0.5, fraction=1.0) == pytest.approx(500)


@pytest.mark.parametrize("change", [{"posterior": 60}, {"prior": 0}, {"confidence": 101}, {"base": -1}, {"cap": -1}])
def test_a_base_size_without_meaning_is_refused(change: dict) -> None:
    usual = {"base": 1000, "posterior": 0.6, "prior": 0.5, "confidence": 75, "cap": 800}
    with pytest.raises(ValueError):
        base_size(**usual | change)


@pytest.mark.parametrize(
    "change", [{"volatility": 0}, {"edge_sd": -1}, {"quantile": 0.9}, {"fraction": 2}, {"cap": -1}]
)
def test_a_kelly_size_without_meaning_is_refused(change: dict) -> None:
    usual = {"capital": 1000, "edge": 0.2, "edge_sd": 0.1, "volatility": 0.02, "cap": 300}
    with pytest.raises(ValueError):
        kelly_size(**usual | change)
