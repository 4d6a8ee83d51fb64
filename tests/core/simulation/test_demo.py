"""The demo: what is planted is there, at the prices of its bars, and the same in every process."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.market.trade_scores import book_walls
from knowdefeat_pipeline.core.simulation.bots import CAPITAL
from knowdefeat_pipeline.core.simulation.demo import (
    BARS_BEFORE,
    DAMAGED,
    DAYS,
    DEMO,
    MARKET,
    ORDINARY,
    PLANTED,
    Demo,
    simulate_demo,
)
from knowdefeat_pipeline.sources.frames import read_frame

END = datetime(2025, 7, 1, tzinfo=UTC)
NAME = {bot.role: bot.name for bot in PLANTED}


@cache
def demo() -> Demo:
    return simulate_demo(END)


def sound() -> pd.DataFrame:
    """The trades without the damaged rows."""
    trades = demo().trades.drop_duplicates("source_trade_id")
    return trades[~trades["source_trade_id"].isin(demo().damaged)]


def of(role: str, status: str = "closed") -> pd.DataFrame:
    trades = sound()
    return trades[(trades["bot_id"] == NAME[role]) & (trades["status"] == status)]


def standardised(rows: pd.DataFrame) -> pd.Series:
    return rows["reported_pnl"] / rows["reported_pnl"].std(ddof=1)


def test_another_end_moves_the_times_and_nothing_else() -> None:
    later = simulate_demo(END + timedelta(days=17))
    for name, times in (("trades", ["entry_time", "exit_time"]), ("bars", ["open_time"]), ("books", ["observed_at"])):
        one, two = getattr(demo(), name), getattr(later, name).copy()
        two[times] -= pd.Timedelta(days=17)
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert later.damaged == demo().damaged
    pd.testing.assert_frame_equal(later.truth.drop(columns="since"), demo().truth.drop(columns="since"))
    with pytest.raises(ValueError, match="midnight in UTC"):
        simulate_demo(END + timedelta(hours=1))


def test_it_is_a_month_of_24_bots_of_which_all_trade_on_the_last_day() -> None:
    assert len(demo().truth) == len(PLANTED) + ORDINARY == 24
    assert demo().truth["bot"].is_unique
    trades = sound()
    assert set(trades["bot_id"]) == set(demo().truth["bot"])
    assert trades["entry_time"].min() >= pd.Timestamp(END) - pd.Timedelta(days=DAYS)
    assert (trades.groupby("bot_id")["entry_time"].max() >= pd.Timestamp(END) - pd.Timedelta(days=1)).all()
    assert trades["source_trade_id"].str.startswith(DEMO).all()
    assert (trades["status"] == "open").sum() > 10
    assert set(trades["ticker"]) == set(MARKET)


def test_trades_are_at_the_prices_of_bars_that_begin_before_them() -> None:
    trades, bars = sound(), demo().bars
    assert set(bars["ticker"]) == set(MARKET)
    assert len(bars) == len(MARKET) * 24 * (DAYS + BARS_BEFORE)
    assert bars["open_time"].min() == pd.Timestamp(END) - pd.Timedelta(days=DAYS + BARS_BEFORE)
    trades = trades[trades["bot_id"] != NAME["duplicate"]]
    inside = trades.assign(open_time=trades["entry_time"].dt.floor("h")).merge(bars, on=["ticker", "open_time"])
    assert len(inside) == len(trades)
    assert (inside["entry_price"] <= inside["high"] * (1 + 1e-12)).all()
    assert (inside["entry_price"] >= inside["low"] * (1 - 1e-12)).all()


def test_every_entry_has_an_order_book_of_two_sides_around_its_price() -> None:
    books = demo().books
    assert (books.groupby(["ticker", "observed_at"]).size() == 4).all()
    met = sound().merge(books, left_on=["ticker", "entry_time"], right_on=["ticker", "observed_at"])
    assert met["source_trade_id"].nunique() == len(sound())
    assert ((met["price"] < met["entry_price"]) == (met["side"] == "BID")).all()
    one = books[books["ticker"] == "DEMO-BTC"].rename(columns={"observed_at": "time"})
    walls = book_walls(one.assign(side=one["side"].str.lower()))
    assert (walls[["bid", "ask"]] > 0).all(axis=None)


def test_who_knows_something_earns_it_and_who_does_not_is_lucky() -> None:
    """Results in their own standard deviation, against the true edges: within three standard errors."""
    truth = demo().truth.set_index("bot")["edge"]
    for role in ("skilled", "duplicate", "losing"):
        results = standardised(of(role))
        assert results.mean() == pytest.approx(truth[NAME[role]], abs=3 / np.sqrt(len(results)))
    assert (truth[NAME["skilled"]], truth[NAME["losing"]], truth[NAME["lucky"]]) == (0.35, -0.35, 0.0)
    # The best of 60 without an edge is expected 2.3 standard errors above 0.
    assert {bot.drawn for bot in PLANTED if bot.kind == "luck"} == {60}
    for role, fewest, most in (("lucky", 10, 30), ("survivor", 80, 160)):
        results = standardised(of(role))
        assert fewest < len(results) < most
        assert 1.3 < results.mean() * np.sqrt(len(results)) < 3.5
    turned = of("turned").assign(result=standardised(of("turned")))
    row = demo().truth.set_index("bot").loc[NAME["turned"]]
    after = turned["entry_time"] >= row["since"]
    assert (row["edge"], row["edge_after"], row["since"]) == (0.35, -0.35, pd.Timestamp(END) - pd.Timedelta(days=10))
    assert turned["result"][~after].mean() > 0.15
    assert turned["result"][after].mean() < -0.15
    ordinary = demo().truth[demo().truth["role"] == "ordinary"]["edge"]
    assert 0.04 < ordinary.std() < 0.12
    assert (ordinary > 0).any()
    assert (ordinary < 0).any()


def test_ways_to_trade_that_only_look_good() -> None:
    won = {role: (of(role)["reported_pnl"] > 0).mean() for role in ("grid", "bag holder", "lottery")}
    assert won["grid"] > 0.95
    assert won["bag holder"] == 1
    assert won["lottery"] < 0.15
    sizes = of("martingale")["notional"]
    assert set(sizes) <= {100.0 * 2**n for n in range(7)}
    assert sizes.nunique() >= 5
    last = demo().bars.groupby("ticker")["close"].last()
    bags = of("bag holder", "open")
    side = np.where(bags["direction"] == "LONG", 1, -1)
    open_pnl = bags["notional"] * side * (bags["ticker"].map(last) / bags["entry_price"] - 1)
    assert -open_pnl.sum() > of("bag holder")["reported_pnl"].sum()
    assert 1 <= len(of("newcomer")) < 5
    assert demo().truth.set_index("bot").loc[[NAME["grid"], NAME["lottery"]], "edge"].between(-0.2, 0).all()


def test_the_duplicate_repeats_every_trade() -> None:
    one, two = (of(role).sort_values("entry_time", ignore_index=True) for role in ("skilled", "duplicate"))
    for name in ("entry_time", "exit_time", "direction", "ticker", "strategy_id"):
        assert one[name].equals(two[name])
    assert (two["notional"] != one["notional"]).all()
    assert one["reported_pnl"].corr(two["reported_pnl"]) > 0.99


def test_the_broken_feed_is_refused_for_what_was_done_to_it() -> None:
    reading = read_frame(demo().trades, "simulator", END, CAPITAL)
    assert Counter(reading.refused["reason"]) == Counter(DAMAGED) - Counter(conflicting_trade=2)
    assert {json.loads(row)["bot_id"] for row in reading.refused["original"]} == {NAME["broken feed"]}
    assert not [
        note for note in reading.notes if "net pnl" in note
    ]  # the stated ones are right, but of what was damaged
    lost = sum(DAMAGED.values()) - DAMAGED["conflicting_trade"]
    assert len(demo().damaged) == lost == len(reading.refused)
    again = demo().trades[demo().trades.duplicated("source_trade_id", keep=False)]
    assert len(again) == 2 * DAMAGED["conflicting_trade"]
    assert set(again["bot_id"]) == {NAME["broken feed"]}
