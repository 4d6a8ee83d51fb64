"""The figures of a window that need its trades one after another: drawdown, spread, daily returns.

Each function takes windows [low, high) of the series' pnl and answers with one row per window; an empty window is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.trades.reductions import dense_chunks, reduce_windows
from knowdefeat_pipeline.core.trades.series import positions
from knowdefeat_pipeline.core.units import DAY, EQUAL, ROUNDING, Floats, Ints, day_of, last_day

ANNUAL_DAYS = 365


@dataclass(frozen=True)
class PathFigures:
    """One value per window. Money in quote currency, `max_drawdown` and `avg_drawdown` in percent of the peak."""

    total: Floats
    gross_profit: Floats
    gross_loss: Floats
    deviation: Floats
    max_drawdown: Floats
    max_drawdown_amount: Floats
    avg_drawdown: Floats
    avg_drawdown_amount: Floats
    time_under: Floats


def path_figures(pnl: Floats, exit_: Ints, low: Ints, high: Ints, as_of: Ints, capital: Floats) -> PathFigures:
    """Walk every window once.

    `pnl` and `exit_` (µs) are the series' columns; `low`, `high`, `as_of` (µs) and `capital` (> 0) have one entry per
    window. `deviation` is the sum of squared deviations from the window's mean; `time_under` the microseconds from
    exits below the peak to the next exit (or as_of).
    """
    total, profit, loss = (reduce_windows(np.add, part, low, high, np.nan) for part in (pnl, *profit_and_loss(pnl)))
    names = ("deviation", "max_drawdown", "max_drawdown_amount", "avg_drawdown", "avg_drawdown_amount", "time_under")
    out = {name: np.full(len(low), np.nan) for name in names}
    padded = np.append(pnl, 0.0)  # what lies outside a window moves nothing
    for chunk in dense_chunks(low, high):
        pick = chunk.pick
        x = padded[chunk.index]
        spread = x - (total[pick] / (high - low)[pick])[:, None]
        spread *= chunk.inside
        out["deviation"][pick] = np.einsum("ij,ij->i", spread, spread)
        depth, share, under = drawdown(x, capital[pick], ROUNDING * (profit + loss)[pick, None])
        episodes = Episodes.of(under)
        out["avg_drawdown_amount"][pick], out["max_drawdown_amount"][pick] = episodes.mean_and_max(depth)
        out["avg_drawdown"][pick], out["max_drawdown"][pick] = (100 * part for part in episodes.mean_and_max(share))
        out["time_under"][pick] = episodes.time(exit_, low[pick], high[pick], as_of[pick])
    return PathFigures(total=total, gross_profit=profit, gross_loss=loss, **out)


def profit_and_loss(pnl: Floats) -> tuple[Floats, Floats]:
    """What the winning and what the losing trades moved, both as positive amounts."""
    return np.maximum(pnl, 0.0), 0.0 - np.minimum(pnl, 0.0)


def drawdown(x: Floats, capital: Floats, rounding: Floats) -> tuple[Floats, Floats, np.ndarray]:
    """Depth below the running peak per trade: as an amount, as a share of the peak, and whether it is below.

    `x` pnl of shape (windows, trades), `capital` the equity before the first trade, which is the first peak. Equity
    within `rounding` (shape (windows, 1)) of its peak has reached it.
    """
    equity = np.cumsum(x, axis=1)
    peak = np.maximum.accumulate(equity, axis=1)
    np.maximum(peak, 0.0, out=peak)
    depth = np.subtract(peak, equity, out=equity)
    under = depth > rounding
    depth *= under
    peak += capital[:, None]
    return depth, np.divide(depth, peak, out=peak), under


@dataclass(frozen=True)
class Episodes:
    """The drawdown episodes of a chunk of windows: runs of trades below the peak, in order.

    `starts` and `ends` are the first and last trade of each as indices into the flattened matrix of `shape`.
    """

    starts: Ints
    ends: Ints
    shape: tuple[int, int]

    @classmethod
    def of(cls, under: np.ndarray) -> Episodes:
        """From a matrix (windows, trades) that says whether equity is below its peak."""
        begins, stops = under.copy(), under.copy()
        begins[:, 1:] &= ~under[:, :-1]
        stops[:, :-1] &= ~under[:, 1:]
        return cls(np.flatnonzero(begins), np.flatnonzero(stops), under.shape)

    @property
    def window(self) -> Ints:
        """The window that each episode is of."""
        return self.starts // self.shape[1]

    def deepest(self, depth: Floats) -> Floats:
        """Per episode, the most of a depth that is 0 outside of episodes."""
        # From one start to the next, what lies between two episodes cannot raise the maximum.
        return np.maximum.reduceat(depth.ravel(), self.starts) if len(self.starts) else np.empty(0)

    def mean_and_max(self, depth: Floats) -> tuple[Floats, Floats]:
        """Over a window's episodes, of the deepest of each; 0 without episodes."""
        window, deepest = self.window, self.deepest(depth)
        count = np.maximum(np.bincount(window, minlength=len(depth)), 1)
        most = np.zeros(len(depth))
        np.maximum.at(most, window, deepest)
        return np.bincount(window, deepest, minlength=len(depth)) / count, most

    def time(self, exit_: Ints, low: Ints, high: Ints, as_of: Ints) -> Ints:
        """Microseconds from each episode's first exit to the exit that ends it (or as_of), summed over a window's.

        `low`, `high` and `as_of` have one entry per window of the chunk.
        """
        width, window = self.shape[1], self.window
        after = low[window] + self.ends % width + 1
        lasting = after >= high[window]  # an episode that is not over reaches into the padding
        end = np.where(lasting, as_of[window], exit_[np.minimum(after, len(exit_) - 1)])
        time = end - exit_[low[window] + self.starts % width]
        total = np.zeros(self.shape[0], np.int64)
        np.add.at(total, window, time)
        return total


def daily_pnl(
    pnl: Floats, exit_: Ints, bounds: tuple[Ints, Ints], window: tuple[Ints, Ints], span: tuple[Ints, Ints], days: int
) -> Floats:
    """Pnl per UTC calendar day of every window, shape (windows, days), the last day of as_of last.

    `bounds` (start, stop) of the series, `window` (low, high) of the windows with as_of running fastest, `span` (since,
    as_of) in µs per as_of. A window's day is summed once for all windows that hold the whole of it.
    """
    (start, stop), (low, high), (since, as_of) = bounds, window, span
    series, per = len(start), len(as_of)
    shown = last_day(as_of)[:, None] - np.arange(days)[::-1]
    known = np.unique(shown)
    day = day_of(exit_)
    slot = np.searchsorted(known, day)
    slot[known[np.minimum(slot, len(known) - 1)] != day] = len(known)
    width = len(known) + 1
    slot += np.repeat(np.arange(series) * width, stop - start)
    sums = np.bincount(slot, pnl, minlength=series * width).reshape(series, width)
    out = sums[:, np.searchsorted(known, shown)]
    first = day_of(since)
    out[:, shown < first[:, None]] = 0.0
    # Days that a window holds a part of: at its beginning, and the last one while it runs.
    for at in np.flatnonzero((since % DAY != 0) | (as_of % DAY != 0)):
        first_ends, last_begins = (first[at] + 1) * DAY, shown[at, -1] * DAY
        ends = np.unique([first_ends, last_begins])
        cuts = positions(exit_, start, stop, ends)
        begin, end = low[at::per], high[at::per]
        early = np.minimum(cuts[:, np.searchsorted(ends, first_ends)], end)
        late = np.maximum(cuts[:, np.searchsorted(ends, last_begins)], begin)
        out[:, at, shown[at] == first[at]] = reduce_windows(np.add, pnl, begin, early, 0.0)[:, None]
        out[:, at, -1] = reduce_windows(np.add, pnl, late, end, 0.0)
    return out.reshape(series * per, days)


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
