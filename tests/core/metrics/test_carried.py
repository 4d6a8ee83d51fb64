"""Figures carried from one instant of a day to a later one: what is computed there, bit for bit."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics import engine
from knowdefeat_pipeline.core.rows import Columns, as_frame, chosen, joined
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import micros
from tests.core.bookkeeping import DAY, HOUR, at, book, outcomes, same

NOON = at("2025-03-01 12:00")


def computed(trades: Trades, as_of: datetime) -> tuple[Columns, Columns]:
    end = micros([as_of])
    return joined([*engine.bot_metrics_blocks(trades, end)]), engine.win_streak_rows(trades, end)


def of_bots(rows: Columns, bots: set[int], others: bool = False) -> Columns:
    return chosen(rows, np.isin(rows["bot_id"], [*bots]) ^ others)


def moved(frame: pd.DataFrame, before: datetime, later: datetime) -> set[int]:
    begin, end = micros([before, later]).tolist()
    return {*engine.moved_bots(frame["bot_id"].to_numpy(), micros(frame["exit_time"]), begin, end).tolist()}


def hours_back() -> st.SearchStrategy[timedelta]:
    """Before NOON: anywhere in the windows, and near the edges of each."""
    edges = [0, 1, 2, 24, 7 * 24, 30 * 24]
    near = st.builds(
        lambda hours, minutes: timedelta(hours=hours, minutes=minutes), st.sampled_from(edges), st.integers(-59, 59)
    )
    return st.one_of(near, st.builds(lambda hours: timedelta(hours=hours), st.integers(0, 60 * 24)))


@pytest.mark.long
@settings(deadline=None, max_examples=150)
@given(
    trades=st.lists(st.tuples(st.integers(1, 6), hours_back(), st.sampled_from([-2.0, -1.0, 0.0, 1.0, 3.0]), st.sampled_from("AB")),
                    min_size=1, max_size=60),
    minutes=st.integers(0, 11 * 60),
)  # fmt: skip
def test_what_is_carried_is_what_is_computed_there(
    trades: list[tuple[int, timedelta, float, str]], minutes: int
) -> None:
    frame = book([{"bot_id": bot, "exit_time": NOON - back, "pnl": pnl, "ticker": t} for bot, back, pnl, t in trades])
    later = NOON + timedelta(minutes=minutes)
    whole = Trades.from_frame(frame)
    before, there = computed(whole, NOON), computed(whole, later)
    gone = moved(frame, NOON, later)
    (end,) = micros([later]).tolist()
    for rows, carried, expected in zip(before, (engine.carry_metrics, engine.carry_streaks), there, strict=True):
        same(as_frame(carried(of_bots(rows, gone, True), end)), as_frame(of_bots(expected, gone, True)))


def test_figures_of_a_bot_do_not_depend_on_the_others() -> None:
    frame = book(
        [{"bot_id": bot, "exit_time": NOON - n * HOUR, "pnl": (-1.0) ** n * bot, "ticker": "AB"[n % 2]}
         for bot in (1, 2, 3) for n in range(1, 50)]
    )  # fmt: skip
    whole = Trades.from_frame(frame)
    for all_bots, alone in zip(computed(whole, NOON), computed(whole.among(np.array([2])), NOON), strict=True):
        same(as_frame(of_bots(all_bots, {2})), as_frame(alone))


def test_a_bot_moves_when_a_trade_enters_or_leaves_a_window() -> None:
    frame = outcomes([1.0], start=NOON)
    micro = timedelta(microseconds=1)
    for age in (timedelta(0), HOUR, 2 * HOUR, DAY, 7 * DAY, 30 * DAY):
        assert moved(frame, NOON + age, NOON + age + micro) == {1}
        assert moved(frame, NOON + age - micro, NOON + age) == set()
        assert moved(frame, NOON + age + micro, NOON + age + HOUR / 2) == set()
