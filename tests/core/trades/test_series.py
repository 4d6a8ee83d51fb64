"""Trades in the order of the house, series, windows laid out and reduced."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades import series
from knowdefeat_pipeline.core.trades.series import Series, Trades, dense_chunks, positions, reduce_windows
from knowdefeat_pipeline.core.units import micros
from tests.core.bookkeeping import DAY, HOUR, START, at, book, outcomes, union


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def test_micros_are_utc() -> None:
    noon = at("1970-01-02 12:00:00.000001")
    assert micros([noon]).tolist() == [36 * 3600 * 10**6 + 1]
    with pytest.raises(TypeError):
        micros([datetime(2025, 1, 1)])  # noqa: DTZ001


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 3), st.integers(0, 3)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_order_is_exit_entry_trade_id_within_a_bot(keys: list[tuple[int, int, int]], random: object) -> None:
    ids = list(range(1, len(keys) + 1))
    random.shuffle(ids)
    rows = [
        {"bot_id": bot, "exit_time": START + exit_ * DAY, "entry_time": START - entry * DAY, "trade_id": number,
         "pnl": float(number)}
        for (bot, exit_, entry), number in zip(keys, ids, strict=True)
    ]  # fmt: skip
    trades = Trades.from_frame(book(rows))
    expected = sorted(rows, key=lambda r: (r["bot_id"], r["exit_time"], r["entry_time"], r["trade_id"]))
    assert trades.pnl.tolist() == [row["pnl"] for row in expected]
    assert trades.bot.tolist() == [row["bot_id"] for row in expected]


def test_order_holds_over_any_span_of_bots_and_times() -> None:
    extremes = [(-(2**31), "0001-01-01"), (2**31 - 1, "9999-12-31"), (-(2**31), "9999-12-31"), (0, "2025-01-01")]
    frame = book([{"bot_id": bot, "exit_time": at(day) + HOUR, "pnl": 1.0} for bot, day in extremes])
    trades = Trades.from_frame(frame)
    assert trades.bot.tolist() == [-(2**31), -(2**31), 0, 2**31 - 1]
    assert (np.diff(trades.exit[:2]) > 0).all()


def test_many_trades_are_dealt_out_and_stand_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    frame = union(
        *(
            outcomes(rng.normal(size=n), bot_id=bot, ticker=["AAA", "ZZZ"][bot % 2], start=START + bot * HOUR)
            for bot, n in [(7, 30), (-3, 11), (40, 1), (12, 25), (9, 3)]
        )
    ).sample(frac=1, random_state=0)
    usual = Trades.from_arrow(arrow(frame))
    monkeypatch.setattr(series, "BLOCK_TRADES", 10)
    in_batches = pa.concat_tables([arrow(frame.iloc[at : at + 9]) for at in range(0, len(frame), 9)])
    dealt = Trades.from_arrow(in_batches)
    for name in ("bot", "ticker", "long", "entry", "exit", "pnl", "slippage"):
        np.testing.assert_array_equal(getattr(dealt, name), getattr(usual, name))
    assert dealt.tickers == usual.tickers == ("AAA", "ZZZ")
    assert np.unique(dealt.bot[np.flatnonzero(np.diff(dealt.bot)) + 1]).tolist() == [7, 9, 12, 40]


def test_columns_in_any_arrow_shape_mean_the_same() -> None:
    frame = union(outcomes([1, -2, 3]), outcomes([4, 5], ticker="ZZZ", start=START + HOUR))
    plain = Trades.from_arrow(arrow(frame))
    table = arrow(frame)
    variants = [
        pa.concat_tables([table.slice(3), table.slice(0, 2), table.slice(2, 1)]),
        table.set_column(2, "ticker", table["ticker"].combine_chunks().dictionary_encode()),
        table.set_column(5, "exit_time", table["exit_time"].cast(pa.timestamp("ns", "UTC"))),
        table.set_column(5, "exit_time", table["exit_time"].cast(pa.timestamp("us", "Europe/Berlin"))),
        table.set_column(1, "bot_id", table["bot_id"].cast(pa.int64())),
    ]
    for variant in variants:
        trades = Trades.from_arrow(variant)
        assert trades.tickers == plain.tickers == ("AAA", "ZZZ")
        for name in ("bot", "ticker", "long", "entry", "exit", "pnl", "slippage"):
            np.testing.assert_array_equal(getattr(trades, name), getattr(plain, name))


def test_a_pnl_that_is_null_or_infinite_is_refused() -> None:
    for bad in (None, float("nan"), float("inf")):
        table = arrow(outcomes([1, 2]))
        with pytest.raises(ValueError, match="finite pnl"):
            Trades.from_arrow(table.set_column(6, "pnl", pa.array([1.0, bad])))


def test_a_breakeven_short_is_plain_zero() -> None:
    assert not np.signbit(Trades.from_frame(outcomes([-0.0])).pnl).any()


def test_with_tickers_keeps_each_trade_s_ticker() -> None:
    trades = Trades.from_frame(union(outcomes([1], ticker="MMM"), outcomes([2], ticker="BBB", start=START + DAY)))
    wider = trades.with_tickers(["AAA", "MMM", "ZZZ"])
    assert wider.tickers == ("AAA", "BBB", "MMM", "ZZZ")
    assert [wider.tickers[code] for code in wider.ticker] == ["MMM", "BBB"]
    nothing = Trades.from_frame(outcomes([])).with_tickers(["AAA"])
    assert (nothing.tickers, len(nothing)) == (("AAA",), 0)


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


@given(WINDOWS, st.integers(1, 64))
def test_dense_chunks_hold_every_window_once(windows: list[list[int]], elements: int) -> None:
    low, high = np.array(windows, dtype=np.int64).reshape(-1, 2).T
    seen: dict[int, list[int]] = {}
    for chunk in dense_chunks(low, high, elements):
        width = chunk.index.shape[1]
        assert chunk.index.size <= max(elements, width)
        for number, index, inside in zip(chunk.pick, chunk.index, chunk.inside, strict=True):
            assert number not in seen
            assert inside.sum() <= width < 2 * inside.sum()
            seen[int(number)] = index[inside].tolist()
    assert seen == {n: list(range(a, b)) for n, (a, b) in enumerate(windows) if b > a}


def test_instants_are_cut_to_the_microsecond() -> None:
    frame = outcomes([1])
    table = arrow(frame)
    finer = pa.array([int(table["exit_time"].cast(pa.int64())[0].as_py()) * 1000 + 999], pa.timestamp("ns", "UTC"))
    trades = Trades.from_arrow(table.set_column(5, "exit_time", finer))
    assert trades.exit.tolist() == micros([START]).tolist()
    assert (trades.exit - trades.entry).tolist() == [timedelta(hours=1) // timedelta(microseconds=1)]
