"""Every figure of `bot_metrics` and `win_streaks`, for any number of as_of instants in one pass over the trades.

The same functions serve the running day, a backfill and the learners' panels. A figure depends only on the trades of
its own window: neither the other windows of the call nor later trades change a bit of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.figures import ALL_TICKERS, DEFAULT_CAPITAL, METRICS, STREAK_LENGTHS, VARIABLES
from knowdefeat_pipeline.core.series import DAY, SECOND, WINDOW_DAYS, Floats, Ints, Series, Trades, positions
from knowdefeat_pipeline.core.streaks import StreakFigures, expected_frequency, streak_figures
from knowdefeat_pipeline.core.summaries import Lifetimes, Stretches, daily_summaries, lifetimes, monthly_summaries
from knowdefeat_pipeline.core.windows import PathFigures, annual_ratios, day_number, path_figures, ratio

PERFORMANCE = tuple(variable for variable in VARIABLES if variable.scaling == "performance")


@dataclass(frozen=True)
class Windows:
    """All (series, as_of) windows of a call, flattened with as_of running fastest.

    `at(days)` gives where the trailing window of that length begins; `low`/`high` bound the main window.
    """

    series: Series
    exit: Ints
    pnl: Floats
    as_of: Ints
    cuts: Ints
    cut_positions: Ints
    low: Ints
    high: Ints

    @classmethod
    def of(cls, trades: Trades, series: Series, as_of: Ints, window_days: float | None) -> Windows:
        lengths = [round(v.window_days * DAY) for v in PERFORMANCE]
        main = None if window_days is None else round(window_days * DAY)
        offsets = np.array([0, *lengths, *([] if main is None else [main])])
        cuts = np.unique(as_of[:, None] - offsets)
        exit_ = trades.exit[series.rows]
        cut_positions = positions(exit_, series.start, series.stop, cuts)
        high = cut_positions[:, np.searchsorted(cuts, as_of)]
        low = (
            np.broadcast_to(series.start[:, None], high.shape)
            if main is None
            else cut_positions[:, np.searchsorted(cuts, as_of - main)]
        )
        flat = (np.ascontiguousarray(bound).ravel() for bound in (low, high))
        return cls(series, exit_, trades.pnl[series.rows], as_of, cuts, cut_positions, *flat)

    def at(self, days: float) -> Ints:
        """Per window, the index of the first trade with exit > as_of - days."""
        return self.cut_positions[:, np.searchsorted(self.cuts, self.as_of - round(days * DAY))].ravel()

    @property
    def as_of_each(self) -> Ints:
        return np.tile(self.as_of, len(self.series))

    def per_window(self, values: np.ndarray) -> np.ndarray:
        """A value per series repeated for each as_of."""
        return np.repeat(values, len(self.as_of))


@dataclass(frozen=True)
class Past:
    """What is known of the time before the trades given: summaries of whole months, so that lifetimes stay exact.

    `bot` and `ticker` (name, `*` for all) name the series that `months.series` counts.
    """

    bot: Ints
    ticker: np.ndarray
    months: Stretches


def bot_metrics(
    trades: Trades, as_of: Ints, *, capital: Mapping[int, float] | None = None,
    window_days: float | None = WINDOW_DAYS, past: Past | None = None,
) -> pd.DataFrame:
    """All figures of METRICS at each as_of (µs, ascending), one row per as_of, bot and ticker, `*` for all tickers.

    `window_days` None looks at the whole history instead of the trailing 30 days. With `past`, `trades` begins with the
    month of the first as_of (or 30 days before it, if that is earlier). `capital` by bot, default 10,000. A bot has rows
    from its first exit on; figures that cannot be computed are NaN (None for text).
    """
    trades, series, months = _universe(trades, past)
    windows = Windows.of(trades, series, as_of, window_days)
    money = windows.per_window(_capital(series.bot, capital))
    life = _lifetimes(windows, months, _capital(series.bot, capital))
    columns = _performances(windows)
    columns |= _window_figures(trades, windows, money, life, window_days)
    columns |= _streak_variables(streak_figures(windows.pnl, series.start, windows.low, windows.high), windows)
    columns |= _main(trades, windows)
    columns |= _lifetime_figures(life)
    return _frame(trades, windows, columns, life.trades.ravel() > 0)


def win_streaks(trades: Trades, as_of: Ints) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Streak figures of each bot at each as_of: a row per length 2..7, and a summary row (see STREAKS, STREAK_SUMMARY).

    `trades` must reach back 30 days before the first as_of. Bots without a trade in the window have rows with counts 0.
    """
    series = Series.of(trades)
    bots = int((series.ticker < 0).sum())
    series = Series(
        series.rows[: len(trades)], series.start[:bots], series.stop[:bots], series.bot[:bots], series.ticker[:bots],
        (np.arange(bots), series.ticker[:bots]),
    )
    windows = Windows.of(trades, series, as_of, WINDOW_DAYS)
    figures = streak_figures(windows.pnl, series.start, windows.low, windows.high)
    count = windows.high - windows.low
    won = np.concatenate([[0], np.cumsum(windows.pnl > 0)])
    rate = _percent(won[windows.high] - won[windows.low], count)
    seen = windows.high > windows.per_window(series.start)
    key = {"as_of": windows.as_of_each, "bot_id": windows.per_window(series.bot)}
    summary = pd.DataFrame(
        {
            **key, "trades": count, "win_rate": rate, "longest_win_streak": figures.longest_win,
            "longest_loss_streak": figures.longest_loss, "current_streak": figures.current,
            "streakiness_p_value": figures.p_value,
        }
    )
    lengths = pd.DataFrame(
        {
            **{name: np.repeat(values, len(STREAK_LENGTHS)) for name, values in key.items()},
            "streak_length": np.tile(STREAK_LENGTHS, len(count)),
            "hits": figures.hits.ravel(),
            "frequency": _percent(figures.hits, count[:, None]).ravel(),
            "runs": figures.runs.ravel(),
            "expected_frequency": expected_frequency(count, rate).ravel(),
        }
    )
    return _ordered(lengths[np.repeat(seen, len(STREAK_LENGTHS))]), _ordered(summary[seen])


def _universe(trades: Trades, past: Past | None) -> tuple[Trades, Series, Stretches | None]:
    """The series of trades and past together, and the past's months renumbered to them."""
    if past is None:
        return trades, Series.of(trades), None
    single = past.ticker != ALL_TICKERS
    trades = trades.with_tickers(past.ticker[single])
    code = {name: number for number, name in enumerate(trades.tickers)} | {ALL_TICKERS: -1}
    past_code = np.array([code[name] for name in past.ticker], dtype=np.int64)
    seen = Series.of(trades)
    pairs = (
        np.concatenate([seen.bot[seen.answers[0]][seen.answers[1] >= 0], past.bot[single]]),
        np.concatenate([seen.answers[1][seen.answers[1] >= 0], past_code[single]]),
    )
    series = Series.of(trades, pairs)
    number = {key: at for at, key in enumerate(zip(series.bot.tolist(), series.ticker.tolist(), strict=True))}
    mapped = np.array([number.get(key, -1) for key in zip(past.bot.tolist(), past_code.tolist(), strict=True)], np.int64)
    months = past.months
    moved = Stretches(mapped[months.series], months.day, months.summaries)
    rows = np.flatnonzero(moved.series >= 0)
    return trades, series, moved.take(rows[np.lexsort((moved.day[rows], moved.series[rows]))])


def _capital(bots: Ints, capital: Mapping[int, float] | None) -> Floats:
    known = capital or {}
    return np.array([known.get(bot, DEFAULT_CAPITAL) for bot in bots.tolist()], dtype=np.float64)


def _lifetimes(windows: Windows, months: Stretches | None, capital: Floats) -> Lifetimes:
    """Folded to each as_of. A day that is still running is summarised up to as_of only, so it goes by itself."""
    series, as_of = windows.series, windows.as_of
    shape = (len(series), len(as_of))
    high = windows.high.reshape(shape)
    whole = as_of % DAY == 0
    parts = [np.flatnonzero(whole), *([at] for at in np.flatnonzero(~whole))]
    out = {name: np.empty(shape, np.int64 if name in ("trades", "wins", "first_exit", "last_exit") else np.float64)
           for name in Lifetimes.__dataclass_fields__}
    for columns in parts:
        if len(columns) == 0:
            continue
        days = daily_summaries(windows.pnl, windows.exit, series.start, high[:, columns[-1]])
        all_months = monthly_summaries(days)
        if months is not None:
            all_months = months.union(all_months)
        life = lifetimes(days, all_months, day_number(as_of[columns]), capital)
        for name, values in out.items():
            values[:, columns] = getattr(life, name)
    return Lifetimes(**out)


def _performances(windows: Windows) -> dict[str, np.ndarray]:
    padded = np.append(windows.pnl, 0.0)
    out = {}
    for variable in PERFORMANCE:
        low = windows.at(variable.window_days)
        bounds = np.stack([low, windows.high], axis=1).ravel()
        sums = np.add.reduceat(padded, bounds)[::2] if len(bounds) else np.empty(0)
        out[variable.name] = np.where(windows.high > low, sums, np.nan)
    return out


def _window_figures(
    trades: Trades, windows: Windows, capital: Floats, life: Lifetimes, window_days: float | None
) -> dict[str, np.ndarray]:
    low, high, series = windows.low, windows.high, windows.series
    count = high - low
    some = count > 0
    first_exit = life.first_exit.ravel()
    as_of = windows.as_of_each
    wins, losses = _count(windows.pnl > 0, low, high), _count(windows.pnl < 0, low, high)
    held = _count((trades.exit - trades.entry)[series.rows], low, high) / SECOND
    widest = _touched_days(windows, window_days)
    path = path_figures(windows.pnl, windows.exit, low, high, as_of, capital, widest)
    days_alive = np.clip((as_of - first_exit) / DAY, 1.0, window_days or np.inf)
    sd = np.sqrt(path.deviation / np.maximum(count - 1, 1))
    best, worst = _extremes(windows)
    sd[(count < 2) | (best == worst)] = np.nan
    frequency = np.where(some, count / days_alive, np.nan)
    mean = path.total / np.maximum(count, 1)
    sharpe, sortino, calmar = annual_ratios(path.daily, _calendar_days(windows, first_exit, widest), capital)
    return {
        "avg_win_rate": _percent(wins, count), "avg_drawdown": path.avg_drawdown,
        "profit_per_second": ratio(path.total, held),
        "trades": count, "wins": wins, "losses": losses,
        "total_pnl": path.total, "avg_pnl": mean, "gross_profit": path.gross_profit, "gross_loss": path.gross_loss,
        "profit_factor": ratio(path.gross_profit, path.gross_loss), "expectancy": mean,
        "payoff_ratio": _payoff(path, wins, losses),
        "sqn": np.sqrt(count) * mean / sd,
        "sharpe": _only(some, sharpe), "sortino": _only(some, sortino), "calmar": _only(some, calmar),
        "max_drawdown": path.max_drawdown, "max_drawdown_amount": path.max_drawdown_amount,
        "avg_drawdown_amount": path.avg_drawdown_amount,
        "volatility": np.where(best == worst, np.where(count >= 2, 0.0, np.nan), sd * np.sqrt(frequency)),
        "time_in_drawdown": _time_in_drawdown(windows, path), "trade_frequency": frequency,
        "avg_trade_duration": np.where(some, held / np.maximum(count, 1), np.nan),
        "best_trade": best, "worst_trade": worst, "price_slippage": _slippage(trades, windows),
    }


def _count(values: np.ndarray, low: Ints, high: Ints) -> Ints:
    """Integer sums over windows, exact however long the series (differences wrap right)."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return total[high] - total[low]


def _percent(part: Ints, whole: Ints) -> Floats:
    return np.where(whole > 0, 100.0 * part / np.maximum(whole, 1), np.nan)


def _only(some: np.ndarray, values: Floats) -> Floats:
    return np.where(some, values, np.nan)


def _payoff(path: PathFigures, wins: Ints, losses: Ints) -> Floats:
    return _only(wins > 0, ratio(path.gross_profit * losses, path.gross_loss * np.maximum(wins, 1)))


def _touched_days(windows: Windows, window_days: float | None) -> int:
    if window_days is not None:
        return int(np.ceil(window_days)) + 1
    return int(np.ptp(day_number(np.append(windows.exit, windows.as_of)))) + 1


def _calendar_days(windows: Windows, first_exit: Ints, widest: int) -> Ints:
    """Calendar days of the window since the first trade; a running day's 30 days touch 31."""
    touched = np.where(windows.as_of % DAY == 0, widest - 1, widest) if widest > 1 else np.ones(len(windows.as_of), int)
    alive = day_number(windows.as_of_each) - day_number(first_exit) + 1
    return np.clip(alive, 1, np.tile(touched, len(windows.series)))


def _extremes(windows: Windows) -> tuple[Floats, Floats]:
    padded = np.append(windows.pnl, 0.0)
    bounds = np.stack([windows.low, windows.high], axis=1).ravel()
    some = windows.high > windows.low
    if len(bounds) == 0:
        return np.empty(0), np.empty(0)
    return tuple(_only(some, f.reduceat(padded, bounds)[::2]) for f in (np.maximum, np.minimum))


def _time_in_drawdown(windows: Windows, path: PathFigures) -> Floats:
    first = windows.exit[np.minimum(windows.low, max(len(windows.exit) - 1, 0))] if len(windows.exit) else windows.low
    elapsed = np.where(windows.high > windows.low, windows.as_of_each - first, 0)
    return 100 * ratio(path.time_under, elapsed)


def _slippage(trades: Trades, windows: Windows) -> Floats:
    value = trades.slippage[windows.series.rows]
    known = ~np.isnan(value)
    if not known.any():
        return np.full(len(windows.low), np.nan)
    padded = np.append(np.where(known, value, 0.0), 0.0)
    bounds = np.stack([windows.low, windows.high], axis=1).ravel()
    count = _count(known, windows.low, windows.high)
    return ratio(np.where(count > 0, np.add.reduceat(padded, bounds)[::2], 0.0), count)


def _streak_variables(figures: StreakFigures, windows: Windows) -> dict[str, np.ndarray]:
    frequency = _percent(figures.hits, (windows.high - windows.low)[:, None])
    return {f"win_streak_{length}": frequency[:, at] for at, length in enumerate(STREAK_LENGTHS)}


def _main(trades: Trades, windows: Windows) -> dict[str, np.ndarray]:
    """The most traded ticker × direction of each window; ties go to the first by name."""
    series = windows.series
    number = np.repeat(np.arange(len(series)), series.stop - series.start)
    kind = trades.ticker[series.rows].astype(np.int64) * 2 + ~trades.long[series.rows]
    width = 2 * len(trades.tickers)
    combos, combo = np.unique(number * width + kind, return_inverse=True)
    best = np.full(len(windows.low), -1)
    if len(combos):
        counts = _combo_counts(windows, combo, len(combos))
        owner = combos // width
        first = np.flatnonzero(np.diff(owner, prepend=-1) != 0)
        most = np.maximum.reduceat(counts, first, axis=0)
        leads = counts == np.repeat(most, np.diff(np.append(first, len(combos))), axis=0)
        leader = np.minimum.reduceat(np.where(leads, np.arange(len(combos))[:, None], len(combos)), first, axis=0)
        shaped = best.reshape(len(series), -1)
        shaped[owner[first]] = np.where(most > 0, combos[leader] % width, -1)
    tickers = np.array([*trades.tickers, None], dtype=object)
    directions = np.array(["LONG", "SHORT", None], dtype=object)
    return {
        "main_ticker": tickers[np.where(best < 0, len(trades.tickers), best // 2)],
        "main_direction": directions[np.where(best < 0, 2, best % 2)],
    }


def _combo_counts(windows: Windows, combo: Ints, combos: int) -> Ints:
    """Trades of each (series, ticker, direction) in each main window; shape (combos, as_ofs)."""
    order = np.argsort(combo, kind="stable")
    stop = np.cumsum(np.bincount(combo, minlength=combos))
    start = np.concatenate([[0], stop[:-1]])
    at = positions(windows.exit[order], start, stop, windows.cuts)
    upper = at[:, np.searchsorted(windows.cuts, windows.as_of)]
    shape = (len(windows.series), len(windows.as_of))
    begin = windows.low.reshape(shape)
    if (begin == windows.series.start[:, None]).all():
        return upper - start[:, None]
    lower = at[:, np.searchsorted(windows.cuts, windows.as_of - WINDOW_DAYS * DAY)]
    return upper - lower


def _lifetime_figures(life: Lifetimes) -> dict[str, np.ndarray]:
    return {
        "first_exit": life.first_exit.ravel(), "last_exit": life.last_exit.ravel(),
        "lifetime_trades": life.trades.ravel(), "lifetime_pnl": life.pnl.ravel(),
        "lifetime_max_drawdown": life.max_drawdown.ravel(),
        "lifetime_win_rate": _percent(life.wins.ravel(), life.trades.ravel()),
        "lifetime_profit_factor": ratio(life.gross_profit.ravel(), life.gross_loss.ravel()),
    }


def _frame(trades: Trades, windows: Windows, columns: dict[str, np.ndarray], seen: np.ndarray) -> pd.DataFrame:
    series, per = windows.series, len(windows.as_of)
    answering, ticker = series.answers
    row = (answering[:, None] * per + np.arange(per)).ravel()
    names = np.array([*trades.tickers, ALL_TICKERS], dtype=object)
    frame = pd.DataFrame(
        {
            "as_of": windows.as_of_each[row], "bot_id": windows.per_window(series.bot)[row],
            "ticker": np.repeat(names[ticker], per),
            **{f.name: columns[f.name][row] if f.name in columns else np.nan for f in METRICS},
        }
    )
    return _ordered(frame[seen[row]])


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in ("as_of", "bot_id", "ticker", "streak_length") if name in frame]
    frame = frame.sort_values(keys, kind="stable", ignore_index=True)
    for name in ("as_of", "first_exit", "last_exit"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], unit="us", utc=True)
    return frame
