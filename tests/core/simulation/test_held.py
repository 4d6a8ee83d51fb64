"""The world without edge whose trades live for days: its trades follow its prices, and marks take out what was earned."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.ranking.earnings import ClosedDays, earned
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.simulation.held import held_nights, held_panel, simulate_held
from knowdefeat_pipeline.core.units import day_of, micros

END = datetime(2025, 7, 1, tzinfo=UTC)


def test_trades_enter_and_leave_at_the_prices_of_the_bars() -> None:
    world = simulate_held(bots=8, days=40, rate=2.7, seed=1, end=END)
    bars = world.bars.set_index(["ticker", "open_time"])
    for name in ("entry", "exit"):
        at = pd.MultiIndex.from_arrays([world.trades["ticker"], world.trades[f"{name}_time"]])
        np.testing.assert_allclose(bars["open"].reindex(at), world.trades[f"{name}_price"], rtol=1e-12)
    last = world.bars.assign(day=world.bars["open_time"].dt.floor("D")).groupby(["ticker", "day"])["close"].last()
    np.testing.assert_array_equal(last.unstack("ticker")[world.close.columns], world.close)
    assert 2.0 < (world.trades["exit_time"] - world.trades["entry_time"]).mean() / pd.Timedelta(days=1) < 5.0


def test_the_days_of_all_bots_sum_to_their_net_pnl() -> None:
    world = simulate_held(bots=8, days=40, rate=2.7, seed=2, end=END)
    trades = world.trades.assign(day=day_of(micros(world.trades["exit_time"])))
    sums = trades.groupby(["bot_id", "day"])["pnl"].agg(["sum", lambda pnl: pnl.abs().sum()]).reset_index()
    found = earned(ClosedDays(*(sums[name].to_numpy() for name in sums)), held_nights(trades, world.close))
    by_bot = pd.Series(found.pnl).groupby(found.bot).sum()
    np.testing.assert_allclose(by_bot, trades.groupby("bot_id")["pnl"].sum(), atol=1e-9)


def test_marked_labels_teach_nothing_and_closed_ones_freeze() -> None:
    world = simulate_held(bots=20, days=130, rate=2.7, seed=3, end=END)
    marked, closed = (learn_weights(Panel.of(held_panel(world, marked=of))) for of in (True, False))
    assert abs(np.nanmean(marked.ic["learned"])) < 3 / np.sqrt(19 * 129)
    assert np.nanmean(closed.ic["learned"]) > 10 / np.sqrt(19 * 129)
    assert closed.reason[-1] is not None
    assert "no bars to mark them" in closed.reason[-1]
    assert closed.carried[-1] > 0.9
    assert marked.carried[-1] == 0


@pytest.mark.parametrize("cut", [60, 95])
def test_labels_and_weights_up_to_a_day_rest_on_nothing_later(cut: int) -> None:
    """Other prices after it, and other ends of the trades that had not closed by then."""
    world = simulate_held(bots=8, days=120, rate=2.7, seed=4, end=END)
    end = world.close.index[cut]
    later = world.close.index >= end
    other = world.trades.assign(pnl=world.trades["pnl"].mask(world.trades["exit_time"] >= end, -7.0))
    other["exit_time"] = other["exit_time"].mask(other["exit_time"] >= end, END - pd.Timedelta(hours=1))
    changed = held_panel(
        replace(world, trades=other, close=pd.concat([world.close[~later], world.close[later] * 0 + 3]))
    )
    whole = held_panel(world)
    ended = whole["as_of"] < end
    left, right = (of[of["as_of"] < end].reset_index(drop=True) for of in (whole, changed))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    weights, others = (learn_weights(Panel.of(of)).weights for of in (whole, changed))
    days = whole.loc[ended, "as_of"].nunique() + 1  # at `end` the last of these labels has just ended
    assert np.array_equal(weights[:days], others[:days])
