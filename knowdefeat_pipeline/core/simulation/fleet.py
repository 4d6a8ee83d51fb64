"""A fleet as real ones are: bots that look good and are not, one market for all, and the truth about each.

Every price is a point on one path per ticker, in steps of 15 minutes: a martingale with a common factor, of which the
bars are made. So trades can be marked to market, bots share luck, and only what follows is an edge:

    steady      enters at random and knows the sign of the move to come in a part of its trades: a constant edge
    luck        the same with an edge of exactly 0, net of fees
    breaking    the same with an edge that turns into its opposite on one day
    grid        takes small profits and stops far away: 98 % small wins, no edge before fees
    holder      takes small profits and never a loss: losing positions stay open
    martingale  doubles its size after every loss, up to six times; no edge before fees
    lottery     stops close by and takes rare large profits; no edge before fees
    duplicate   the trades of another bot at slightly other prices and another size

Some bots are born late and some die early; what a bot holds when it dies is closed then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import pi, sqrt

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.bots import QUOTE_CURRENCY
from knowdefeat_pipeline.core.units import Floats, Ints

FLEETS = ("realistic",)
PATTERN = (
    *("steady", "luck", "grid", "martingale", "lottery", "breaking", "holder", "duplicate", "steady", "luck"),
    *("steady", "luck", "grid", "steady", "breaking", "steady", "martingale", "luck", "steady", "duplicate"),
)
"""The kinds of bots 1, 2, …, over and over."""
TIMING = ("steady", "luck", "breaking")

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
RATE_MEDIAN, RATE_LOG_SD = 3.0, 0.4  # entries a day
HOURS_MEDIAN, HOURS_LOG_SD, MOST_DAYS = 5.0, 1.0, 10.0  # in position, of bots that time their entries
USUAL_SIDE = 0.7  # how often a bot takes its usual side where it knows nothing
EDGE_SD, BREAKING_EDGE = 0.08, 0.15  # per trade, in standard deviations of the bot's results
GRID, LOTTERY = (0.1, 5.0), (3.0, 0.15)  # profit and loss at which positions close, in daily standard deviations
BORN_LATE, DIES_EARLY = 0.3, 0.2  # shares of the bots
SLIPPAGE = 1e-5  # of the prices of a duplicate


@dataclass(frozen=True)
class Fleet:
    """One simulated fleet.

    trades: canonical trade columns, closed ones by (exit_time, entry_time), then those that are open at the end.
    bars: hourly, as `price_bars` holds them.
    truth: a row per bot: bot_id, kind, edge (expected net result per trade in standard deviations of its results),
        edge_after and break_time (NULL without a break), born, died (NULL for bots that live), duplicate_of.
    """

    trades: pd.DataFrame
    bars: pd.DataFrame
    truth: pd.DataFrame
    seed: int


@dataclass(frozen=True)
class _Positions:
    """A bot's positions: first and last step (`end` past the path: still open), side and notional."""

    begin: Ints
    end: Ints
    side: Ints
    notional: Floats
    edge: float
    edge_after: float = np.nan


def simulate_fleet(name: str, *, bots: int, days: int, seed: int, end: datetime) -> Fleet:
    """Simulate bots 1..bots over the `days` UTC days before `end` (a UTC midnight, exclusive).

    The same arguments give the same frames in any process. Raises ValueError for an unknown fleet, fewer than one bot
    or day, a negative seed, or an `end` that is no UTC midnight.

    >>> fleet = simulate_fleet("realistic", bots=8, days=10, seed=1, end=datetime(2025, 3, 1, tzinfo=UTC))
    >>> fleet.truth["kind"].tolist()[:3]
    ['steady', 'luck', 'grid']
    """
    if name not in FLEETS:
        raise ValueError(f"unknown fleet {name!r}: choose one of {', '.join(FLEETS)}")
    if bots < 1 or days < 1 or seed < 0:
        raise ValueError(f"need bots >= 1, days >= 1, seed >= 0; got bots={bots}, days={days}, seed={seed}")
    if end.utcoffset() != timedelta(0) or end.timestamp() % 86_400:
        raise ValueError(f"end must be midnight in UTC, got {end.isoformat()}")
    market, *own = np.random.default_rng(seed).spawn(1 + bots)
    start = pd.Timestamp(end.astimezone(UTC) - timedelta(days=days)).as_unit("us")
    prices = _draw_prices(market, days)
    trades: list[pd.DataFrame] = []
    truth: list[dict[str, object]] = []
    for bot, rng in enumerate(own):
        kind = PATTERN[bot % len(PATTERN)]
        if kind == "duplicate":
            original = int(rng.choice([n for n, known in enumerate(truth) if known["kind"] in TIMING]))
            trades.append(_copied(rng, trades[original]).assign(bot_id=bot + 1))
            truth.append(truth[original] | {"bot_id": bot + 1, "kind": kind, "duplicate_of": original + 1})
            continue
        made, known = _draw_bot(rng, kind, prices)
        trades.append(made.assign(bot_id=bot + 1))
        truth.append({"bot_id": bot + 1, "kind": kind, "duplicate_of": None} | known)
    return Fleet(
        _as_trades(pd.concat(trades, ignore_index=True), start, prices, f"{name}-{seed}"),
        _as_bars(market, prices, start),
        _as_truth(pd.DataFrame(truth), start, len(prices) - 1),
        seed,
    )


def _draw_prices(rng: np.random.Generator, days: int) -> Floats:
    """Prices, steps x tickers, from the first to the last midnight: martingales with a common factor."""
    first, daily_sd = np.array(list(TICKERS.values())).T
    shape = (days * STEPS_PER_DAY, len(TICKERS))
    factor, own = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    moves = sqrt(FACTOR_CORRELATION) * factor + sqrt(1 - FACTOR_CORRELATION) * own
    sd = daily_sd / sqrt(STEPS_PER_DAY)
    out: Floats = first * np.exp(np.vstack([np.zeros(shape[1]), np.cumsum(sd * moves - sd**2 / 2, axis=0)]))
    return out


def _draw_bot(rng: np.random.Generator, kind: str, prices: Floats) -> tuple[pd.DataFrame, dict[str, object]]:
    """Its positions as rows (step numbers, prices, size), and what is true of it."""
    steps = len(prices) - 1
    born = int(rng.integers(steps // 2)) if rng.random() < BORN_LATE else 0
    died = int(rng.integers((born + steps) // 2, steps)) if rng.random() < DIES_EARLY else steps + 1
    ticker = int(rng.integers(len(TICKERS)))
    path, sd = prices[:, ticker], list(TICKERS.values())[ticker][1]
    changes = int(rng.uniform(0.3, 0.7) * (min(died, steps) - born)) + born if kind == "breaking" else steps + 1
    rate = RATE_MEDIAN * np.exp(RATE_LOG_SD * rng.standard_normal())
    notional = NOTIONAL_MEDIAN * float(np.exp(NOTIONAL_LOG_SD * rng.standard_normal()))
    last = min(died, steps)
    count = rng.poisson(rate * (last - born) / STEPS_PER_DAY)
    begin = np.sort(rng.integers(born, max(last, born + 1), size=count))
    if kind in TIMING:
        edge = {"steady": EDGE_SD * rng.standard_normal(), "luck": 0.0, "breaking": BREAKING_EDGE}[kind]
        held = _timed(rng, begin, path, sd, notional, edge, changes)
    elif kind == "martingale":
        held = _doubled(rng, begin, path)
    else:
        profit, loss = {"grid": GRID, "lottery": LOTTERY, "holder": (GRID[0], np.inf)}[kind]
        held = _barriers(rng, begin, path, sd * profit, sd * loss, notional)
    rows = pd.DataFrame(
        {"begin": held.begin, "end": np.minimum(held.end, died), "side": held.side, "notional": held.notional}
    ).assign(ticker=ticker, strategy_id=_strategy(rng, kind), slip=0.0)
    known: dict[str, object] = {
        "edge": held.edge,
        "edge_after": held.edge_after,
        "break": changes,
        "born": born,
        "died": died,
    }
    if kind not in TIMING:
        known["edge"] = _edge_of_fees(rows, path)
    return rows, known


def _strategy(rng: np.random.Generator, kind: str) -> str:
    if kind in TIMING:
        return str(rng.choice(["trend", "pairs", "momentum"]))
    return "grid" if kind == "holder" else kind


def _timed(
    rng: np.random.Generator, begin: Ints, path: Floats, sd: float, notional: float, edge: float, changes: int
) -> _Positions:
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
    return _Positions(begin, end, side, np.full(len(begin), float(notional)), edge, after)


def _doubled(rng: np.random.Generator, begin: Ints, path: Floats) -> _Positions:
    """One position after the other, each twice as large as the one before if that lost, up to DOUBLINGS times."""
    end = np.append(begin[1:], len(path))
    side = rng.choice([1, -1], size=len(begin))
    lost = side * (path[np.minimum(end, len(path) - 1)] / path[begin] - 1) < 0
    place = np.arange(len(begin))
    won = np.maximum.accumulate(np.where(~lost, place, -1)) if len(begin) else place
    losses = np.concatenate([[0], (place - won)[:-1]]) if len(begin) else place
    notional: Floats = MARTINGALE_NOTIONAL * np.exp2((losses % (DOUBLINGS + 1)).astype(np.float64))
    return _Positions(begin, end, side, notional, np.nan)


def _barriers(
    rng: np.random.Generator, begin: Ints, path: Floats, profit: float, loss: float, notional: float
) -> _Positions:
    """Positions that close at the first step at which they gained `profit` or lost `loss` (returns)."""
    side = rng.choice([1, -1], size=len(begin))
    end = np.full(len(begin), len(path))
    for number, (first, sign) in enumerate(zip(begin, side, strict=True)):
        gain = sign * (path[first + 1 :] / path[first] - 1)
        reached = (gain >= profit) | (gain <= -loss)
        if reached.any():
            end[number] = first + 1 + int(reached.argmax())
    return _Positions(begin, end, side, np.full(len(begin), notional), np.nan)


def _edge_of_fees(rows: pd.DataFrame, path: Floats) -> float:
    """The edge of who knows nothing: the fees, in standard deviations of the results, open ones marked at the end."""
    end = np.minimum(rows["end"].to_numpy(), len(path) - 1)
    result = rows["notional"] * rows["side"] * (path[end] / path[rows["begin"].to_numpy()] - 1)
    spread = float(result.std(ddof=1)) if len(rows) > 1 else 0.0
    return -FEE_RATE * float(rows["notional"].mean()) / spread if spread > 0 else np.nan


def _copied(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """The same positions of another size, a little dearer or cheaper."""
    scale = np.exp(NOTIONAL_LOG_SD * rng.standard_normal())
    return rows.assign(notional=rows["notional"] * scale, slip=SLIPPAGE * rng.standard_normal(len(rows)))


def _as_trades(rows: pd.DataFrame, start: pd.Timestamp, prices: Floats, prefix: str) -> pd.DataFrame:
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


def _as_bars(rng: np.random.Generator, prices: Floats, start: pd.Timestamp) -> pd.DataFrame:
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


def _as_truth(truth: pd.DataFrame, start: pd.Timestamp, steps: int) -> pd.DataFrame:
    def when(step: pd.Series) -> pd.Series:
        return (start + pd.to_timedelta(step * STEP)).where(step <= steps)

    return pd.DataFrame(
        {
            "bot_id": truth["bot_id"],
            "kind": truth["kind"].astype("str"),
            "edge": truth["edge"].astype(np.float64),
            "edge_after": truth["edge_after"].astype(np.float64),
            "break_time": when(truth["break"]),
            "born": when(truth["born"]),
            "died": when(truth["died"]),
            "duplicate_of": truth["duplicate_of"].astype("Int64"),
        }
    )
