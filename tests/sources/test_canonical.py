"""Validation and the net pnl, on frames."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.sources.canonical import MESSAGES, agrees, validate
from knowdefeat_pipeline.sources.fields import COLUMNS, FIELDS, Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = {
    "source_trade_id": "7",
    "bot_id": "1",
    "ticker": "TSLA",
    "direction": "LONG",
    "status": "closed",
    "entry_time": "2025-02-11 20:00",
    "exit_time": "2025-02-11 21:00",
    "entry_price": 200.0,
    "exit_price": 210.0,
    "notional": 10_000.0,
    "quote_currency": "USD",
}


def frame(*rows: dict) -> pd.DataFrame:
    table = {"row_number": range(1, len(rows) + 1)}
    for name in COLUMNS:
        values = [row.get(name) for row in rows]
        if FIELDS[name].kind in ("text", "bot"):
            table[name] = pd.Series(values, dtype="str")
        elif FIELDS[name].kind == "time":
            table[name] = pd.to_datetime(pd.Series(values, dtype="str"), utc=True, format="ISO8601").astype(
                "datetime64[us, UTC]"
            )
        else:
            table[name] = pd.Series(values, dtype="float64")
    return pd.DataFrame(table)


def test_pnl_agrees_up_to_rounding():
    pnl = np.array([100.0, 100.0, 1e6, 1e6, np.nan])
    stated = np.array([100.005, 100.006, 1_000_001.0, 1_000_001.1, 1.0])
    assert agrees(pnl, stated).tolist() == [True, False, True, False, False]


def test_a_valid_row_keeps_its_values_and_gets_its_pnl():
    valid, refused = validate(frame({**CLOSED, "fees": 3.0, "direction": "sell", "status": "CLOSED"}), NOW)
    assert refused.empty
    row = valid.iloc[0]
    assert (row["pnl"], row["direction"], row["status"], row["bot_id"]) == (-503.0, "SHORT", "closed", "1")
    assert list(valid.columns) == ["row_number", *COLUMNS, "pnl"]


def test_without_size_the_stated_net_pnl_is_taken_at_its_word():
    valid, _ = validate(frame({**CLOSED, "notional": None, "reported_pnl": 12.5, "fees": 3.0}), NOW)
    assert valid.loc[0, "pnl"] == 12.5


def test_what_the_source_states_may_be_the_basis_where_there_is_a_size_too():
    row = {**CLOSED, "reported_pnl": 12.5, "fees": 3.0}
    valid, _ = validate(frame({**row, "pnl_basis": "Stated"}, row), NOW)
    assert valid["pnl"].tolist() == [12.5, 497.0]
    assert valid["pnl_basis"].tolist() == ["stated", "computed"]


def test_a_trade_with_all_its_terms():
    inverse = {"contract_type": "INVERSE", "quantity": 100.0, "contract_multiplier": 100.0, "notional": 0.2}
    prices = {"entry_price": 50_000.0, "exit_price": 60_000.0}
    costs = {"entry_fee": 0.001, "exit_fee": 0.002, "funding": -0.0005}
    valid, refused = validate(frame({**CLOSED, **inverse, **prices, **costs}), NOW)
    assert refused.empty
    row = valid.iloc[0]
    # 10,000 dollars bought 0.2 bitcoin and are worth 0.16667 of them in the end.
    assert row["fees"] == 0.003
    assert row["pnl"] == pytest.approx(0.2 - 10_000 / 60_000 - 0.003 - 0.0005, rel=1e-12)
    assert (row["contract_type"], row["exits"], row["pnl_basis"]) == ("inverse", 1, "computed")


def test_an_open_trade_with_an_exit_price_and_no_exit_time_is_marked_to_market():
    row = {**CLOSED, "status": "open", "exit_time": None, "reported_pnl": 480.0}
    valid, refused = validate(frame(row, {**row, "mark_price": 205.0}), NOW)
    assert refused.empty
    assert valid["mark_price"].tolist() == [210.0, 205.0]
    assert valid["reported_pnl"].tolist() == [480.0, 480.0]
    assert valid[["exit_price", "exit_time", "pnl"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"ticker": None}, Reason.UNREADABLE_VALUE, "ticker"),
        ({"ticker": "*"}, Reason.UNREADABLE_VALUE, "ticker"),
        ({"ticker": "TSLA\n"}, Reason.BAD_NAME, "ticker"),
        ({"source_trade_id": "7\x1b[2J"}, Reason.BAD_NAME, "source_trade_id"),
        ({"ticker": "\u200b \u2060"}, Reason.BAD_NAME, "ticker"),
        ({"strategy_id": "\ufeff"}, Reason.BAD_NAME, "strategy_id"),
        ({"strategy_id": "m" * 201}, Reason.BAD_NAME, "strategy_id"),
        ({"quote_currency": "U\u202eSD"}, Reason.BAD_NAME, "quote_currency"),
        ({"exit_reason": "tp\r\n"}, Reason.BAD_TEXT, "exit_reason"),
        ({"bot_id": None}, Reason.UNREADABLE_VALUE, "bot_id"),
        ({"bot_id": "grid\u202e"}, Reason.BAD_NAME, "bot_id"),
        ({"direction": "UP"}, Reason.UNKNOWN_DIRECTION, "direction"),
        ({"status": "done"}, Reason.UNKNOWN_STATUS, "status"),
        ({"entry_price": 0.0}, Reason.BAD_PRICE, "entry_price"),
        ({"exit_price": -1.0}, Reason.BAD_PRICE, "exit_price"),
        ({"exit_price": np.inf}, Reason.BAD_PRICE, "exit_price"),
        ({"mark_price": 0.0}, Reason.BAD_PRICE, "mark_price"),
        ({"entry_trigger_price": -0.5}, Reason.BAD_PRICE, "entry_trigger_price"),
        ({"notional": 0.0}, Reason.BAD_NOTIONAL, "notional"),
        ({"notional": np.inf}, Reason.BAD_NOTIONAL, "notional"),
        ({"notional": 1e308, "exit_price": 1e308}, Reason.BAD_NOTIONAL, "notional"),  # the pnl overflows
        ({"notional": 5e-324, "exit_price": 200.1}, Reason.BAD_NOTIONAL, "notional"),  # the pnl vanishes
        ({"notional": None}, Reason.UNREADABLE_VALUE, "notional"),
        ({"fees": np.inf}, Reason.UNREADABLE_VALUE, "fees"),
        ({"quantity": -1.0}, Reason.BAD_NOTIONAL, "quantity"),
        ({"leverage": -2.0}, Reason.UNREADABLE_VALUE, "leverage"),
        ({"contract_multiplier": np.inf}, Reason.UNREADABLE_VALUE, "contract_multiplier"),
        ({"exits": 0.0}, Reason.UNREADABLE_VALUE, "exits"),
        ({"contract_type": "perpetual"}, Reason.UNKNOWN_TERM, "contract_type"),
        ({"pnl_basis": "claimed"}, Reason.UNKNOWN_TERM, "pnl_basis"),
        ({"pnl_basis": "stated"}, Reason.UNREADABLE_VALUE, "reported_pnl"),
        ({"fee_currency": "B\nNB"}, Reason.BAD_NAME, "fee_currency"),
        ({"fees": 3.0, "entry_fee": 1.0, "exit_fee": 1.0}, Reason.FEES_DISAGREE, "fees"),
        ({"funding": np.inf}, Reason.UNREADABLE_VALUE, "funding"),
        ({"contract_type": "inverse"}, Reason.BAD_NOTIONAL, "notional"),  # without a quantity there is no pnl
        ({"signal_confidence": 55.0}, Reason.CONFIDENCE_OUT_OF_RANGE, "signal_confidence"),
        ({"entry_quality": -0.1}, Reason.CONFIDENCE_OUT_OF_RANGE, "entry_quality"),
        ({"exit_time": None}, Reason.CLOSED_WITHOUT_EXIT, "exit_time"),
        ({"exit_price": None}, Reason.CLOSED_WITHOUT_EXIT, "exit_price"),
        ({"status": "open"}, Reason.OPEN_WITH_EXIT, "exit_time"),
        ({"status": "pending_exit"}, Reason.OPEN_WITH_EXIT, "exit_time"),
        ({"exit_time": "2025-02-11 19:59:59.999999"}, Reason.EXIT_BEFORE_ENTRY, "exit_time"),
        ({"exit_time": "2026-01-01 00:05:00.000001"}, Reason.FUTURE_TIME, "exit_time"),
        ({"entry_time": "2026-01-02", "exit_time": "2026-01-02"}, Reason.FUTURE_TIME, "entry_time"),
    ],
)
def test_each_fault_has_its_reason(change: dict, reason: Reason, field: str):
    valid, refused = validate(frame(CLOSED, {**CLOSED, **change}), NOW)
    assert valid["row_number"].tolist() == [1]
    assert refused.to_dict("records") == [{"row_number": 2, "reason": reason, "field": field}]


@pytest.mark.parametrize(
    "change",
    [
        {"exit_time": "2025-02-11 20:00"},  # at once
        {"exit_time": "2026-01-01 00:05"},  # the allowed skew
        {"signal_confidence": 0.0, "entry_quality": 1.0},
        {"fees": -2.0},  # a rebate
        {"fees": 3.0, "entry_fee": 1.0, "exit_fee": 2.001},
        {"notional": 9.9e14},
        {"strategy_id": "Zürich — 200 ✓".ljust(200, "x"), "ticker": "BRK.B", "exit_reason": "x" * 1000},
    ],
)
def test_the_edges_are_accepted(change: dict):
    _, refused = validate(frame({**CLOSED, **change}), NOW)
    assert refused.empty


positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@pytest.mark.long
@given(
    positive, positive, positive, st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["LONG", "SHORT"])
)
def test_what_is_valid_has_a_finite_pnl(notional: float, entry: float, leave: float, fees: float, direction: str):
    row = {**CLOSED, "notional": notional, "entry_price": entry, "exit_price": leave, "fees": fees}
    valid, refused = validate(frame({**row, "direction": direction}), NOW)
    assert len(valid) + len(refused) == 1
    assert np.isfinite(valid["pnl"]).all()


def test_every_reason_has_a_message_that_says_what_to_do():
    assert set(MESSAGES) == set(Reason)
    assert all(";" in text for text in MESSAGES.values())
