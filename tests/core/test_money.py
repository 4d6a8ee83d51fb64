"""Amounts in the decimals of their currency: shown, accepted, and divided to the last smallest unit."""

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.projection import allocate
from knowdefeat_pipeline.core.funds.settings import AllocationRules
from knowdefeat_pipeline.core.money import (
    EIGHT_DIGITS,
    MOST_UNITS,
    NO_DIGITS,
    THREE_DIGITS,
    amount_of,
    digits,
    shown,
    smallest_units,
)
from knowdefeat_pipeline.postgres.connection import connect

CODES = [*sorted(NO_DIGITS | THREE_DIGITS | EIGHT_DIGITS), "USD", "EUR", "USDT", "USDC", "CHF", "XYZ"]


def test_the_decimals_of_currencies() -> None:
    assert [digits(code) for code in ("BTC", "ETH", "JPY", "KRW", "KWD", "USD", "USDT", "usd", "btc")] == [
        8, 8, 0, 0, 3, 2, 2, 2, 8
    ]  # fmt: skip
    assert not (NO_DIGITS & THREE_DIGITS)
    assert not (NO_DIGITS & EIGHT_DIGITS)
    assert not (THREE_DIGITS & EIGHT_DIGITS)


def test_the_database_knows_the_same_table(database: str) -> None:
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT currency_digits(c), currency_digits(lower(c)) FROM unnest(%s::text[]) c", (CODES,)
        )
        assert rows.fetchall() == [(digits(code), digits(code)) for code in CODES]


def test_amounts_by_hand() -> None:
    assert smallest_units(Decimal("1.23456789"), "BTC") == 123_456_789
    assert smallest_units(Decimal("99.95"), "USD") == 9995
    assert smallest_units(Decimal("99.95"), "JPY") == 99  # there is no half a yen
    assert str(amount_of(5, "BTC")) == "5E-8"
    assert shown(amount_of(5, "BTC"), "BTC") == "0.00000005"
    assert shown(amount_of(1_234_567, "JPY"), "JPY") == "1,234,567"


@given(st.integers(0, MOST_UNITS), st.sampled_from(CODES))
def test_amounts_come_back(units: int, currency: str) -> None:
    amount = amount_of(units, currency)
    assert smallest_units(amount, currency) == units
    assert Decimal(shown(amount, currency).replace(",", "")) == amount


@given(
    st.integers(0, MOST_UNITS),
    st.lists(st.floats(0, 100), min_size=1, max_size=12),
    st.sampled_from([0.05, 0.1, 0.34, 1.0]),
    st.sampled_from(["BTC", "JPY", "USD"]),
)
def test_every_smallest_unit_is_given_or_stays(funds: int, targets: list[float], cap: float, currency: str) -> None:
    nobody = np.full(len(targets), "", dtype=object)
    divided = allocate(np.array(targets), nobody, nobody, funds, AllocationRules(bot_cap=cap), currency)
    assert int(divided.cents.sum()) + divided.cash == funds
    amounts = [amount_of(units, currency) for units in divided.cents.tolist()]
    assert sum(amounts, amount_of(divided.cash, currency)) == amount_of(funds, currency)
    assert (divided.cents >= 0).all()
    assert (divided.cents <= int(cap * funds + 1e-6)).all()


def test_a_minimum_is_told_in_its_currency() -> None:
    nobody = np.array(["", ""], dtype=object)
    rules = AllocationRules(bot_cap=1.0, minimum=60_000_000)
    divided = allocate(np.array([1.0, 0.9]), nobody, nobody, 100_000_000, rules, "BTC")
    assert divided.reasons[1] == "less than the minimum of 0.60000000"
