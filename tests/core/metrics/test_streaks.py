"""win_streaks: hand-computed figures, Know-Defeat's count, the runs test of statsmodels, and plain loops."""

from datetime import datetime
from math import erfc, sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.sandbox.stats.runs import runstest_1samp

from knowdefeat_pipeline.core.metrics.streaks import expected_frequency, run_lengths, streak_figures
from knowdefeat_pipeline.core.schema import STREAK_LENGTHS, STREAK_SUMMARY, STREAKS
from tests.core import plain
from tests.core.bookkeeping import AS_OFS, DAY, HOUR, START, TICK, at, books, frame_of, outcomes, same, streaks, union

END = at("2025-01-25")


def only(frame: pd.DataFrame, as_of: datetime = END) -> tuple[pd.DataFrame, pd.Series]:
    """Lengths by k and the summary of a book with one bot."""
    lengths, summary = streaks(frame, as_of)
    assert len(summary) == 1
    return lengths.set_index("streak_length"), summary.iloc[0]


def test_every_figure_of_nine_trades() -> None:
    lengths, summary = only(outcomes([1, 1, 0, 1, -1, 0, 0, -2, 3]))
    p = 4 / 9
    assert list(lengths.reset_index().columns) == ["streak_length", "as_of", "bot_id", *(f.name for f in STREAKS[1:])]
    assert lengths.hits.to_dict() == {2: 1, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}
    assert lengths.runs.to_dict() == {2: 1, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}
    assert lengths.frequency.to_dict() == pytest.approx({2: 100 / 9, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0})
    expected = {2: 8 * p**2, 3: 7 * p**3, 4: 6 * p**4, 5: 5 * p**5, 6: 4 * p**6, 7: 3 * p**7}
    assert lengths.expected_frequency.to_dict() == pytest.approx({k: 100 / 9 * v for k, v in expected.items()})
    assert list(summary.index) == ["as_of", "bot_id", *(f.name for f in STREAK_SUMMARY)]
    assert summary.drop(["as_of", "win_rate", "streakiness_p_value", "order_p_value"]).to_dict() == {
        "bot_id": 1, "trades": 9, "longest_win_streak": 2, "longest_loss_streak": 1, "current_streak": 1,
    }  # fmt: skip
    assert summary.win_rate == pytest.approx(400 / 9)
    assert np.isnan(summary.streakiness_p_value)  # under 20 trades


@pytest.mark.parametrize(
    ("signs", "hits", "runs", "longest", "current"),
    [
        ("WWWWWWWWW", [8, 7, 6, 5, 4, 3], [1] * 6, (9, 0), 9),
        ("WWLWWWLW", [3, 1, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0], (3, 1), 1),
        ("WW0WW", [2, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0], (2, 0), 2),
        ("LL0LLL", [0] * 6, [0] * 6, (0, 3), -3),
        ("WLL", [0] * 6, [0] * 6, (1, 2), -2),
        ("LW0", [0] * 6, [0] * 6, (1, 1), 0),
        ("0", [0] * 6, [0] * 6, (0, 0), 0),
        ("W", [0] * 6, [0] * 6, (1, 0), 1),
    ],
)
def test_runs(signs: str, hits: list[int], runs: list[int], longest: tuple[int, int], current: int) -> None:
    lengths, summary = only(outcomes([{"W": 1, "L": -1, "0": 0}[sign] for sign in signs]))
    assert lengths.hits.tolist() == hits
    assert lengths.runs.tolist() == runs
    assert (summary.longest_win_streak, summary.longest_loss_streak) == longest
    assert summary.current_streak == current


def test_a_run_is_cut_where_the_window_begins() -> None:
    # Wins on 40 days in a row but for the last: of the 30 in the window, 29 wins and a loss.
    lengths, summary = only(outcomes([1] * 39 + [-1]), START + 39 * DAY + TICK)
    assert summary.trades == 30
    assert summary.longest_win_streak == 29
    assert summary.current_streak == -1
    assert lengths.hits.to_dict() == {k: 29 - k + 1 for k in STREAK_LENGTHS}
    assert lengths.runs.tolist() == [1] * 6
    _, losing = only(outcomes([-1] * 40), START + 39 * DAY + TICK)
    assert (losing.longest_loss_streak, losing.current_streak) == (30, -30)


def test_two_bots_do_not_share_a_run() -> None:
    _, summary = streaks(union(outcomes([1, 1]), outcomes([1, 1, 1], bot_id=2)), END)
    assert summary.longest_win_streak.tolist() == [2, 3]
    assert summary.current_streak.tolist() == [2, 3]


def test_a_bot_counts_over_all_its_tickers() -> None:
    frame = union(outcomes([1, 1], every=2 * HOUR), outcomes([-1], ticker="BBB", start=START + HOUR))
    _, summary = only(frame)
    assert summary.longest_win_streak == 1


def test_strict_alternation_is_not_luck() -> None:
    # 10 wins, 10 losses, 20 runs: mean 11, variance 200 · 180 / (400 · 19).
    _, summary = only(outcomes([1, -1] * 10))
    z = (20 - 11) / sqrt(200 * 180 / (400 * 19))
    assert summary.streakiness_p_value == pytest.approx(erfc(z / sqrt(2)), rel=1e-12)
    assert summary.streakiness_p_value == pytest.approx(3.55e-5, rel=0.01)


def test_breakeven_trades_count_among_the_twenty_but_decide_nothing() -> None:
    # 10 wins and 9 losses in strict alternation: 19 runs, mean 1 + 180/19, variance 180 · 161 / (361 · 18).
    _, summary = only(outcomes([1, -1] * 5 + [0] + [1, -1] * 4 + [1]))
    z = (19 - (1 + 180 / 19)) / sqrt(180 * 161 / (361 * 18))
    assert summary.streakiness_p_value == pytest.approx(erfc(z / sqrt(2)), rel=1e-12)


def test_no_runs_test_where_there_is_nothing_to_test() -> None:
    for pnl in ([1] * 20, [-1] * 20, [0] * 20, [1, -1] * 9 + [1], [1, -1] + [0] * 18):
        _, summary = only(outcomes(pnl))
        assert np.isnan(summary.streakiness_p_value)


def test_a_bot_without_a_trade_in_the_window_has_no_rows() -> None:
    lengths, summary = streaks(outcomes([1, 1]), END + 60 * DAY)
    assert (len(lengths), len(summary)) == (0, 0)


def test_no_trades_no_rows() -> None:
    for frame in (outcomes([]), outcomes([1, 1], start=END + HOUR)):
        lengths, summary = streaks(frame, END)
        assert (len(lengths), len(summary)) == (0, 0)


SIGNS = st.lists(st.sampled_from([1, 1, 0, -1, -1]), max_size=60)


@given(SIGNS)
def test_hits_are_the_seed_s_count(signs: list[int]) -> None:
    """For each k, the sum over runs of max(0, L - k + 1)."""
    runs, current = [], 0
    for sign in [*signs, 0]:
        if sign > 0:
            current += 1
        elif current:
            runs.append(current)
            current = 0
    n = len(signs)
    figures = streak_figures(np.array(signs, float), np.array([0]), np.array([0]), np.array([n]))
    assert figures.hits[0].tolist() == [sum(max(0, run - k + 1) for run in runs) for k in STREAK_LENGTHS]


@given(st.lists(st.sampled_from([1, -1]), min_size=20, max_size=80))
def test_the_runs_test_of_statsmodels(signs: list[int]) -> None:
    n = len(signs)
    figures = streak_figures(np.array(signs, float), np.array([0]), np.array([0]), np.array([n]))
    if abs(sum(signs)) == n:
        assert np.isnan(figures.p_value[0])
    else:
        expected = runstest_1samp(np.array(signs), cutoff=0, correction=False)[1]
        assert figures.p_value[0] == pytest.approx(expected, rel=1e-9)


@given(SIGNS, st.data())
def test_run_lengths_start_anew_with_each_series(signs: list[int], data: st.DataObject) -> None:
    flags = np.array(signs, int) > 0
    cuts = sorted(data.draw(st.lists(st.integers(0, len(signs)), max_size=4)))
    start = np.array([0, *cuts], dtype=np.int64)
    expected = []
    for a, b in zip(start, [*cuts, len(signs)], strict=True):
        run = 0
        for flag in flags[a:b]:
            run = run + 1 if flag else 0
            expected.append(run)
    if len(flags):
        padded = run_lengths(np.append(flags, False), start)
        assert padded[:-1].tolist() == expected


@settings(max_examples=60)
@given(books(most=60), AS_OFS)
def test_the_engine_agrees_with_plain_loops(trades: list[plain.Trade], as_ofs: list[datetime]) -> None:
    lengths, summary = streaks(frame_of(trades), *as_ofs)
    rows = {(row.as_of, row.bot_id): row._asdict() for row in summary.itertuples()}
    by_length = {(row.as_of, row.bot_id, row.streak_length): row._asdict() for row in lengths.itertuples()}
    for as_of in as_ofs:
        for bot in (1, 2, 3):
            window = plain.in_order([t for t in trades if t.bot == bot and as_of - 30 * DAY <= t.exit < as_of])
            row = rows.pop((as_of, bot), None)
            assert (row is None) == (not window)
            if row is not None:
                check(row, plain.streak_summary(window))
                for expected in plain.streak_lengths(window):
                    check(by_length.pop((as_of, bot, expected["streak_length"])), expected)
    assert not rows
    assert not by_length


def check(row: dict, expected: dict) -> None:
    wrong = {name: (row[name], value) for name, value in expected.items() if not plain.close(row[name], value)}
    assert not wrong


@settings(max_examples=20)
@given(books(), AS_OFS)
def test_streaks_depend_on_nothing_but_their_own_trades(trades: list[plain.Trade], as_ofs: list[datetime]) -> None:
    whole = streaks(frame_of(trades), *as_ofs)
    for as_of in as_ofs:
        for alone, rows in zip(streaks(frame_of(trades[::-1]), as_of), whole, strict=True):
            same(alone, rows[rows.as_of == as_of])
    for bot in (1, 2, 3):
        alone = streaks(frame_of([t for t in trades if t.bot == bot]), *as_ofs)
        for part, rows in zip(alone, whole, strict=True):
            same(part, rows[rows.bot_id == bot])


def test_expected_frequency_is_what_independent_trades_show() -> None:
    rng = np.random.default_rng(3)
    n, p, worlds = 60, 0.6, 4000
    pnl = np.where(rng.random((worlds, n)) < p, 1.0, -1.0)
    low = np.arange(worlds) * n
    figures = streak_figures(pnl.ravel(), low, low, low + n)
    expected = expected_frequency(np.array([n]), np.array([100 * p]))[0]
    found = 100 * figures.hits / n
    assert np.abs(found.mean(axis=0) - expected).max() < 4 * (found.std(axis=0) / sqrt(worlds)).max()
