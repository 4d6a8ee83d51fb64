"""Figures by name, over what the engine never asks: by hand, and what is refused."""

import numpy as np
import pytest

from knowdefeat_pipeline.core.metrics.drawdown import (
    avg_drawdown_amount,
    drawdown,
    drawdown_episodes,
    max_drawdown_amount,
)
from knowdefeat_pipeline.core.metrics.figures import (
    alike,
    expectancy,
    payoff_ratio,
    profit_factor,
    spread_of_pnl,
    trade_frequency,
    win_rate,
)
from knowdefeat_pipeline.core.metrics.returns import calmar_ratio, sharpe_ratio, sortino_ratio
from knowdefeat_pipeline.core.units import DAY, EQUAL

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


def test_one_trade_is_enough_where_no_spread_is_asked_for() -> None:
    one = np.array([1])
    assert win_rate(one, one).tolist() == [100]
    assert expectancy(np.array([30.0]), one).tolist() == [30]
    assert spread_of_pnl(np.zeros(1), np.array([120.0]), np.array([40.0]), one).tolist() == [1.6]
    assert trade_frequency(one, np.array([2 * DAY]), np.array([6 * DAY])).tolist() == [0.25]


def test_wins_and_losses_are_averaged_before_they_are_compared() -> None:
    """Mean win 30 / 2 = 15, mean loss 20 / 4 = 5."""
    assert payoff_ratio(np.array([30.0]), np.array([20.0]), np.array([2]), np.array([4])).tolist() == [3]


def test_a_bot_of_half_a_day_has_the_frequency_of_a_day() -> None:
    trades, first = np.array([4]), np.array([3 * DAY])
    assert trade_frequency(trades, first, first + DAY // 2).tolist() == [4]


def test_figures_are_alike_within_a_share_of_the_larger_one() -> None:
    a = np.array([0.0, 2.0, 100.0, 100.0, 1.0])
    b = np.array([0.0, 2.0, 100.0 * (1 + EQUAL / 2), 100.0 * (1 + 2 * EQUAL), -1.0])
    assert alike(a, b).tolist() == [True, True, True, False, False]
