"""Series of trades, and where windows begin in them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.series import Series, positions
from tests.core.bookkeeping import DAY, START, outcomes, union


def described(trades: Trades, series: Series) -> list[tuple[int, str, list[float]]]:
    """(bot, ticker, pnl in order) of every row of a result."""
    names = (*trades.tickers, "*")
    pnl = trades.pnl[series.rows]
    return [
        (int(series.bot[at]), names[code], pnl[series.start[at] : series.stop[at]].tolist())
        for at, code in zip(*series.answers, strict=True)
    ]


def test_series_of_bots_and_tickers() -> None:
    frame = union(
        outcomes([1, 3], every=2 * DAY),
        outcomes([2], ticker="BBB", start=START + DAY),
        outcomes([7, 8], bot_id=2, ticker="BBB"),
        outcomes([9], bot_id=5, ticker="AAA"),
    )
    trades = Trades.from_frame(frame)
    series = Series.of(trades)
    assert described(trades, series) == [
        (1, "*", [1, 2, 3]), (2, "*", [7, 8]), (5, "*", [9]),
        (1, "AAA", [1, 3]), (1, "BBB", [2]), (2, "BBB", [7, 8]), (5, "AAA", [9]),
    ]  # fmt: skip
    assert len(series) == 5  # a bot with one ticker has one series


def test_series_of_pairs_known_from_before() -> None:
    trades = Trades.from_frame(outcomes([1, 2], bot_id=3)).with_tickers(["BBB"])
    pairs = (np.array([3, 3, 9, 3]), np.array([0, 1, 1, 0]))  # bot 3 also traded BBB, and there was a bot 9
    assert described(trades, Series.of(trades, pairs)) == [
        (3, "*", [1, 2]), (9, "*", []), (3, "AAA", [1, 2]), (3, "BBB", []), (9, "BBB", []),
    ]  # fmt: skip


SEGMENTS = st.lists(st.lists(st.integers(0, 12), max_size=8).map(sorted), max_size=5)


@given(SEGMENTS, st.lists(st.integers(-1, 13), max_size=5, unique=True).map(sorted))
def test_positions_count_entries_before_each_cut(segments: list[list[int]], cuts: list[int]) -> None:
    lengths = [len(segment) for segment in segments]
    stop = np.cumsum(lengths, dtype=np.int64)
    start = stop - np.array(lengths, dtype=np.int64)
    instants = np.array([value for segment in segments for value in segment], dtype=np.int64)
    found = positions(instants, start, stop, np.array(cuts, dtype=np.int64))
    expected = [
        [int(begin) + sum(value < cut for value in segment) for cut in cuts]
        for begin, segment in zip(start, segments, strict=True)
    ]
    assert found.tolist() == expected
