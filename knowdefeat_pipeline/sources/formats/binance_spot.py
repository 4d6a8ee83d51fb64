"""Binance's trade history of spot markets: a row a fill, the newest first, in UTC, amounts with their coin.

A fee may be taken from the coin that was traded: so much less was bought, or so much more is gone, for the same money.
What is left of a position by such fees, and is less than the coin's amounts are written with, ends it too. What is sold
was bought before. A bot accounts in one currency: there is one for each that was paid in.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Floats
from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.rounding import decimals


def prepare(rows: Rows) -> Rows:
    """Fills as trades, of what really came and went."""
    sold = (rows.text("Side").str.upper() == "SELL").to_numpy(bool)
    pair = rows.text("Pair").str.upper()
    units, base = _amounts(rows.text("Executed"), pair)
    money, quote = _amounts(rows.text("Amount"), pair)
    fee, coin = _amounts(rows.text("Fee"), pair)
    of_base = (coin == base).to_numpy(bool)
    moved = np.where(sold, -units, units) - np.where(of_base, fee, 0.0)
    lot = 10.0 ** -pd.Series(decimals(units)).groupby(pair.fillna("")).transform("max")
    with np.errstate(all="ignore"):
        price = np.where(of_base, money / np.abs(moved), rows.number("Price"))
    fills = pd.DataFrame(
        {
            "bot_id": (rows.account or "binance_spot") + " " + quote,
            "ticker": pair.where(base + quote == pair),
            "time": rows.time("Date"),
            "quantity": moved,
            "price": price,
            "fee": np.where(of_base, 0.0, fee),
            "fee_currency": coin.mask(of_base),
            "quote_currency": quote,
            "position_side": "LONG",
            "lot": lot,
        }
    )
    return as_trades(rows, fills)


def _amounts(cells: pd.Series[str], pairs: pd.Series[str]) -> tuple[Floats, pd.Series[str]]:
    """Amounts and their coins, as in `0.01BTC`."""
    letters = cells.str.upper().str.extract(r"^[^A-Z]*([A-Z]\w*)$")[0]
    named = pd.DataFrame({"letters": letters, "pair": pairs}).fillna("")
    code, known = pd.factorize(pd.MultiIndex.from_frame(named))
    coins = pd.Series([_coin(letters, pair) for letters, pair in known], dtype="str").reindex(code, fill_value="")
    coins = coins.reset_index(drop=True)
    digits = [cell[: len(cell) - len(coin)] for cell, coin in zip(cells.fillna(""), coins, strict=True)]
    amounts = pd.to_numeric(pd.Series(digits, dtype="str").str.replace(",", ""), errors="coerce")
    return amounts.to_numpy(float), coins.mask(coins == "")


def _coin(letters: str, pair: str) -> str:
    """The coin that ends in these letters: what is traded may begin with digits, as `1INCH`. What is paid with never
    does; digits before it end the other's name.

    >>> _coin("INCH", "1INCHUSDT"), _coin("USDT", "C98USDT")
    ('1INCH', 'USDT')
    """
    digits = re.match(rf"\d++(?={re.escape(letters)})", pair)
    return f"{digits[0]}{letters}" if digits and letters else letters


FORMAT = Format(
    name="binance_spot",
    title="Binance's trade history of spot markets",
    headings=("Date", "Pair", "Side", "Price", "Executed", "Amount", "Fee"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    times=("Date",),
)
