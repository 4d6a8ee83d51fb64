"""The series that trades form, and where windows of time begin in them.

A series is one bot's closed trades (ticker `*`) or one bot's trades in one ticker, in the order of the house: exit
time, entry time, trade id. A window is a contiguous slice of a series, so that every figure is an operation on slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Ints


@dataclass(frozen=True)
class Series:
    """Series of trades: `rows` index into the trades, `start`/`stop` bound each series in `rows`.

    `bot` and `ticker` (code, -1 for all) name each series; the bots' come first, sorted. A bot that only ever traded
    one ticker has no ticker series of its own, as it would repeat the bot's: `answers` lists, for every (bot, ticker)
    row of a result, the series that answers for it and the row's ticker code.
    """

    rows: Ints
    start: Ints
    stop: Ints
    bot: Ints
    ticker: Ints
    answers: tuple[Ints, Ints]

    @classmethod
    def of(cls, trades: Trades, pairs: tuple[Ints, Ints] | None = None) -> Series:
        """Series of the (bot, ticker code) `pairs` ever traded, by default those in `trades`."""
        width = len(trades.tickers) + 1
        key = trades.bot * width + trades.ticker
        known = np.sort(pd.unique(key if pairs is None else pairs[0] * width + pairs[1]))
        bots, tickers_each = np.unique(known // width, return_counts=True)
        bot_start, bot_stop = (np.searchsorted(trades.bot, bots, side) for side in ("left", "right"))
        several = np.repeat(tickers_each > 1, tickers_each)
        own = known[several]
        split = np.flatnonzero(np.repeat(tickers_each > 1, bot_stop - bot_start))
        split = split[np.argsort(key[split], kind="stable")]
        own_start, own_stop = (len(trades) + np.searchsorted(key[split], own, side) for side in ("left", "right"))
        by_ticker = np.where(several, len(bots) + np.cumsum(several) - 1, np.searchsorted(bots, known // width))
        return cls(
            rows=np.concatenate([np.arange(len(trades)), split]),
            start=np.concatenate([bot_start, own_start]),
            stop=np.concatenate([bot_stop, own_stop]),
            bot=np.concatenate([bots, own // width]),
            ticker=np.concatenate([np.full(len(bots), -1), own % width]),
            answers=(
                np.concatenate([np.arange(len(bots)), by_ticker]),
                np.concatenate([np.full(len(bots), -1), known % width]),
            ),
        )

    def __len__(self) -> int:
        return len(self.start)


def counts_before(group: Ints, groups: int, instant: Ints, cuts: Ints) -> Ints:
    """How many entries of each group have `instant < cut`; shape (groups, cuts), cuts ascending."""
    width = len(cuts) + 1
    slot = group * width + np.searchsorted(cuts, instant, side="right")
    counts = np.bincount(slot, minlength=groups * width).reshape(groups, width)
    return np.cumsum(counts[:, :-1], axis=1)


def positions(instant: Ints, start: Ints, stop: Ints, cuts: Ints) -> Ints:
    """The index of each segment's first entry with `instant >= cut`; shape (segments, cuts), cuts ascending.

    The segments [start, stop) follow one another and cover `instant`, which ascends within each.
    """
    segment = np.repeat(np.arange(len(start)), stop - start)
    return start[:, None] + counts_before(segment, len(start), instant, cuts)
