"""The demo: a month of a living fleet of 24 bots, of each of which the truth is known.

In twelve of them something is planted (see PLANTED); the others are ordinary, with small edges of either sign. All
trade in the market of `positions`, whose prices are a random walk: it has no trend that a label or a model could find,
its order books say nothing, and who takes a side by chance earns nothing before fees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.positions import (
    STEP,
    STEPS_PER_DAY,
    TICKERS,
    TIMING,
    as_bars,
    as_trades,
    copied,
    draw_prices,
    edge_of_fees,
    positions,
)
from knowdefeat_pipeline.core.units import Floats, Ints

# As those of `positions`, under names of the demo's own: its market leaves with it.
MARKET = {name.replace("SIM-", "DEMO-"): law for name, law in TICKERS.items()}
SEED = 1
DEMO = f"demo-{SEED}-"
"""What the ids of its trades begin with."""
DAYS = 30
BARS_BEFORE = 14  # days of bars before the month: what is told from bars needs a past
CONFIDENCE_MEAN, CONFIDENCE_SD = 0.65, 0.1  # that signals state; it tells nothing
BOOK_DISTANCES, BOOK_SIZE_LOG_SD = (0.0005, 0.006), 0.8  # of a level from the price, as a share; of resting orders

Role = Literal[
    "skilled", "duplicate", "losing", "lucky", "survivor", "turned", "grid", "bag holder", "martingale", "lottery",
    "newcomer", "broken feed", "ordinary",
]  # fmt: skip


@dataclass(frozen=True)
class Bot:
    """One bot of the demo.

    kind: how it trades (see `fleet`). rate: entries a day. edge: expected net result per trade in standard deviations
    of its results, where it times its entries. days, turned: how long before the end it begins, and its edge turns into
    its opposite (None: never). copies: the bot whose trades it repeats. drawn: of how many such bots it is the one
    whose closed trades brought most, or, of holders, whose open ones lost most.
    """

    name: str
    role: Role
    kind: str
    ticker: str
    strategy: str
    rate: float = 4.0
    edge: float = 0.0
    days: float = DAYS
    turned: float | None = None
    copies: str | None = None
    notional: float = 2_000.0
    drawn: int = 1


PLANTED = (
    Bot("trend-btc-1", "skilled", "steady", "DEMO-BTC", "trend", rate=7, edge=0.35),
    Bot("trend-btc-2", "duplicate", "steady", "DEMO-BTC", "trend", copies="trend-btc-1"),
    Bot("pairs-eth-1", "losing", "steady", "DEMO-ETH", "pairs", rate=7, edge=-0.35),
    Bot("momentum-sol-1", "lucky", "luck", "DEMO-SOL", "momentum", rate=0.6, notional=5_000, drawn=60),
    Bot("momentum-eth-1", "survivor", "luck", "DEMO-ETH", "momentum", drawn=60),
    Bot("momentum-btc-1", "turned", "breaking", "DEMO-BTC", "momentum", rate=6, edge=0.35, turned=10),
    Bot("grid-eth-1", "grid", "grid", "DEMO-ETH", "grid", rate=6),
    Bot("grid-sol-1", "bag holder", "holder", "DEMO-SOL", "grid", rate=3, drawn=5),
    Bot("martingale-coin-1", "martingale", "martingale", "DEMO-COIN", "martingale", rate=5),
    Bot("breakout-sol-1", "lottery", "lottery", "DEMO-SOL", "breakout", rate=6),
    Bot("pairs-btc-1", "newcomer", "steady", "DEMO-BTC", "pairs", rate=2, edge=0.08, days=2),
    Bot("pairs-coin-1", "broken feed", "steady", "DEMO-COIN", "pairs", rate=5, edge=0.08),
)
"""The bots in which something is planted, each in another."""

ORDINARY, ORDINARY_EDGE_SD = 12, 0.08
STRATEGIES = ("trend", "momentum", "pairs", "breakout")  # of ordinary bots, in turn, as are the tickers

DAMAGED: Mapping[str, int] = {
    "unknown_direction": 3,
    "bad_price": 2,
    "exit_before_entry": 3,
    "closed_without_exit": 2,
    "poison": 1,
    "conflicting_trade": 2,
}
"""Rows of the broken feed that came damaged, by the reason for which they are refused: in the place of what happened,
or, for the last reason, once more with another price."""


@dataclass(frozen=True)
class Demo:
    """trades: canonical trade columns (bot_id is the bot's name), in the order of `Fleet`, some of the broken feed
    damaged. bars: hourly, as `price_bars` holds them, also of the days before the month. books: a snapshot for each
    entry, as `order_book_levels` holds them. truth: a row per bot: bot, role, edge, edge_after (NULL where it did not
    turn), since (the turn), copies, drawn (see `Bot`). damaged: the ids of the rows that came damaged.
    """

    trades: pd.DataFrame
    bars: pd.DataFrame
    books: pd.DataFrame
    truth: pd.DataFrame
    damaged: frozenset[str]


def simulate_demo(end: datetime) -> Demo:
    """The month before `end`, a UTC midnight (exclusive). Another `end` moves all times and changes nothing else.

    Raises ValueError for an `end` that is none.
    """
    if end.utcoffset() != timedelta(0) or end.timestamp() % 86_400:
        raise ValueError(f"end must be midnight in UTC, got {end.isoformat()}")
    market, others, feed, said, *own = np.random.default_rng(SEED).spawn(4 + len(PLANTED) + ORDINARY)
    start = pd.Timestamp(end.astimezone(UTC) - timedelta(days=DAYS + BARS_BEFORE)).as_unit("us")
    prices = draw_prices(market, DAYS + BARS_BEFORE)
    rows: dict[str, pd.DataFrame] = {}
    truth: list[dict[str, object]] = []
    for bot, rng in zip((*PLANTED, *_ordinary(others)), own, strict=True):
        if bot.copies:
            rows[bot.name] = copied(rng, rows[bot.copies]).assign(bot_id=bot.name)
            truth.append({**next(of for of in truth if of["bot"] == bot.copies), "bot": bot.name, "role": bot.role})
        else:
            rows[bot.name], edge = _positions(rng, bot, prices)
            truth.append({"bot": bot.name, "role": bot.role, "edge": edge, "turned": bot.turned})
        truth[-1] |= {"copies": bot.copies, "drawn": bot.drawn}
    trades = as_trades(pd.concat(rows.values(), ignore_index=True), start, prices, DEMO.removesuffix("-"))
    confidence = np.clip(said.normal(CONFIDENCE_MEAN, CONFIDENCE_SD, len(trades)), 0, 1)
    trades = _renamed(trades.astype({"bot_id": "str"}).assign(signal_confidence=confidence))
    trades, damaged = _damage(feed, trades)
    books = _books(others, trades, start, prices)
    return Demo(trades, _renamed(as_bars(market, prices, start)), books, _as_truth(truth, end), damaged)


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(ticker=rows["ticker"].replace(dict(zip(TICKERS, MARKET, strict=True))))


def _ordinary(rng: np.random.Generator) -> list[Bot]:
    """Bots such as most are: some know a little, some less than nothing."""
    bots, tickers = [], list(MARKET)
    for number, edge in enumerate(ORDINARY_EDGE_SD * rng.standard_normal(ORDINARY)):
        strategy, ticker = STRATEGIES[number % len(STRATEGIES)], tickers[(number + number // 4) % len(tickers)]
        name = f"{strategy}-{ticker.removeprefix('DEMO-').lower()}-{number + 3}"
        notional = float(np.round(2_000 * np.exp(0.5 * rng.standard_normal()), -2))
        bots.append(
            Bot(name, "ordinary", "steady", ticker, strategy, rng.uniform(2, 6), float(edge), notional=notional)
        )
    return bots


def _positions(rng: np.random.Generator, bot: Bot, prices: Floats) -> tuple[pd.DataFrame, float]:
    """A bot's positions as rows, and its true edge."""
    ticker, sd = list(MARKET).index(bot.ticker), MARKET[bot.ticker][1]
    path, last = prices[:, ticker], len(prices) - 1
    first = last - round(bot.days * STEPS_PER_DAY)
    changes = None if bot.turned is None else last - round(bot.turned * STEPS_PER_DAY)
    sign = -1 if bot.kind == "holder" else 1
    drawn = []
    for one in rng.spawn(bot.drawn):
        begin = _entries(one, bot.rate, first, last)
        held = positions(one, bot.kind, begin, path, sd, notional=bot.notional, edge=bot.edge, changes=changes)
        drawn.append(pd.DataFrame({name: getattr(held, name) for name in ("begin", "end", "side", "notional")}))
    rows = max(drawn, key=lambda rows: sign * _result(rows, path, is_open=bot.kind == "holder"))
    rows = rows.assign(ticker=ticker, strategy_id=bot.strategy, slip=0.0, bot_id=bot.name)
    return rows, bot.edge if bot.kind in TIMING else edge_of_fees(rows, path)


def _entries(rng: np.random.Generator, rate: float, first: int, last: int) -> Ints:
    """Steps at random, in ascending order; one at least on the last day."""
    count = max(2, int(rng.poisson(rate * (last - first) / STEPS_PER_DAY)))
    return np.sort(np.append(rng.integers(first, last, count - 1), rng.integers(last - STEPS_PER_DAY, last)))


def _result(rows: pd.DataFrame, path: Floats, is_open: bool) -> float:
    """What positions that are open at the end, or the others, have gained, before fees."""
    some = rows[(rows["end"] >= len(path) - 1) == is_open]
    begin, end = some["begin"].to_numpy(), np.minimum(some["end"].to_numpy(), len(path) - 1)
    return float((some["notional"] * some["side"] * (path[end] / path[begin] - 1)).sum())


def _damage(rng: np.random.Generator, trades: pd.DataFrame) -> tuple[pd.DataFrame, frozenset[str]]:
    """The trades as the broken feed tells them, and the ids of the rows that it damaged."""
    (name,) = (bot.name for bot in PLANTED if bot.role == "broken feed")
    own = np.flatnonzero((trades["bot_id"] == name) & (trades["status"] == "closed"))
    chosen = np.split(rng.choice(own, sum(DAMAGED.values()), replace=False), np.cumsum([*DAMAGED.values()])[:-1])
    places = dict(zip(DAMAGED, chosen, strict=True))
    out = trades.copy()
    out.loc[places["unknown_direction"], "direction"] = "up"
    out.loc[places["bad_price"], "exit_price"] *= -1
    swapped = out.loc[places["exit_before_entry"], ["exit_time", "entry_time"]].to_numpy()
    out.loc[places["exit_before_entry"], ["entry_time", "exit_time"]] = swapped
    out.loc[places["closed_without_exit"], "exit_price"] = np.nan
    out.loc[places["poison"], "notional"] = 1e300
    again = out.loc[places["conflicting_trade"]]
    dearer = 0.01 * again["exit_price"]
    side = np.where(again["direction"] == "LONG", 1, -1)
    more = side * again["notional"] * dearer / again["entry_price"]
    again = again.assign(exit_price=again["exit_price"] + dearer, reported_pnl=again["reported_pnl"] + more)
    lost = np.concatenate([of for reason, of in places.items() if reason != "conflicting_trade"])
    return pd.concat([out, again], ignore_index=True), frozenset(out.loc[lost, "source_trade_id"])


def _books(rng: np.random.Generator, trades: pd.DataFrame, start: pd.Timestamp, prices: Floats) -> pd.DataFrame:
    """The order book of the ticker at each entry: orders of random sizes at two distances, which tell nothing."""
    seen = trades[["ticker", "entry_time"]].drop_duplicates().sort_values(["ticker", "entry_time"], ignore_index=True)
    step = ((seen["entry_time"] - start) // STEP).to_numpy()
    price = prices[step, seen["ticker"].map({name: at for at, name in enumerate(MARKET)}).to_numpy()]
    levels = [
        pd.DataFrame(
            {
                "ticker": seen["ticker"],
                "observed_at": seen["entry_time"],
                "side": side,
                "price": price * (1 + sign * distance),
                "size": 10_000 / price * np.exp(BOOK_SIZE_LOG_SD * rng.standard_normal(len(price))),
            }
        )
        for side, sign in (("BID", -1), ("ASK", 1))
        for distance in BOOK_DISTANCES
    ]
    return pd.concat(levels, ignore_index=True).sort_values(["ticker", "observed_at"], kind="stable", ignore_index=True)


def _as_truth(truth: list[dict[str, object]], end: datetime) -> pd.DataFrame:
    frame = pd.DataFrame(truth)
    turned = pd.to_numeric(frame["turned"])
    return pd.DataFrame(
        {
            "bot": frame["bot"].astype("str"),
            "role": frame["role"].astype("str"),
            "edge": frame["edge"].astype(np.float64),
            "edge_after": (-frame["edge"].astype(np.float64)).where(turned.notna()),
            "since": pd.Timestamp(end) - pd.to_timedelta(turned, unit="D"),
            "copies": frame["copies"],
            "drawn": frame["drawn"],
        }
    )
