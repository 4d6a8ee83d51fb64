"""Terms: what the size, the fees, the side and the stated pnl of a file mean, and the canonical amounts that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.net_pnl import all_fees, gross_pnl, net_pnl, notional_of, quantity_of, sizes_agree
from knowdefeat_pipeline.core.units import Bools, Floats, Ints
from knowdefeat_pipeline.sources.fields import FEES, SIZES
from knowdefeat_pipeline.sources.options import Basis, Contract, Side, Sign, Size
from knowdefeat_pipeline.sources.rounding import half_of_last_decimal

Cost = Literal["fees", "funding"]
Funding = Literal["received", "paid"]


@dataclass(frozen=True)
class Terms:
    """How the cells of a file are meant. What a column of the file says itself (contract_type, leverage …) goes first.

    `size_field`: the field that the size is taken from, one of SIZES; None: there is none. `size`: whether it is the
    notional, the quantity, or the margin (notional = margin * leverage); None: what its field is called. `fees`: `cost`
    where a cost is positive, `signed` where it is negative. `side`: that of the position, or that of the order that
    closed it. `multipliers`: units a contract, by ticker. `leverage`: of all trades. `pnl`: computed, or stated: taken
    at its word. `before`: the costs that are not taken off the stated pnl yet. `funding`: whether positive funding was
    received or paid. `size_is_certain`: the size is proved or chosen, and holds where another column contradicts it.
    """

    size_field: str | None = None
    size: Size | None = None
    fees: Sign = "cost"
    side: Side = "position"
    contract: Contract = "linear"
    multipliers: Mapping[str, float] = field(default_factory=dict, hash=False)
    leverage: float | None = None
    pnl: Basis = "computed"
    before: tuple[Cost, ...] = ()
    funding: Funding = "received"
    size_is_certain: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Terms from plain values by field, as `dataclasses.asdict` writes them."""
        return cls(**{**value, "before": tuple(value.get("before", ()))})

    def for_columns(self, columns: Mapping[str, str]) -> Self:
        """The same with the size's field and meaning filled in, where these fields have a column.

        >>> Terms(size="margin").for_columns({"quantity": "qty", "size": "size"}).size_field
        'size'
        """
        given = [name for name in SIZES if name in columns]
        named = [name for name in given if self.size and self.size == NAMED.get(name)]
        untold = [name for name in given if self.size and name not in NAMED]
        of = self.size_field or next(iter([*named, *untold, *given]), None)
        return replace(self, size_field=of, size=self.size or (named_size(of) if of else None))


MOST_BY_ROUNDING = 0.01
"""The most that two statements of one size may differ by because both are rounded, as a share of it."""

NAMED: Mapping[str, Size] = {"notional": "notional", "quantity": "quantity", "margin": "margin"}


def named_size(of: str) -> Size:
    """What a size means by the name of its field alone; a mere `size` is a notional."""
    return NAMED.get(of, "notional")


@dataclass(frozen=True)
class Written:
    """The amounts of some rows as they are written, and what the rows say of them themselves.

    An array of each, NaN where missing. `long`: whether the side reads so. `inverse`: 1, 0, or NaN where no cell says.
    `sizes`: by field, of SIZES. `fees`: by field, of FEES, in quote currency. `foreign`: fees in another currency than
    the trade's; `fee_unknown`: without a rate, so that they are missing in `fees`.
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
        """Of rows as read: the fields of FIELDS, sides as LONG or SHORT."""
        foreign = _in_another_currency(frame)
        rate = frame["fee_rate"].to_numpy(float)
        rate = np.where(foreign, np.where((rate > 0) & np.isfinite(rate), rate, np.nan), 1.0)
        paid = frame[[*FEES]].fillna(0.0).ne(0).any(axis=1).to_numpy(bool)
        contract = frame["contract_type"].str.lower()
        return cls(
            ticker=frame["ticker"],
            long=(frame["direction"] == "LONG").to_numpy(bool),
            entry_price=frame["entry_price"].to_numpy(float),
            exit_price=frame["exit_price"].to_numpy(float),
            inverse=np.where(contract.isna(), np.nan, (contract == "inverse").to_numpy(float)),
            multiplier=_given(frame["contract_multiplier"]),
            leverage=_given(frame["leverage"]),
            sizes={name: frame[name].to_numpy(float) for name in SIZES},
            fees=_of_both_ends(*(frame[name].to_numpy(float) * rate for name in FEES)),
            foreign=foreign,
            fee_unknown=foreign & np.isnan(rate) & paid,
            funding=frame["funding"].fillna(0.0).to_numpy(float),
        )

    def take(self, rows: Ints) -> Self:
        """The rows of these numbers, counted from 0."""
        some: dict[str, Any] = {
            name: {key: array[rows] for key, array in value.items()} if isinstance(value, dict) else value[rows]
            for name, value in vars(self).items()
            if name != "ticker"
        }
        return type(self)(ticker=self.ticker.iloc[rows], **some)


def _given(values: pd.Series) -> Floats:
    """Values with 0 missing: exports write it where a term does not apply."""
    return values.mask(values == 0).to_numpy(float)


def _of_both_ends(total: Floats, entry: Floats, leave: Floats) -> dict[str, Floats]:
    """Fees by field: the end that is missing is what the sum of both leaves of the other."""
    return {
        "fees": total,
        "entry_fee": np.where(np.isnan(entry), total - leave, entry),
        "exit_fee": np.where(np.isnan(leave), total - entry, leave),
    }


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
    foreign: Bools = (paid != "").to_numpy(bool) & ~same & ~quoted[number]
    return foreign


@dataclass(frozen=True)
class Amounts:
    """Canonical amounts, an array of each; NaN where missing. `fees`: by field, of FEES. `gross`: pnl before costs."""

    long: Bools
    inverse: Bools
    contract_multiplier: Floats
    leverage: Floats
    notional: Floats
    quantity: Floats
    margin: Floats
    fees: Mapping[str, Floats]
    funding: Floats
    gross: Floats

    @cached_property
    def costs(self) -> Mapping[Cost, Floats]:
        """What a pnl may be stated before: by cost, signed as it is added to the pnl."""
        return {"fees": -all_fees(*(self.fees[name] for name in FEES)), "funding": self.funding}

    def pnl(self, before: tuple[Cost, ...] = ()) -> Floats:
        """The net pnl, or what it is before these costs."""
        fees, funding = (np.zeros(len(self.gross)) if name in before else cost for name, cost in self.costs.items())
        return net_pnl(self.gross, -fees, funding)


def amounts(written: Written, terms: Terms) -> Amounts:
    """The amounts of rows under these terms."""
    inverse = np.where(np.isnan(written.inverse), terms.contract == "inverse", written.inverse == 1)
    multiplier = written.multiplier
    if terms.multipliers:
        told = written.ticker.map(dict(terms.multipliers)).to_numpy(float)
        multiplier = np.where(np.isnan(multiplier), told, multiplier)
    multiplier = np.where(np.isnan(multiplier), 1.0, multiplier)
    leverage = written.leverage
    if terms.leverage is not None:
        leverage = np.where(np.isnan(leverage), terms.leverage, leverage)
    notional, quantity, margin = _sizes(written, terms, inverse, multiplier, leverage)
    long = written.long if terms.side == "position" else ~written.long
    sign = 1.0 if terms.fees == "cost" else -1.0
    received = 1.0 if terms.funding == "received" else -1.0
    return Amounts(
        long=long,
        inverse=inverse,
        contract_multiplier=multiplier,
        leverage=leverage,
        notional=notional,
        quantity=quantity,
        margin=margin,
        fees={name: sign * fee + 0.0 for name, fee in written.fees.items()},
        funding=received * written.funding + 0.0,
        gross=gross_pnl(notional, quantity, multiplier, inverse, long, written.entry_price, written.exit_price),
    )


def _sizes(
    written: Written, terms: Terms, inverse: Bools, multiplier: Floats, leverage: Floats
) -> tuple[Floats, Floats, Floats]:
    """Notional, quantity and margin from the size that counts, or of rows without it, from their notional or quantity;
    what else there is, is for information; 0 is none."""
    of = terms.size_field
    beside = {name: np.where((size == 0) | (name == of), np.nan, size) for name, size in written.sizes.items()}
    if of is None:
        return beside["notional"], beside["quantity"], beside["margin"]
    size, entry = written.sizes[of], written.entry_price
    is_missing = np.isnan(size)
    if terms.size == "quantity":
        notional = np.where(is_missing, beside["notional"], notional_of(size, multiplier, entry, inverse))
        return notional, size, beside["margin"]
    is_margin = terms.size == "margin"
    with np.errstate(all="ignore"):
        notional = size * leverage if is_margin else size
    notional = np.where(is_missing, notional_of(beside["quantity"], multiplier, entry, inverse), notional)
    quantity = np.where(inverse, quantity_of(notional, multiplier, entry), beside["quantity"])
    return notional, quantity, size if is_margin else beside["margin"]


def _quantity(written: Written, terms: Terms, found: Amounts) -> Floats:
    """The units of rows whose size is taken from elsewhere: as the row has them, to the last bit what the size says
    where the two differ by rounding alone, and missing where a size that is certain contradicts them.

    A contradiction that nothing decides stays, for the row to be refused.
    """
    given = written.sizes["quantity"]
    if terms.size_field in (None, "quantity") or np.isnan(given).all():
        return found.quantity
    given = np.where(given == 0, np.nan, given)
    price, multiplier = written.entry_price, found.contract_multiplier
    size = written.sizes[terms.size_field]
    with np.errstate(all="ignore"):
        follows = np.where(found.inverse, found.quantity, found.notional / (multiplier * price))
        # What the rounding of each of the numbers makes of the size, as a share of it.
        loose = sum(half_of_last_decimal(value) / np.abs(value) for value in (given, price, size))
        is_rounded = np.abs(given - follows) <= np.minimum(loose, MOST_BY_ROUNDING) * np.abs(follows)
    same = sizes_agree(found.notional, given, multiplier, price, found.inverse)
    contradicted = np.where(found.inverse, follows, np.nan) if terms.size_is_certain else given
    settled = np.where(same & ~found.inverse, given, np.where(same | is_rounded, follows, contradicted))
    quantity: Floats = np.where(np.isnan(given), found.quantity, settled)
    return quantity


def apply(frame: pd.DataFrame, written: Written, terms: Terms) -> pd.DataFrame:
    """Rows as read with their amounts as the canonical fields have them; missing stays missing.

    `written`: of these rows. `fee_unknown` is added: fees in another currency than the trade's without a rate, which
    are missing.
    """
    found = amounts(written, terms)
    opposite = frame["direction"].replace({"LONG": "SHORT", "SHORT": "LONG"}) if terms.side == "closing" else None
    reported = frame["reported_pnl"]
    for cost in terms.before:
        reported = (reported + found.costs[cost]).mask(written.fee_unknown & (cost == "fees"))
    return frame.assign(
        direction=frame["direction"] if opposite is None else opposite,
        contract_type=frame["contract_type"].fillna(terms.contract),
        contract_multiplier=found.contract_multiplier,
        leverage=found.leverage,
        notional=found.notional,
        quantity=_quantity(written, terms, found),
        margin=found.margin,
        funding=found.funding,
        **found.fees,
        fee_currency=frame["fee_currency"].where(written.foreign),
        fee_unknown=written.fee_unknown,
        reported_pnl=reported,
        pnl_basis=frame["pnl_basis"].fillna("stated") if terms.pnl == "stated" else frame["pnl_basis"],
    )
