"""Figures of others on the same trades: vectorbt, freqtrade, empyrical, and an independent reading of real trades.

Only the golden files are part of the repository; what reads larger data is skipped where there is none.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.streaks import streak_figures
from knowdefeat_pipeline.core.trades.columns import Trades
from tests.core.bookkeeping import DAY, START, TICK, metrics, outcomes, streaks

GOLDEN = Path(__file__).parents[1] / "golden"
UTC = ZoneInfo("UTC")


def whole_history(frame: pd.DataFrame, **options: object) -> pd.DataFrame:
    """Figures over all trades of each bot, with its longest streaks; indexed by bot."""
    trades = Trades.from_frame(frame)
    last = frame.exit_time.max().to_pydatetime()
    rows = metrics(frame, last + TICK, window_days=None, **options)
    rows = rows[rows.ticker == "*"].set_index("bot_id")
    start, stop = (np.searchsorted(trades.bot, rows.index, side) for side in ("left", "right"))
    runs = streak_figures(trades.pnl, start, start, stop)
    return rows.assign(longest_win_streak=runs.longest_win, longest_loss_streak=runs.longest_loss)


# --- vectorbt ----------------------------------------------------------------------------------------------------


def agrees_with_vectorbt(frame: pd.DataFrame, reference: pd.DataFrame) -> None:
    ours, theirs = whole_history(frame), reference.set_index("bot_id")
    assert ours.index.tolist() == theirs.index.tolist()
    assert ours.trades.tolist() == theirs.n.tolist()
    assert ours.longest_win_streak.tolist() == theirs.max_win_streak.tolist()
    assert ours.longest_loss_streak.tolist() == theirs.max_loss_streak.tolist()
    np.testing.assert_allclose(ours.avg_win_rate, 100 * theirs.win_rate, rtol=1e-12)
    np.testing.assert_allclose(ours.profit_factor, theirs.profit_factor, rtol=1e-9)
    np.testing.assert_allclose(ours.sqn, theirs.sqn, rtol=1e-9)


def daily_book(bot_id: pd.Series, exit_time: pd.Series, pnl: pd.Series) -> pd.DataFrame:
    exit_time = pd.to_datetime(exit_time, utc=True)
    return pd.DataFrame(
        {
            "trade_id": np.arange(len(pnl)),
            "bot_id": bot_id,
            "ticker": "AAA",
            "direction": "LONG",
            "entry_time": exit_time - DAY,
            "exit_time": exit_time,
            "pnl": pnl,
        }
    )


def test_vectorbt_on_five_bots() -> None:
    trades = pd.read_csv(GOLDEN / "vectorbt_trades.csv")
    agrees_with_vectorbt(
        daily_book(trades.bot_id, trades.exit_day, trades.pnl), pd.read_csv(GOLDEN / "vectorbt_figures.csv")
    )


def test_vectorbt_on_275_bots(shared_data: Path) -> None:
    trades = pd.read_parquet(shared_data / "sp500_ma_bots/trades.parquet")
    trades = trades[trades.trade_status == "closed"]
    reference = pd.read_csv(shared_data / "sp500_ma_bots/vectorbt_reference.csv")
    assert len(reference) == 275
    agrees_with_vectorbt(daily_book(trades.bot_id, trades.exit_time, trades.trade_pnl), reference)


# --- freqtrade ---------------------------------------------------------------------------------------------------

# freqtrade follows the order of its file, ours is that of the exits: in two of the eight runs the longest streaks of
# wins and losses differ. freqtrade's, ours:
OTHER_STREAKS = {
    "backtest-result-2024-09-06_13-05-54.json": ((127, 1), (128, 1)),
    "backtest-result-2024-09-07_21-10-54.json": ((392, 1), (391, 1)),
}


def backtest(file: Path) -> pd.DataFrame:
    (run,) = json.loads(file.read_text())["strategy"].values()
    trades = pd.DataFrame(run["trades"])
    return pd.DataFrame(
        {
            "trade_id": np.arange(len(trades)),
            "bot_id": 1,
            "ticker": trades.pair,
            "direction": np.where(trades.is_short, "SHORT", "LONG"),
            "entry_time": pd.to_datetime(trades.open_timestamp, unit="ms", utc=True),
            "exit_time": pd.to_datetime(trades.close_timestamp, unit="ms", utc=True),
            "pnl": trades.profit_abs,
        }
    )


def longest(pnl: pd.Series) -> tuple[int, int]:
    """Longest runs of wins and losses in the order given, counted plainly."""
    best, run, last = {1: 0, -1: 0, 0: 0}, 0, None
    for sign in np.sign(pnl):
        run = run + 1 if sign == last else 1
        last = sign
        best[int(sign)] = max(best[int(sign)], run)
    return best[1], best[-1]


def test_freqtrade_on_eight_backtests(shared_data: Path) -> None:
    reference = pd.read_csv(shared_data / "freqtrade/freqtrade_reference.csv")
    assert len(reference) == 8
    other_streaks = {}
    for theirs in reference.itertuples():
        frame = backtest(shared_data / "freqtrade/backtests" / theirs.file)
        ours = whole_history(frame, capital={1: float(theirs.sb)}).loc[1]
        assert (ours.trades, ours.wins, ours.losses) == (theirs.n, theirs.wins, theirs.losses)
        assert ours.trades - ours.wins - ours.losses == theirs.draws
        assert ours.avg_win_rate == pytest.approx(100 * theirs.winrate, rel=1e-12)
        assert ours.expectancy == pytest.approx(theirs.expectancy, rel=1e-9)
        assert ours.total_pnl == pytest.approx(theirs.profit_total_abs, rel=1e-9)
        assert ours.max_drawdown_amount == pytest.approx(theirs.max_drawdown_abs, rel=1e-9, abs=1e-9)
        if theirs.losses:
            assert ours.profit_factor == pytest.approx(theirs.profit_factor, rel=1e-9)
        else:
            assert np.isnan(ours.profit_factor)
            assert theirs.profit_factor == 0  # freqtrade's stand-in
        # Their order gives their streaks; the order of exits gives ours.
        their_streaks = (theirs.max_consecutive_wins, theirs.max_consecutive_losses)
        our_streaks = (ours.longest_win_streak, ours.longest_loss_streak)
        assert longest(frame.pnl) == their_streaks
        assert longest(frame.sort_values(["exit_time", "entry_time", "trade_id"]).pnl) == our_streaks
        if our_streaks != their_streaks:
            other_streaks[theirs.file] = (their_streaks, our_streaks)
    assert other_streaks == OTHER_STREAKS


# --- empyrical ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(10, 30), st.sampled_from([100.0, 10_000.0]))
def test_empyrical_on_daily_returns(seed: int, days: int, capital: float) -> None:
    pnl = np.random.default_rng(seed).normal(0.1, 2, days).round(2)
    pnl[::5] = 0
    row = metrics(outcomes(pnl), START + (days - 0.5) * DAY, capital={1: capital}).iloc[0]
    returns = pd.Series(pnl / capital)
    expected = {
        "sharpe": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino": empyrical.sortino_ratio(returns, annualization=365),
        "calmar": empyrical.calmar_ratio(returns, annualization=365),
    }
    for name, value in expected.items():
        if np.isfinite(value):
            assert row[name] == pytest.approx(value, rel=1e-9), name
        else:
            assert np.isnan(row[name]), name


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_empyrical_s_drawdown_of_realised_equity(seed: int, days: int) -> None:
    """Realised equity is not compounded: its returns are those on the equity of the day before."""
    pnl = np.random.default_rng(seed).normal(0.1, 2, days)
    equity = 100 + np.append(0, np.cumsum(pnl))
    row = metrics(outcomes(pnl), START + (days - 0.5) * DAY, capital={1: 100.0}).iloc[0]
    assert row.max_drawdown == pytest.approx(
        -100 * empyrical.max_drawdown(pd.Series(pnl / equity[:-1])), rel=1e-9, abs=1e-9
    )
    assert row.lifetime_max_drawdown == pytest.approx(row.max_drawdown, rel=1e-12)


# --- the first bots' own trades ----------------------------------------------------------------------------------


def know_defeat(folder: Path) -> pd.DataFrame:
    """Know-Defeat's export without repeated rows, pnl in dollars recomputed from prices."""
    raw = pd.read_csv(folder / "know_defeat/all_trades.csv")
    closed = raw[raw.trade_status == "closed"].sort_values("trade_id")
    closed = closed.drop_duplicates([c for c in closed.columns if c != "trade_id"])
    side = np.where(closed.trade_direction == "LONG", 1, -1)
    return pd.DataFrame(
        {
            "trade_id": closed.trade_id,
            "bot_id": closed.bot_id,
            "ticker": closed.ticker,
            "direction": closed.trade_direction,
            "entry_time": pd.to_datetime(closed.entry_time, format="ISO8601", utc=True),
            "exit_time": pd.to_datetime(closed.exit_time, format="ISO8601", utc=True),
            "pnl": closed.trade_size / closed.entry_price * side * (closed.exit_price - closed.entry_price),
        }
    )


def test_know_defeat_s_own_trades(shared_data: Path) -> None:
    reference = json.loads((shared_data / "know_defeat/reference.json").read_text())
    # Their as_of is the last exit, which they count.
    as_of = datetime.fromisoformat(reference["as_of"]).replace(tzinfo=UTC) + timedelta(microseconds=1)
    frame = know_defeat(shared_data)
    rows = metrics(frame, as_of)
    rows = rows[rows.ticker == "*"].set_index("bot_id")
    lengths, summary = streaks(frame, as_of)
    summary = summary.set_index("bot_id")
    assert rows.index.tolist() == [2, 3, 4]
    for bot, figures in reference["per_bot_deduped"].items():
        theirs, ours, runs = figures["usd"], rows.loc[int(bot)], summary.loc[int(bot)]
        assert (ours.trades, ours.wins, ours.losses) == (theirs["trades"], theirs["wins"], theirs["losses"])
        ours_in_theirs = {
            "win_rate_pct": ours.avg_win_rate,
            "total_pnl": ours.total_pnl,
            "avg_pnl": ours.avg_pnl,
            "gross_profit": ours.gross_profit,
            "gross_loss": ours.gross_loss,
            "profit_factor": ours.profit_factor,
            "max_drawdown": ours.max_drawdown_amount,
            "profit_per_second_in_position": ours.profit_per_second,
            "avg_duration_s": ours.avg_trade_duration,
        }
        assert {name: theirs[name] for name in ours_in_theirs} == pytest.approx(ours_in_theirs, abs=1e-6)
        assert runs.longest_win_streak == theirs["longest_win_streak"]
        # Theirs lets a breakeven trade pass as a loss here; ours ends both kinds of streak.
        in_order = frame[frame.bot_id == int(bot)].sort_values(["exit_time", "entry_time", "trade_id"]).pnl
        assert longest(in_order.where(in_order > 0, -1))[1] == theirs["longest_loss_streak"]
        assert runs.longest_loss_streak == longest(in_order)[1] == {"2": 13, "3": 14, "4": 5}[bot]
        assert max(0, runs.current_streak) == theirs["current_win_streak"]
        of_bot = lengths[lengths.bot_id == int(bot)].set_index("streak_length")
        for k in range(2, 8):
            assert of_bot.hits[k] == theirs["upstream_streak_hits_ge"][str(k)]
            assert of_bot.runs[k] == theirs["maximal_win_streaks_len_ge"][str(k)]
            assert ours[f"win_streak_{k}"] == pytest.approx(theirs["upstream_win_streak_pct"][str(k)], abs=0.005)
        spans = {"1h": "one_hour", "2h": "two_hour", "1d": "one_day", "1w": "one_week", "30d": "one_month"}
        for span, name in spans.items():
            window = figures["windows_usd"][span]
            if window["trades"]:
                assert ours[f"{name}_performance"] == pytest.approx(window["pnl"], abs=1e-6)
            else:
                assert np.isnan(ours[f"{name}_performance"])
