"""Marking trades to market: by hand, and against values that are looked up one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades.marking import STILL_OPEN, HeldTrades, marked_pnl


def held(*rows: tuple[int, int, int, int, float, float, float, float]) -> HeldTrades:
    """Linear trades: bot, ticker, entry, exit, signed notional, entry price, entry fee, net pnl."""
    bot, ticker, entry, exit_, size, price, fee, pnl = (
        np.array(column) for column in (zip(*rows, strict=True) if rows else [[]] * 8)
    )
    return HeldTrades(
        bot.astype(np.int64), ticker.astype(np.int64), entry.astype(np.int64), exit_.astype(np.int64),
        np.abs(size.astype(float)), np.full(len(rows), np.nan), np.ones(len(rows)), np.zeros(len(rows), bool),
        size > 0, price.astype(float), fee.astype(float), pnl.astype(float),
    )  # fmt: skip


def test_by_hand() -> None:
    """Bot 0: short 500 at 50 from before the first instant, marked at 40, 45, 60, still open; bot 1 in and out within a
    day, at an instant, and before all."""
    trades = held(
        (0, 0, -7, STILL_OPEN, -500, 50.0, 2.0, np.nan),
        (1, 1, 11, 12, 100, 10.0, 1.0, 7.0),
        (1, 0, 9, 10, 100, 40.0, 0.0, 3.0),
        (1, 1, -9, -3, 100, 10.0, 1.0, 99.0),
        (1, 1, -9, 0, 100, 10.0, 1.0, 5.0),
    )
    closes = np.array([[40.0, np.nan], [45.0, np.nan], [60.0, 10.0]])
    found = marked_pnl(trades, np.array([0, 10, 20]), closes, 2)
    # Bot 1: 5 closed at the first instant, 12.50 of the trade that was open at 10; there 3 - 12.50, and 7.
    assert found.pnl.tolist() == [[-50.0, 5.0 + 12.5], [-150.0, 7.0 + 3.0 - 12.5]]
    assert (found.marks, found.unmarked) == (5, 1)


def plainly(trades: HeldTrades, instants: np.ndarray, closes: np.ndarray, bots: int) -> np.ndarray:
    def worth(n: int, k: int) -> float:
        """Realised and unrealised gain of a trade just before the instant number k."""
        if trades.entry[n] >= instants[k]:
            return 0.0
        if trades.exit[n] < instants[k]:
            return trades.pnl[n]
        side = 1 if trades.long[n] else -1
        price = closes[k, trades.ticker[n]]
        mark = trades.notional[n] * side * (price / trades.entry_price[n] - 1) - trades.entry_fee[n]
        return 0.0 if np.isnan(mark) else mark

    out = np.zeros((len(instants) - 1, bots))
    for n in range(len(trades.bot)):
        for k in range(len(instants) - 1):
            out[k, trades.bot[n]] += worth(n, k + 1) - worth(n, k)
    return out


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(2, 6))
def test_intervals_are_differences_of_what_trades_are_worth(seed: int, count: int, instants: int) -> None:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        entry = int(rng.integers(-5, 30))
        is_open = rng.random() < 0.3
        rows.append(
            (int(rng.integers(3)), int(rng.integers(2)), entry, STILL_OPEN if is_open else entry + int(rng.integers(40)),
             float(rng.choice([-100, 50])), float(rng.uniform(1, 9)), float(rng.choice([0, 1])),
             np.nan if is_open else float(rng.normal()))
        )  # fmt: skip
    when = np.sort(rng.choice(np.arange(0, 40, 5), instants, replace=False))
    closes = np.where(rng.random((instants, 2)) < 0.2, np.nan, rng.uniform(1, 9, (instants, 2)))
    found = marked_pnl(held(*rows), when, closes, 3).pnl
    assert found == pytest.approx(plainly(held(*rows), when, closes, 3), abs=1e-9)
