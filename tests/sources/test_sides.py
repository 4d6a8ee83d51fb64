"""Sides: by the sign of sizes, and by the prices at which a pnl that is taken at its word was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading
from tests.sources.test_proof import NOW

UP, DOWN = {"open_price": 2, "close_price": 4}, {"open_price": 4, "close_price": 2}


def read(folder: Path, *trades: dict[str, Any], **options: Any) -> Reading:
    times = {"open_time": "2026-11-02 14:30", "close_time": "2026-11-02 15:00"}
    rows = [{"trade_id": n, "bot": 1, "symbol": "A", **times, **trade} for n, trade in enumerate(trades, 1)]
    path = folder / "trades.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return read_trades(path, now=NOW, **options)


def sides(reading: Reading) -> list[str]:
    return reading.valid["direction"].tolist()


def test_the_sign_of_a_size_is_the_side_where_nothing_else_says_it(tmp_path: Path) -> None:
    found = read(tmp_path, {"qty": 10, **UP}, {"qty": "-5", **DOWN}, {"qty": "-1", **UP})
    assert sides(found) == ["LONG", "SHORT", "SHORT"]
    assert found.valid["quantity"].tolist() == [10, 5, 1]
    assert found.valid["pnl"].tolist() == [20, 10, -2]
    assert "negative sizes in 'qty' are those of SHORT positions" in found.notes


def test_rows_that_have_their_size_in_different_columns_keep_side_and_size(tmp_path: Path) -> None:
    """The sign of whichever a row has is its side, and one size is enough."""
    found = read(tmp_path, {"qty": -5, **DOWN}, {"notional": -20, **DOWN}, {"qty": 3, **UP}, {"notional": 6, **UP})
    assert found.refused.empty
    assert sides(found) == ["SHORT", "SHORT", "LONG", "LONG"]
    assert found.valid["notional"].tolist() == [20, 20, 6, 6]
    assert found.valid["pnl"].tolist() == [10, 10, 6, 6]
    told = [{"qty": -5, "pnl": 10, **DOWN}, {"notional": -20, "pnl": 10, **DOWN}, {"qty": 3, "pnl": 6, **UP}]
    assert read(tmp_path, *told).valid["notional"].tolist() == [20, 20, 6]  # as the pnl proves


def test_sizes_without_a_sign_say_no_side(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no column for direction \(LONG or SHORT\)"):
        read(tmp_path, {"qty": 10, **UP}, {"qty": 5, **DOWN})


@pytest.mark.parametrize("spelled", ["-5", "(5)", "\N{MINUS SIGN}5", "-5.0"])
def test_signs_that_agree_with_the_direction_are_read(tmp_path: Path, spelled: str) -> None:
    found = read(tmp_path, {"side": "buy", "qty": "10", **UP}, {"side": "sell", "qty": spelled, **DOWN})
    assert found.refused.empty
    assert (sides(found), found.valid["quantity"].tolist()) == (["LONG", "SHORT"], [10, 5])


def test_signs_that_contradict_the_direction_are_held(tmp_path: Path) -> None:
    rows = [
        {"side": side, "qty": quantity, **DOWN}
        for side, quantity in (("sell", -5), ("sell", -6), ("buy", -7), ("sell", 8))
    ]
    found = read(tmp_path, *rows)
    assert found.valid["quantity"].tolist() == [5, 6]
    assert found.refused[["row_number", "reason", "column_name"]].to_numpy().tolist() == [
        [3, "sides_disagree", "qty"],
        [4, "sides_disagree", "qty"],
    ]
    assert found.refused["message"][0] == (
        "qty '-7' says by its sign the other side than the direction of the row (in this file negative sizes are those of "
        "SHORT positions); correct one of the two."
    )


def test_a_sign_of_orders_that_closed_is_proved_as_their_side_is(tmp_path: Path) -> None:
    """Long positions that were sold: side and sign are those of the closing orders, as the stated pnl shows."""
    found = read(tmp_path, {"side": "sell", "qty": -10, "pnl": 20, **UP}, {"side": "buy", "qty": 5, "pnl": 10, **DOWN})
    assert sides(found) == ["LONG", "SHORT"]
    assert found.valid["pnl"].tolist() == [20, 10]


TOLD = {"terms": {"pnl": "stated"}}


def test_a_stated_pnl_proves_the_side_by_prices(tmp_path: Path) -> None:
    closing = [
        {"side": "sell", "pnl": 3.5, **UP},
        {"side": "buy", "pnl": 1.5, **DOWN},
        {"side": "buy", "pnl": -2, **UP},
    ]
    found = read(tmp_path, *closing, **TOLD)
    assert (sides(found), found.valid["pnl"].tolist()) == (["LONG", "SHORT", "SHORT"], [3.5, 1.5, -2])
    assert "sides are those of the closing orders: so prices moved as pnl states (--side closing)" in found.notes
    position = [{**row, "side": {"sell": "buy", "buy": "sell"}[row["side"]]} for row in closing]
    assert sides(read(tmp_path, *position, **TOLD)) == ["LONG", "SHORT", "SHORT"]
    assert sides(read(tmp_path, *closing, terms={"pnl": "stated", "side": "position"})) == ["SHORT", "LONG", "LONG"]


def test_a_side_that_prices_do_not_prove_is_said_to_be_unproven(tmp_path: Path) -> None:
    mixed = [{"side": "buy", "pnl": 3.5, **UP}, {"side": "buy", "pnl": 1.5, **DOWN}]
    found = read(tmp_path, *mixed, **TOLD)
    assert sides(found) == ["LONG", "LONG"]
    assert any("do not prove; it is read as the position's: else say --side closing" in note for note in found.notes)
    flat = read(tmp_path, {"side": "sell", "pnl": -1, "open_price": 2, "close_price": 2}, **TOLD)
    assert any("do not prove" in note for note in flat.notes)
