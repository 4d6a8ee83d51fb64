"""Terms: what the size, the fees and the side of a file mean, and the canonical amounts that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.net_pnl import gross_pnl, net_pnl, notional_of
from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.sources.canonical import DIRECTIONS, FEES, SIZES

Size = Literal["notional", "quantity", "margin"]
Sign = Literal["cost", "signed"]
Side = Literal["position", "closing"]
Contract = Literal["linear", "inverse"]
Basis = Literal["computed", "stated"]


@dataclass(frozen=True)
class Terms:
    """How the cells of a file are meant. What a column of the file says itself (contract_type, leverage …) goes first.

    `size_field`: the field that the size is taken from, one of SIZES; None takes the first that there is.
    `size`: that it is the notional, the quantity, or the margin (notional = margin * leverage); None as it is named.
    `fees`: `cost` where a cost is positive, `signed` where it is negative. `side`: that of the position, or that of the
    order that closed it. `multipliers`: units a contract, by ticker. `pnl`: computed, or stated: taken at its word.
    """

    size_field: str | None = None
    size: Size | None = None
    fees: Sign = "cost"
    side: Side = "position"
    contract: Contract = "linear"
    multipliers: Mapping[str, float] = field(default_factory=dict, hash=False)
    leverage: float | None = None
    pnl: Basis = "computed"

    def for_columns(self, columns: Mapping[str, str]) -> Self:
        """The same with the size's field and meaning filled in, where these fields have a column."""
        of = self.size_field or next((name for name in SIZES if name in columns), None)
        return replace(self, size_field=of, size=self.size or (named_size(of) if of else None))


def named_size(of: str) -> Size:
    """What a size means by the name of its field alone."""
    return "quantity" if of == "quantity" else "margin" if of == "margin" else "notional"


@dataclass(frozen=True)
class Written:
    """The amounts of some rows as they are written, and what the rows say of them themselves.

    An array of each, NaN where missing. `long`: whether the side reads so. `inverse`: 1, 0, or NaN where no cell says.
    `sizes`: by field, of SIZES. `fees`: by field, of FEES, in quote currency. `fee_unknown`: fees in another currency than
    the trade's without a rate, which are missing in `fees`.
    """

    ticker: pd.Series
    long: Bools
    entry_price: Floats
    exit_price: Floats
    inverse: Floats
    multiplier: Floats
    leverage: Floats
    sizes: Mapping[str, Floats]
    fees: Mapping[str, Floats]
    foreign: Bools
    fee_unknown: Bools
    funding: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Of rows as read: the fields of FIELDS."""
        foreign = _in_another_currency(frame)
        rate = np.where(foreign, frame["fee_rate"].to_numpy(float), 1.0)
        unknown = foreign & np.isnan(rate) & frame[[*FEES]].notna().any(axis=1).to_numpy(bool)
        contract = frame["contract_type"].str.lower()
        return cls(
            ticker=frame["ticker"],
            long=(frame["direction"].str.upper().map(DIRECTIONS) == "LONG").to_numpy(bool),
            entry_price=frame["entry_price"].to_numpy(float),
            exit_price=frame["exit_price"].to_numpy(float),
            inverse=np.where(contract.isna(), np.nan, (contract == "inverse").to_numpy(float)),
            multiplier=_given(frame["contract_multiplier"]),
            leverage=_given(frame["leverage"]),
            sizes={name: frame[name].to_numpy(float) for name in SIZES},
            fees={name: frame[name].to_numpy(float) * rate for name in FEES},
            foreign=foreign,
            fee_unknown=unknown,
            funding=frame["funding"].to_numpy(float),
        )

    def take(self, rows: Bools | slice) -> Self:
        """Some of the rows."""
        return type(self)(
            **{
                name: {key: array[rows] for key, array in value.items()} if isinstance(value, dict) else value[rows]
                for name, value in vars(self).items()
            }
        )


def _given(values: pd.Series) -> Floats:
    """Values with 0 missing: exports write it where a term does not apply."""
    return values.mask(values == 0).to_numpy(float)


def _in_another_currency(frame: pd.DataFrame) -> Bools:
    """Fees in what is neither the trade's currency nor the end of its ticker, as in BTCUSDT."""
    if frame["fee_currency"].isna().all():
        return np.zeros(len(frame), bool)
    paid = frame["fee_currency"].fillna("").str.upper()
    kinds = pd.DataFrame({"ticker": frame["ticker"].fillna("").str.upper(), "paid": paid})
    number = kinds.groupby(["ticker", "paid"], sort=False).ngroup().to_numpy()
    pairs = kinds.drop_duplicates()
    quoted = np.array([ticker.endswith(currency) for ticker, currency in pairs.itertuples(index=False)], bool)
    same = (paid == frame["quote_currency"].str.upper()).to_numpy(bool)
    return (paid != "").to_numpy(bool) & ~same & ~quoted[number]


@dataclass(frozen=True)
class Amounts:
    """Canonical amounts, an array of each; NaN where missing. `gross` and `net`: pnl before and after costs."""

    long: Bools
    inverse: Bools
    contract_multiplier: Floats
    leverage: Floats
    notional: Floats
    quantity: Floats
    margin: Floats
    fees: Mapping[str, Floats]
    gross: Floats

    @property
    def all_fees(self) -> Floats:
        """Those of both ends where either is given, else their sum as written, else none."""
        entry, leave = self.fees["entry_fee"], self.fees["exit_fee"]
        parts = np.where(np.isnan(entry), leave, np.where(np.isnan(leave), entry, entry + leave))
        return np.nan_to_num(np.where(np.isnan(parts), self.fees["fees"], parts))


def amounts(written: Written, terms: Terms) -> Amounts:
    """The amounts of rows under these terms."""
    inverse = np.where(np.isnan(written.inverse), terms.contract == "inverse", written.inverse == 1)
    multiplier = written.multiplier
    if terms.multipliers:
        known = written.ticker.map(dict(terms.multipliers)).to_numpy(float)
        multiplier = np.where(np.isnan(multiplier), known, multiplier)
    multiplier = np.where(np.isnan(multiplier), 1.0, multiplier)
    leverage = written.leverage
    if terms.leverage is not None:
        leverage = np.where(np.isnan(leverage), terms.leverage, leverage)
    notional, quantity, margin = _sizes(written, terms, inverse, multiplier, leverage)
    long = written.long if terms.side == "position" else ~written.long
    sign = 1.0 if terms.fees == "cost" else -1.0
    direction = np.where(long, "LONG", "SHORT")
    prices = written.entry_price, written.exit_price
    return Amounts(
        long=long,
        inverse=inverse,
        contract_multiplier=multiplier,
        leverage=leverage,
        notional=notional,
        quantity=quantity,
        margin=margin,
        fees={name: sign * fee + 0.0 for name, fee in written.fees.items()},
        gross=gross_pnl(notional, quantity, multiplier, inverse, direction, *prices),
    )


def _sizes(
    written: Written, terms: Terms, inverse: Bools, multiplier: Floats, leverage: Floats
) -> tuple[Floats, Floats, Floats]:
    """Notional, quantity and margin from the size that counts; what stands beside it is for information."""
    of = terms.size_field
    beside = {name: np.full(len(inverse), np.nan) if name == of else size for name, size in written.sizes.items()}
    if of is None:
        return beside["notional"], beside["quantity"], beside["margin"]
    size, entry = written.sizes[of], written.entry_price
    with np.errstate(all="ignore"):
        if terms.size == "quantity":
            return notional_of(size, multiplier, entry, inverse), size, beside["margin"]
        notional = size * leverage if terms.size == "margin" else size
        quantity = np.where(inverse, notional * entry / multiplier, beside["quantity"])
    return notional, quantity, size if terms.size == "margin" else beside["margin"]


def apply(frame: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Rows as read with their amounts as the canonical fields have them; missing stays missing.

    `fee_unknown` is added: fees in another currency than the trade's without a rate, which are missing.
    """
    written = Written.of(frame)
    found = amounts(written, terms)
    known = frame["direction"].str.upper().isin(DIRECTIONS)
    stated = "stated" if terms.pnl == "stated" else None
    return frame.assign(
        direction=frame["direction"].mask(known, pd.Series(np.where(found.long, "LONG", "SHORT"), frame.index)),
        contract_type=frame["contract_type"].fillna(terms.contract),
        contract_multiplier=found.contract_multiplier,
        leverage=found.leverage,
        notional=found.notional,
        quantity=found.quantity,
        margin=found.margin,
        **found.fees,
        fee_currency=frame["fee_currency"].where(written.foreign),
        fee_unknown=written.fee_unknown,
        pnl_basis=frame["pnl_basis"].fillna(stated) if stated else frame["pnl_basis"],
    )
