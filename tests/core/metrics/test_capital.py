"""What bots have to trade with: the most that they had open at once, found slowly, and drawdowns of a capital that grows."""

from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.capital import Capital, Exposures, exposures
from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.metrics.lifetime import past_months
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import NEVER, micros
from tests.core import plain
from tests.core.bookkeeping import AS_OFS, DAY, START, at, books, frame_of, outcomes, same

SIZES = st.sampled_from([0.1, 0.2, 0.3, 1.0, 7.5, 300.0, 1e-8, 12345.678])
TRADES = st.lists(
    st.tuples(st.sampled_from([-2, 1, 7]), st.integers(0, 30), st.integers(0, 12) | st.none(), SIZES), max_size=30
)


def arrays(trades: list) -> tuple:
    bot, entry, held, size = (list(column) for column in zip(*trades, strict=True)) if trades else ([], [], [], [])
    leave = [NEVER if h is None else e + h for e, h in zip(entry, held, strict=True)]
    return np.array(bot, np.int64), np.array(entry, np.int64), np.array(leave, np.int64), np.array(size, float)


def most_open(trades: list, bot: int, as_of: int) -> float | None:
    """Instant by instant: what was open at once, up to as_of."""
    own = [t for t in trades if t[0] == bot]
    sums = [
        sum(
            Fraction(size)
            for _, entry, held, size in own
            if entry <= now and (held is None or now < entry + max(held, 1))
        )
        for now in {t[1] for t in own}
        if now < as_of
    ]
    return float(max(sums)) if sums else None


@given(TRADES)
def test_exposures_are_the_most_that_was_open_at_once(trades: list) -> None:
    # An integer is an instant here, so that a trade without length is open for one of them.
    found = exposures(*arrays(trades))
    bots = np.array([-2, 1, 7])
    as_of = np.arange(0, 45)
    table = found.at(bots, as_of)
    for row, bot in enumerate(bots.tolist()):
        for column, now in enumerate(as_of.tolist()):
            expected = most_open(trades, bot, now)
            assert table[row, column] == pytest.approx(expected, rel=1e-9) if expected else np.isnan(table[row, column])


@given(TRADES, st.integers(0, 40))
def test_what_came_before_is_not_needed_again(trades: list, since: int) -> None:
    """Bit for bit: the steps from an instant on follow from what was open then and from the most before."""
    whole = exposures(*arrays(trades))
    bot, entry, leave, size = arrays(trades)
    open_ = (leave == NEVER) | (leave > since) | (entry >= since)
    before = {each: whole.exposure[(whole.bot == each) & (whole.since < since)].max(initial=0.0) for each in (-2, 1, 7)}
    above = np.array([before[each] for each in bot.tolist()])
    part = exposures(bot[open_], np.maximum(entry, since)[open_], leave[open_], size[open_], above[open_])
    later = whole.since >= since
    for name in ("bot", "since", "exposure"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[later])


def test_what_is_closed_leaves_nothing() -> None:
    # 0.1 + 0.2 - 0.1 - 0.2 is 2.8e-17, by which the next 300 would be a new step.
    found = exposures(*arrays([(1, 0, 9, 300.0), (1, 10, 2, 0.1), (1, 11, 2, 0.2), (1, 20, 1, 300.0)]))
    assert (found.since.tolist(), found.exposure.tolist()) == ([0], [300.0])
    sizes = [1e-18, 3e14, 123456789.0123456]
    assert [exposures(*arrays([(1, 0, 1, size)])).exposure[0] for size in sizes] == [1e-18, 3e14, 123456789.0]


def test_capital_is_stated_or_estimated() -> None:
    steps = Exposures(np.array([1, 1, 3]), np.array([10, 20, 5]), np.array([100.0, 150.0, 7.0]))
    capital = Capital({2: 1000.0}, steps)
    found = capital.at(np.array([2, 1, 1, 3, 4]), np.array([10, 11, 21]))
    nan = np.nan
    np.testing.assert_array_equal(found, [[1000] * 3, [nan, 100, 150], [nan, 100, 150], [7, 7, 7], [nan] * 3])
    assert capital.is_estimated(np.array([2, 1, 4])).tolist() == [False, True, True]
    assert capital.now(11) == {2: (1000.0, False), 1: (100.0, True), 3: (7.0, True)}


def test_a_capital_that_grows_measures_all_falls_since_the_first_trade() -> None:
    # 9 are lost on a capital of 10; later trades are of 100, 1,000. The fall is 90 % first, then 9 % and 0.9 %.
    frame = outcomes([-9, 9, 1])
    ends = micros([START + n * DAY + timedelta(seconds=1) for n in range(3)])
    steps = Exposures(np.array([1, 1, 1]), micros([START + n * DAY for n in range(3)]), np.array([10.0, 100.0, 1000.0]))
    rows = bot_metrics(Trades.from_frame(frame), ends, capital=Capital({}, steps))
    rows = rows[rows.ticker == "*"]
    for name in ("max_drawdown", "lifetime_max_drawdown"):
        np.testing.assert_allclose(rows[name], [90, 9, 0.9])
    assert rows["capital"].tolist() == [10, 100, 1000]
    assert rows["capital_is_estimated"].all()


AMOUNTS = st.lists(st.tuples(st.integers(0, 80), st.sampled_from([5.0, 60.0, 900.0])), max_size=4)


@pytest.mark.long
@settings(max_examples=60)
@given(books(most=40), AS_OFS, st.lists(AMOUNTS, min_size=2, max_size=2))
def test_the_engine_agrees_with_plain_loops_where_capital_grows(trades: list, as_ofs: list, amounts: list) -> None:
    known = [
        (bot, START + day * DAY, amount)
        for bot, own in enumerate(amounts, 1)
        for day, amount in sorted(dict(sorted(own, reverse=True)).items())
    ]
    ascending = [k for k in known if all(k[2] > o[2] for o in known if o[0] == k[0] and o[1] < k[1])]
    bot, since, amount = zip(*ascending, strict=True) if ascending else ((), (), ())
    capital = Capital({3: 250.0}, Exposures(np.array(bot, np.int64), micros(since), np.array(amount, float)))
    frame = frame_of(trades)
    rows = bot_metrics(Trades.from_frame(frame), micros(as_ofs), capital=capital)
    for row in rows[rows.ticker == "*"].itertuples():
        known_then = [a for b, s, a in ascending if b == row.bot_id and s < row.as_of] if row.bot_id != 3 else [250.0]
        expected = plain.figures(trades, row.bot_id, "*", row.as_of, max(known_then, default=1.0))
        for name in ("max_drawdown", "avg_drawdown", "lifetime_max_drawdown", "calmar", "sharpe"):
            value = expected[name] if known_then or name == "sharpe" else None
            assert plain.close(getattr(row, name), value), (name, row.as_of)
    month = at(f"{plain.last_day(as_ofs[0]):%Y-%m-01}")
    past = past_months(Trades.from_frame(frame[frame.exit_time < month]))
    recent = Trades.from_frame(frame[frame.exit_time >= min(month, as_ofs[0] - 30 * DAY)])
    same(bot_metrics(recent, micros(as_ofs), capital=capital, past=past), rows)
