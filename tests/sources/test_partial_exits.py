"""Several exits of one position become one trade that earned what they earned together."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2026, 12, 1, tzinfo=UTC)
POSITION = {
    "trade_id": "77",
    "bot": 1,
    "symbol": "SOL",
    "side": "buy",
    "status": "closed",
    "open_time": "2026-11-02 09:00",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.csv"


def read(path: Path, table: pd.DataFrame) -> Reading:
    table.to_csv(path, index=False)
    return read_trades(path, now=NOW, terms={"fees": "cost", "funding": "received"})


def exits(entry: float, leave: list[float], units: list[float], side: str = "buy", **more: object) -> pd.DataFrame:
    """A row for each exit of one position, at one second after the other."""
    times = pd.date_range("2026-11-02 10:00", periods=len(leave), freq="s").strftime("%Y-%m-%d %H:%M:%S")
    table = pd.DataFrame({"close_time": times, "close_price": leave, "qty": units})
    return table.assign(**{**POSITION, "side": side, "open_price": entry, **more})


prices = st.floats(0.01, 1e5)
cents = st.integers(-900, 900).map(lambda count: count / 100)


@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prices,
    st.lists(st.tuples(prices, st.floats(0.01, 1e4), cents, cents), min_size=2, max_size=9),
    st.sampled_from(["linear", "inverse"]),
    st.sampled_from(["buy", "sell"]),
)
def test_whatever_the_split_the_pnl_is_that_of_all_exits(
    path: Path, entry: float, parts: list[tuple[float, float, float, float]], contract: str, side: str
) -> None:
    leave, units, fees, funding = (np.array(column) for column in zip(*parts, strict=True))
    moved = leave - entry if contract == "linear" else 1 / entry - 1 / leave
    gross = units * moved * (1 if side == "buy" else -1)
    table = exits(entry, leave, units, side, contract_type=contract).assign(fee=fees, funding=funding)
    reading = read(path, table)
    (trade,) = reading.valid.to_dict("records")
    scale = np.abs(units * leave).sum() + np.abs(units * entry).sum() + 100
    assert trade["pnl"] == pytest.approx((gross - fees + funding).sum(), rel=1e-9, abs=1e-12 * scale)
    assert (trade["quantity"], trade["fees"]) == (pytest.approx(units.sum()), pytest.approx(fees.sum()))
    assert (trade["exits"], trade["funding"]) == (len(parts), pytest.approx(funding.sum()))
    assert leave.min() * (1 - 1e-9) <= trade["exit_price"] <= leave.max() * (1 + 1e-9)
    assert trade["exit_time"] == pd.Timestamp("2026-11-02 10:00Z") + pd.Timedelta(seconds=len(parts) - 1)
    assert reading.parts == {len(parts): tuple(range(1, len(parts)))}


def test_other_trades_stay_in_their_place_and_their_order(path: Path) -> None:
    first, second = exits(8.5, [10, 12], [100, 50]), exits(3, [4, 5, 6], [1, 2, 3], trade_id="78")
    single = exits(1, [2], [7], trade_id="79")
    table = pd.concat([second.iloc[:2], first.iloc[::-1], single, second.iloc[2:]])
    reading = read(path, table)
    assert reading.valid[["row_number", "source_trade_id", "exits"]].to_numpy().tolist() == [
        [3, "77", 2],
        [5, "79", 1],
        [6, "78", 3],
    ]
    assert reading.valid["pnl"].tolist() == pytest.approx([150 + 175, 7, 1 + 4 + 9], rel=1e-12)
    assert reading.parts == {3: (4,), 6: (1, 2)}
    assert reading.rows_read == 6


@pytest.mark.parametrize(
    "table",
    [
        exits(8.5, [10, 12], [100, 50]).assign(open_price=[8.5, 9]),  # two entries
        exits(8.5, [10, 12], [100, 50]).assign(close_time="2026-11-02 10:00"),  # at one time: which is right?
        exits(8.5, [10, 12], [100, 50]).assign(symbol=["SOL", "ETH"]),
    ],
)
def test_rows_that_are_no_exits_of_one_position_are_left_as_they_are(path: Path, table: pd.DataFrame) -> None:
    reading = read(path, table)
    assert (len(reading.valid), reading.parts) == (2, {})


def test_a_trade_that_is_refused_is_held_with_all_its_rows(path: Path) -> None:
    late = exits(8.5, [10, 12], [100, 50]).assign(close_time=["2026-11-02 10:00", "2027-01-01 10:00"])
    reading = read(path, late)
    assert (len(reading.valid), reading.parts) == (0, {})
    assert reading.refused[["row_number", "reason"]].to_numpy().tolist() == [[1, "future_time"], [2, "future_time"]]
    assert [row["close_price"] for row in map(json.loads, reading.refused["original"])] == ["10", "12"]
