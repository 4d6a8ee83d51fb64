"""The figures of a window that need its trades one after another: drawdown, spread, daily returns.

Each function takes windows [low, high) of the series' pnl and answers with one row per window; an empty window is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.series import DAY, EQUAL, ROUNDING, Dense, Floats, Ints, dense_chunks, reduce_windows

ANNUAL_DAYS = 365


@dataclass(frozen=True)
class PathFigures:
    """One value per window. Money in quote currency, `max_drawdown` and `avg_drawdown` in percent of the peak.

    `daily` has the shape (windows, days): pnl per UTC calendar day, as_of's own day last.
    """

    total: Floats
    gross_profit: Floats
    gross_loss: Floats
    deviation: Floats
    max_drawdown: Floats
    max_drawdown_amount: Floats
    avg_drawdown: Floats
    avg_drawdown_amount: Floats
    time_under: Floats
    daily: Floats


def path_figures(
    pnl: Floats, exit_: Ints, low: Ints, high: Ints, as_of: Ints, capital: Floats, days: int
) -> PathFigures:
    """Walk every window once; no window may touch more than `days` calendar days.

    `pnl` and `exit_` (µs) are the series' columns; `low`, `high`, `as_of` (µs) and `capital` (> 0) have one entry per
    window. `deviation` is the sum of squared deviations from the window's mean; `time_under` the microseconds from
    exits below the peak to the next exit (or as_of).
    """
    total, profit, loss = (reduce_windows(np.add, part, low, high, np.nan) for part in (pnl, *profit_and_loss(pnl)))
    names = ("deviation", "max_drawdown", "max_drawdown_amount", "avg_drawdown", "avg_drawdown_amount", "time_under")
    out = {name: np.full(len(low), np.nan) for name in names}
    daily = np.zeros((len(low), days))
    day, gap = day_number(exit_), np.diff(exit_, append=0)
    for chunk in dense_chunks(low, high):
        pick = chunk.pick
        x = np.where(chunk.inside, pnl[chunk.index], 0.0)
        mean = total[pick] / (high - low)[pick]
        spread = np.where(chunk.inside, x - mean[:, None], 0.0)
        out["deviation"][pick] = np.square(spread, out=spread).sum(axis=1)
        rounding = ROUNDING * (profit + loss)[pick, None]
        depth, share, under = drawdown(x, capital[pick], rounding)
        out["max_drawdown_amount"][pick] = depth.max(axis=1)
        out["max_drawdown"][pick] = 100 * share.max(axis=1)
        amount, percent = episode_means(depth, share, under)
        out["avg_drawdown_amount"][pick], out["avg_drawdown"][pick] = amount, 100 * percent
        out["time_under"][pick] = _time_under(under, gap, as_of[pick] - exit_[high[pick] - 1], chunk)
        by_day = _daily(x, day_number(as_of[pick])[:, None] - day[chunk.index], days)
        daily[pick] = np.where(np.abs(by_day) > rounding, by_day, 0.0)
    return PathFigures(total=total, gross_profit=profit, gross_loss=loss, daily=daily, **out)


def profit_and_loss(pnl: Floats) -> tuple[Floats, Floats]:
    """What the winning and what the losing trades moved, both as positive amounts."""
    return np.maximum(pnl, 0.0), 0.0 - np.minimum(pnl, 0.0)


def day_number(instant: Ints) -> Ints:
    """The UTC calendar day that an instant closes or falls in, as a number: (day, day + 1] like every window."""
    return -(-instant // DAY)


def drawdown(x: Floats, capital: Floats, rounding: Floats) -> tuple[Floats, Floats, np.ndarray]:
    """Depth below the running peak per trade: as an amount, as a share of the peak, and whether it is below.

    `x` pnl of shape (windows, trades), `capital` the equity before the first trade, which is the first peak. Equity
    within `rounding` (shape (windows, 1)) of its peak has reached it.
    """
    equity = np.cumsum(x, axis=1)
    peak = np.maximum.accumulate(np.maximum(equity, 0.0), axis=1)
    depth = peak - equity
    under = depth > rounding
    depth *= under
    peak += capital[:, None]
    return depth, depth / peak, under


def episode_starts(under: np.ndarray) -> Ints:
    """Where drawdown episodes begin, as indices into the flattened matrix."""
    begins = under.copy()
    begins[:, 1:] &= ~under[:, :-1]
    return np.flatnonzero(begins)


def episode_means(depth: Floats, share: Floats, under: np.ndarray) -> tuple[Floats, Floats]:
    """Mean over a row's drawdown episodes of the episode's depth: as an amount and as a share; 0 without episodes."""
    starts = episode_starts(under)
    row = starts // depth.shape[1]
    count = np.maximum(np.bincount(row, minlength=len(depth)), 1)

    def mean(values: Floats) -> Floats:
        # From one start to the next, what lies between two episodes has depth 0 and cannot raise the maximum.
        return np.bincount(row, np.maximum.reduceat(values.ravel(), starts), minlength=len(depth)) / count

    return mean(depth), mean(share)


def _time_under(under: np.ndarray, gap: Ints, last_gap: Ints, chunk: Dense) -> Ints:
    """Microseconds from trades `under` to the next trade (`gap` per trade) or, for the last one, to as_of."""
    lasting = gap[chunk.index]
    lasting[np.arange(len(lasting)), chunk.inside.sum(axis=1) - 1] = last_gap
    return (lasting * (under & chunk.inside)).sum(axis=1)


def _daily(x: Floats, age: Ints, days: int) -> Floats:
    slot = np.arange(len(x))[:, None] * days + (days - 1) - age
    return np.bincount(slot.ravel(), x.ravel(), minlength=len(x) * days).reshape(len(x), days)


def annual_ratios(daily: Floats, days: Ints, capital: Floats) -> tuple[Floats, Floats, Floats]:
    """Sharpe, Sortino and Calmar of daily pnl / capital over the last `days` columns of `daily`, annualised by √365.

    The definitions of empyrical with a period of 365: sd with ddof 1, downside deviation over all days, compound annual
    return over the maximum drawdown of compounded returns. NaN where the divisor is 0, where fewer than 2 days are
    there, and for the Calmar of a bot that lost its capital or whose annual return is beyond any number.
    """
    counted = np.arange(daily.shape[1]) >= daily.shape[1] - days[:, None]
    returns = np.where(counted, daily / capital[:, None], 0.0)
    mean = _row_sums(returns) / days
    sd = np.sqrt(_row_sums(np.square(np.where(counted, returns - mean[:, None], 0.0))) / np.maximum(days - 1, 1))
    downside = np.sqrt(_row_sums(np.square(np.minimum(returns, 0.0))) / days)
    high = np.max(returns, axis=1, where=counted, initial=-np.inf)
    low = np.min(returns, axis=1, where=counted, initial=np.inf)
    growth = np.cumprod(1 + returns, axis=1)
    fall = 1 - (growth / np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)).min(axis=1)
    with np.errstate(over="ignore"):
        annual = np.where(growth.min(axis=1) > 0, growth[:, -1], np.nan) ** (ANNUAL_DAYS / days) - 1
    enough = days >= 2
    root = np.sqrt(ANNUAL_DAYS)
    return (
        ratio(mean * root, np.where(enough & ~alike(low, high), sd, 0.0)),
        ratio(mean * root, np.where(enough, downside, 0.0)),
        ratio(np.where(np.isfinite(annual), annual, np.nan), np.where(enough, fall, 0.0)),
    )


def _row_sums(values: Floats) -> Floats:
    """Sums added one by one, so that zeros in front, of days before the first trade, change no bit."""
    return np.cumsum(values, axis=1)[:, -1]


def alike(a: Floats, b: Floats) -> np.ndarray:
    """Whether two figures are equal but for rounding, which would leave a spread where there is none."""
    return np.abs(a - b) <= EQUAL * np.maximum(np.abs(a), np.abs(b))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Elementwise; NaN where the denominator is not above 0."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
