"""Windows laid out and reduced."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades.reductions import SIDE_BY_SIDE, accumulated, dense_chunks, padded, reduce_windows

WINDOWS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted), max_size=12)


@given(WINDOWS)
def test_reduce_windows_takes_each_window_by_itself(windows: list[list[int]]) -> None:
    low, high = np.array(windows, dtype=np.int64).reshape(-1, 2).T
    values = np.random.default_rng(1).normal(size=20)
    for operation, plain in ((np.add, np.sum), (np.maximum, np.max), (np.minimum, np.min)):
        found = reduce_windows(operation, values, low, high, np.nan)
        expected = [plain(values[a:b]) if b > a else np.nan for a, b in windows]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        alone = [reduce_windows(operation, values, low[[n]], high[[n]], np.nan)[0] for n in range(len(low))]
        np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize("rows", [1, SIDE_BY_SIDE - 1, SIDE_BY_SIDE])
@pytest.mark.parametrize("operation", [np.add, np.maximum, np.multiply])
def test_many_rows_accumulate_as_each_by_itself(operation: np.ufunc, rows: int) -> None:
    values = np.random.default_rng(1).normal(size=(rows, 70))
    given = values.copy()
    found = accumulated(operation, values)
    np.testing.assert_array_equal(found, [operation.accumulate(row) for row in values])
    np.testing.assert_array_equal(accumulated(np.maximum, found), np.maximum.accumulate(found, axis=1))
    np.testing.assert_array_equal(values, given)


@given(WINDOWS, st.integers(1, 64))
def test_dense_chunks_hold_every_window_once(windows: list[list[int]], elements: int) -> None:
    low, high = np.array(windows, dtype=np.int64).reshape(-1, 2).T
    seen: dict[int, list[int]] = {}
    values = np.random.default_rng(1).normal(size=20)
    for chunk in dense_chunks(low, high, elements):
        width = chunk.index.shape[1]
        assert chunk.index.size <= max(elements, width)
        rows = chunk.rows(padded(values, low, high))
        np.testing.assert_array_equal(rows, np.where(chunk.inside, values[chunk.index], 0.0))
        for number, index, inside in zip(chunk.pick, chunk.index, chunk.inside, strict=True):
            assert number not in seen
            assert inside.sum() <= width < 2 * inside.sum()
            seen[int(number)] = index[inside].tolist()
    assert seen == {n: list(range(a, b)) for n, (a, b) in enumerate(windows) if b > a}


def test_long_windows_are_padded_by_less_than_a_quarter() -> None:
    length = np.array([128, 129, 160, 161, 300, 1000, 1025])
    widths = {int(chunk.pick[0]): chunk.index.shape[1] for chunk in dense_chunks(0 * length, length, elements=1)}
    assert [widths[at] for at in range(len(length))] == [128, 160, 160, 192, 320, 1024, 1280]
