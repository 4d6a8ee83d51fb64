"""Simulated worlds of trading bots whose true skill is known.

The demo, the tests and the benchmarks judge the learners against these worlds. The law of one closed trade of bot i on
day d, on ticker x direction group g, is

    reported_pnl = scale[i] * (skill[d, i] + noise)                         net of fees, so skill is a net Sharpe
    skill[d, i]  = constant[i] + ar1[d, i] + effect[i, regime[d]] + the world's level
    noise        = sqrt(1 - r^2) * t5(factor[d, g], own) - r * luck[d-1, i]   unit variance; r = 0 but in `adverse`
    luck[d, i]   = standardised sum of the fresh t5 noise of the bot's day

The t5 noise is a normal with one part shared by the group's day, divided by a chi of each trade's own: its margin is
exactly Student-t(5), and two trades of one group and day correlate by exactly `FACTOR_CORRELATION`. (A bot of two
tickers meets two factors a day, which the standardisation of `luck` ignores.) All worlds of one seed share every random
draw: they differ only in what their name says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import gamma, sqrt

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import DAY, Floats, Ints

# Skill: standard deviations over bots, per trade.
CAPITAL = 10_000.0
"""What each bot has to trade with, in USD."""
CONSTANT_SD = 0.05
AR_SD, AR_HALF_LIFE_DAYS = 0.06, 15.0
REGIME_SD, REGIMES, REGIME_MEAN_DAYS = 0.05, 3, 12.0
SKILL_SD = sqrt(CONSTANT_SD**2 + AR_SD**2 + REGIME_SD**2)

# Trades and their noise.
RATE_MEDIAN, RATE_LOG_SD = 6.0, 0.4  # closed trades a day
T_DF = 5
FACTOR_CORRELATION = 0.35
MAX_NOISE = 50.0  # standard deviations: keeps exit prices positive, met about once in sixty million trades
REVERSAL = 0.10  # `adverse`: part of yesterday's luck taken back, per trade

# Money.
NOTIONAL_MEDIAN, PNL_SCALE_LOG_SD = 2_000.0, 0.6
RETURN_SD = 0.006  # of a trade's net return on its notional
FEE_RATE = 0.0005  # both sides together; half is paid at entry
QUOTE_CURRENCY = "USD"

# Model scores: 0..100, known at the end of their day.
SCORES = ("price_model_score", "volume_model_score", "price_wall_score")
INFORMATIVE_SCORE = SCORES[0]
SCORE_MEAN, SCORE_SD = 50.0, 15.0
SCORE_CORRELATION = 0.6  # with the next day's skill, where a world makes it informative
SCORE_MISSING = 0.10

# Bots and markets.
# ticker: first price, standard deviation of the daily log return; strategy: median seconds in position
TICKERS = {"BTC-USD": (60_000.0, 0.030), "ETH-USD": (3_000.0, 0.035), "SOL-USD": (150.0, 0.045)}
TICKERS |= {"TSLA": (250.0, 0.035), "COIN": (200.0, 0.040), "NVDA": (120.0, 0.025)}
STRATEGIES = {"trend": 14_400.0, "pairs": 10_800.0, "breakout": 7_200.0}
STRATEGIES |= {"momentum": 5_400.0, "mean_reversion": 3_600.0, "scalper": 45.0}
DURATION_LOG_SD, MIN_SECONDS, MAX_SECONDS = 0.8, 2.0, 57_600.0
SECOND_TICKER_BOTS, SECOND_TICKER_TRADES = 0.3, 0.2
CONFIDENCE_MEAN, CONFIDENCE_PER_SKILL, CONFIDENCE_SD = 0.55, 0.5, 0.1
EXIT_AT = 1.0  # trade results beyond +-1 pnl scale are called take-profit and stop-loss
OPEN_TRADES = 5
STEPS_PER_DAY = 96  # of the price paths


@dataclass(frozen=True)
class BotWorld:
    """What one world changes: the informative score's correlation with next-day skill in each half, and reversal."""

    early: float = 0.0
    late: float = 0.0
    reversal: float = 0.0
    skilled: bool = True
    level: float = 0.0  # added to everybody's skill


BOT_WORLDS = {
    "base": BotWorld(),
    "informative": BotWorld(early=SCORE_CORRELATION, late=SCORE_CORRELATION),
    "adverse": BotWorld(early=-SCORE_CORRELATION, late=-SCORE_CORRELATION, reversal=REVERSAL),
    "switch": BotWorld(early=SCORE_CORRELATION, late=-SCORE_CORRELATION),
    "null": BotWorld(skilled=False),
    "negative": BotWorld(skilled=False, level=-0.05),
    "losing": BotWorld(level=-0.1),
}


@dataclass(frozen=True)
class Simulation:
    """One simulated history.

    trades: canonical trade columns, closed ones ordered by (exit_time, entry_time), then the open ones, which have no
        exit_time, exit_price, reported_pnl or exit_reason.
    skill: true Sharpe per trade net of fees; index `day` (UTC midnight at the day's start), one column per bot_id.
    skill_pnl: what the skill should bring on the day: trades a day * pnl scale * skill; index and columns as `skill`.
    expected_pnl: the same to one who also knows the luck of the day before, which `adverse` takes back in part.
    scores: columns day, bot_id and the three model scores (0..100, NaN where missing), known at the end of `day`; the
        informative one speaks of the skill on the day after.
    """

    trades: pd.DataFrame
    skill: pd.DataFrame
    skill_pnl: pd.DataFrame
    expected_pnl: pd.DataFrame
    scores: pd.DataFrame
    world: str
    seed: int


@dataclass(frozen=True)
class _Bots:
    """Arrays with one entry per bot; `second` is -1 where a bot keeps to its main ticker."""

    ticker: Ints
    second: Ints
    side: Ints
    strategy: Ints
    rate: Floats
    notional: Floats


def simulate(world: str, *, bots: int, days: int, seed: int, end: datetime) -> Simulation:
    """Simulate bots 1..bots over the `days` UTC days before `end` (a UTC midnight, exclusive).

    The same arguments give the same frames in any process. Raises ValueError for an unknown world, fewer than one bot
    or day, a negative seed, or an `end` that is no UTC midnight.
    """
    _check(world, bots, days, seed, end)
    law = BOT_WORLDS[world]
    bot_rng, skill_rng, trade_rng, price_rng, score_rng = np.random.default_rng(seed).spawn(5)
    start = pd.Timestamp(end.astimezone(UTC) - timedelta(days=days)).as_unit("us")
    population = _draw_bots(bot_rng, bots)
    skill = _draw_skill(skill_rng, bots, days + 1)  # the scores of the last day speak of the day after it
    if not law.skilled:
        skill = np.zeros_like(skill)
    skill = skill + law.level
    index = pd.date_range(start, periods=days, freq="D", name="day")
    trades, luck = _draw_trades(trade_rng, population, skill[:days], _draw_prices(price_rng, days), law, start)
    daily = population.rate * population.notional * RETURN_SD
    trades = trades.sort_values(["exit_time", "entry_time"], na_position="last", kind="stable", ignore_index=True)
    trades.insert(0, "source_trade_id", f"{world}-{seed}-" + (trades.index + 1).astype("str"))

    def by_day(values: Floats) -> pd.DataFrame:
        return pd.DataFrame(values, index=index, columns=pd.RangeIndex(1, bots + 1, name="bot_id"))

    return Simulation(
        trades=trades,
        skill=by_day(skill[:days]),
        skill_pnl=by_day(daily * skill[:days]),
        expected_pnl=by_day(daily * (skill[:days] - law.reversal * luck)),
        scores=_draw_scores(score_rng, skill, law, index),
        world=world,
        seed=seed,
    )


def _check(world: str, bots: int, days: int, seed: int, end: datetime) -> None:
    if world not in BOT_WORLDS:
        raise ValueError(f"unknown world {world!r}: choose one of {', '.join(BOT_WORLDS)}")
    if bots < 1 or days < 1 or seed < 0:
        raise ValueError(f"need bots >= 1, days >= 1, seed >= 0; got bots={bots}, days={days}, seed={seed}")
    if end.utcoffset() != timedelta(0) or end.timestamp() % 86_400:
        raise ValueError(f"end must be midnight in UTC, got {end.isoformat()}")


def _draw_bots(rng: np.random.Generator, bots: int) -> _Bots:
    ticker = rng.integers(len(TICKERS), size=bots)
    other = (ticker + rng.integers(1, len(TICKERS), size=bots)) % len(TICKERS)
    return _Bots(
        ticker=ticker,
        second=np.where(rng.random(bots) < SECOND_TICKER_BOTS, other, -1),
        side=rng.choice([1, -1], size=bots),
        strategy=rng.integers(len(STRATEGIES), size=bots),
        rate=RATE_MEDIAN * np.exp(RATE_LOG_SD * rng.standard_normal(bots)),
        notional=NOTIONAL_MEDIAN * np.exp(PNL_SCALE_LOG_SD * rng.standard_normal(bots)),
    )


def _draw_skill(rng: np.random.Generator, bots: int, days: int) -> Floats:
    """True Sharpe per trade, days x bots, each part in its stationary state from the first day."""
    constant = CONSTANT_SD * rng.standard_normal(bots)
    effect = REGIME_SD * rng.standard_normal((REGIMES, bots))
    leaves = rng.random(days) < 1 / REGIME_MEAN_DAYS
    regime = np.cumsum(np.where(leaves, rng.integers(1, REGIMES, size=days), 0)) % REGIMES
    persistence = 0.5 ** (1 / AR_HALF_LIFE_DAYS)
    ar = AR_SD * rng.standard_normal((days, bots))
    for day in range(1, days):
        ar[day] = persistence * ar[day - 1] + sqrt(1 - persistence**2) * ar[day]
    out: Floats = constant + ar + effect[regime]
    return out


def _draw_prices(rng: np.random.Generator, days: int) -> Floats:
    """Log prices, steps x tickers: random walks from the first to the last midnight."""
    first, daily_sd = np.array(list(TICKERS.values())).T
    moves = rng.standard_normal((days * STEPS_PER_DAY, len(TICKERS))) * daily_sd / sqrt(STEPS_PER_DAY)
    out: Floats = np.log(first) + np.vstack([np.zeros(len(TICKERS)), np.cumsum(moves, axis=0)])
    return out


def _draw_trades(
    rng: np.random.Generator, bots: _Bots, skill: Floats, log_prices: Floats, law: BotWorld, start: pd.Timestamp
) -> tuple[pd.DataFrame, Floats]:
    """Canonical trade rows without their ids, in no particular order, and each bot's luck of the day before."""
    days, n_bots = skill.shape
    cell = np.repeat(np.arange(days * n_bots), rng.poisson(bots.rate, size=skill.shape).ravel())
    still_open = (days - 1) * n_bots + rng.permutation(n_bots)[:OPEN_TRADES]
    is_open = np.arange(cell.size + still_open.size) >= cell.size
    cell = np.concatenate([cell, still_open])
    day, bot = np.divmod(cell, n_bots)

    strays = (bots.second[bot] >= 0) & (rng.random(cell.size) < SECOND_TICKER_TRADES)
    ticker = np.where(strays, bots.second[bot], bots.ticker[bot])
    side, notional = bots.side[bot], bots.notional[bot]
    noise, luck = _draw_noise(rng, cell, 2 * ticker + (side < 0), skill.shape, law.reversal)
    result = skill[day, bot] + noise

    median = np.array(list(STRATEGIES.values()))[bots.strategy[bot]]
    seconds = median * np.exp(DURATION_LOG_SD * rng.standard_normal(cell.size))
    duration = (np.clip(seconds, MIN_SECONDS, MAX_SECONDS) * 1e6).astype(np.int64)
    # A closed trade ends within its day; an open one is still open at the day's end.
    earliest, latest = np.where(is_open, DAY - duration, 0), np.where(is_open, DAY, DAY - duration)
    entry = day * DAY + earliest + (rng.random(cell.size) * (latest - earliest)).astype(np.int64)

    entry_price = _price_at(log_prices, entry, ticker)
    fees = FEE_RATE * notional
    pnl = notional * RETURN_SD * result
    exit_price = entry_price * (1 + side * (pnl + fees) / notional)
    confidence = rng.normal(CONFIDENCE_MEAN + CONFIDENCE_PER_SKILL * skill[day, bot], CONFIDENCE_SD)
    reason = np.select([is_open, result > EXIT_AT, result < -EXIT_AT], [-1, 0, 1], 2)
    trades = pd.DataFrame(
        {
            "bot_id": bot + 1,
            "strategy_id": _text(list(STRATEGIES), bots.strategy[bot]),
            "ticker": _text(list(TICKERS), ticker),
            "direction": _text(["LONG", "SHORT"], (side < 0).astype(int)),
            "status": _text(["closed", "open"], is_open.astype(int)),
            "entry_time": start + pd.to_timedelta(entry, unit="us"),
            "exit_time": (start + pd.to_timedelta(entry + duration, unit="us")).where(~is_open),
            "entry_price": entry_price,
            "exit_price": np.where(is_open, np.nan, exit_price),
            "notional": notional,
            "fees": np.where(is_open, fees / 2, fees),
            "reported_pnl": np.where(is_open, np.nan, pnl),
            "quote_currency": _text([QUOTE_CURRENCY], np.zeros_like(cell)),
            "signal_confidence": np.clip(confidence, 0, 1),
            "exit_reason": _text(["tp", "sl", "exit_signal"], reason),
        }
    )
    return trades, luck


def _draw_noise(
    rng: np.random.Generator, cell: Ints, group: Ints, shape: tuple[int, int], reversal: float
) -> tuple[Floats, Floats]:
    """Unit-variance noise per trade, and the luck of the day before, days x bots.

    `cell` is the trade's place in days x bots and `shape` counts both.
    """
    days, n_bots = shape
    # Dividing by an independent chi weakens the correlation by E[1/s]^2 / E[1/s^2]; the shared part makes up for it.
    weakening = (T_DF / 2 - 1) * (gamma((T_DF - 1) / 2) / gamma(T_DF / 2)) ** 2
    shared = FACTOR_CORRELATION / weakening
    factor = rng.standard_normal((days, 2 * len(TICKERS)))[cell // n_bots, group]
    normal = sqrt(shared) * factor + sqrt(1 - shared) * rng.standard_normal(cell.size)
    fresh = np.clip(normal * np.sqrt((T_DF - 2) / rng.chisquare(T_DF, cell.size)), -MAX_NOISE, MAX_NOISE)

    count = np.bincount(cell, minlength=days * n_bots)
    surprise = np.bincount(cell, weights=fresh, minlength=days * n_bots)
    variance = count * (1 + (count - 1) * FACTOR_CORRELATION)
    luck = surprise / np.sqrt(np.maximum(variance, 1))
    yesterday = np.concatenate([np.zeros(n_bots), luck[:-n_bots]])
    noise = np.clip(sqrt(1 - reversal**2) * fresh - reversal * yesterday[cell], -MAX_NOISE, MAX_NOISE)
    return noise, yesterday.reshape(shape)


def _draw_scores(rng: np.random.Generator, skill: Floats, law: BotWorld, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Scores of each day and bot; `skill` has one day more than `days`."""
    n_days, n_bots = len(days), skill.shape[1]
    z = rng.standard_normal((len(SCORES), n_days, n_bots))
    loading = np.where(np.arange(n_days) < n_days // 2, law.early, law.late)[:, None]
    z[SCORES.index(INFORMATIVE_SCORE)] *= np.sqrt(1 - loading**2)
    z[SCORES.index(INFORMATIVE_SCORE)] += loading * skill[1:] / SKILL_SD
    observed = np.where(rng.random(z.shape) < SCORE_MISSING, np.nan, np.clip(SCORE_MEAN + SCORE_SD * z, 0, 100))
    keys = {"day": days.repeat(n_bots), "bot_id": np.tile(np.arange(1, n_bots + 1), n_days)}
    return pd.DataFrame(keys | {name: observed[k].ravel() for k, name in enumerate(SCORES)})


def _price_at(log_prices: Floats, micros: Ints, ticker: Ints) -> Floats:
    step, within = np.divmod(micros, DAY // STEPS_PER_DAY)
    share = within / (DAY // STEPS_PER_DAY)
    out: Floats = np.exp((1 - share) * log_prices[step, ticker] + share * log_prices[step + 1, ticker])
    return out


def _text(names: list[str], codes: Ints) -> pd.Series:
    """The names of the codes; missing where a code is -1."""
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(names))).astype("str")
