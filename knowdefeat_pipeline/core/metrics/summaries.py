"""What a stretch of trades leaves behind: mergeable summaries.

A summary holds counts, sums and the skeleton of the stretch's equity path: its high-water marks, each with the lowest
equity before the next one, as far as they can still be the deepest drawdown of a longer path. Two neighbouring
summaries merge into the summary of both stretches; the empty summary is the identity. So a lifetime needs no trade
twice: a late trade changes one day's summary, and the rest is a fold.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.metrics.drawdown import drawdown, drawdown_episodes
from knowdefeat_pipeline.core.metrics.path import profit_and_loss
from knowdefeat_pipeline.core.trades.reductions import dense_chunks, flat_ranges, padded, reduce_windows
from knowdefeat_pipeline.core.units import ROUNDING, Array, Floats, Ints, day_of

NEVER = np.iinfo(np.int64)


@dataclass(frozen=True)
class Summaries:
    """One row per stretch of trades. Money in quote currency; equity counts from 0 at the stretch's beginning.

    `leg_stop[i]` ends row i's legs in the flat `leg_peak` (high-water mark) and `leg_trough` (lowest equity before the
    next mark); legs come in order, each deeper than those before it.
    """

    trades: Ints
    wins: Ints
    pnl: Floats
    gross_profit: Floats
    gross_loss: Floats
    peak: Floats
    first_exit: Ints
    last_exit: Ints
    leg_stop: Ints
    leg_peak: Floats
    leg_trough: Floats

    def __len__(self) -> int:
        return len(self.trades)

    def take(self, rows: Ints) -> Summaries:
        """The given rows, in the given order."""
        begin, end = np.concatenate([[0], self.leg_stop])[rows], self.leg_stop[rows]
        _, legs = flat_ranges(begin, end)
        plain: dict[str, Array] = {
            f.name: getattr(self, f.name)[rows] for f in fields(self) if not f.name.startswith("leg_")
        }
        legs_of: dict[str, Array] = {"leg_peak": self.leg_peak[legs], "leg_trough": self.leg_trough[legs]}
        return Summaries(**plain, leg_stop=np.cumsum(end - begin), **legs_of)

    @staticmethod
    def empty(rows: int) -> Summaries:
        """Summaries of stretches without trades: what changes nothing when merged."""
        plain: dict[str, Array] = {name: np.zeros(rows) for name in ("pnl", "gross_profit", "gross_loss", "peak")}
        return Summaries(
            trades=np.zeros(rows, np.int64),
            wins=np.zeros(rows, np.int64),
            **plain,
            first_exit=np.full(rows, NEVER.max),
            last_exit=np.full(rows, NEVER.min),
            **_legs(rows, np.empty(0, np.int64), np.empty(0), np.empty(0)),
        )

    @staticmethod
    def concat(parts: list[Summaries]) -> Summaries:
        """All rows of all parts, in order."""
        shift = np.cumsum([0] + [len(part.leg_peak) for part in parts[:-1]])
        moved = [replace(part, leg_stop=part.leg_stop + by) for part, by in zip(parts, shift, strict=True)]
        names = [f.name for f in fields(Summaries)]
        return Summaries(**{name: np.concatenate([getattr(part, name) for part in moved]) for name in names})


def summarise(pnl: Floats, exit_: Ints, low: Ints, high: Ints) -> Summaries:
    """One summary per non-empty stretch [low, high) of trades in order."""
    profit, loss = (reduce_windows(np.add, part, low, high, 0.0) for part in profit_and_loss(pnl))
    total, top = np.zeros(len(low)), np.zeros(len(low))
    leg_row, leg_peak, leg_depth = [], [], []
    series = padded(pnl, low, high)
    for chunk in dense_chunks(low, high):
        x = chunk.rows(series)
        equity = np.cumsum(x, axis=1)
        fall = drawdown(x, np.ones(len(x)), ROUNDING * (profit + loss)[chunk.pick, None])
        total[chunk.pick] = equity[:, -1]
        top[chunk.pick] = np.maximum(equity.max(axis=1), 0.0)
        episodes = drawdown_episodes(fall)
        leg_row.append(chunk.pick[episodes.window])
        leg_peak.append((equity + fall.amount)[episodes.window, episodes.first])
        leg_depth.append(episodes.amount)
    won = np.concatenate([[0], np.cumsum(pnl > 0)])
    row = np.concatenate(leg_row) if leg_row else np.empty(0, np.int64)
    peak, depth = (np.concatenate(part) if part else np.empty(0) for part in (leg_peak, leg_depth))
    order = np.argsort(row, kind="stable")
    return Summaries(
        trades=high - low,
        wins=won[high] - won[low],
        pnl=total,
        gross_profit=profit,
        gross_loss=loss,
        peak=top,
        first_exit=exit_[low],
        last_exit=exit_[high - 1],
        **_legs(len(low), row[order], peak[order], (peak - depth)[order]),
    )


def _legs(rows: int, row: Ints, peak: Floats, trough: Floats) -> dict[str, Array]:
    """The legs worth keeping, sorted by row as they come.

    Of legs from the same mark only the deepest is one; and a leg no deeper than an earlier, lower mark's can never
    become the deepest.
    """
    if len(row) == 0:
        return {"leg_stop": np.zeros(rows, np.int64), "leg_peak": peak, "leg_trough": trough}
    mark = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(peak, prepend=np.nan) != 0))
    row, peak, trough = row[mark], peak[mark], np.minimum.reduceat(trough, mark)
    depth = peak - trough
    deepest = pd.Series(depth).groupby(row).cummax().to_numpy()
    first = np.diff(row, prepend=-1) != 0
    keep = first | (depth > np.concatenate([[0.0], deepest[:-1]]))
    return {
        "leg_stop": np.cumsum(np.bincount(row[keep], minlength=rows)),
        "leg_peak": peak[keep],
        "leg_trough": trough[keep],
    }


def merge(summaries: Summaries, first: Ints) -> Summaries:
    """Fold neighbouring rows: rows [first[i], first[i+1]) become row i (one row at least each)."""
    count = np.diff(np.append(first, len(summaries)))
    group = np.repeat(np.arange(len(first)), count)
    running = running_state(summaries, first)
    last = first + count - 1
    leg_of = leg_rows(summaries)
    # Legs that an earlier, higher mark swallows share that mark.
    mark = np.maximum(running.peak_before[leg_of], running.pnl_before[leg_of] + summaries.leg_peak)
    trough = running.pnl_before[leg_of] + summaries.leg_trough
    return Summaries(
        trades=np.add.reduceat(summaries.trades, first),
        wins=np.add.reduceat(summaries.wins, first),
        pnl=running.pnl[last],
        gross_profit=running.gross_profit[last],
        gross_loss=running.gross_loss[last],
        peak=running.peak[last],
        first_exit=np.minimum.reduceat(summaries.first_exit, first),
        last_exit=np.maximum.reduceat(summaries.last_exit, first),
        **_legs(len(first), group[leg_of], mark, trough),
    )


@dataclass(frozen=True)
class Running:
    """Per row, the state of its group after it and (`_before`) ahead of it."""

    pnl: Floats
    pnl_before: Floats
    gross_profit: Floats
    gross_loss: Floats
    peak: Floats
    peak_before: Floats


def running_state(summaries: Summaries, first: Ints) -> Running:
    """Sums and peaks from each group's first row on, added one by one in order, so that grouping cannot change them."""
    out = {name: np.zeros(len(summaries)) for name in Running.__dataclass_fields__}
    stop = np.append(first[1:], len(summaries)) if len(first) else first
    for chunk in dense_chunks(first, stop):
        rows, inside = chunk.index, chunk.inside
        for name in ("pnl", "gross_profit", "gross_loss"):
            total = np.cumsum(np.where(inside, getattr(summaries, name)[rows], 0.0), axis=1)
            out[name][rows[inside]] = total[inside]
            if name == "pnl":
                before = np.concatenate([np.zeros((len(rows), 1)), total[:, :-1]], axis=1)
        marks = np.where(inside, before + summaries.peak[rows], 0.0)
        peak = np.maximum.accumulate(marks, axis=1)
        earlier = np.concatenate([np.zeros((len(rows), 1)), peak[:, :-1]], axis=1)
        for name, values in (("pnl_before", before), ("peak", peak), ("peak_before", earlier)):
            out[name][rows[inside]] = values[inside]
    return Running(**out)


def leg_rows(summaries: Summaries) -> Ints:
    return np.repeat(np.arange(len(summaries)), np.diff(summaries.leg_stop, prepend=0))


@dataclass(frozen=True)
class Stretches:
    """Summaries and their places: `series` (number) and `day` (number of the stretch's last day), sorted by both."""

    series: Ints
    day: Ints
    summaries: Summaries

    def take(self, rows: Ints) -> Stretches:
        return Stretches(self.series[rows], self.day[rows], self.summaries.take(rows))

    def union(self, other: Stretches) -> Stretches:
        """The stretches of both, sorted."""
        both = Stretches(
            np.concatenate([self.series, other.series]),
            np.concatenate([self.day, other.day]),
            Summaries.concat([self.summaries, other.summaries]),
        )
        return both.take(np.lexsort((both.day, both.series)))

    def folded(self) -> Stretches:
        """Each series' stretches as one, whose day is its last."""
        first = np.flatnonzero(np.diff(self.series, prepend=-1) != 0)
        last = np.append(first[1:], len(self.series)) - 1 if len(first) else first
        return Stretches(self.series[first], self.day[last], merge(self.summaries, first))


def daily_summaries(pnl: Floats, exit_: Ints, start: Ints, stop: Ints, month: int | None = None) -> Stretches:
    """One summary per series and UTC calendar day with trades in [start, stop), if given from that month number on."""
    series, index = flat_ranges(start, stop)
    day = day_of(exit_[index])
    first = np.flatnonzero((np.diff(series, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
    low = index[first]
    high = low + np.diff(first, append=len(index))
    if month is not None:
        wanted = month_number(day[first]) >= month
        first, low, high = first[wanted], low[wanted], high[wanted]
    return Stretches(series[first], day[first], summarise(pnl, exit_, low, high))


def month_number(day: Ints) -> Ints:
    """The calendar month of a day number, counted from January 1970."""
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def monthly_summaries(days: Stretches) -> Stretches:
    """Days folded into calendar months; a month's `day` is its last day with trades."""
    month = month_number(days.day)
    first = np.flatnonzero((np.diff(days.series, prepend=-1) != 0) | (np.diff(month, prepend=-1) != 0))
    last = np.append(first[1:], len(month)) - 1 if len(first) else first
    return Stretches(days.series[first], days.day[last], merge(days.summaries, first))
