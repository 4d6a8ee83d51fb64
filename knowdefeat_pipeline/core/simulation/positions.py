"""How bots of a simulated fleet trade: positions along the prices of one market, and the trades and bars of these.

Every price is a point on one path per ticker, in steps of 15 minutes: a martingale with a common factor, of which the
bars are made. So trades can be marked to market, bots share luck, and who knows nothing of the moves to come earns
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import pi, sqrt

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.bots import QUOTE_CURRENCY
from knowdefeat_pipeline.core.units import Floats, Ints

TIMING = ("steady", "luck", "breaking")
"""The kinds of bots that time their entries."""

STEPS_PER_DAY = 96
STEP = timedelta(days=1) / STEPS_PER_DAY
STEPS_PER_BAR = 4
TIMEFRAME = "1h"
# ticker: first price, standard deviation of the daily return. No exchange has such tickers: real bars stay apart.
TICKERS = {
    "SIM-BTC": (60_000.0, 0.03),
    "SIM-ETH": (3_000.0, 0.035),
    "SIM-SOL": (150.0, 0.045),
    "SIM-COIN": (200.0, 0.04),
}
FACTOR_CORRELATION = 0.6  # of the daily returns of two tickers

FEE_RATE = 0.0001  # of the notional, both sides together; half is paid at entry
NOTIONAL_MEDIAN, NOTIONAL_LOG_SD = 2_000.0, 0.5
MARTINGALE_NOTIONAL, DOUBLINGS = 100.0, 6
HOURS_MEDIAN, HOURS_LOG_SD, MOST_DAYS = 5.0, 1.0, 10.0  # in position, of bots that time their entries
USUAL_SIDE = 0.7  # how often a bot takes its usual side where it knows nothing
# Profit and loss at which positions close, in daily standard deviations.
BARRIERS = {"grid": (0.1, 5.0), "lottery": (3.0, 0.15), "holder": (0.1, np.inf)}
SLIPPAGE = 1e-5  # of the prices of a duplicate


@dataclass(frozen=True)
class Positions:
    """A bot's positions: first and last step (`end` past the path: still open), side and notional."""

    begin: Ints
    end: Ints
    side: Ints
    notional: Floats
    edge: float
    edge_after: float = np.nan


def draw_prices(rng: np.random.Generator, days: int) -> Floats:
    """Prices, steps x tickers, from the first to the last midnight: martingales with a common factor."""
    first, daily_sd = np.array(list(TICKERS.values())).T
    shape = (days * STEPS_PER_DAY, len(TICKERS))
    factor, own = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    moves = sqrt(FACTOR_CORRELATION) * factor + sqrt(1 - FACTOR_CORRELATION) * own
    sd = daily_sd / sqrt(STEPS_PER_DAY)
    out: Floats = first * np.exp(np.vstack([np.zeros(shape[1]), np.cumsum(sd * moves - sd**2 / 2, axis=0)]))
    return out


def positions(
    rng: np.random.Generator,
    kind: str,
    begin: Ints,
    path: Floats,
    sd: float,
    *,
    notional: float,
    edge: float = 0.0,
    changes: int | None = None,
) -> Positions:
    """What a bot of a kind (see `fleet`) holds that enters at the steps `begin` (ascending) of its ticker's path.

    sd: of the ticker's daily returns. Of one that times its entries: its `edge`, net, in standard deviations of its
    results, and the step from which on it is the opposite.
    """
    if kind in TIMING:
        return timed(rng, begin, path, sd, notional, edge, len(path) if changes is None else changes)
    if kind == "martingale":
        return doubled(rng, begin, path)
    profit, loss = BARRIERS[kind]
    return barriers(rng, begin, path, sd * profit, sd * loss, notional)


def timed(
    rng: np.random.Generator, begin: Ints, path: Floats, sd: float, notional: float, edge: float, changes: int
) -> Positions:
    """Positions of random length whose side is right more often than not, by as much as the edge asks for.

    Who knows the sign of the move in a share q of the trades expects q·E|move|: q makes up for the fees besides.
    """
    hours = HOURS_MEDIAN * np.exp(HOURS_LOG_SD * rng.standard_normal(len(begin)))
    length = np.clip((hours * STEPS_PER_DAY / 24).astype(np.int64), 1, int(MOST_DAYS * STEPS_PER_DAY))
    end = begin + length
    edges = np.where(begin < changes, edge, -edge)
    scale: Floats = sd * np.sqrt(length / STEPS_PER_DAY)
    known = (edges * sqrt(float((scale**2).mean())) + FEE_RATE) / (sqrt(2 / pi) * scale.mean()) if len(begin) else edges
    right = np.where(path[np.minimum(end, len(path) - 1)] >= path[begin], 1, -1)
    usual = rng.choice([1, -1]) * np.where(rng.random(len(begin)) < USUAL_SIDE, 1, -1)
    informed = rng.random(len(begin)) < np.abs(known)
    side = np.where(informed, np.sign(known).astype(np.int64) * right, usual)
    after = -edge if changes < len(path) else np.nan
    return Positions(begin, end, side, np.full(len(begin), float(notional)), edge, after)


def doubled(rng: np.random.Generator, begin: Ints, path: Floats) -> Positions:
    """One position after the other, each twice as large as the one before if that lost, up to DOUBLINGS times."""
    end = np.append(begin[1:], len(path))
    side = rng.choice([1, -1], size=len(begin))
    lost = side * (path[np.minimum(end, len(path) - 1)] / path[begin] - 1) < 0
    place = np.arange(len(begin))
    won = np.maximum.accumulate(np.where(~lost, place, -1)) if len(begin) else place
    losses = np.concatenate([[0], (place - won)[:-1]]) if len(begin) else place
    notional: Floats = MARTINGALE_NOTIONAL * np.exp2((losses % (DOUBLINGS + 1)).astype(np.float64))
    return Positions(begin, end, side, notional, np.nan)


def barriers(
    rng: np.random.Generator, begin: Ints, path: Floats, profit: float, loss: float, notional: float
) -> Positions:
    """Positions that close at the first step at which they gained `profit` or lost `loss` (returns)."""
    side = rng.choice([1, -1], size=len(begin))
    end = np.full(len(begin), len(path))
    for number, (first, sign) in enumerate(zip(begin, side, strict=True)):
        gain = sign * (path[first + 1 :] / path[first] - 1)
        reached = (gain >= profit) | (gain <= -loss)
        if reached.any():
            end[number] = first + 1 + int(reached.argmax())
    return Positions(begin, end, side, np.full(len(begin), notional), np.nan)


def edge_of_fees(rows: pd.DataFrame, path: Floats) -> float:
    """The edge of who knows nothing: the fees, in standard deviations of the results, open ones marked at the end."""
    end = np.minimum(rows["end"].to_numpy(), len(path) - 1)
    result = rows["notional"] * rows["side"] * (path[end] / path[rows["begin"].to_numpy()] - 1)
    spread = float(result.std(ddof=1)) if len(rows) > 1 else 0.0
    return -FEE_RATE * float(rows["notional"].mean()) / spread if spread > 0 else np.nan


def copied(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """The same positions of another size, a little dearer or cheaper."""
    scale = np.exp(NOTIONAL_LOG_SD * rng.standard_normal())
    return rows.assign(notional=rows["notional"] * scale, slip=SLIPPAGE * rng.standard_normal(len(rows)))


def as_trades(rows: pd.DataFrame, start: pd.Timestamp, prices: Floats, prefix: str) -> pd.DataFrame:
    """Canonical columns; a position that has not ended by the last midnight is open."""
    rows = rows[rows["end"] > rows["begin"]]
    last = len(prices) - 1
    is_open = (rows["end"] >= last).to_numpy()  # what closes at the last midnight belongs to the day after
    ticker = rows["ticker"].to_numpy()
    entry = prices[rows["begin"].to_numpy(), ticker] * (1 + rows["slip"].to_numpy())
    exit_ = prices[np.minimum(rows["end"].to_numpy(), last), ticker]
    side, notional = rows["side"].to_numpy(), rows["notional"].to_numpy()
    pnl = notional * side * (exit_ - entry) / entry - FEE_RATE * notional
    trades = pd.DataFrame(
        {
            "bot_id": rows["bot_id"].to_numpy(),
            "strategy_id": rows["strategy_id"].astype("str").to_numpy(),
            "ticker": np.array(list(TICKERS), dtype=object)[ticker],
            "direction": np.where(side > 0, "LONG", "SHORT"),
            "status": np.where(is_open, "open", "closed"),
            "entry_time": start + pd.to_timedelta(rows["begin"].to_numpy() * STEP),
            "exit_time": pd.Series(start + pd.to_timedelta(rows["end"].to_numpy() * STEP)).where(~is_open),
            "entry_price": entry,
            "exit_price": np.where(is_open, np.nan, exit_),
            "notional": notional,
            "fees": np.where(is_open, FEE_RATE / 2, FEE_RATE) * notional,
            "reported_pnl": np.where(is_open, np.nan, pnl),
            "quote_currency": QUOTE_CURRENCY,
        }
    )
    texts = dict.fromkeys(("strategy_id", "ticker", "direction", "status", "quote_currency"), "str")
    trades = trades.astype(texts).sort_values(
        ["exit_time", "entry_time", "bot_id"], na_position="last", kind="stable", ignore_index=True
    )
    trades.insert(0, "source_trade_id", f"{prefix}-" + (trades.index + 1).astype("str"))
    return trades


def as_bars(rng: np.random.Generator, prices: Floats, start: pd.Timestamp) -> pd.DataFrame:
    """Hourly bars of the paths; the volumes tell nothing."""
    count = (len(prices) - 1) // STEPS_PER_BAR
    inside = np.arange(count)[:, None] * STEPS_PER_BAR + np.arange(STEPS_PER_BAR + 1)
    whole = prices[inside]  # bars x points x tickers
    times = start + pd.to_timedelta(np.arange(count), unit="h")
    bars = [
        pd.DataFrame(
            {
                "ticker": name,
                "timeframe": TIMEFRAME,
                "open_time": times,
                "open": whole[:, 0, at],
                "high": whole[:, :, at].max(axis=1),
                "low": whole[:, :, at].min(axis=1),
                "close": whole[:, -1, at],
                "volume": 1_000 * np.exp(0.4 * rng.standard_normal(count)),
            }
        )
        for at, name in enumerate(TICKERS)
    ]
    return pd.concat(bars, ignore_index=True)
