"""Bots' days beside a loop over their trades."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.bot_days import bot_day_rows
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import DAY

FIRST = 20_000
HOURS = DAY // 24


@st.composite
def fleets(draw: st.DrawFn) -> Trades:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 60))
    exit_ = FIRST * DAY + rng.integers(-30, 100, count) * HOURS  # often at midnight, and at one instant
    frame = pd.DataFrame(
        {
            "trade_id": np.arange(count),
            "bot_id": rng.choice([3, 7, 2**40], count),
            "ticker": rng.choice(["BTC", "ETH"], count),
            "direction": "LONG",
            "entry_time": pd.to_datetime(exit_ - HOURS, unit="us", utc=True),
            "exit_time": pd.to_datetime(exit_, unit="us", utc=True),
            "pnl": rng.normal(0, 10, count),
            "fees": rng.choice([0.0, 0.1, 1 / 3], count),
        }
    )
    return Trades.from_frame(frame)


@given(fleets(), st.integers(0, 3), st.integers(0, 24))
def test_each_day_counts_from_its_midnight_to_its_as_of(trades: Trades, days: int, hours: int) -> None:
    day = FIRST + np.arange(days)
    as_of = (day + 1) * DAY
    as_of[-1:] -= hours * HOURS  # the last of them still runs
    found = bot_day_rows(trades, day, as_of)
    expected: dict[tuple, list] = {}
    for at in range(len(trades)):
        of = int(trades.exit[at] // DAY)
        if of in day.tolist() and trades.exit[at] < as_of[of - FIRST]:
            name = of, int(trades.bot[at]), trades.tickers[trades.ticker[at]]
            row = expected.setdefault(name, [0, 0, 0.0, 0.0])
            pnl = float(trades.pnl[at])
            row[:] = row[0] + 1, row[1] + (pnl > 0), row[2] + pnl, row[3] + float(trades.fees[at])
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    assert [(tuple(row[:3]), list(row[3:])) for row in rows] == sorted(expected.items())
