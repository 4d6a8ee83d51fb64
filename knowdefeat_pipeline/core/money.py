"""Money in the decimals of its currency: one table, by which amounts are shown, accepted and divided.

Inside, amounts are whole smallest units (a cent, a yen, a satoshi), so that they sum exactly. The database knows the
same table as `currency_digits`; a test holds the two together.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from knowdefeat_pipeline.errors import KnowDefeatError

# ISO 4217, and what exchanges count cryptocurrencies in. All others, those that stand for a dollar among them, have 2.
NO_DIGITS = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"),
        *("XAF", "XOF", "XPF"),
    }
)
THREE_DIGITS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
EIGHT_DIGITS = frozenset(
    {
        *("ADA", "AVAX", "BCH", "BNB", "BTC", "DASH", "DOGE", "DOT", "ETC", "ETH", "LINK", "LTC", "MATIC"),
        *("SOL", "TON", "TRX", "WBTC", "WETH", "XBT", "XLM", "XMR", "XRP", "ZEC"),
    }
)
MOST_UNITS = 9 * 10**15
"""The most smallest units that are divided: up to 2^53 double precision has every whole number."""


class AmountError(KnowDefeatError):
    """An amount that its currency does not have, or that cannot be divided; the message says why."""

    page = "guides/funds.md"


def digits(currency: str) -> int:
    """The decimals of a currency, by its code in any case.

    >>> [digits(currency) for currency in ("USD", "jpy", "KWD", "BTC", "USDT")]
    [2, 0, 3, 8, 2]
    """
    code = currency.upper()
    return 0 if code in NO_DIGITS else 3 if code in THREE_DIGITS else 8 if code in EIGHT_DIGITS else 2


def smallest_units(amount: Decimal, currency: str) -> int:
    """An amount in whole smallest units of its currency; what is finer is cut off.

    >>> smallest_units(Decimal("0.00000001"), "BTC")
    1
    """
    return int(amount.scaleb(digits(currency)).to_integral_value(ROUND_FLOOR))


def exact_units(amount: Decimal, currency: str) -> int:
    """An amount in whole smallest units. Raises AmountError where it is finer, or more than can be divided exactly.

    >>> exact_units(Decimal("99.95"), "USD")
    9995
    """
    units = smallest_units(amount, currency)
    if amount_of(units, currency) != amount:
        raise AmountError(f"{amount:,} {currency}: {currency} has {digits(currency) or 'no'} decimals")
    if units > MOST_UNITS:
        raise AmountError(
            f"{amount:,} {currency}: an amount is at most {amount_of(MOST_UNITS, currency):,.0f} {currency}"
        )
    return units


def amount_of(units: int, currency: str) -> Decimal:
    """Smallest units as an amount, with all decimals of its currency.

    >>> amount_of(150, "BTC"), amount_of(150, "JPY")
    (Decimal('0.00000150'), Decimal('150'))
    """
    return Decimal(int(units)).scaleb(-digits(currency))


def shown(amount: Decimal | float, currency: str) -> str:
    """An amount as people read it: thousands set apart, the currency's decimals.

    >>> shown(1234.5, "USD"), shown(1234.4, "JPY")
    ('1,234.50', '1,234')
    """
    return f"{amount:,.{digits(currency)}f}"
