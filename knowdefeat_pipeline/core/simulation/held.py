"""A world without any edge whose trades live for days: what a learner must not mistake for skill.

Prices are random walks, and trades enter and leave at them, at random times and without fees. So nothing foretells what
can still be earned. What closes tomorrow was for the most part earned already, and looks as if it could be foretold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.ranking.earnings import HeldNights, labelled
from knowdefeat_pipeline.core.ranking.panel import ABSOLUTE, CARRIED, DRAWDOWN_AMOUNT, REQUIRED
from knowdefeat_pipeline.core.ranking.ranking import MIN_TRADES
from knowdefeat_pipeline.core.schema.figure import ALL_TICKERS
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.core.units import Floats, day_of, micros

TICKERS = ("BTC-USD", "ETH-USD", "SOL-USD", "TSLA", "COIN", "NVDA")
DAILY_SD, PRICE = 0.03, 100.0
BARS_A_DAY = 24
HOLDING_DAYS = 4.0  # mean time in position
TURNS_A_DAY = 0.1  # how often a bot changes its side
NOTIONAL, CAPITAL = 1_000.0, 10_000.0


@dataclass(frozen=True)
class HeldWorld:
    """trades: closed canonical trades with trade_id and pnl. close: last close of each UTC day by ticker; bars: hourly
    ones
    (ticker, timeframe, open_time, open, high, low, close, volume) from which these come."""

    trades: pd.DataFrame
    close: pd.DataFrame
    bars: pd.DataFrame


def simulate_held(*, bots: int, days: int, rate: float, seed: int, end: datetime) -> HeldWorld:
    """So many days before `end`, a UTC midnight, with `rate` entries a day and bot; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp(end) - pd.Timedelta(days=days)
    steps = rng.standard_normal((days * BARS_A_DAY, len(TICKERS))) * DAILY_SD / np.sqrt(BARS_A_DAY)
    price = PRICE * np.exp(np.vstack([np.zeros(len(TICKERS)), np.cumsum(steps, axis=0)]))  # at each full hour
    turns = rng.random((days, bots)) < TURNS_A_DAY
    side = rng.choice([1, -1], bots) * np.where(np.cumsum(turns, axis=0) % 2 == 0, 1, -1)
    count = rng.poisson(rate, (days, bots)).ravel()
    cell = np.repeat(np.arange(days * bots), count)
    day, bot = np.divmod(cell, bots)
    entry = (day + rng.random(len(cell))) * BARS_A_DAY
    leave = entry + 1 + rng.exponential(HOLDING_DAYS * BARS_A_DAY, len(cell))
    entry, leave = entry.astype(np.int64), leave.astype(np.int64)
    kept = np.flatnonzero(leave < days * BARS_A_DAY)
    entry, leave, day, bot = entry[kept], leave[kept], day[kept], bot[kept]
    ticker = bot % len(TICKERS)
    bought, sold = price[entry, ticker], price[leave, ticker]
    long = side[day, bot] > 0
    hour = pd.Timedelta(hours=24 / BARS_A_DAY)
    trades = pd.DataFrame(
        {
            "trade_id": np.arange(len(kept)),
            "bot_id": bot + 1,
            "ticker": np.array(TICKERS)[ticker],
            "direction": np.where(long, "LONG", "SHORT"),
            "entry_time": start + entry * hour,
            "exit_time": start + leave * hour,
            "entry_price": bought,
            "exit_price": sold,
            "notional": NOTIONAL,
            "entry_fee": 0.0,
            "pnl": NOTIONAL * np.where(long, 1, -1) * (sold - bought) / bought,
        }
    )
    index = pd.date_range(start, periods=days, freq="D")
    close = pd.DataFrame(price[BARS_A_DAY::BARS_A_DAY], index=index, columns=list(TICKERS))
    return HeldWorld(trades, close, _bars(price, start, hour))


def held_panel(world: HeldWorld, *, marked: bool = True) -> pd.DataFrame:
    """The world's panel as `ranking.panel` reads it, its labels marked to market or, without bars, what closed."""
    trades = world.trades
    close = world.close if marked else world.close * np.nan
    as_of = pd.DatetimeIndex(world.close.index)[1:]
    capital = Capital(dict.fromkeys(trades["bot_id"].tolist(), CAPITAL))
    metrics = bot_metrics(Trades.from_frame(trades), micros(as_of), capital=capital)
    rows = metrics[(metrics["ticker"] == ALL_TICKERS) & (metrics["trades"] >= MIN_TRADES)]
    closed = trades.assign(day=day_of(micros(trades["exit_time"])), absolute=trades["pnl"].abs())
    sums = closed.groupby(["day", "bot_id"])[["pnl", "absolute"]].sum()
    day = day_of(micros(rows["as_of"])) - 1
    after = sums.reindex(pd.MultiIndex.from_arrays([day + 1, rows["bot_id"]]))
    history = rows.assign(
        day=day,
        group=rows["main_ticker"] + " " + rows["main_direction"],
        closed_pnl=after["pnl"].to_numpy(),
        absolute_pnl=after["absolute"].to_numpy(),
        label_ended=True,
    )
    nights: HeldNights = held_nights(trades, close)
    return labelled(history, nights)[[*REQUIRED, DRAWDOWN_AMOUNT, CARRIED, ABSOLUTE]]


def held_nights(trades: pd.DataFrame, close: pd.DataFrame) -> HeldNights:
    """The nights over which closed trades were held, marked by the last close of each day.

    Parameters
    ----------
    trades : DataFrame
        trade_id, bot_id, ticker, direction, entry_time, exit_time, entry_price, notional, entry_fee and pnl of closed
        linear trades; exit_time after entry_time.
    close : DataFrame
        Index: days (UTC midnights at which they begin, ascending, all of the nights among them); a column per ticker:
        its last close of the day, NaN where there is none.
    """
    entry, exit_ = (day_of(micros(trades[name])) for name in ("entry_time", "exit_time"))
    row, day = flat_ranges(entry, exit_)
    number = {name: at for at, name in enumerate(close.columns)}
    days = day_of(micros(pd.DatetimeIndex(close.index)))
    price = close.to_numpy(np.float64)[np.searchsorted(days, day), trades["ticker"].map(number).to_numpy(np.int64)[row]]
    bought, notional, fee = (
        trades[name].to_numpy(np.float64)[row] for name in ("entry_price", "notional", "entry_fee")
    )
    side = np.where(trades["direction"] == "LONG", 1.0, -1.0)[row]
    return HeldNights(
        trade=trades["trade_id"].to_numpy(np.int64)[row],
        bot=trades["bot_id"].to_numpy(np.int64)[row],
        day=day,
        entry_day=entry[row],
        exit_day=exit_[row],
        worth=notional * side * (price - bought) / bought - fee,
        pnl=trades["pnl"].to_numpy(np.float64)[row],
    )


def _bars(price: Floats, start: pd.Timestamp, hour: pd.Timedelta) -> pd.DataFrame:
    opens, closes = price[:-1], price[1:]
    frames = [
        pd.DataFrame(
            {
                "ticker": name,
                "timeframe": "1h",
                "open_time": start + np.arange(len(opens)) * hour,
                "open": opens[:, column],
                "high": np.maximum(opens, closes)[:, column],
                "low": np.minimum(opens, closes)[:, column],
                "close": closes[:, column],
                "volume": 1.0,
            }
        )
        for column, name in enumerate(TICKERS)
    ]
    return pd.concat(frames, ignore_index=True)
