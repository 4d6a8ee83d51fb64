"""Trades as columns, in the order of the house, whatever shape they come in."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades import columns
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import micros
from tests.core.bookkeeping import DAY, HOUR, START, at, book, outcomes, union


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


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
    monkeypatch.setattr(columns, "BLOCK_TRADES", 10)
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


def test_instants_are_cut_to_the_microsecond() -> None:
    frame = outcomes([1])
    table = arrow(frame)
    finer = pa.array([int(table["exit_time"].cast(pa.int64())[0].as_py()) * 1000 + 999], pa.timestamp("ns", "UTC"))
    trades = Trades.from_arrow(table.set_column(5, "exit_time", finer))
    assert trades.exit.tolist() == micros([START]).tolist()
    assert (trades.exit - trades.entry).tolist() == [timedelta(hours=1) // timedelta(microseconds=1)]
