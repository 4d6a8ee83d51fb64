"""Bots that do the same: whose daily results move together, so that two of them are one risk."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds.correlation import correlation
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS, Bools, Floats, Ints, day_of, last_day, micros

ALIKE = 0.95
"""Bots are duplicates where their daily results correlate above this."""


def daily_pnl(trades: Trades, bots: Ints, as_of: datetime) -> tuple[Floats, Bools]:
    """Net pnl per UTC day and bot (30, N), 0 without a trade, and on which days each closed one.

    The 30 days up to the last that began before `as_of`; a trade that closes at `as_of` is not among them.
    """
    (end,) = micros([as_of])
    place = pd.Index(bots).get_indexer(pd.Index(trades.bot)) if len(bots) else np.full(len(trades), -1)
    back = last_day(end) - day_of(trades.exit)
    counted = (place >= 0) & (trades.exit < end) & (back < WINDOW_DAYS)
    cell = (WINDOW_DAYS - 1 - back[counted]) * len(bots) + place[counted]
    shape = (WINDOW_DAYS, len(bots))
    pnl = np.bincount(cell, trades.pnl[counted], minlength=WINDOW_DAYS * len(bots)).astype(np.float64)
    return pnl.reshape(shape), np.bincount(cell, minlength=WINDOW_DAYS * len(bots)).reshape(shape) > 0


def duplicates(pnl: Floats, traded: Bools) -> list[list[int]]:
    """The places of bots that are duplicates of each other, two or more in each list, in order.

    Two bots are, where their results of the days on which both closed a trade correlate above .95 over at least 10 such
    days; so are bots that a chain of such pairs links.

    Parameters
    ----------
    pnl : ndarray, shape (days, N)
        Net pnl per day and bot, in any currency: only its shape over time counts.
    traded : ndarray of bool, shape (days, N)
        The days on which a bot closed a trade.

    Examples
    --------
    >>> day = np.arange(12.0)
    >>> pnl = np.stack([np.sin(day), 5 * np.sin(day), np.cos(day)], axis=1)
    >>> duplicates(pnl, np.ones(pnl.shape, dtype=bool))
    [[0, 1]]
    """
    from scipy.sparse.csgraph import connected_components  # slow to load, and few commands divide funds

    if pnl.shape[1] < 2:
        return []
    _, label = connected_components(correlation(pnl, traded) > ALIKE, directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return sorted(places.tolist() for places in groups if len(places) > 1)
