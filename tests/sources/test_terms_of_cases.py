"""Small files as exchanges and brokers write them, each of which was once read wrong."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2026, 12, 1, tzinfo=UTC)
IDS = {
    "mt5_commission": {"Ticket": "source_trade_id", "Magic": "bot_id"},
    "bybit_side": {"orderId": "source_trade_id"},
    "multitp": {"ticket": "source_trade_id"},
}


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data / "cases"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def read(cases: Path, name: str, **terms: Any) -> Reading:
    return read_trades(cases / f"{name}.csv", now=NOW, mapping=IDS.get(name), terms=terms)


def refusal(cases: Path, name: str, **terms: Any) -> str:
    with pytest.raises(SourceError) as failure:
        read(cases, name, **terms)
    return str(failure.value).removeprefix(f"{cases / name}.csv: ")


def test_a_negative_commission_beside_a_stated_net_pnl_is_a_cost(cases: Path) -> None:
    reading = read(cases, "mt5_commission")
    # 10 shares: 1.00 up less 0.70; 0.05 up less 0.70; short 0.05 down less 0.70.
    assert reading.valid["pnl"].tolist() == pytest.approx([10 - 0.7, 0.5 - 0.7, 0.5 - 0.7], rel=1e-9)
    assert reading.valid["fees"].tolist() == [0.7] * 3
    assert reading.valid["direction"].tolist() == ["LONG", "LONG", "SHORT"]
    assert reading.notes[0] == (
        "Quantity is the size in units, negative fees are costs: so the pnl that the file states is right in 3 of 3 "
        "closed trades (--fees signed)"
    )
    assert read(cases, "mt5_commission", fees="signed").valid.equals(reading.valid)
    assert "in 99 of 100 closed trades" in refusal(cases, "mt5_commission", fees="cost")


def test_the_side_of_the_order_that_closed(cases: Path) -> None:
    reading = read(cases, "bybit_side")
    assert reading.valid["direction"].tolist() == ["LONG", "SHORT", "LONG"]
    expected = [0.1 * 1000 - 6.655, 0.1 * 1000 - 6.655, 0.1 * -500 - 6.6]
    assert reading.valid["pnl"].tolist() == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx([93.345, 93.345, -56.6], rel=1e-9)
    assert "sides are those of the closing orders" in reading.notes[0]
    assert "right in 3 of 3 closed trades (--side closing)" in reading.notes[0]


def test_a_fee_in_another_currency(cases: Path, tmp_path: Path) -> None:
    reading = read(cases, "bnb")
    row = reading.valid.iloc[0]
    assert (row["pnl"], row["pnl_basis"], row["fee_currency"], row["fees"]) == (2.36, "stated", "BNB", 0)
    assert any("paid fees in another currency, without a rate" in note for note in reading.notes)
    table = pd.read_csv(cases / "bnb.csv")
    path = tmp_path / "bnb.csv"
    table.drop(columns="pnl").to_csv(path, index=False)
    without = read_trades(path, now=NOW)
    assert len(without.valid) == 0
    assert without.refused[["reason", "message"]].to_numpy().tolist() == [
        [
            "fee_without_rate",
            "fee_currency 'BNB' is not in the currency of the trade, and no rate is given; add a column fee_rate (quote "
            "currency for one of the fee's), or the net pnl as the source states it.",
        ]
    ]
    # At 812.77 dollars a coin the fee is what the statement leaves of the 10 that the price brought.
    table.assign(fee_rate=(10 - 2.36) / 0.0094).to_csv(path, index=False)
    converted = read_trades(path, now=NOW).valid.iloc[0]
    assert (converted["pnl"], converted["pnl_basis"]) == (pytest.approx(2.36, rel=1e-9), "computed")
    assert converted["fees"] == pytest.approx(7.64, rel=1e-9)


def test_a_futures_multiplier_is_proposed_and_never_guessed(cases: Path) -> None:
    assert refusal(cases, "es").splitlines() == [
        "no reading gives the pnl in 'pnl' in 99 of 100 closed trades.",
        "Nothing was written. Trades that each reading explains, and the options for it:",
        "  2 of 2  qty is the size in units, one contract of ESZ6 is 50 units",
        "          --multiplier ESZ6=50",
        "  0 of 2  qty is the size in units; the others are off by 98",
        "          --pnl computed",
        "  0 of 2  qty is the size in quote currency; the others are off by 100",
        "          --size notional --pnl computed",
        "          the net pnl is taken as 'pnl' states it",
        "          --pnl stated",
    ]
    valid = read(cases, "es", multipliers={"ESZ6": 50.0}).valid
    assert valid["pnl"].tolist() == [2 * 50 - 4.5, -2 * 50 - 4.5]
    assert valid["notional"].tolist() == [290_000.0] * 2
    assert "one contract of ESZ6 is 50 units" in refusal(cases, "es", multipliers={"ESZ6": 5.0})
    assert "--multiplier ES: no trade has this ticker; the tickers are ESZ6" in refusal(
        cases, "es", multipliers={"ES": 50.0}
    )
    stated = read(cases, "es", pnl="stated").valid
    assert stated[["pnl", "pnl_basis"]].to_numpy().tolist() == [[95.5, "stated"], [-104.5, "stated"]]
    assert read(cases, "es", pnl="computed").valid["pnl"].tolist() == [2 - 4.5, -2 - 4.5]


def test_an_inverse_contract_settles_in_the_coin(cases: Path) -> None:
    reading = read(cases, "inverse")
    gained = 10_000 / 50_000 - 10_000 / 60_000
    assert reading.valid["pnl"].tolist() == pytest.approx([gained, gained], rel=1e-12)
    assert gained == pytest.approx(0.0333333333, abs=1e-10)
    assert reading.valid[["contract_type", "quote_currency"]].to_numpy().tolist() == [["inverse", "BTC"]] * 2
    assert "the contract is inverse" in reading.notes[0]


def test_a_size_that_is_margin(cases: Path) -> None:
    assert refusal(cases, "leverage").splitlines()[2:4] == [
        "  2 of 2  size is the margin, the leverage is 10",
        "          --size margin --leverage 10",
    ]
    for terms in ({"leverage": 10.0}, {"leverage": 10.0, "size": "margin"}):
        valid = read(cases, "leverage", **terms).valid
        # 1,000 are a third of a coin; 30 up is 10, less 0.05.
        assert valid["pnl"].tolist() == pytest.approx([1000 / 3000 * 30 - 0.05, -1000 / 3000 * 30 - 0.05], rel=1e-12)
        assert valid[["notional", "margin", "leverage"]].to_numpy().tolist() == [[1000, 100, 10]] * 2


def test_funding_that_was_paid(cases: Path) -> None:
    row = read(cases, "funding").valid.iloc[0]
    assert (row["pnl"], row["fees"], row["funding"]) == (pytest.approx(10 - 6 - 9, rel=1e-9), 6, -9)


def test_two_exits_of_one_position_are_one_trade(cases: Path) -> None:
    reading = read(cases, "partial")
    row = reading.valid.iloc[0]
    assert len(reading.valid) == 1
    assert (row["quantity"], row["entry_price"], row["exits"]) == (150, 8.5, 2)
    assert row["exit_price"] == pytest.approx((100 * 10 + 50 * 12) / 150, rel=1e-15)
    assert row["pnl"] == pytest.approx(100 * 1.5 + 50 * 3.5, rel=1e-12)
    assert (row["exit_time"], row["reported_pnl"]) == (pd.Timestamp("2026-11-02 13:00Z"), 325)
    assert reading.parts == {2: (1,)}
    assert "1 trade left in several exits: each is one trade at its average exit price" in reading.notes


def test_rows_that_are_alike_are_trades(cases: Path) -> None:
    valid = read(cases, "multitp").valid
    assert (len(valid), valid["pnl"].sum()) == (12, -120.0)
    assert 100 * (valid["pnl"] > 0).mean() == pytest.approx(41.667, abs=1e-3)
