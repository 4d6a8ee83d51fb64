"""Small books of trades for the tests of core."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.engine import bot_metrics, win_streak_tables
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import micros
from tests.core import plain

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COLUMNS = {
    "trade_id": "int64", "bot_id": "int32", "ticker": "str", "direction": "str", "entry_time": "datetime64[us, UTC]",
    "exit_time": "datetime64[us, UTC]", "pnl": "float64", "slippage": "float64",
}  # fmt: skip


def at(text: str) -> datetime:
    """A UTC instant from ISO text."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


START = at("2025-01-01 12:00")


def book(rows: Sequence[dict]) -> pd.DataFrame:
    """A frame of trades; what a row leaves out is bot 1, AAA, LONG, one hour in position, no slippage."""
    filled = []
    for number, row in enumerate(rows):
        row = {"trade_id": number + 1, "bot_id": 1, "ticker": "AAA", "direction": "LONG", "slippage": np.nan} | row
        filled.append({"entry_time": row["exit_time"] - HOUR} | row)
    return pd.DataFrame(filled, columns=list(COLUMNS)).astype(COLUMNS)


def outcomes(pnl: Sequence[float], start: datetime = START, every: timedelta = DAY, **row: object) -> pd.DataFrame:
    """One trade per pnl, closing `every` so often from `start` on."""
    return book([{"exit_time": start + number * every, "pnl": value} | row for number, value in enumerate(pnl)])


def union(*books: pd.DataFrame) -> pd.DataFrame:
    """Several books as one, trades numbered anew."""
    whole = pd.concat(books, ignore_index=True)
    return whole.assign(trade_id=np.arange(1, len(whole) + 1))


def metrics(
    frame: pd.DataFrame, *as_of: datetime, capital: Mapping[int, float] | None = None, **options: object
) -> pd.DataFrame:
    """bot_metrics of a book; `capital` is 10,000 where nothing else is said."""
    stated = Capital(dict.fromkeys(frame["bot_id"].tolist(), 10_000.0) | dict(capital or {}))
    return bot_metrics(Trades.from_frame(frame), micros(as_of), capital=stated, **options)


def metrics_row(frame: pd.DataFrame, as_of: datetime, bot: int = 1, ticker: str = "*", **options: object) -> pd.Series:
    """One row of bot_metrics."""
    rows = metrics(frame, as_of, **options)
    return rows[(rows.bot_id == bot) & (rows.ticker == ticker)].iloc[0]


def streaks(frame: pd.DataFrame, *as_of: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """win_streaks of a book."""
    return win_streak_tables(Trades.from_frame(frame), micros(as_of))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Bit for bit the same rows."""
    left, right = left.reset_index(drop=True), right.reset_index(drop=True)
    if not left.equals(right):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


TICK = timedelta(microseconds=1)
MIDNIGHT = at("2025-01-01")
# Instants on a coarse grid, so that ties, midnights and the edges of windows are common.
INSTANTS = st.builds(
    lambda quarter, off: MIDNIGHT + quarter * timedelta(hours=6) + off,
    st.integers(0, 4 * 75),
    st.sampled_from([timedelta(0), timedelta(0), TICK, -TICK, timedelta(minutes=59)]),
)
CENTS = st.one_of(st.integers(-12, 12).map(lambda n: 10 * n), st.integers(-99_999, 99_999))


@st.composite
def books(draw: st.DrawFn, bots: int = 3, least: int = 0, most: int = 40) -> list[plain.Trade]:
    count = draw(st.integers(least, most))
    numbers = draw(st.permutations(range(1, count + 1)))
    trades = []
    for number in numbers:
        exit_time = draw(INSTANTS)
        held = draw(st.sampled_from([timedelta(0), timedelta(seconds=1), HOUR, 3 * DAY]))
        trades.append(
            plain.Trade(
                number, draw(st.integers(1, bots)), draw(st.sampled_from(["AAA", "BBB"])),
                draw(st.sampled_from(["LONG", "SHORT"])), exit_time - held, exit_time, draw(CENTS),
                draw(st.sampled_from([None, None, 2.5, -4.0])),
            )
        )  # fmt: skip
    return trades


def frame_of(trades: list[plain.Trade]) -> pd.DataFrame:
    return book(
        [
            {"trade_id": t.trade_id, "bot_id": t.bot, "ticker": t.ticker, "direction": t.direction,
             "entry_time": t.entry, "exit_time": t.exit, "pnl": t.cents / 100,
             "slippage": np.nan if t.slippage is None else t.slippage}
            for t in trades
        ]
    )  # fmt: skip


AS_OFS = st.lists(INSTANTS, min_size=1, max_size=4, unique=True).map(sorted)
