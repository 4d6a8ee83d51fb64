"""Summaries of stretches: merged they equal one pass, in whatever way they are split."""

from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.lifetime import lifetimes
from knowdefeat_pipeline.core.metrics.summaries import (
    Summaries,
    daily_summaries,
    merge,
    month_number,
    monthly_summaries,
    summarise,
)
from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.core.units import DAY

CAPITALS = (1.0, 100.0, 10_000.0, 1e9)
MONEY = st.one_of(
    st.integers(-5, 5).map(float),
    st.integers(-500, 500).map(lambda cents: cents / 100),
    st.floats(0.01, 1e6).map(lambda x: x if round(x) % 2 else -x),
)


def whole(pnl: list[float]) -> Summaries:
    """One summary of all trades; trade n closes at n + 1."""
    exit_ = np.arange(1, len(pnl) + 1)
    return summarise(np.array(pnl), exit_, np.array([0]), np.array([len(pnl)]))


def split(pnl: list[float], cuts: list[int]) -> Summaries:
    """Stretches between the cuts, an empty one where two cuts coincide."""
    bounds = np.array([0, *cuts, len(pnl)])
    parts = []
    for a, b in pairwise(bounds):
        some = summarise(np.array(pnl), np.arange(1, len(pnl) + 1), np.array([a]), np.array([b])) if b > a else None
        parts.append(some or Summaries.empty(1))
    return Summaries.concat(parts)


def joined(summaries: Summaries) -> Summaries:
    return merge(summaries, np.array([0]))


def deepest(summary: Summaries, capital: float) -> float:
    """Percent of the peak, from the legs that were kept."""
    share = (summary.leg_peak - summary.leg_trough) / (capital + summary.leg_peak)
    return 100 * share.max(initial=0.0)


def deepest_in_full(pnl: list[float], capital: float) -> float:
    equity = peak = Fraction(capital)
    share = Fraction(0)
    for value in pnl:
        equity += Fraction(value)
        peak = max(peak, equity)
        share = max(share, (peak - equity) / peak)
    return float(100 * share)


def agree(found: Summaries, expected: Summaries) -> None:
    for name in ("trades", "wins", "first_exit", "last_exit"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    size = float((expected.gross_profit + expected.gross_loss)[0])
    for name in ("pnl", "gross_profit", "gross_loss", "peak"):
        assert getattr(found, name)[0] == pytest.approx(getattr(expected, name)[0], abs=1e-9 * max(size, 1e-9)), name
    for capital in CAPITALS:
        assert deepest(found, capital) == pytest.approx(deepest(expected, capital), rel=1e-9, abs=1e-9)


def test_a_summary_by_hand() -> None:
    # Equity 2 1 5 -1 5 3 6 0: marks 0, 2, 5, 6; deepest below them 1, 6, 6.
    summary = whole([2, -1, 4, -6, 6, -2, 3, -6])
    assert (summary.trades[0], summary.wins[0], summary.pnl[0], summary.peak[0]) == (8, 4, 0, 6)
    assert (summary.gross_profit[0], summary.gross_loss[0]) == (15, 15)
    assert (summary.first_exit[0], summary.last_exit[0]) == (1, 8)
    # The last leg is as deep as the one from 5 but from a higher mark: it can never be the deepest.
    assert list(zip(summary.leg_peak, summary.leg_trough, strict=True)) == [(2, 1), (5, -1)]
    assert deepest(summary, 10) == 100 * 6 / 15


def test_a_trough_reaches_back_to_a_mark_of_an_earlier_stretch() -> None:
    both = joined(split([10, -4, 1, -5, 2], [2]))  # equity 10 6 | 7 2 4
    assert list(zip(both.leg_peak, both.leg_trough, strict=True)) == [(10, 2)]
    assert deepest(both, 90) == 8


PNL = st.lists(MONEY, min_size=1, max_size=40)
CASES = PNL.flatmap(lambda pnl: st.tuples(st.just(pnl), st.lists(st.integers(0, len(pnl)), max_size=6).map(sorted)))


@given(CASES)
def test_merging_any_split_equals_one_pass(case: tuple[list[float], list[int]]) -> None:
    pnl, cuts = case
    merged = joined(split(pnl, cuts))
    agree(merged, whole(pnl))
    for capital in CAPITALS:
        assert deepest(merged, capital) == pytest.approx(deepest_in_full(pnl, capital), rel=1e-9, abs=1e-9)


@given(CASES, st.data())
def test_merge_is_associative(case: tuple[list[float], list[int]], data: st.DataObject) -> None:
    pnl, cuts = case
    parts = split(pnl, cuts)
    group = np.array([0, *sorted(data.draw(st.sets(st.integers(1, max(1, len(parts) - 1)))))])
    agree(joined(merge(parts, group[group < len(parts)])), joined(parts))


def identical(left: Summaries, right: Summaries) -> None:
    for field in fields(Summaries):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name), strict=True)


@given(PNL, st.integers(0, 3), st.integers(0, 3))
def test_the_empty_summary_changes_nothing(pnl: list[float], before: int, after: int) -> None:
    """Bit for bit."""
    summary = whole(pnl)
    identical(joined(Summaries.concat([Summaries.empty(before), summary, Summaries.empty(after)])), summary)


def test_empty_summaries_merge_to_an_empty_summary() -> None:
    identical(joined(Summaries.empty(3)), Summaries.empty(1))
    identical(merge(Summaries.empty(0), np.empty(0, np.int64)), Summaries.empty(0))


@given(st.lists(PNL, min_size=1, max_size=5), st.data())
def test_rows_are_summarised_merged_and_taken_independently(books: list[list[float]], data: st.DataObject) -> None:
    alone = [whole(pnl) for pnl in books]
    together = Summaries.concat(alone)
    rows = data.draw(st.lists(st.integers(0, len(books) - 1), max_size=8))
    for at, row in enumerate(rows):
        identical(together.take(np.array(rows)).take(np.array([at])), alone[row])
    merged = merge(together, np.arange(len(books)))
    identical(merged, together)
    pnl = np.concatenate([np.array(book) for book in books])
    stop = np.cumsum([len(book) for book in books])
    start = stop - [len(book) for book in books]
    at_once = summarise(pnl, np.concatenate([np.arange(1, len(book) + 1) for book in books]), start, stop)
    identical(at_once, together)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=6))
def test_flat_ranges(ranges: list[tuple[int, int]]) -> None:
    start = np.array([a for a, _ in ranges], dtype=np.int64)
    number, index = flat_ranges(start, start + np.array([n for _, n in ranges], dtype=np.int64))
    expected = [(at, a + step) for at, (a, n) in enumerate(ranges) for step in range(n)]
    assert list(zip(number.tolist(), index.tolist(), strict=True)) == expected


def test_days_and_months_begin_at_midnight() -> None:
    january = 20 * DAY  # 21 January 1970, 00:00: the day that begins
    exits = np.array([january - 1, january, january + DAY - 1, 31 * DAY - 1, 31 * DAY])
    days = daily_summaries(np.array([1.0, 2, 4, 8, 16]), exits, np.array([0]), np.array([5]))
    assert days.day.tolist() == [19, 20, 30, 31]
    assert days.summaries.pnl.tolist() == [1, 6, 8, 16]
    assert month_number(days.day).tolist() == [0, 0, 0, 1]
    months = monthly_summaries(days)
    assert months.day.tolist() == [30, 31]
    assert months.summaries.pnl.tolist() == [15, 16]
    assert months.summaries.last_exit.tolist() == [31 * DAY - 1, 31 * DAY]


@given(st.lists(st.tuples(MONEY, st.integers(1, 100)), min_size=1, max_size=40), st.sampled_from(CAPITALS))
def test_lifetimes_equal_one_pass_over_the_trades(trades: list[tuple[float, int]], capital: float) -> None:
    trades = sorted(trades, key=lambda trade: trade[1])
    pnl, exits = np.array([t[0] for t in trades]), np.array([t[1] for t in trades]) * DAY
    days = daily_summaries(pnl, exits, np.array([0]), np.array([len(pnl)]))
    asked = np.array([1, 30, 31, 32, 60, 100])
    life = lifetimes(days, monthly_summaries(days), asked, np.full((1, len(asked)), capital))
    for column, day in enumerate(asked):
        known = [value for value, closed in trades if closed <= day]
        assert life.trades[0, column] == len(known)
        assert life.wins[0, column] == sum(value > 0 for value in known)
        if known:
            size = 1e-9 * max(1.0, sum(map(abs, known)))
            assert life.pnl[0, column] == pytest.approx(sum(known), abs=size)
            assert life.gross_profit[0, column] == pytest.approx(sum(v for v in known if v > 0), abs=size)
            assert life.gross_loss[0, column] == pytest.approx(-sum(v for v in known if v < 0), abs=size)
            expected = deepest_in_full(known, capital)
            assert life.max_drawdown[0, column] == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert life.first_exit[0, column] == exits[0]
            assert life.last_exit[0, column] == exits[len(known) - 1]
        else:
            assert np.isnan([life.pnl[0, column], life.max_drawdown[0, column]]).all()


def test_concat_keeps_each_row_s_legs() -> None:
    parts = [whole([-1.0]), whole([5.0]), whole([3.0, -2.0])]
    together = Summaries.concat(parts)
    assert together.leg_stop.tolist() == [1, 1, 2]
    shifted = replace(parts[2], leg_stop=parts[2].leg_stop)
    identical(together.take(np.array([2])), shifted)
