"""Figures of a bot's trades under the names that traders use, each from counts and sums of its window.

All are elementwise: an entry per window (a bot at an as_of), of any one shape. A figure that cannot be computed is NaN
here and NULL in the database, never 0, 100 or infinity, which would break a ranking.
"""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.units import DAY, EQUAL, Bools, Floats, Ints

LEAST_SPREAD = 0.01
"""The least spread of a bot's results, as a share of their mean absolute value."""


def win_rate(wins: Ints, trades: Ints) -> Floats:
    """Percent of the trades that made money; a breakeven trade stays in the denominator.

    Parameters
    ----------
    wins, trades : ndarray of int
        Trades with pnl > 0, and all trades.

    Returns
    -------
    ndarray
        0 to 100; NaN without trades.

    Examples
    --------
    >>> win_rate(np.array([3, 0]), np.array([4, 0])).tolist()
    [75.0, nan]
    """
    return percentage(wins, trades)


def expectancy(total_pnl: Floats, trades: Ints) -> Floats:
    """Mean net pnl per trade: what the next one brings if nothing changes. The same number as `avg_pnl`.

    Parameters
    ----------
    total_pnl : ndarray
        Sum of net pnl, in currency.
    trades : ndarray of int

    Returns
    -------
    ndarray
        In currency; NaN without trades.

    Examples
    --------
    >>> expectancy(np.array([30.0, 0.0]), np.array([4, 0])).tolist()
    [7.5, nan]
    """
    return np.where(trades > 0, total_pnl / np.maximum(trades, 1), np.nan)


def profit_factor(gross_profit: Floats, gross_loss: Floats) -> Floats:
    """Gross profit over gross loss: above 1 for who made money.

    Parameters
    ----------
    gross_profit, gross_loss : ndarray
        Sums of the winning and of the losing trades' pnl, both as positive amounts, in currency.

    Returns
    -------
    ndarray
        NaN without losses (peers write 0 or infinity).

    Examples
    --------
    >>> profit_factor(np.array([30.0, 30.0]), np.array([20.0, 0.0])).tolist()
    [1.5, nan]
    """
    return ratio(gross_profit, gross_loss)


def payoff_ratio(gross_profit: Floats, gross_loss: Floats, wins: Ints, losses: Ints) -> Floats:
    """Mean win over mean loss.

    Parameters
    ----------
    gross_profit, gross_loss : ndarray
        Sums of the winning and of the losing trades' pnl, both as positive amounts, in currency.
    wins, losses : ndarray of int

    Returns
    -------
    ndarray
        NaN without wins or without losses.

    Examples
    --------
    >>> payoff_ratio(np.array([30.0, 0.0]), np.array([20.0, 5.0]), np.array([1, 0]), np.array([2, 1])).tolist()
    [3.0, nan]
    """
    return np.where(wins > 0, ratio(gross_profit * losses, gross_loss * np.maximum(wins, 1)), np.nan)


def sqn(mean: Floats, sd: Floats, trades: Ints) -> Floats:
    """System quality number √n · mean / sd: the t statistic of the mean trade.

    Parameters
    ----------
    mean, sd : ndarray
        Of the trades' net pnl, in currency; sd with ddof 1, NaN where there is no spread.
    trades : ndarray of int

    Returns
    -------
    ndarray
        NaN under 2 trades or without spread.

    References
    ----------
    Van Tharp, "Definitive Guide to Position Sizing", 2008. Unlike there, n is not capped at 100.

    Examples
    --------
    >>> sqn(np.array([2.0]), np.array([4.0]), np.array([25])).tolist()
    [2.5]
    """
    return np.sqrt(trades) * mean / sd


def volatility(sd: Floats, frequency: Floats) -> Floats:
    """Standard deviation of a day's pnl, from that of a trade: sd · √(trades per day).

    Parameters
    ----------
    sd : ndarray
        Of the trades' net pnl, in currency (see `spread_of_pnl`).
    frequency : ndarray
        Trades per day.

    Returns
    -------
    ndarray
        In currency per √day; NaN where either is.

    Examples
    --------
    >>> volatility(np.array([3.0]), np.array([4.0])).tolist()
    [6.0]
    """
    return sd * np.sqrt(frequency)


def spread_of_pnl(sd: Floats, gross_profit: Floats, gross_loss: Floats, trades: Ints) -> Floats:
    """The standard deviation of the trades' pnl, at least 1 % of their mean absolute value.

    So a bot whose results are all equal (fixed targets, fixed stops) has a scale by which its money is compared.

    Parameters
    ----------
    sd : ndarray
        Of the trades' net pnl with ddof 1, in currency; 0 where all are equal, NaN under 2 trades.
    gross_profit, gross_loss : ndarray
        Sums of the winning and of the losing trades' pnl, both as positive amounts, in currency.
    trades : ndarray of int

    Returns
    -------
    ndarray
        In currency; NaN where sd is. 0 where every trade made 0.

    Examples
    --------
    >>> spread_of_pnl(np.array([0.0, 3.0]), np.array([120.0, 40.0]), np.array([0.0, 10.0]), np.array([12, 5])).tolist()
    [0.1, 3.0]
    """
    return np.maximum(sd, LEAST_SPREAD * ((gross_profit + gross_loss) / np.maximum(trades, 1)))


def trade_frequency(trades: Ints, first_exit: Ints, as_of: Ints, most_days: float = np.inf) -> Floats:
    """Closed trades per day, days counted since the first trade ever: at least 1, at most `most_days`.

    Parameters
    ----------
    trades : ndarray of int
        Of the window.
    first_exit, as_of : ndarray of int
        When the first trade ever closed, and the window's end, in µs.
    most_days : float
        The window's length.

    Returns
    -------
    ndarray
        NaN without trades.

    Examples
    --------
    >>> trade_frequency(np.array([6, 6, 0]), np.array([0, 0, 0]), np.array([3 * DAY, 40 * DAY, DAY]), 30).tolist()
    [2.0, 0.2, nan]
    """
    days = np.clip((as_of - first_exit) / DAY, 1.0, most_days)
    return np.where(trades > 0, trades / days, np.nan)


def profit_per_second(total_pnl: Floats, seconds: Floats) -> Floats:
    """Sum of net pnl over the seconds in position.

    Parameters
    ----------
    total_pnl : ndarray
        In currency.
    seconds : ndarray
        Sum of exit_time - entry_time.

    Returns
    -------
    ndarray
        In currency per second; NaN without time in position.

    Examples
    --------
    >>> profit_per_second(np.array([30.0, 30.0]), np.array([60.0, 0.0])).tolist()
    [0.5, nan]
    """
    return ratio(total_pnl, seconds)


def percentage(part: Ints, whole: Ints) -> Floats:
    """100 · part / whole, elementwise; NaN where the whole is 0."""
    return np.where(whole > 0, 100.0 * part / np.maximum(whole, 1), np.nan)


def ratio(numerator: Floats | Ints, denominator: Floats | Ints) -> Floats:
    """Elementwise; NaN where the denominator is not above 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def alike(a: Floats, b: Floats) -> Bools:
    """Whether two figures are equal but for rounding, which would leave a spread where there is none."""
    return np.abs(a - b) <= EQUAL * np.maximum(np.abs(a), np.abs(b))
