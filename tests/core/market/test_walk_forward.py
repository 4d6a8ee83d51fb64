"""Fits happen at places that depend on nothing but the place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.market.walk_forward import (
    EVERY,
    LOOKBACK,
    TRAIL,
    SeriesError,
    block_start,
    blocks,
    check_history,
    needed_from,
)

FIRST = 64


def test_fits_double_and_then_keep_their_distance() -> None:
    found = list(blocks(0, 13_000, FIRST))
    starts = [0, 64, 128, 256, 512, 1024, 2048, 4096, 6144, 8192, 10_240, 12_288]
    assert [start for _, start, _ in found] == starts
    assert [stop for _, _, stop in found] == [*starts[1:], 13_000]
    assert [oldest for oldest, _, _ in found] == [0] * 10 + [2048, 4096]


@given(since=st.integers(0, 30_000), length=st.integers(0, 9000))
def test_any_stretch_is_cut_where_the_whole_series_is(since: int, length: int) -> None:
    end = since + length
    whole = {start: (oldest, stop) for oldest, start, stop in blocks(0, 60_000, FIRST)}
    covered = since
    for oldest, start, stop in blocks(since, end, FIRST):
        assert start == block_start(covered, FIRST) <= covered
        assert oldest == whole[start][0] == max(0, start - TRAIL)
        assert stop == min(end, whole[start][1])
        covered = stop
    assert covered == end


def test_what_an_answer_needs() -> None:
    assert needed_from(0, FIRST) == needed_from(TRAIL + LOOKBACK, FIRST) == 0
    assert needed_from(5 * EVERY - 1, FIRST) == 0
    assert needed_from(5 * EVERY, FIRST) == needed_from(6 * EVERY - 1, FIRST) == EVERY - LOOKBACK
    check_history(EVERY - LOOKBACK, 5 * EVERY, FIRST)
    with pytest.raises(
        SeriesError, match=r"from bar 10240 of the series on need its bars from 1792 on, .* begin at 1793"
    ):
        check_history(EVERY - LOOKBACK + 1, 5 * EVERY, FIRST)
    with pytest.raises(SeriesError, match="begin at -1"):
        check_history(-1, 0, FIRST)
