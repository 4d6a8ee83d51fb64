"""Figures by name, over what the engine never asks: by hand, and what is refused."""

import numpy as np
import pytest

from knowdefeat_pipeline.core.metrics.drawdown import (
    avg_drawdown_amount,
    drawdown,
    drawdown_episodes,
    max_drawdown_amount,
)
from knowdefeat_pipeline.core.metrics.figures import payoff_ratio, profit_factor
from knowdefeat_pipeline.core.metrics.returns import calmar_ratio, sharpe_ratio, sortino_ratio

RETURNS = np.array([[0.01, -0.02, 0.03, 0.0]])


def test_ratios_of_four_days_by_hand() -> None:
    """Mean 0.005; squares of deviations 0.25, 6.25, 6.25, 0.25 of 1e-4; growth 1.01, 0.9898, 1.019494, 1.019494."""
    assert sharpe_ratio(RETURNS)[0] == pytest.approx(0.005 / np.sqrt(13e-4 / 3) * np.sqrt(365))
    assert sortino_ratio(RETURNS)[0] == pytest.approx(0.005 / 0.01 * np.sqrt(365))
    assert calmar_ratio(RETURNS, annual_days=8)[0] == pytest.approx((1.019494**2 - 1) / 0.02)


def test_days_before_the_first_count_nothing() -> None:
    padded = np.array([[9.0, 9.0, 0.01, -0.02, 0.03, 0.0]])
    for figure in (sharpe_ratio, sortino_ratio, calmar_ratio):
        assert figure(padded, np.array([4])).tolist() == figure(RETURNS).tolist()
        assert np.isnan(figure(padded, np.array([1]))[0])


@pytest.mark.parametrize("days", [0, 5])
def test_more_days_than_there_are_are_refused(days: int) -> None:
    for figure in (sharpe_ratio, sortino_ratio, calmar_ratio):
        with pytest.raises(ValueError, match="days must be from 1 to the 4 given"):
            figure(RETURNS, np.array([days]))


def test_what_is_not_there_is_nan() -> None:
    nothing, one = np.zeros(1), np.ones(1)
    assert np.isnan(profit_factor(nothing, nothing)[0])
    assert np.isnan(payoff_ratio(nothing, one, np.array([0]), np.array([1]))[0])


def test_two_episodes_and_none() -> None:
    pnl = np.array([[-10.0, 10.0, 5.0, -30.0, -10.0], [1.0, 0.0, 2.0, 0.0, 0.0]])
    episodes = drawdown_episodes(drawdown(pnl, np.array([100.0, 100.0])))
    assert (episodes.window.tolist(), episodes.first.tolist(), episodes.last.tolist()) == ([0, 0], [0, 3], [0, 4])
    assert episodes.share.tolist() == [0.1, 40 / 105]
    assert max_drawdown_amount(episodes).tolist() == [40, 0]
    assert avg_drawdown_amount(episodes).tolist() == [25, 0]
