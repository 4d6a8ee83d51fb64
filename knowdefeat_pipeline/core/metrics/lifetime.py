"""Figures since the first trade, folded from summaries of months and days, and the past as a refresh reads it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.metrics.summaries import (
    Running,
    Stretches,
    Summaries,
    daily_summaries,
    leg_rows,
    month_number,
    monthly_summaries,
    running_state,
)
from knowdefeat_pipeline.core.schema.figure import ALL_TICKERS
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.core.trades.series import Series, positions
from knowdefeat_pipeline.core.units import Array, Bools, Floats, Ints, Texts


@dataclass(frozen=True)
class Past:
    """What is known of the time before the trades given: summaries of whole months, so that lifetimes stay exact.

    `bot` and `ticker` (name, `*` for all) name the series that `months.series` counts: one for each bot and one for
    each of its tickers, even where it has only one.
    """

    bot: Ints
    ticker: Texts
    months: Stretches

    def of_bots(self, above: int, up_to: int) -> Past:
        """The part of the bots above < bot <= up_to."""
        return self._chosen((above < self.bot) & (self.bot <= up_to))

    def among(self, bots: Ints) -> Past:
        """The part of these bots."""
        return self._chosen(np.isin(self.bot, bots))

    def _chosen(self, chosen: Bools) -> Past:
        rows = np.flatnonzero(chosen[self.months.series])
        part = self.months.take(rows)
        renumbered = replace(part, series=(np.cumsum(chosen) - 1)[part.series])
        return Past(self.bot[chosen], self.ticker[chosen], renumbered)


def past_months(trades: Trades) -> Past:
    """All months of these trades folded, for every bot, each of its tickers and all of them together."""
    series = Series.of(trades)
    days = daily_summaries(trades.pnl[series.rows], trades.exit[series.rows], series.start, series.stop)
    months = monthly_summaries(days)
    answering, ticker = series.answers
    begin, end = (np.searchsorted(months.series, answering, side) for side in ("left", "right"))
    number, rows = flat_ranges(begin, end)
    names = np.array([*trades.tickers, ALL_TICKERS], dtype=object)
    return Past(series.bot[answering], names[ticker], Stretches(number, months.day[rows], months.summaries.take(rows)))


@dataclass(frozen=True)
class Lifetimes:
    """Figures since the first trade, arrays of shape (series, as_ofs); `trades` 0 and NaN before the first trade."""

    trades: Ints
    wins: Ints
    pnl: Floats
    gross_profit: Floats
    gross_loss: Floats
    max_drawdown: Floats
    first_exit: Ints
    last_exit: Ints


def lifetimes(days: Stretches, months: Stretches, day: Ints, capital: Floats) -> Lifetimes:
    """Fold summaries up to the end of each day number in `day` (ascending).

    `months` holds all months before the month of each day asked for, `days` at least the days of that month. Whole
    months first, then the month's days: the grouping follows from the day alone, so that a figure has the same bits
    whether one day is computed or a thousand. `capital`, per series and day, is the first peak of that day's
    `max_drawdown` (percent); NaN: not known.
    """
    shape = capital.shape
    out: dict[str, Array] = {name: np.zeros(shape, np.int64) for name in ("trades", "wins", "first_exit", "last_exit")}
    out |= {name: np.full(shape, np.nan) for name in ("pnl", "gross_profit", "gross_loss", "max_drawdown")}
    month_of_day, month_of_month = month_number(days.day), month_number(months.day)
    for month in np.unique(month_number(day)):
        columns = np.flatnonzero(month_number(day) == month)
        whole = np.flatnonzero(month_of_month < month)
        part = np.flatnonzero((month_of_day == month) & (days.day <= day[columns[-1]]))
        rows = months.take(whole).union(days.take(part))
        if len(rows.series):
            _fill(out, rows, columns, day[columns], capital[:, columns])
    return Lifetimes(**out)


def _fill(out: dict[str, Array], rows: Stretches, columns: Ints, day: Ints, capital: Floats) -> None:
    summaries = rows.summaries
    first = np.flatnonzero(np.diff(rows.series, prepend=-1) != 0)
    running = running_state(summaries, first)
    begin = np.repeat(first, np.diff(np.append(first, len(rows.series))))
    counted = {name: _since(getattr(summaries, name), begin) for name in ("trades", "wins")}
    stop = np.append(first[1:], len(rows.series))
    # Per series and day asked for, the last row that ends by then.
    last = positions(rows.day, first, stop, day + 1) - 1
    some = last >= first[:, None]
    target = np.ix_(rows.series[first], columns)
    values = {
        "pnl": running.pnl,
        "gross_profit": running.gross_profit,
        "gross_loss": running.gross_loss,
        **counted,
        "first_exit": summaries.first_exit[begin],
        "last_exit": summaries.last_exit,
    }
    for name, column in values.items():
        out[name][target] = np.where(some, column[np.maximum(last, 0)], out[name][target])
    deepest = _deepest(summaries, running, first, np.maximum(last, 0), capital[rows.series[first]])
    out["max_drawdown"][target] = np.where(some, 100 * deepest, np.nan)


def _since(counts: Ints, begin: Ints) -> Ints:
    total = np.concatenate([[0], np.cumsum(counts)])
    out: Ints = total[1:] - total[begin]
    return out


def _deepest(summaries: Summaries, running: Running, first: Ints, last: Ints, capital: Floats) -> Floats:
    """Per group of rows and day, the deepest drawdown up to the row `last` as a share of the peak, which is `capital`
    at first. NaN where that is not known.

    An estimated capital grows, and with it every peak since the first trade: each amount that a group had is looked at
    by itself.
    """
    leg_of = leg_rows(summaries)
    mark = np.maximum(running.peak_before[leg_of], running.pnl_before[leg_of] + summaries.leg_peak)
    depth = mark - (running.pnl_before[leg_of] + summaries.leg_trough)
    group = np.repeat(np.arange(len(first)), np.diff(first, append=len(summaries)))
    amount = np.where(np.isnan(capital), 1.0, capital)
    number = np.cumsum(np.diff(amount, axis=1, prepend=amount[:, :1]) != 0, axis=1)  # of the amount, in its group
    out = np.full(capital.shape, np.nan)
    for each in range(int(number.max(initial=0)) + 1):
        having = (number == each).any(axis=1)
        peak = amount[np.arange(len(first)), (number == each).argmax(axis=1)]
        legs = having[group[leg_of]]
        share = np.zeros(len(summaries))
        np.maximum.at(share, leg_of[legs], depth[legs] / (peak[group[leg_of[legs]]] + mark[legs]))
        rows = having[group]
        share[rows] = pd.Series(share[rows]).groupby(group[rows]).cummax()
        out[number == each] = share[last][number == each]
    return np.where(np.isnan(capital), np.nan, out)
