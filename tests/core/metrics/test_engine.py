"""bot_metrics: hand-computed figures, windows, tickers, and the same figures computed slowly."""

from datetime import datetime
from functools import partial
from math import isnan, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics import path, summaries
from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.metrics.lifetime import past_months
from knowdefeat_pipeline.core.schema import METRICS, OF_CAPITAL
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.reductions import dense_chunks
from knowdefeat_pipeline.core.units import micros
from tests.core import plain
from tests.core.bookkeeping import (
    AS_OFS,
    DAY,
    HOUR,
    START,
    TICK,
    at,
    book,
    books,
    frame_of,
    metrics,
    metrics_row,
    outcomes,
    same,
    union,
)

PNL = [1, 1, 0, 1, -1, 0, 0, -2, 3]
END = at("2025-01-10")  # the end of the ninth day; trades close at noon, one a day
SLIPPAGE = [5, np.nan, -2, np.nan, np.nan, 6, np.nan, np.nan, np.nan]

# With a capital of 10, equity is 11 12 12 13 12 12 12 10 13: one drawdown, 3 below the peak of 13, from the fifth
# exit to the ninth, four of the 8.5 days since the first. Squares sum to 17, so sd² = (17 - 9/9) / 8 = 2.
EXPECTED = {
    "one_hour_performance": None, "two_hour_performance": None, "one_day_performance": 3,
    "one_week_performance": 0 + 1 - 1 + 0 + 0 - 2 + 3, "one_month_performance": 3,
    "avg_win_rate": 400 / 9, "avg_drawdown": 300 / 13, "profit_per_second": 3 / (9 * 3600),
    "price_model_score": None, "volume_model_score": None, "price_wall_score": None,
    "win_streak_2": 100 / 9, "win_streak_3": 0, "win_streak_4": 0, "win_streak_5": 0, "win_streak_6": 0,
    "win_streak_7": 0,
    "trades": 9, "wins": 4, "losses": 2, "total_pnl": 3, "avg_pnl": 1 / 3, "gross_profit": 6, "gross_loss": 3,
    "profit_factor": 2, "expectancy": 1 / 3, "payoff_ratio": (6 / 4) / (3 / 2), "sqn": 3 * (1 / 3) / sqrt(2),
    "sharpe": None, "sortino": None, "calmar": None,  # of nine days
    "max_drawdown": 300 / 13, "max_drawdown_amount": 3, "avg_drawdown_amount": 3,
    "volatility": sqrt(2) * sqrt(9 / 8.5), "time_in_drawdown": 100 * 4 / 8.5, "trade_frequency": 9 / 8.5,
    "avg_trade_duration": 3600, "best_trade": 3, "worst_trade": -2, "price_slippage": 3,
    "main_ticker": "AAA", "main_direction": "LONG",
    "first_exit": START, "last_exit": START + 8 * DAY, "lifetime_trades": 9, "lifetime_pnl": 3,
    "lifetime_max_drawdown": 300 / 13, "lifetime_win_rate": 400 / 9, "lifetime_profit_factor": 2,
    "capital": 10, "capital_is_estimated": False,
    "sharpe_low": None, "sharpe_high": None,
}  # fmt: skip
RATIOS = ("sharpe", "sortino", "calmar", "sharpe_low", "sharpe_high")


def nine() -> pd.DataFrame:
    return outcomes(PNL).assign(slippage=SLIPPAGE)


def check(row: pd.Series, expected: dict) -> None:
    wrong = {name: (row[name], value) for name, value in expected.items() if not plain.close(row[name], value)}
    assert not wrong


def test_every_figure_of_nine_trades() -> None:
    assert list(EXPECTED) == [figure.name for figure in METRICS]
    rows = metrics(nine(), END, capital={1: 10.0})
    assert list(rows.columns) == ["as_of", "bot_id", "ticker", *EXPECTED]
    assert rows[["as_of", "bot_id", "ticker"]].values.tolist() == [[END, 1, "*"], [END, 1, "AAA"]]
    check(rows.iloc[0], EXPECTED)


def test_a_bot_with_one_ticker_has_that_ticker_s_row_too() -> None:
    rows = metrics(nine(), END, END + DAY)
    same(rows[rows.ticker == "*"].drop(columns="ticker"), rows[rows.ticker == "AAA"].drop(columns="ticker"))


def test_capital_is_the_first_peak() -> None:
    # A first trade of -10 on 100, 60 and the default 10,000; the second peak is 15 higher.
    pnl = [-10, 25, -5]
    for capital, percents in ((100.0, [10, 500 / 115]), (60.0, [1000 / 60, 500 / 75]), (None, [0.1, 500 / 10_015])):
        row = metrics_row(outcomes(pnl), END, capital={1: capital} if capital else None)
        check(row, {"max_drawdown": max(percents), "avg_drawdown": sum(percents) / 2, "max_drawdown_amount": 10,
                    "avg_drawdown_amount": 7.5, "lifetime_max_drawdown": max(percents)})  # fmt: skip


def test_without_capital_there_are_no_percents_of_it() -> None:
    row = bot_metrics(Trades.from_frame(nine()), micros([END])).iloc[0]
    check(row, EXPECTED | dict.fromkeys(OF_CAPITAL) | {"capital": None, "capital_is_estimated": True})


def test_depth_in_percent_and_as_an_amount_may_be_deepest_in_different_episodes() -> None:
    row = metrics_row(outcomes([-5, 5, 100, -8, 8]), END, capital={1: 10.0})
    check(row, {"max_drawdown": 50, "max_drawdown_amount": 8, "avg_drawdown": (50 + 800 / 110) / 2,
                "avg_drawdown_amount": 6.5})  # fmt: skip


def test_without_losses() -> None:
    row = metrics_row(outcomes([1, 2, 0]), END)
    check(row, dict.fromkeys(("profit_factor", "payoff_ratio", "sortino", "calmar", "lifetime_profit_factor")))
    check(row, {"gross_loss": 0, "avg_drawdown": 0, "max_drawdown": 0, "max_drawdown_amount": 0, "time_in_drawdown": 0,
                "avg_drawdown_amount": 0, "lifetime_max_drawdown": 0, "worst_trade": 0})  # fmt: skip
    assert not np.signbit(row["gross_loss"])


def test_without_wins() -> None:
    row = metrics_row(outcomes([-1, -2, 0]), END)
    check(row, {"profit_factor": 0, "payoff_ratio": None, "gross_profit": 0, "avg_win_rate": 0, "best_trade": 0})


def test_one_trade() -> None:
    row = metrics_row(outcomes([-4]), at("2025-01-02"))
    check(row, dict.fromkeys(("sqn", "sharpe", "sortino", "calmar", "volatility", "payoff_ratio")))
    check(row, {"trades": 1, "avg_pnl": -4, "trade_frequency": 1, "time_in_drawdown": 100, "profit_factor": 0,
                "max_drawdown": 0.04, "win_streak_2": 0})  # fmt: skip


def test_breakeven_trades_alone() -> None:
    row = metrics_row(outcomes([0, 0], direction="SHORT"), END)
    check(row, {"avg_win_rate": 0, "total_pnl": 0, "profit_factor": None, "sqn": None, "volatility": 0, "sharpe": None,
                "avg_drawdown": 0, "main_direction": "SHORT"})  # fmt: skip


def test_equal_results_have_no_spread_however_they_were_rounded() -> None:
    pnl = [100 * (price * 1.001 - price) / price for price in (30.0, 50.0, 70.1)]
    assert len(set(pnl)) == 3  # 0.1 three times, but for rounding
    # 1 % of 0.1 a trade, of which there are three in the 8.5 days since the first.
    check(metrics_row(outcomes(pnl), END), {"sqn": None, "volatility": 0.001 * sqrt(3 / 8.5), "win_streak_2": 200 / 3})
    check(metrics_row(outcomes(4 * pnl), at("2025-01-13")), {"sharpe": None, "sharpe_low": None, "trades": 12})


def test_the_spread_is_at_least_1_percent_of_the_mean_absolute_result() -> None:
    wide, narrow = [10.0, -10.3], [10.0, 10.01]
    check(metrics_row(outcomes(wide), at("2025-01-03")), {"volatility": 20.3 / sqrt(2) * sqrt(2 / 1.5)})
    check(metrics_row(outcomes(narrow), at("2025-01-03")), {"volatility": 0.10005 * sqrt(2 / 1.5)})
    check(metrics_row(outcomes([-10.0, -10.0]), at("2025-01-03")), {"volatility": 0.1 * sqrt(2 / 1.5)})


def test_there_are_no_annual_ratios_under_ten_days_on_which_a_trade_closed() -> None:
    pnl = [3, -2, 4, -1, 2, 5, -3, 1, 2, -1]
    row = metrics_row(outcomes(pnl), START + 10 * DAY, capital={1: 100.0})
    assert not row[[*RATIOS]].isna().any()
    check(metrics_row(outcomes(pnl[1:]), START + 10 * DAY), dict.fromkeys(RATIOS))
    # Twelve trades on nine days, and ten calendar days of which one has none.
    twice = union(outcomes(pnl[:9]), outcomes([1, -1, 2], start=START + HOUR))
    check(metrics_row(twice, START + 10 * DAY), dict.fromkeys(RATIOS))
    # The window holds the last hour of its first day alone, which counts.
    begun = outcomes(pnl, start=START + 23 * HOUR / 2)
    within = metrics_row(begun, START + 30 * DAY + 23 * HOUR / 2, capital={1: 100.0})
    assert (within.trades, within.isna().sharpe) == (10, False)
    check(metrics_row(begun, START + 30 * DAY + 23 * HOUR / 2 + TICK), dict.fromkeys(RATIOS) | {"trades": 9})


def test_ticker_rows_count_their_own_days() -> None:
    frame = union(outcomes([1, -2] * 5), outcomes([3], ticker="BBB", start=START + 5 * HOUR))
    rows = metrics(frame, START + 10 * DAY).set_index("ticker")
    assert rows.sharpe.isna().to_dict() == {"*": False, "AAA": False, "BBB": True}


def test_equity_back_at_its_peak_ends_the_drawdown_however_it_was_rounded() -> None:
    assert 0.9 - 0.2 + 0.2 < 0.9  # in floating point
    row = metrics_row(outcomes([0.9, -0.2, 0.2, -0.4, 0.4]), at("2025-01-07"))
    check(row, {"avg_drawdown_amount": (0.2 + 0.4) / 2, "time_in_drawdown": 100 * 2 / 5.5})


def test_a_day_that_sums_to_nothing_is_no_losing_day_however_it_was_rounded() -> None:
    pnl = [-0.1, -0.2, 0.3]
    assert sum(pnl) != 0
    row = metrics_row(union(outcomes(pnl, every=HOUR), outcomes([1, 0] * 5, start=START + DAY)), START + 11 * DAY)
    returns = np.array([0.0, *[1.0, 0.0] * 5, 0.0])
    check(row, {"sortino": None, "calmar": None, "sharpe": returns.mean() / returns.std(ddof=1) * sqrt(365)})


def test_a_calmar_beyond_any_number_is_null() -> None:
    row = metrics_row(outcomes([-1_000, 1_000_000]), at("2025-01-03"))
    check(row, {"calmar": None, "max_drawdown": 10})


def test_a_bot_that_lost_its_capital_has_no_calmar() -> None:
    # A return of -150 % and one of -200 % would multiply to half the capital.
    row = metrics_row(outcomes([-15, -20]), at("2025-01-03"), capital={1: 10.0})
    check(row, {"calmar": None, "max_drawdown": 350, "total_pnl": -35})


def test_ties_in_exit_time_follow_entry_then_trade_id() -> None:
    entries = [-2, -3, -1, -1]
    pnl = [1, 2, -4, 8]
    ids = [1, 2, 9, 3]
    rows = [
        {"exit_time": START, "entry_time": START + entry * HOUR, "pnl": value, "trade_id": number}
        for entry, value, number in zip(entries, pnl, ids, strict=True)
    ]
    # In order: 2, 1, 8 (trade 3), -4 (trade 9).
    frame = book(rows)
    check(metrics_row(frame, END), {"win_streak_3": 25, "max_drawdown_amount": 4, "max_drawdown": 400 / 10_011})
    later = frame.assign(trade_id=[1, 2, 3, 9])
    check(metrics_row(later, END), {"win_streak_3": 0, "win_streak_2": 25, "max_drawdown": 400 / 10_003})


def test_windows_are_exact_to_the_microsecond() -> None:
    spans = plain.SPANS
    for name, span in spans.items():
        edges = {END - span - TICK: None, END - span: 7, END - TICK: 7, END: None}
        for exit_time, expected in edges.items():
            frame = union(outcomes([1000], start=END - 40 * DAY), outcomes([7], start=exit_time))
            assert plain.close(metrics_row(frame, END)[name], expected), (name, exit_time)
    inside = metrics_row(union(outcomes([5], start=END - 30 * DAY - TICK), outcomes([7], start=END - 30 * DAY)), END)
    check(inside, {"trades": 1, "total_pnl": 7, "lifetime_trades": 2, "lifetime_pnl": 12})


def test_two_tickers_have_a_row_each_and_one_together() -> None:
    frame = union(outcomes([1, -2, 3]), outcomes([10], ticker="BBB", start=START + HOUR, direction="SHORT"))
    rows = metrics(frame, END).set_index("ticker")
    assert list(rows.index) == ["*", "AAA", "BBB"]
    assert rows.trades.tolist() == [4, 3, 1]
    assert rows.total_pnl.tolist() == [12, 2, 10]
    assert rows.win_streak_2.tolist() == [25, 0, 0]
    assert rows.main_ticker.tolist() == ["AAA", "AAA", "BBB"]
    assert rows.main_direction.tolist() == ["LONG", "LONG", "SHORT"]
    assert rows.first_exit.tolist() == [START, START, START + HOUR]
    assert rows.max_drawdown_amount.tolist() == [2, 2, 0]


def test_a_ticker_s_row_appears_with_its_first_exit() -> None:
    frame = union(outcomes([1]), outcomes([10], ticker="BBB", start=START + 5 * DAY))
    rows = metrics(frame, START, START + TICK, END)
    assert rows[["as_of", "ticker"]].values.tolist() == [
        [START + TICK, "*"], [START + TICK, "AAA"], [END, "*"], [END, "AAA"], [END, "BBB"]
    ]  # fmt: skip


def test_rows_stand_by_as_of_bot_and_ticker_name() -> None:
    tickers = ["ZZZ", "!", "*x", "1INCH", "aaa"]
    frame = union(*(outcomes([1], bot_id=bot, ticker=t) for bot in (7, -3) for t in tickers))
    rows = metrics(frame, END + DAY, END)
    keys = list(zip(rows.as_of, rows.bot_id, rows.ticker, strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 2 * 2 * 6


def test_an_idle_bot_keeps_its_lifetime() -> None:
    row = metrics_row(nine(), END + 60 * DAY, capital={1: 10.0})
    lifetime = {name: EXPECTED[name] for name in EXPECTED if name.startswith("lifetime") or name.endswith("_exit")}
    check(row, lifetime)
    check(row, dict.fromkeys(("trades", "wins", "losses"), 0))
    rest = {f.name for f in METRICS} - set(lifetime) - {"trades", "wins", "losses", "capital", "capital_is_estimated"}
    check(row, dict.fromkeys(rest))


def test_a_running_day_counts_its_trades_up_to_as_of() -> None:
    noon = START + 8 * DAY  # the last trade closes at this instant
    row = metrics_row(nine(), noon + TICK, capital={1: 10.0})
    check(row, {"trades": 9, "one_hour_performance": 3, "one_day_performance": 3, "trade_frequency": 9 / 8,
                "time_in_drawdown": 50, "lifetime_trades": 9})  # fmt: skip
    before = metrics_row(nine(), noon, capital={1: 10.0})
    check(before, {"trades": 8, "one_hour_performance": None, "one_day_performance": -2, "lifetime_pnl": 0})


def test_a_running_day_s_thirty_days_touch_thirty_one() -> None:
    # One trade a day at noon for 40 days: +1, but -1 on the last. At 13:00 the window holds 30 of them.
    frame = outcomes([1] * 39 + [-1])
    row = metrics_row(frame, START + 39 * DAY + HOUR)
    returns = np.array([0] + [1e-4] * 29 + [-1e-4])
    check(row, {"trades": 30, "sharpe": returns.mean() / returns.std(ddof=1) * sqrt(365),
                "sortino": returns.mean() / sqrt(1e-8 / 31) * sqrt(365)})  # fmt: skip


def test_a_trade_that_closes_at_midnight_belongs_to_the_day_that_begins() -> None:
    frame = outcomes([1, -1] * 5, start=at("2025-01-02"))
    returns = np.array([1e-4, -1e-4] * 5)  # 2 to 11 January
    worst = 1 - np.cumprod(1 + returns)[-1] / (1 + 1e-4)
    expected = {"sharpe": 0, "sortino": 0, "calmar": (np.prod(1 + returns) ** (365 / 10) - 1) / worst}
    for as_of in (at("2025-01-11 00:00:00.000001"), at("2025-01-11 12:00"), at("2025-01-12")):
        check(metrics_row(frame, as_of), {"trades": 10} | expected)
    # As of the midnight itself the tenth trade has not closed, and 10 January is the ninth day.
    check(metrics_row(frame, at("2025-01-11")), {"trades": 9, "sharpe": None, "lifetime_trades": 9})
    # An eleventh day without a trade.
    check(metrics_row(frame, at("2025-01-12") + TICK), {"sharpe": 0, "sortino": 0,
          "calmar": (np.prod(1 + returns) ** (365 / 11) - 1) / worst})  # fmt: skip


def test_daily_bars_that_close_at_midnight_count_on_their_own_day() -> None:
    """One trade each midnight, +1 to +5: the day of the last one ranks by it."""
    frame = outcomes([1, 2, 3, 4, 5], start=at("2025-01-01"))
    row = metrics_row(frame, at("2025-01-06"))
    check(row, {"trades": 5, "one_hour_performance": None, "one_day_performance": 5, "lifetime_pnl": 15})
    check(metrics_row(frame, at("2025-01-05 01:00")), {"one_hour_performance": 5, "one_day_performance": 5})
    check(metrics_row(frame, at("2025-01-05 01:00") + TICK), {"one_hour_performance": None})


def test_a_window_holds_its_beginning_and_not_its_end() -> None:
    frame = outcomes([1, 2], every=30 * DAY)
    check(metrics_row(frame, START + 30 * DAY), {"trades": 1, "total_pnl": 1, "one_day_performance": None})
    check(metrics_row(frame, START + 30 * DAY + TICK), {"trades": 1, "total_pnl": 2, "one_hour_performance": 2})
    check(metrics_row(frame, START + 31 * DAY), {"one_day_performance": 2, "one_hour_performance": None})
    assert len(metrics(frame, START)) == 0  # no trade has closed before its own exit


def test_days_alive_count_from_one_to_thirty() -> None:
    for as_of, days in ((START + HOUR, 1), (START + 3 * DAY, 3), (START + 20.5 * DAY, 20.5)):
        check(metrics_row(outcomes([1, 3], every=HOUR / 2), as_of), {"trade_frequency": 2 / days,
              "volatility": sqrt(2) * sqrt(2 / days)})  # fmt: skip
    old = union(outcomes([1]), outcomes([1, 3], start=START + 40 * DAY))
    check(metrics_row(old, START + 45 * DAY), {"trade_frequency": 2 / 30, "volatility": sqrt(2) * sqrt(2 / 30)})


def test_slippage_is_the_mean_over_trades_that_have_one() -> None:
    check(metrics_row(outcomes([1, 2, 3]).assign(slippage=[-10, np.nan, 4]), END), {"price_slippage": -3})
    check(metrics_row(outcomes([1, 2]), END), {"price_slippage": None})
    check(metrics_row(outcomes([1, 2]).drop(columns="slippage"), END), {"price_slippage": None})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["BBB LONG", "AAA SHORT"], "AAA SHORT"),
        (["BBB LONG", "AAA SHORT", "AAA LONG"], "AAA LONG"),
        (["BBB LONG", "AAA SHORT", "AAA LONG", "BBB LONG"], "BBB LONG"),
        (["AAA SHORT"], "AAA SHORT"),
    ],
)
def test_main_ticker_and_direction(kinds: list[str], expected: str) -> None:
    rows = [{"exit_time": START, "pnl": 1, "ticker": k.split()[0], "direction": k.split()[1]} for k in kinds]
    row = metrics_row(book(rows), END)
    assert f"{row.main_ticker} {row.main_direction}" == expected


def test_the_main_ticker_looks_at_the_window() -> None:
    frame = union(outcomes([1] * 9, every=HOUR), outcomes([1], start=START + 35 * DAY, ticker="BBB"))
    assert metrics_row(frame, START + 36 * DAY).main_ticker == "BBB"
    assert metrics_row(frame, START + 36 * DAY, window_days=None).main_ticker == "AAA"
    assert metrics_row(frame, START + 36 * DAY, window_days=36.5).main_ticker == "AAA"


def test_the_whole_history_as_the_window() -> None:
    as_of = END + 60 * DAY
    pnl = [*PNL, 1]
    row = metrics_row(outcomes(pnl), as_of, capital={1: 10.0}, window_days=None)
    daily = np.array([*np.array(pnl) / 10, *[0.0] * 59])
    alive = 68.5
    check(
        row,
        {name: EXPECTED[name] for name in ("max_drawdown", "best_trade")}
        | {"trades": 10, "profit_factor": 7 / 3, "sharpe": daily.mean() / daily.std(ddof=1) * sqrt(365),
           "trade_frequency": 10 / alive, "time_in_drawdown": 400 / alive,
           "calmar": ((1.245816 * 1.1) ** (365 / 69) - 1) / 0.28},
    )  # fmt: skip


def test_no_trades_no_rows() -> None:
    nothing = outcomes([])
    for as_of in ((END,), (END, END + HOUR)):
        rows = metrics(nothing, *as_of)
        assert list(rows.columns[3:]) == list(EXPECTED)
        assert len(rows) == 0
        assert len(metrics(nine(), *(instant - 60 * DAY for instant in as_of))) == 0


def test_as_ofs_may_come_in_any_order_and_twice() -> None:
    same(metrics(nine(), END, START + HOUR, END), metrics(nine(), START + HOUR, END))


def test_a_trade_without_pnl_is_refused() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite pnl"):
            metrics(outcomes([1, value]), END)


# --- against the slow engine, and properties ---------------------------------------------------------------------

CAPITAL = {1: 10_000.0, 2: 250.0}


@pytest.mark.long
@settings(max_examples=100)
@given(books(), AS_OFS)
def test_the_engine_agrees_with_plain_loops(trades: list[plain.Trade], as_ofs: list[datetime]) -> None:
    rows = metrics(frame_of(trades), *as_ofs, capital=CAPITAL)
    found = {(row.as_of, row.bot_id, row.ticker): row._asdict() for row in rows.itertuples()}
    for as_of in as_ofs:
        for bot in (1, 2, 3):
            for ticker in ("*", "AAA", "BBB"):
                expected = plain.figures(trades, bot, ticker, as_of, CAPITAL.get(bot, 10_000))
                row = found.pop((as_of, bot, ticker), None)
                assert (row is None) == (expected is None)
                if expected is not None:
                    check(pd.Series(row, dtype=object), expected)
    assert not found


@pytest.mark.long
@settings(max_examples=25)
@given(books(), AS_OFS, st.randoms(use_true_random=False))
def test_a_figure_depends_on_nothing_but_its_own_trades(
    trades: list[plain.Trade], as_ofs: list[datetime], random: object
) -> None:
    """Bit for bit: not on later trades, other bots, other as_ofs or the order of rows."""
    whole = metrics(frame_of(trades), *as_ofs, capital=CAPITAL)
    shuffled = list(trades)
    random.shuffle(shuffled)
    same(metrics(frame_of(shuffled), *as_ofs, capital=CAPITAL), whole)
    for as_of in as_ofs:
        now = whole[whole.as_of == as_of]
        same(metrics(frame_of(trades), as_of, capital=CAPITAL), now)
        same(metrics(frame_of([t for t in trades if t.exit < as_of]), as_of, capital=CAPITAL), now)
    for bot in (1, 2, 3):
        alone = frame_of([t for t in trades if t.bot == bot])
        same(metrics(alone, *as_ofs, capital=CAPITAL), whole[whole.bot_id == bot])


@settings(max_examples=15)
@given(books(), AS_OFS)
def test_the_whole_history_as_the_window_depends_on_nothing_else_either(
    trades: list[plain.Trade], as_ofs: list[datetime]
) -> None:
    whole = metrics(frame_of(trades), *as_ofs, window_days=None)
    for as_of in as_ofs:
        for bot in (1, 2, 3):
            alone = metrics(frame_of([t for t in trades if t.bot == bot]), as_of, window_days=None)
            same(alone, whole[(whole.as_of == as_of) & (whole.bot_id == bot)])


MONEY = [f.name for f in METRICS if f.unit in ("currency", "currency/s", "currency/√day")]


@settings(max_examples=25)
@given(books(), AS_OFS, st.sampled_from([0.001, 3.7, 1000.0]))
def test_money_scales_and_ratios_do_not(trades: list[plain.Trade], as_ofs: list[datetime], factor: float) -> None:
    frame = frame_of(trades)
    base = metrics(frame, *as_ofs, capital=CAPITAL)
    bigger = {bot: factor * CAPITAL.get(bot, 10_000.0) for bot in (1, 2, 3)}
    scaled = metrics(frame.assign(pnl=frame.pnl * factor), *as_ofs, capital=bigger)
    expected = base.assign(**{name: base[name] * factor for name in MONEY})
    pd.testing.assert_frame_equal(scaled, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.long
@settings(max_examples=60)
@given(books(most=60), AS_OFS)
def test_months_and_the_trades_since_equal_the_whole_history(trades: list[plain.Trade], as_ofs: list[datetime]) -> None:
    """Bit for bit: months are folded the same way."""
    frame = frame_of(trades)
    first = as_ofs[0]
    month = at(f"{plain.last_day(first):%Y-%m-01}")
    since = min(month, first - 30 * DAY)
    past = past_months(Trades.from_frame(frame[frame.exit_time < month]))
    recent = Trades.from_frame(frame[frame.exit_time >= since])
    same(
        bot_metrics(recent, micros(as_ofs), capital=Capital({3: 10_000.0} | CAPITAL), past=past),
        metrics(frame, *as_ofs, capital=CAPITAL),
    )


def test_idle_bots_of_the_past_have_rows() -> None:
    frame = union(outcomes([1, -2]), outcomes([5], bot_id=2, ticker="BBB"), outcomes([1], bot_id=9, ticker="CCC"))
    as_ofs = (END + 60 * DAY, END + 61 * DAY + HOUR)
    nothing = Trades.from_frame(outcomes([]))
    past = past_months(Trades.from_frame(frame))
    same(
        bot_metrics(nothing, micros(as_ofs), capital=Capital(dict.fromkeys(range(10), 10_000.0)), past=past),
        metrics(frame, *as_ofs),
    )


def test_as_ofs_in_several_months_beyond_the_past() -> None:
    frame = outcomes(np.sin(np.arange(400)).round(2), every=8 * HOUR)
    month = at("2025-02-01")
    as_ofs = (at("2025-02-11"), at("2025-03-20 07:00"), at("2025-04-02"), at("2025-05-05 05:00"))
    past = past_months(Trades.from_frame(frame[frame.exit_time < month]))
    recent = Trades.from_frame(frame[frame.exit_time >= as_ofs[0] - 30 * DAY])
    same(
        bot_metrics(recent, micros(as_ofs), capital=Capital(dict.fromkeys(range(10), 10_000.0)), past=past),
        metrics(frame, *as_ofs),
    )


def test_windows_laid_out_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit."""
    rng = np.random.default_rng(0)
    counts = [1, 2, 3, 127, 128, 129, 1000, 5, 16, 17]
    frame = union(
        *(
            outcomes(rng.normal(size=n), bot_id=bot, every=11 * HOUR / 60, start=START + bot * HOUR)
            for bot, n in enumerate(counts)
        )
    )
    as_ofs = (START + 2 * DAY, START + 9 * DAY, START + 33 * DAY)
    usual = metrics(frame, *as_ofs)
    for module in (path, summaries):
        monkeypatch.setattr(module, "dense_chunks", partial(dense_chunks, elements=100))
    same(metrics(frame, *as_ofs), usual)


def test_nan_is_the_only_absence() -> None:
    rows = metrics(nine(), END, END + 60 * DAY)
    numbers = rows.select_dtypes("float64").to_numpy()
    assert not np.isinf(numbers).any()
    assert isnan(rows.profit_factor.iloc[-1])
