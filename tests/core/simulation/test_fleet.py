"""The realistic fleet: prices of one market, edges as stated, and bots that look better than they are."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.simulation.fleet import PATTERN, TICKERS, Fleet, simulate_fleet

END = datetime(2025, 7, 1, tzinfo=UTC)


@cache
def fleet() -> Fleet:
    return simulate_fleet("realistic", bots=100, days=200, seed=5, end=END)


def closed() -> pd.DataFrame:
    trades = fleet().trades
    return trades[trades["status"] == "closed"].merge(fleet().truth[["bot_id", "kind", "edge"]], on="bot_id")


def test_the_same_arguments_give_the_same_fleet() -> None:
    one, two, other = (simulate_fleet("realistic", bots=9, days=20, seed=seed, end=END) for seed in (3, 3, 4))
    for name in ("trades", "bars", "truth"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name), check_exact=True)
    assert not one.trades["entry_price"].equals(other.trades["entry_price"])
    assert one.truth["kind"].tolist() == list(PATTERN[:9])


def test_prices_of_trades_are_those_of_the_bars() -> None:
    """Entries and exits on the hour are the closes of the bar that ends then; the others lie within their bar."""
    trades = closed()[closed()["kind"] != "duplicate"]
    bars = fleet().bars.assign(end=fleet().bars["open_time"] + pd.Timedelta(hours=1))
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    on_hour = trades[trades["exit_time"].dt.floor("h") == trades["exit_time"]]
    met = on_hour.merge(bars, left_on=["ticker", "exit_time"], right_on=["ticker", "end"])
    assert len(met) == len(on_hour) > 500
    np.testing.assert_allclose(met["exit_price"], met["close"], rtol=1e-12)
    inside = trades.assign(open_time=trades["entry_time"].dt.floor("h")).merge(bars, on=["ticker", "open_time"])
    assert (inside["entry_price"] <= inside["high"] * (1 + 1e-12)).all()
    assert (inside["entry_price"] >= inside["low"] * (1 - 1e-12)).all()


def test_one_market_moves_all_tickers() -> None:
    bars = fleet().bars.pivot(index="open_time", columns="ticker", values="close")
    correlation = np.log(bars).diff().corr().to_numpy()[np.triu_indices(len(TICKERS), 1)]
    assert correlation == pytest.approx(0.6, abs=0.05)


def test_each_kind_is_what_it_says() -> None:
    trades = closed()
    results = trades.assign(won=trades["reported_pnl"] > 0).groupby("kind")
    won = results["won"].mean()
    assert won["grid"] > 0.95
    alive = fleet().truth[fleet().truth["died"].isna()]["bot_id"]
    holders = trades[(trades["kind"] == "holder") & trades["bot_id"].isin(alive)]
    assert (holders["reported_pnl"] > 0).all()
    assert won["lottery"] < 0.15
    still_open = fleet().trades[fleet().trades["status"] == "open"].merge(fleet().truth, on="bot_id")
    by_kind = still_open.groupby("kind").size() / fleet().truth.groupby("kind").size()
    assert by_kind["holder"] > 2 * by_kind.drop("holder").max()
    sizes = trades[trades["kind"] == "martingale"]["notional"].unique()
    assert sorted(sizes) == [100.0 * 2**n for n in range(7)]
    assert (trades["exit_time"].dt.floor("D") > trades["entry_time"].dt.floor("D")).mean() > 0.15


def test_edges_are_those_of_the_truth() -> None:
    """Standardised results less the stated edge average 0 over all bots that time their entries."""
    steady = closed()[closed()["kind"].isin(["steady", "luck"])]
    spread = steady.groupby("bot_id")["reported_pnl"].transform("std")
    rest = steady["reported_pnl"] / spread - steady["edge"]
    daily = rest.groupby(steady["exit_time"].dt.floor("D")).sum()
    assert abs(rest.sum()) < 3 * np.sqrt((daily**2).sum())
    by_bot = steady.groupby("bot_id").agg(n=("edge", "size"), edge=("edge", "first"))
    mean = (steady["reported_pnl"] / spread).groupby(steady["bot_id"]).mean()
    z = (mean - by_bot["edge"]) * np.sqrt(by_bot["n"])
    assert 0.7 < z.std() < 1.6
    assert np.corrcoef(mean, by_bot["edge"])[0, 1] > 0.6


def test_breaks_turn_an_edge_round() -> None:
    trades = fleet().trades.merge(fleet().truth, on="bot_id")
    broken = trades[(trades["kind"] == "breaking") & (trades["status"] == "closed")]
    result = broken["reported_pnl"] / broken.groupby("bot_id")["reported_pnl"].transform("std")
    after = broken["entry_time"] >= broken["break_time"]
    assert result[~after].mean() == pytest.approx(0.15, abs=0.06)
    assert result[after].mean() == pytest.approx(-0.15, abs=0.06)


def test_bots_are_born_and_die_and_are_copied() -> None:
    trades, truth = fleet().trades, fleet().truth.set_index("bot_id")
    first, last = trades.groupby("bot_id")["entry_time"].min(), trades.groupby("bot_id")["exit_time"].max()
    assert (first >= truth["born"].reindex(first.index)).all()
    dead = truth["died"].dropna()
    assert len(dead) > 10
    assert (last.reindex(dead.index) <= dead).all()
    assert not trades[trades["status"] == "open"]["bot_id"].isin(dead.index).any()
    copies = truth["duplicate_of"].dropna()
    daily = closed().groupby([closed()["exit_time"].dt.floor("D"), "bot_id"])["reported_pnl"].sum().unstack()
    for copy, original in copies.items():
        assert daily[copy].corr(daily[original]) > 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "dreamt"}, "unknown fleet 'dreamt': choose one of realistic"),
        ({"bots": 0}, "bots=0"),
        ({"seed": -1}, "seed=-1"),
        ({"end": END.replace(hour=1)}, "midnight in UTC"),
    ],
)
def test_impossible_arguments_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_fleet(**({"name": "realistic", "bots": 2, "days": 2, "seed": 1, "end": END} | change))
