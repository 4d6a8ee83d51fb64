"""Every figure of `bot_metrics` and `win_streaks`, for any number of as_of instants in one pass over the trades.

The same functions serve the running day, a backfill and the learners' panels. A figure depends only on the trades of
its own window: neither the other windows of the call nor later trades change a bit of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.drawdown import time_in_drawdown
from knowdefeat_pipeline.core.metrics.figures import (
    alike,
    expectancy,
    payoff_ratio,
    percentage,
    profit_factor,
    profit_per_second,
    ratio,
    spread_of_pnl,
    sqn,
    trade_frequency,
    volatility,
    win_rate,
)
from knowdefeat_pipeline.core.metrics.lifetime import Lifetimes, Past, lifetimes
from knowdefeat_pipeline.core.metrics.order import order_p_value
from knowdefeat_pipeline.core.metrics.path import PathFigures, path_figures
from knowdefeat_pipeline.core.metrics.returns import (
    MIN_TRADING_DAYS,
    calmar_ratio,
    daily_pnl,
    sharpe_interval,
    sharpe_ratio,
    sortino_ratio,
    trading_days,
)
from knowdefeat_pipeline.core.metrics.score_means import TradeScores
from knowdefeat_pipeline.core.metrics.streaks import Runs, expected_frequency, streak_figures, win_streaks
from knowdefeat_pipeline.core.metrics.summaries import Stretches, daily_summaries, month_number, monthly_summaries
from knowdefeat_pipeline.core.metrics.windows import Windows
from knowdefeat_pipeline.core.rows import Columns, as_frame, chosen, joined
from knowdefeat_pipeline.core.schema.figure import ALL_TICKERS
from knowdefeat_pipeline.core.schema.metrics import METRICS, OF_CAPITAL
from knowdefeat_pipeline.core.schema.variables import STREAK_LENGTHS, VARIABLES
from knowdefeat_pipeline.core.trades.columns import BLOCK_TRADES, Trades
from knowdefeat_pipeline.core.trades.reductions import reduce_windows
from knowdefeat_pipeline.core.trades.series import Series, counts_before, positions
from knowdefeat_pipeline.core.units import (
    DAY,
    NEVER,
    ROUNDING,
    SECOND,
    WINDOW_DAYS,
    Array,
    Bools,
    Floats,
    Ints,
    day_of,
    last_day,
)

BLOCK_ROWS = 30_000
FEWEST_ROWS = 2  # of a bot at an as_of: over all tickers, and of its only one
_NO_BOT, _ALL_BOTS = -(2**62), 2**62
PERFORMANCE = {variable.name: variable.window_days for variable in VARIABLES if variable.scaling == "performance"}
TINY = 1e-290
# What figures rest on that change as time goes by, though nothing trades: `volatility`, `trade_frequency` and
# `time_in_drawdown`, and what open positions are worth, from which `max_drawdown_with_open` follows.
CARRIED = ("pnl_sd", "window_first_exit", "drawdown_time", "drawdown_since", "below_peak", "peak_equity")


def bot_metrics(
    trades: Trades,
    as_of: Ints,
    *,
    capital: Capital | None = None,
    window_days: float | None = WINDOW_DAYS,
    past: Past | None = None,
    trade_scores: TradeScores | None = None,
) -> pd.DataFrame:
    """All figures of METRICS at each as_of (µs), one row per as_of, bot and ticker, `*` for all tickers.

    `window_days` None looks at the whole history instead of the trailing 30 days. With `past` (all months before that
    of the first as_of's last day), `trades` begins with that month, or 30 days before the first as_of if that is
    earlier. Without the `capital` of a bot the figures that rest on it are NaN. `trade_scores`: of trades with exits in
    the windows, at least. A bot has rows once a trade has closed; figures that cannot be computed are NaN.
    """
    blocks = [
        {name: values for name, values in block.items() if name not in CARRIED}
        for block in bot_metrics_blocks(
            trades, as_of, capital=capital, window_days=window_days, past=past, trade_scores=trade_scores
        )
    ]
    rows = joined(blocks)
    return as_frame(rows if len(blocks) == 1 else chosen(rows, np.argsort(rows["as_of"], kind="stable")))


def bot_metrics_blocks(
    trades: Trades,
    as_of: Ints,
    *,
    capital: Capital | None = None,
    window_days: float | None = WINDOW_DAYS,
    past: Past | None = None,
    trade_scores: TradeScores | None = None,
) -> Iterator[Columns]:
    """The rows of `bot_metrics`, some bots at a time, so that a reader can take them in while the next are computed.

    With the columns CARRIED, by which `carry_metrics` and the database know all figures at a later as_of.
    """
    as_of = np.unique(as_of)
    for block in _blocks(trades, past, trade_scores, len(as_of)):
        yield _bot_metrics(*block, as_of, capital or Capital(), window_days)


def carry_metrics(rows: Columns, as_of: int) -> Columns:
    """Rows of `bot_metrics_blocks` at a later as_of of the same day: what it would answer there, bit for bit.

    Not at the day's end, where the window touches a calendar day less. Of bots that `moved_bots` does not name and of
    which no trade has arrived.
    """
    end = np.full(len(rows["as_of"]), as_of)
    figures = _figures_of_time(
        end,
        rows["trades"],
        rows["first_exit"],
        WINDOW_DAYS,
        rows["pnl_sd"],
        rows["window_first_exit"],
        rows["drawdown_time"],
        rows["drawdown_since"],
    )
    return rows | {"as_of": end} | figures


def carry_streaks(rows: Columns, as_of: int) -> Columns:
    """Rows of `win_streak_rows` at a later as_of of the same day, of bots as in `carry_metrics`."""
    return rows | {"as_of": np.full(len(rows["as_of"]), as_of)}


def moved_bots(bot: Ints, exit_: Ints, before: int, as_of: int) -> Ints:
    """The bots of trades that are in another window at `as_of` than at `before`.

    `bot` and `exit_` (µs) have an entry per trade, in any order.
    """
    moved = np.zeros(len(bot), bool)
    for days in {0, WINDOW_DAYS, *PERFORMANCE.values()}:
        length = round(days * DAY)
        moved |= (exit_ >= before - length) & (exit_ < as_of - length)
    return np.unique(bot[moved])


def _blocks(
    trades: Trades, past: Past | None, trade_scores: TradeScores | None, ends: int
) -> Iterator[tuple[Trades, Past | None, TradeScores | None]]:
    """Trades, past and trade_scores, some bots at a time: memory stays bounded and arrays near the processor."""
    begin = np.flatnonzero(np.diff(trades.bot, prepend=trades.bot[:1] - 1))
    share = np.diff(begin, append=len(trades)) / BLOCK_TRADES + FEWEST_ROWS * ends / BLOCK_ROWS
    full = np.flatnonzero(np.diff(np.floor(np.cumsum(share)), prepend=0.0))
    cuts = [_NO_BOT, *trades.bot[begin[full]].tolist(), _ALL_BOTS]
    for low, high in pairwise(cuts):
        first, stop = np.searchsorted(trades.bot, [low, high], "right")
        if first < stop or high == _ALL_BOTS:
            yield (
                trades.rows(first, stop),
                past.of_bots(low, high) if past else None,
                trade_scores.of_bots(low, high) if trade_scores else None,
            )


def _bot_metrics(
    trades: Trades,
    past: Past | None,
    trade_scores: TradeScores | None,
    as_of: Ints,
    capital: Capital,
    window_days: float | None,
) -> Columns:
    trades, series, months = _universe(trades, past)
    windows = Windows.of(trades, series, as_of, window_days, shorter=list(PERFORMANCE.values()))
    money = capital.at(series.bot, as_of)
    life = _lifetimes(windows, months, money)
    columns = _performances(windows)
    columns |= _window_figures(trades, windows, np.where(np.isnan(money), 1.0, money).ravel(), life, window_days)
    columns |= _streak_variables(windows)
    columns |= _main(trades, windows)
    if trade_scores:
        columns |= trade_scores.means(series, trades.tickers, windows.since, windows.as_of)
    columns |= _lifetime_figures(life)
    columns |= {name: np.where(np.isnan(money.ravel()), np.nan, columns[name]) for name in OF_CAPITAL}
    columns["capital"] = money.ravel()
    columns["capital_is_estimated"] = np.repeat(capital.is_estimated(series.bot), len(as_of))
    names = [*(figure.name for figure in METRICS), *CARRIED]
    return _rows(trades, windows, columns, names, life.trades.ravel() > 0)


def win_streak_rows(trades: Trades, as_of: Ints) -> Columns:
    """`win_streak_tables` in one: the summary's rows with `hits_2`, `runs_2`, `expected_frequency_2` and so on."""
    lengths, summary = _win_streaks(trades, as_of, WINDOW_DAYS)
    counted = {
        f"{name}_{length}": values[:, at]
        for name in ("hits", "runs", "expected_frequency")
        for values in [lengths[name]]
        for at, length in enumerate(STREAK_LENGTHS)
    }
    return summary | counted


def win_streak_blocks(trades: Trades, as_of: Ints) -> Iterator[Columns]:
    """The rows of `win_streak_rows`, some bots at a time, as those of `bot_metrics_blocks`."""
    for block, _, _ in _blocks(trades, None, None, len(as_of)):
        yield win_streak_rows(block, as_of)


def win_streak_tables(
    trades: Trades, as_of: Ints, *, window_days: float | None = WINDOW_DAYS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Streak figures of each bot at each as_of: a row per length 2..7, and a summary row (see STREAKS, STREAK_SUMMARY).

    `trades` must reach back `window_days` before the first as_of; None looks at the whole history. A bot has rows while
    it has a trade in the window, so that they do not depend on how far back the trades reach.
    """
    lengths, summary = _win_streaks(trades, as_of, window_days)
    key = {name: np.repeat(summary[name], len(STREAK_LENGTHS)) for name in ("as_of", "bot_id")}
    key["streak_length"] = np.tile(STREAK_LENGTHS, len(summary["as_of"]))
    return as_frame(key | {name: values.ravel() for name, values in lengths.items()}), as_frame(summary)


def _win_streaks(trades: Trades, as_of: Ints, window_days: float | None) -> tuple[Columns, Columns]:
    """The figures of each length, shape (rows, lengths), and the summary's rows."""
    as_of = np.unique(as_of)
    series = Series.of(trades)
    bots = int((series.ticker < 0).sum())
    series = Series(
        series.rows[: len(trades)],
        series.start[:bots],
        series.stop[:bots],
        series.bot[:bots],
        series.ticker[:bots],
        (np.arange(bots), series.ticker[:bots]),
    )
    windows = Windows.of(trades, series, as_of, window_days)
    figures = streak_figures(windows.pnl, series.start, windows.low, windows.high)
    count = windows.high - windows.low
    won = np.concatenate([[0], np.cumsum(windows.pnl > 0)])
    rate = win_rate(won[windows.high] - won[windows.low], count)
    summary = {
        "as_of": windows.as_of_each,
        "bot_id": windows.per_window(series.bot),
        "trades": count,
        "win_rate": rate,
        "longest_win_streak": figures.longest_win,
        "longest_loss_streak": figures.longest_loss,
        "current_streak": figures.current,
        "streakiness_p_value": figures.p_value,
        "order_p_value": order_p_value(windows.pnl, windows.exit, series.start, windows.low, windows.high),
    }
    lengths = {
        "hits": figures.hits,
        "frequency": percentage(figures.hits, count[:, None]),
        "runs": figures.runs,
        "expected_frequency": expected_frequency(count, rate),
    }
    by_as_of = np.arange(len(count)).reshape(bots, len(as_of)).T.ravel()
    seen = by_as_of[count[by_as_of] > 0]
    return chosen(lengths, seen), chosen(summary, seen)


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
    names = zip(past.bot.tolist(), past_code.tolist(), strict=True)
    mapped = np.array([number.get(name, -1) for name in names], np.int64)
    months = past.months
    moved = Stretches(mapped[months.series], months.day, months.summaries)
    rows = np.flatnonzero(moved.series >= 0)
    return trades, series, moved.take(rows[np.lexsort((moved.day[rows], moved.series[rows]))])


def _lifetimes(windows: Windows, past: Stretches | None, capital: Floats) -> Lifetimes:
    """Folded to each as_of. A day that is still running is summarised up to as_of only, so it goes by itself."""
    series, as_of = windows.series, windows.as_of
    shape = (len(series), len(as_of))
    high = windows.high.reshape(shape)
    first, last = month_number(last_day(as_of[[0, -1]]))
    days = daily_summaries(windows.pnl, windows.exit, series.start, high[:, -1], None if past is None else int(first))
    months = past
    if months is None or last > first:
        months = monthly_summaries(days) if past is None else past.union(monthly_summaries(days))
    running = np.flatnonzero(as_of[:-1] % DAY != 0)
    parts = [(np.setdiff1d(np.arange(len(as_of)), running), days)]
    parts += [(np.array([n]), _cut(windows, days, as_of[[n]], high[:, n])) for n in running.tolist()]
    out: dict[str, Array] = {
        name: np.empty(shape, np.int64 if name in ("trades", "wins", "first_exit", "last_exit") else np.float64)
        for name in Lifetimes.__dataclass_fields__
    }
    for columns, known in parts:
        life = lifetimes(known, months, last_day(as_of[columns]), capital[:, columns])
        for name, values in out.items():
            values[:, columns] = getattr(life, name)
    return Lifetimes(**out)


def _cut(windows: Windows, days: Stretches, as_of: Ints, high: Ints) -> Stretches:
    """The days before the last of as_of, and that one up to where `high` says that it ends."""
    midnight = positions(windows.exit, windows.series.start, windows.series.stop, as_of // DAY * DAY)[:, 0]
    running = daily_summaries(windows.pnl, windows.exit, midnight, high)
    return days.take(np.flatnonzero(days.day < last_day(as_of))).union(running)


def _performances(windows: Windows) -> dict[str, Floats]:
    return {
        name: reduce_windows(np.add, windows.pnl, windows.begin(days), windows.high, np.nan)
        for name, days in PERFORMANCE.items()
    }


def _window_figures(
    trades: Trades, windows: Windows, capital: Floats, life: Lifetimes, window_days: float | None
) -> dict[str, Array]:
    low, high, series = windows.low, windows.high, windows.series
    count = high - low
    some = count > 0
    as_of = windows.as_of_each
    wins, losses = _count(windows.pnl > 0, low, high), _count(windows.pnl < 0, low, high)
    seconds = _count((trades.exit - trades.entry)[series.rows], low, high) / SECOND
    path = path_figures(windows.pnl, windows.exit, low, high, capital)
    best, worst = (reduce_windows(f, windows.pnl, low, high, np.nan) for f in (np.maximum, np.minimum))
    same = alike(best, worst)
    sd = np.sqrt(path.deviation / np.maximum(count - 1, 1))
    sd[(count < 2) | same] = np.nan
    first = np.where(some, np.append(windows.exit, 0)[low], NEVER)
    # Of less than TINY no product is a number in the database, which would refuse to read the row.
    pnl_sd = spread_of_pnl(np.where(same & (count >= 2), 0.0, sd), path.gross_profit, path.gross_loss, count)
    pnl_sd[pnl_sd < TINY] = 0.0
    mean = expectancy(path.total, count)
    days = _calendar_days(windows, life)
    returns = _daily(windows, path, days.max(initial=1)) / capital[:, None]
    return {
        "avg_win_rate": win_rate(wins, count),
        "avg_drawdown": path.avg_drawdown,
        "profit_per_second": profit_per_second(path.total, seconds),
        "trades": count,
        "wins": wins,
        "losses": losses,
        "total_pnl": path.total,
        "avg_pnl": mean,
        "gross_profit": path.gross_profit,
        "gross_loss": path.gross_loss,
        "profit_factor": profit_factor(path.gross_profit, path.gross_loss),
        "expectancy": mean,
        "payoff_ratio": payoff_ratio(path.gross_profit, path.gross_loss, wins, losses),
        "sqn": sqn(mean, sd, count),
        "max_drawdown": path.max_drawdown,
        "max_drawdown_amount": path.max_drawdown_amount,
        "avg_drawdown_amount": path.avg_drawdown_amount,
        "avg_trade_duration": np.where(some, seconds / np.maximum(count, 1), np.nan),
        "best_trade": best,
        "worst_trade": worst,
        "price_slippage": _slippage(trades, windows),
        **_annual_ratios(windows, returns, days),
        **_figures_of_time(
            as_of,
            count,
            life.first_exit.ravel(),
            window_days or np.inf,
            pnl_sd,
            first,
            path.drawdown_time,
            path.drawdown_since,
        ),
        "pnl_sd": pnl_sd,
        "window_first_exit": first,
        "drawdown_time": path.drawdown_time,
        "drawdown_since": path.drawdown_since,
        "below_peak": path.below_peak,
        "peak_equity": path.peak_equity,
    }


def _annual_ratios(windows: Windows, returns: Floats, days: Ints) -> dict[str, Floats]:
    """NaN where trades closed on too few days for a year's ratio to mean anything."""
    low, high = sharpe_interval(returns, days)
    figures = {
        "sharpe": sharpe_ratio(returns, days),
        "sortino": sortino_ratio(returns, days),
        "calmar": calmar_ratio(returns, days),
        "sharpe_low": low,
        "sharpe_high": high,
    }
    enough = trading_days(windows) >= MIN_TRADING_DAYS
    return {name: np.where(enough, values, np.nan) for name, values in figures.items()}


def _figures_of_time(
    as_of: Ints,
    count: Ints,
    first_exit: Ints,
    window_days: float,
    pnl_sd: Floats,
    window_first_exit: Ints,
    ended: Ints,
    since: Ints,
) -> dict[str, Floats]:
    """The figures that change as time goes by, though nothing trades. The view `bot_metrics` computes the same."""
    frequency = trade_frequency(count, first_exit, as_of, window_days)
    return {
        "volatility": volatility(pnl_sd, frequency),
        "trade_frequency": frequency,
        "time_in_drawdown": np.where(count > 0, time_in_drawdown(as_of, window_first_exit, ended, since), np.nan),
    }


def _count(values: Array, low: Ints, high: Ints) -> Ints:
    """Integer sums over windows, exact however long the series (differences wrap right)."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    out: Ints = total[high] - total[low]
    return out


def _calendar_days(windows: Windows, life: Lifetimes) -> Ints:
    """Calendar days of each window since the first trade, 1 before it; a running day's 30 days touch 31."""
    first = np.maximum(life.first_exit, windows.since)
    days = last_day(windows.as_of) - day_of(first) + 1
    return np.where(life.trades > 0, days, 1).ravel()


def _daily(windows: Windows, path: PathFigures, days: int) -> Floats:
    daily = daily_pnl(windows, days)
    rounding = ROUNDING * (path.gross_profit + path.gross_loss)[:, None]
    return np.where(np.abs(daily) > rounding, daily, 0.0)


def _slippage(trades: Trades, windows: Windows) -> Floats:
    value = trades.slippage[windows.series.rows]
    known = ~np.isnan(value)
    total = reduce_windows(np.add, np.where(known, value, 0.0), windows.low, windows.high, 0.0)
    return ratio(total, _count(known, windows.low, windows.high))


def _streak_variables(windows: Windows) -> dict[str, Floats]:
    hits, _ = win_streaks(Runs.of(windows.pnl > 0, windows.series.start), windows.low, windows.high)
    frequency = percentage(hits, (windows.high - windows.low)[:, None])
    return {f"win_streak_{length}": frequency[:, at] for at, length in enumerate(STREAK_LENGTHS)}


def _main(trades: Trades, windows: Windows) -> dict[str, Array]:
    """The most traded ticker × direction of each window; ties go to the first by name."""
    series = windows.series
    number = np.repeat(np.arange(len(series)), series.stop - series.start)
    kind = trades.ticker[series.rows].astype(np.int64) * 2 + ~trades.long[series.rows]
    width = 2 * len(trades.tickers)
    combo, combos = pd.factorize(number * width + kind, sort=True)
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
    known = counts_before(combo, combos, windows.exit, windows.cuts)
    by_then, before = (known[:, np.searchsorted(windows.cuts, cut)] for cut in (windows.as_of, windows.since))
    return by_then - before


def _lifetime_figures(life: Lifetimes) -> dict[str, Array]:
    return {
        "first_exit": life.first_exit.ravel(),
        "last_exit": life.last_exit.ravel(),
        "lifetime_trades": life.trades.ravel(),
        "lifetime_pnl": life.pnl.ravel(),
        "lifetime_max_drawdown": life.max_drawdown.ravel(),
        "lifetime_win_rate": win_rate(life.wins.ravel(), life.trades.ravel()),
        "lifetime_profit_factor": profit_factor(life.gross_profit.ravel(), life.gross_loss.ravel()),
    }


def _rows(trades: Trades, windows: Windows, columns: dict[str, Array], names: Sequence[str], seen: Bools) -> Columns:
    series, per = windows.series, len(windows.as_of)
    answering, ticker = series.answers
    tickers = np.array([*trades.tickers, ALL_TICKERS], dtype=object)
    rank = np.argsort(np.argsort(tickers))
    in_order = np.lexsort((rank[ticker], series.bot[answering]))
    window = (answering[in_order] * per + np.arange(per)[:, None]).ravel()
    wanted = seen[window]
    window, ticker = window[wanted], np.tile(ticker[in_order], per)[wanted]
    keys = {"as_of": windows.as_of_each, "bot_id": windows.per_window(series.bot)}
    absent = np.full(len(windows.low), np.nan)
    return (
        {name: values[window] for name, values in keys.items()}
        | {"ticker": tickers[ticker]}
        | {name: columns.get(name, absent)[window] for name in names}
    )
