"""What follows or precedes a number, or stands in a heading: a currency, by its sign or code, or a unit of an asset."""

import re
from collections.abc import Mapping

from knowdefeat_pipeline.core.money import EIGHT_DIGITS

DOLLARS = ("USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN", "TWD")
SIGNS: Mapping[str, tuple[str, ...]] = {
    "$": DOLLARS,
    "US$": DOLLARS[:1],
    "€": ("EUR", "EURC", "EURT"),
    "£": ("GBP",),
    "¥": ("JPY", "CNY"),
    "₿": ("BTC", "XBT"),
    "Ξ": ("ETH",),
    "₮": ("USDT",),
    "₹": ("INR",),
    "₩": ("KRW",),
    "₽": ("RUB",),
    "₺": ("TRY",),
}
"""A sign, and the currencies that it may stand for."""

MONEY = frozenset(DOLLARS) | {
    "AED", "BRL", "CHF", "CNY", "CZK", "DKK", "EUR", "EURC", "EURT", "GBP", "HUF", "IDR", "ILS", "INR", "JPY", "KRW",
    "MYR", "NOK", "PHP", "PLN", "RUB", "SAR", "SEK", "THB", "TRY", "USDD", "USDE", "USDP", "VND", "ZAR",
}  # fmt: skip
"""Currencies in which prices are quoted rather than which are traded; `COINS` may be both."""

STABLE = frozenset(("BUSD", "DAI", "EURC", "EURT", "FDUSD", "TUSD", "USDC", "USDD", "USDE", "USDP", "USDT"))
"""Money that is a coin itself, so that an account of what is quoted in it is kept in it."""

COINS = frozenset(("BTC", "XBT", "ETH", "BNB", "SOL", "XRP", "LTC", "ADA", "DOGE", "TRX"))

PIECES = frozenset(("SHARES", "SHARE", "UNITS", "UNIT", "COINS", "COIN", "STK", "PCS"))
"""Units of whatever is traded."""

NO_UNITS = frozenset(("MM", "BN", "MIO", "MLN", "MRD", "TSD", "PIP", "PIPS", "PTS", "POINTS", "TICKS", "BPS", "PCT"))
"""Words that change what a number means; a number with one is not read."""


def currency(unit: str) -> str | None:
    """The currency that a unit names; None where it may be several or none.

    >>> currency("$"), currency("€"), currency("usdt"), currency("¥"), currency("shares")
    ('USD', 'EUR', 'USDT', None, None)
    """
    if unit in SIGNS:
        return None if unit == "¥" else SIGNS[unit][0]
    code = unit.upper()
    return code if code in MONEY | COINS else None


_PAIR = re.compile(
    r"(?:[A-Z]+:)?(?P<base>[A-Z0-9]+)(?P<mark>[-/_]?)(?P<quote>{codes})(?:[-/_.:][A-Z]+)?".format(
        codes="|".join(sorted(MONEY | COINS, key=lambda code: (-len(code), code)))
    )
)


def pair(ticker: str) -> tuple[str, str] | None:
    """Base and quote currency of a ticker that names both; None where it does not. Without a mark between them, both
    have to be known currencies.

    >>> pair("BTC-EUR"), pair("BTCUSDT"), pair("BTC/USDT:USDT"), pair("TSLA"), pair("CHEUR"), pair("BRK-B")
    (('BTC', 'EUR'), ('BTC', 'USDT'), ('BTC', 'USDT'), None, None, None)
    """
    found = _PAIR.fullmatch(ticker.strip().upper())
    if found is None or not (found["mark"] or found["base"] in MONEY | COINS | EIGHT_DIGITS):
        return None
    return found["base"], found["quote"]


def is_foreign_exchange(ticker: str) -> bool:
    """Whether a ticker is of two national currencies, so that a broker's account may be kept in neither.

    >>> is_foreign_exchange("USDJPY"), is_foreign_exchange("BTC-EUR"), is_foreign_exchange("EURUSDT")
    (True, False, False)
    """
    return {*(pair(ticker) or ("",))} <= MONEY - STABLE


def is_currency(unit: str, code: str) -> bool:
    """Whether a unit can mean the currency `code`.

    >>> is_currency("$", "CAD"), is_currency("eur", "EUR"), is_currency("BNB", "USDT")
    (True, True, False)
    """
    return unit.upper() == code.upper() or code.upper() in SIGNS.get(unit, ())


def is_piece(unit: str, ticker: str) -> bool:
    """Whether a unit counts what the ticker trades.

    >>> is_piece("BTC", "BTC-USD"), is_piece("shares", "TSLA"), is_piece("ETH", "BTC-USD")
    (True, True, False)
    """
    return unit.upper() in PIECES or unit.upper() in ticker.upper()
