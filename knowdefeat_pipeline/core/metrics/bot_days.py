"""What bots closed day by day: the rows of `bot_days`."""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.rows import Columns
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import DAY, Ints


def bot_day_rows(trades: Trades, day: Ints, as_of: Ints) -> Columns:
    """A row per day, bot and ticker that closed a trade on the day by its as_of (`pnl`, `fees` in quote currency).

    `day`: days since 1970 that follow one another, `as_of` (µs) until when each counts. Sums are taken in the order of
    the trades, so that they come out the same to the last bit, whatever other days and bots the call has.
    """
    at = trades.exit // DAY - (day[0] if len(day) else 0)
    rows = np.flatnonzero((at >= 0) & (at < len(day)))
    rows = rows[trades.exit[rows] < as_of[at[rows]]]
    bots, bot = np.unique(trades.bot[rows], return_inverse=True)
    width = max(len(trades.tickers), 1)
    key = (at[rows] * len(bots) + bot) * width + trades.ticker[rows]
    order = np.argsort(key, kind="stable")  # within a row trades keep their order
    key, rows = key[order], rows[order]
    begins = np.append(True, key[1:] != key[:-1])[: len(key)]
    row, of = np.cumsum(begins) - 1, key[begins]
    return {
        "day": day[of // (len(bots) * width)] if len(of) else day[:0],
        "bot_id": bots[of // width % max(len(bots), 1)],
        "ticker": np.array(trades.tickers, object)[of % width] if len(of) else np.empty(0, object),
        "trades": np.bincount(row),
        "wins": np.bincount(row, trades.pnl[rows] > 0).astype(np.int64),
        "pnl": np.bincount(row, trades.pnl[rows]),
        "fees": np.bincount(row, trades.fees[rows]),
    }
