"""Fills of one instant: in which order they came, whichever way the file runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2027, 1, 1, tzinfo=UTC)
START = datetime(2026, 11, 2, 9, tzinfo=UTC)
BINANCE = "Date(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Fee Coin,Realized Profit,Quote Asset"
SPOT = "Date(UTC),Pair,Side,Price,Executed,Amount,Fee"
HYPERLIQUID = "time,coin,dir,px,sz,ntl,fee,closedPnl"
COINBASE = "portfolio,trade id,product,side,created at,size,size unit,price,fee,total,price/fee/total unit"


def read(folder: Path, head: str, *fills: str) -> Reading:
    path = folder / "export.csv"
    path.write_text("\n".join([head, *fills]) + "\n")
    return read_trades(path, now=NOW, dates="day-first")


def futures(second: int, ticker: str, side: str, price: float, quantity: float, realised: float) -> str:
    at = START + timedelta(seconds=second)
    return f"{at:%Y-%m-%d %H:%M:%S},{ticker},{side},{price},{quantity},{price * quantity},0,USDT,{realised},USDT"


def trades(reading: Reading) -> list[list[object]]:
    assert reading.refused.empty
    return reading.valid[["ticker", "direction", "status", "pnl"]].fillna(0.0).to_numpy().tolist()


def test_what_fills_of_one_instant_realised_proves_that_the_newest_is_first(tmp_path: Path):
    fills = [
        futures(0, "BTCUSDT", "BUY", 100, 1, 0),
        futures(0, "BTCUSDT", "SELL", 110, 3, 10),  # turns the position around
        futures(0, "BTCUSDT", "BUY", 105, 2, 10),
    ]
    both = [["BTCUSDT", "LONG", "closed", 10.0], ["BTCUSDT", "SHORT", "closed", 10.0]]
    assert sorted(trades(read(tmp_path, BINANCE, *fills))) == both
    assert sorted(trades(read(tmp_path, BINANCE, *reversed(fills)))) == both


def test_the_net_pnl_of_each_fill_proves_it_too(tmp_path: Path):
    close = "02/11/2026 - 09:00:00,BTC,Close Short,90,1,90,0.1,9.9"
    opened = "02/11/2026 - 09:00:00,BTC,Open Short,100,1,100,0.1,-0.1"
    assert trades(read(tmp_path, HYPERLIQUID, close, opened)) == [["BTC", "SHORT", "closed", pytest.approx(9.8)]]


def test_each_position_by_itself_may_begin_with_the_newest(tmp_path: Path):
    reading = read(
        tmp_path,
        SPOT,
        "2026-11-02 09:00:02,AUSDT,SELL,11,1A,11USDT,0USDT",
        "2026-11-02 09:00:00,AUSDT,BUY,10,1A,10USDT,0USDT",
        "2026-11-02 09:00:02,BUSDT,SELL,12,1B,12USDT,0USDT",
        "2026-11-02 09:00:02,BUSDT,BUY,10,1B,10USDT,0USDT",
    )
    assert sorted(trades(reading)) == [["AUSDT", "LONG", "closed", 1.0], ["BUSDT", "LONG", "closed", 2.0]]


def test_ids_that_grow_with_time_are_the_order(tmp_path: Path):
    """Also where a file was sorted by time since, so that the fills of an instant run against it."""
    fills = [
        "default,7,BTC-USD,BUY,2026-11-02T10:00:00Z,1,BTC,100,0,-100,USD",
        "default,8,BTC-USD,SELL,2026-11-02T10:00:00Z,1,BTC,103,0,103,USD",
        "default,5,BTC-USD,BUY,2026-11-02T09:00:00Z,1,BTC,100,0,-100,USD",
        "default,6,BTC-USD,SELL,2026-11-02T09:00:00Z,1,BTC,101,0,101,USD",
    ]
    for order in (fills, fills[::-1], [fills[place] for place in (1, 0, 3, 2)]):
        reading = read(tmp_path, COINBASE, *order)
        assert sorted(trades(reading)) == [["BTC-USD", "LONG", "closed", 1.0], ["BTC-USD", "LONG", "closed", 3.0]]
        assert sorted(reading.valid["source_trade_id"]) == ["BTC-USD-5", "BTC-USD-7"]


def test_what_is_sold_was_bought_before_in_the_same_instant(tmp_path: Path):
    reading = read(
        tmp_path,
        SPOT,
        "2026-11-01 09:00:00,AUSDT,BUY,10,1A,10USDT,0USDT",
        "2026-11-01 10:00:00,AUSDT,SELL,11,1A,11USDT,0USDT",
        "2026-11-02 09:00:00,AUSDT,BUY,10,1A,10USDT,0USDT",
        "2026-11-02 09:00:00,AUSDT,SELL,13,3A,39USDT,0USDT",
        "2026-11-02 09:00:00,AUSDT,BUY,10,2A,20USDT,0USDT",
    )
    assert sorted(trades(reading)) == [["AUSDT", "LONG", "closed", 1.0], ["AUSDT", "LONG", "closed", 9.0]]


def test_what_no_order_explains_is_held_as_it_was(tmp_path: Path):
    reading = read(
        tmp_path,
        BINANCE,
        futures(0, "BTCUSDT", "BUY", 100, 1, 0),
        futures(0, "BTCUSDT", "SELL", 110, 1, 77),
        futures(1, "ETHUSDT", "BUY", 100, 1, 0),
    )
    assert reading.valid["ticker"].tolist() == ["ETHUSDT"]
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[1, "fills_missing"]]


FILL = st.tuples(st.integers(0, 3), st.sampled_from("AB"), st.sampled_from([-2, -1, 1, 2]), st.integers(90, 110))


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FILL, min_size=1, max_size=12), st.booleans())
def test_a_file_reads_alike_from_its_oldest_fill_on_or_from_its_newest(
    tmp_path: Path, fills: list[tuple[int, str, int, int]], one_instant: bool
):
    """Where all is of one instant, what was realised proves no more than that nothing is missing: of a break-even
    nobody can say which fill opened it."""
    fills = [(0 if one_instant else second, *rest) for second, *rest in fills]
    lines, held = [], {"A": (0, 0.0), "B": (0, 0.0)}
    for second, ticker, quantity, price in sorted(fills, key=lambda fill: fill[0]):
        before, average = held[ticker]
        closed = min(abs(before), abs(quantity)) * (1 if before > 0 else -1) if before * quantity < 0 else 0
        after = before + quantity
        if after * before <= 0:
            average = float(price)
        elif abs(after) > abs(before):
            average = (average * before + price * quantity) / after
        realised = closed * (price - held[ticker][1])
        held[ticker] = after, average
        side = "BUY" if quantity > 0 else "SELL"
        lines.append(futures(second, f"{ticker}USDT", side, price, abs(quantity), round(realised, 8)))
    lines += [] if one_instant else [futures(9, "CUSDT", "BUY", 1, 1, 0), futures(10, "CUSDT", "SELL", 2, 1, 1)]
    one, other = read(tmp_path, BINANCE, *lines), read(tmp_path, BINANCE, *reversed(lines))
    assert one.refused.empty
    assert other.refused.empty
    if one_instant:
        return
    columns = ["ticker", "direction", "status", "entry_time", "exit_time", "entry_price", "quantity", "pnl"]
    alike = [reading.valid[columns].sort_values([*columns], ignore_index=True) for reading in (one, other)]
    pd.testing.assert_frame_equal(*alike)
