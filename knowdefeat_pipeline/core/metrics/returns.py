"""Annualised ratios of daily returns: pnl / capital of each UTC calendar day, days without a trade counting 0.

A ratio of few days is luck stretched over a year: `bot_metrics` holds NULL under MIN_TRADING_DAYS days on which a trade
closed, and from there on the interval in which the Sharpe ratio lies with 90 % confidence.

The definitions are those of empyrical with a period of 365 (its default is 252 trading days): markets of bots do not
close, and a day without a trade is a day.
"""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.metrics.figures import alike, ratio
from knowdefeat_pipeline.core.metrics.windows import Windows
from knowdefeat_pipeline.core.trades.reductions import accumulated, reduce_windows
from knowdefeat_pipeline.core.trades.series import positions
from knowdefeat_pipeline.core.units import DAY, Array, Bools, Floats, Ints, day_of, last_day

ANNUAL_DAYS = 365
MIN_TRADING_DAYS = 10
"""Days of the window on which a trade closed, under which there is no annualised ratio."""
Z_90 = 1.6448536269514722
"""The normal quantile that leaves 5 % on either side."""


def sharpe_ratio(returns: Floats, days: Ints | None = None, annual_days: float = ANNUAL_DAYS) -> Floats:
    """Mean daily return over its standard deviation, annualised by √annual_days.

    Parameters
    ----------
    returns : ndarray of shape (n_windows, n_days)
        Daily pnl / capital, a row per window, its last day last.
    days : ndarray of int, shape (n_windows,), optional
        How many of a row's last days count, by default all.
    annual_days : float
        Days of a year; the annualisation factor is its root.

    Returns
    -------
    ndarray of shape (n_windows,)
        A year's ratio, without a risk-free rate; NaN under 2 days or without spread.

    Raises
    ------
    ValueError
        Where `days` is not from 1 to n_days.

    References
    ----------
    Sharpe, "The Sharpe ratio", Journal of Portfolio Management 1994.

    Examples
    --------
    >>> sharpe_ratio(np.array([[0.01, 0.03], [0.02, 0.02]]), annual_days=1).round(6).tolist()
    [1.414214, nan]
    """
    returns, counted, days = _counted(returns, days)
    mean, _, sd = _spread(returns, counted, days)
    return ratio(mean * np.sqrt(annual_days), sd)


def sharpe_interval(
    returns: Floats, days: Ints | None = None, annual_days: float = ANNUAL_DAYS
) -> tuple[Floats, Floats]:
    """The bounds between which the true Sharpe ratio lies with 90 % confidence, annualised.

    With s the ratio of T daily returns before annualising, g3 their skewness and g4 their kurtosis (3 for normal ones;
    both of the sample's own moments), s is normal about the true one with variance

        (1 - g3·s + (g4 - 1)/4 · s²) / (T - 1),

    so that the bounds are (s ± 1.645 standard errors) · √annual_days. Returns that follow one another are taken as
    independent.

    Parameters
    ----------
    returns, days, annual_days
        As for `sharpe_ratio`.

    Returns
    -------
    low, high : ndarray of shape (n_windows,)
        NaN where `sharpe_ratio` is.

    Raises
    ------
    ValueError
        Where `days` is not from 1 to n_days.

    References
    ----------
    Lo, "The statistics of Sharpe ratios", Financial Analysts Journal 2002, corrected for skewness and kurtosis after
    Mertens, "Comments on variance of the IID estimator in Lo (2002)", 2002.

    Examples
    --------
    >>> low, high = sharpe_interval(np.array([[0.01, 0.03, -0.01, 0.02]]), annual_days=1)
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([-0.4043], [1.8681])
    """
    returns, counted, days = _counted(returns, days)
    mean, off, sd = _spread(returns, counted, days)
    daily = ratio(mean, sd)
    off = ratio(off, np.broadcast_to(sd[:, None], off.shape))  # in units of sd: no power of a small return vanishes
    squares = np.square(off)
    variance = _row_sums(squares) / days
    skewness = _row_sums(squares * off) / days / (variance * np.sqrt(variance))
    kurtosis = _row_sums(np.square(squares)) / days / np.square(variance)
    spread = np.maximum(1 - skewness * daily + (kurtosis - 1) / 4 * np.square(daily), 0.0) / np.maximum(days - 1, 1)
    reach = Z_90 * np.sqrt(spread)
    return (daily - reach) * np.sqrt(annual_days), (daily + reach) * np.sqrt(annual_days)


def sortino_ratio(returns: Floats, days: Ints | None = None, annual_days: float = ANNUAL_DAYS) -> Floats:
    """Mean daily return over the root mean square of the losing days' returns, annualised by √annual_days.

    Parameters
    ----------
    returns, days, annual_days
        As for `sharpe_ratio`.

    Returns
    -------
    ndarray of shape (n_windows,)
        NaN under 2 days or without a losing day. The downside deviation is over all days, not the losing ones alone.

    Raises
    ------
    ValueError
        Where `days` is not from 1 to n_days.

    References
    ----------
    Sortino and Price, "Performance measurement in a downside risk framework", Journal of Investing 1994.

    Examples
    --------
    >>> sortino_ratio(np.array([[0.06, -0.02], [0.01, 0.02]]), annual_days=1).round(6).tolist()
    [1.414214, nan]
    """
    returns, _, days = _counted(returns, days)
    mean = _row_sums(returns) / days
    downside = np.sqrt(_row_sums(np.square(np.minimum(returns, 0.0))) / days)
    return ratio(mean * np.sqrt(annual_days), np.where(days >= 2, downside, 0.0))


def calmar_ratio(returns: Floats, days: Ints | None = None, annual_days: float = ANNUAL_DAYS) -> Floats:
    """Compound annual return over the maximum drawdown of the compounded daily returns.

    Parameters
    ----------
    returns, days, annual_days
        As for `sharpe_ratio`.

    Returns
    -------
    ndarray of shape (n_windows,)
        NaN under 2 days, without a drawdown, for a bot that lost its capital, and for an annual return beyond any
        number.

    Raises
    ------
    ValueError
        Where `days` is not from 1 to n_days.

    References
    ----------
    Young, "Calmar ratio: a smoother tool", Futures 1991. There over 36 months; here over the days given.

    Examples
    --------
    >>> calmar_ratio(np.array([[-0.5, 1.5], [0.1, 0.1]]), annual_days=2).tolist()
    [0.5, nan]
    """
    returns, _, days = _counted(returns, days)
    growth = accumulated(np.multiply, 1 + returns)
    fall = 1 - (growth / np.maximum(accumulated(np.maximum, growth), 1.0)).min(axis=1)
    with np.errstate(over="ignore"):
        annual = np.where(growth.min(axis=1) > 0, growth[:, -1], np.nan) ** (annual_days / days) - 1
    return ratio(np.where(np.isfinite(annual), annual, np.nan), np.where(days >= 2, fall, 0.0))


def _counted(returns: Floats, days: Ints | None) -> tuple[Floats, Bools, Ints]:
    """The returns with 0 on days that do not count, which days do, and how many of each row."""
    width = returns.shape[1]
    days = np.full(len(returns), width) if days is None else days
    if ((days < 1) | (days > width)).any():
        raise ValueError(f"days must be from 1 to the {width} given, got {days.min()} to {days.max()}")
    counted = np.arange(width) >= width - days[:, None]
    return np.where(counted, returns, 0.0), counted, days


def _spread(returns: Floats, counted: Bools, days: Ints) -> tuple[Floats, Floats, Floats]:
    """Of each row the mean, the days' deviations from it, and their standard deviation (ddof 1; 0 without any)."""
    mean = _row_sums(returns) / days
    off = np.where(counted, returns - mean[:, None], 0.0)
    sd = np.sqrt(_row_sums(np.square(off)) / np.maximum(days - 1, 1))
    high = np.max(returns, axis=1, where=counted, initial=-np.inf)
    low = np.min(returns, axis=1, where=counted, initial=np.inf)
    return mean, off, np.where((days >= 2) & ~alike(low, high), sd, 0.0)


def trading_days(windows: Windows) -> Ints:
    """On how many UTC days of each window a trade closed, (n_windows,)."""
    day = day_of(windows.exit)
    begins = np.diff(day, prepend=-1) != 0
    begins[windows.series.start[windows.series.start < len(day)]] = True
    count = np.concatenate([[0], np.cumsum(begins)])
    low, high = windows.low, windows.high
    # Whether or not a window's first trade is its series' first of that day, it is the window's.
    out: Ints = np.where(high > low, 1 + count[high] - count[np.minimum(low + 1, high)], 0)
    return out


def _row_sums(values: Floats) -> Floats:
    """Sums added one by one, so that zeros in front, of days before the first trade, change no bit."""
    return accumulated(np.add, values)[:, -1]


def daily_pnl(windows: Windows, days: int) -> Floats:
    """Pnl per UTC calendar day of every window, shape (windows, days), the last day of as_of last.

    A window's day is summed once for all windows that hold the whole of it.
    """
    series, since, as_of = windows.series, windows.since, windows.as_of
    count, per = len(series), len(as_of)
    calendar = last_day(as_of)[:, None] - np.arange(days)[::-1]
    known = np.unique(calendar)
    day = day_of(windows.exit)
    slot = np.searchsorted(known, day)
    slot[known[np.minimum(slot, len(known) - 1)] != day] = len(known)
    width = len(known) + 1
    slot += np.repeat(np.arange(count) * width, series.stop - series.start)
    sums: Array = np.bincount(slot, windows.pnl, minlength=count * width).reshape(count, width)
    out: Floats = sums[:, np.searchsorted(known, calendar)]
    first = day_of(since)
    out[:, calendar < first[:, None]] = 0.0
    # Days that a window holds a part of: at its beginning, and the last one while it runs.
    for at in np.flatnonzero((since % DAY != 0) | (as_of % DAY != 0)):
        first_ends, last_begins = (first[at] + 1) * DAY, calendar[at, -1] * DAY
        ends = np.unique([first_ends, last_begins])
        cuts = positions(windows.exit, series.start, series.stop, ends)
        begin, end = windows.low[at::per], windows.high[at::per]
        early = np.minimum(cuts[:, np.searchsorted(ends, first_ends)], end)
        late = np.maximum(cuts[:, np.searchsorted(ends, last_begins)], begin)
        out[:, at, calendar[at] == first[at]] = reduce_windows(np.add, windows.pnl, begin, early, 0.0)[:, None]
        out[:, at, -1] = reduce_windows(np.add, windows.pnl, late, end, 0.0)
    return out.reshape(count * per, days)
