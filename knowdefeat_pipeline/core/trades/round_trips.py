"""Round trips out of fills: what each position gained from flat to flat, or each exit by itself.

1. Fills are put in order (`_in_order`), and their quantities are counted in whole units (`_whole_units`).
2. What is held after each fill says what it opens and what it closes (`_positions`); a fill that turns a position
   around does both.
3. What is closed gets the price, fees and funding of its entry, at average cost or oldest first (`_average_cost`,
   `_oldest_first`).
4. Exits of one position, or fills of one exit, are added up to a trade (`round_trips`).

What is known not to be here: lots that the user picks (specific identification), and last in, first out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.recurrence import linear_recurrence
from knowdefeat_pipeline.core.trades.net_pnl import gross_pnl, net_pnl, notional_of
from knowdefeat_pipeline.core.units import NEVER, ROUNDING, Array, Bools, Floats, Ints, micros

Matching = Literal["flat_to_flat", "average_cost", "fifo"]

FLAT = 10**12
"""A position is flat again when an exit leaves no more than this part of the largest fill: so much rounding leaves of
quantities that a bot has added up. Smaller by far than what can be traded beside such a fill."""

DIGITS = 15
"""The decimal digits that float64 is sure to carry: a quantity is the decimal number of so many that it stands for."""
UNIT_DIGITS = 18
"""The decimal digits of all that was bought and sold in a position, in whole units: they fit in 64 bits."""
MOST_DECIMALS = 22
"""Up to this power, 10 has its exact value in float64."""

_TENS = np.array([float(f"1e{n}") for n in range(-60, 61)])


@dataclass(frozen=True)
class RoundTrips:
    """trades: a row a trade, closed or still open. unmatched: what belongs to no position (see `round_trips`)."""

    trades: pd.DataFrame
    unmatched: pd.DataFrame


def round_trips(fills: pd.DataFrame, by: Sequence[str], matching: Matching = "flat_to_flat") -> RoundTrips:
    """Trades out of fills; what has not been left is an open trade.

    A position is what one of `by` (account, bot, ticker, ...) holds, and with `position_side` (hedge mode) each side is
    a position of its own. Without it (one-way mode) the side follows the sign of what is held, and a fill that goes
    beyond flat closes one trade and opens the next, its fee divided by quantity.

    Parameters
    ----------
    fills : DataFrame, a row a fill, in any order
        `by`, and

        - `time`: instants that know their time zone;
        - `quantity`: units or contracts, bought positive, sold negative; 0 in a row of funding alone;
        - `price`: above 0, in quote currency;
        - `fee`, optional: a cost is positive; `fee_rate`, optional: quote currency for one of the fee's currency, NaN
          where it is not known;
        - `funding`, optional: in quote currency, received is positive; it belongs to what is held before the fills of
          its instant, else to what they leave;
        - `position_side`, optional: LONG, SHORT, or missing in one-way mode;
        - `order_id`, optional: the fills of an order are one exit; without it those of one instant are;
        - `sequence`, optional: integers that tell which of the fills of one instant came first;
        - `contract_multiplier` (1) and `contract_type` (linear | inverse), optional, one for each position.
    matching : {"flat_to_flat", "average_cost", "fifo"}
        A trade is a position from flat to flat; or what one exit closed, at the average cost of all that was held, or
        of the oldest of it. The sum of their pnl is the same as soon as all is flat.

    Returns
    -------
    RoundTrips
        `trades` has `by` and canonical terms of trades: direction, status, entry_time, exit_time, entry_price and
        exit_price (averages by quantity, harmonic ones of inverse contracts), quantity, notional, contract_multiplier,
        contract_type, entry_fee, exit_fee (NaN where a rate is not known), funding, exits (missing before the first),
        pnl (net, NaN while open); and `first_fill` and `last_fill`, positions in `fills` of the fill that opened it and
        of its last exit (-1: none). An open trade is what is left, at average cost (fifo: at the cost of the newest
        lots); of flat_to_flat, `realized_pnl` is the net pnl of its exits so far. Ordered by position and time.

        `unmatched`: `fill` (position in `fills`), `quantity`, `fee` and `funding` of what closes more than its side
        holds in hedge mode (the history begins too late), and of funding when nothing was held.

    Raises
    ------
    ValueError
        A time, quantity, price or side that is none, or two contracts in one position.

    Notes
    -----
    Quantities count as the decimal numbers that they stand for, in whole units, so that 0.1 + 0.2 - 0.3 is flat; see
    `FLAT` for those that were added up in floating point before. Fills of one instant are taken by `sequence`; else
    first those that reduce the position, unless they would turn it around, then the others (buys first when flat), so
    that their order in the file changes nothing.

    `fifo` is pyfolio's `extract_round_trips`, but that pyfolio first joins what follows within 8 hours, and leaves out
    what is still open. `average_cost` is how Binance's futures compute the realised profit; see `realized_pnl`.

    Examples
    --------
    Bought 1 at 10 and 1 at 20; sold 1 at 30, then 2 at 20, which turns the position around:

    >>> hours = pd.date_range("2025-01-01", freq="h", periods=4, tz="UTC")
    >>> fills = pd.DataFrame(
    ...     {"bot_id": 1, "time": hours, "quantity": [1, 1, -1, -2], "price": [10, 20, 30, 20], "fee": [1, 1, 1, 2]})
    >>> shown = ["direction", "status", "quantity", "entry_price", "exit_price", "entry_fee", "exit_fee", "pnl"]
    >>> print(round_trips(fills, ["bot_id"]).trades[shown].to_string(index=False))
    direction status  quantity  entry_price  exit_price  entry_fee  exit_fee  pnl
         LONG closed       2.0         15.0        25.0        2.0       2.0 16.0
        SHORT   open       1.0         20.0         NaN        1.0       0.0  NaN
    >>> round_trips(fills, ["bot_id"], "average_cost").trades["pnl"].tolist()
    [13.0, 3.0, nan]
    >>> round_trips(fills, ["bot_id"], "fifo").trades["pnl"].tolist()
    [18.0, -2.0, nan]
    """
    positions = _positions(_in_order(fills, by))
    exits, left = _oldest_first(positions) if matching == "fifo" else _average_cost(positions)
    order = pd.DataFrame({"trip": exits.trip, "order": _order_of(positions, fills)[exits.fill]})
    exit_of = _codes(order, ["trip", "order"])
    if matching == "flat_to_flat":
        is_done = ~np.isin(exits.trip, left.trip)
        done, exit_of_done = exits.at(is_done), exit_of[is_done]
        closed = _closed(positions, done, pd.factorize(done.trip)[0], exit_of_done)
        still_open = _exits_so_far(positions, left, exits.at(~is_done), exit_of[~is_done])
    else:
        closed, still_open = _closed(positions, exits, exit_of, exit_of), _trades(positions, left)
    trades = pd.concat([closed, still_open]).sort_values(["trip", "order"], kind="stable", ignore_index=True)
    keys = fills[list(by)].iloc[positions.fill[positions.first[trades.pop("trip")]]].reset_index(drop=True)
    return RoundTrips(pd.concat([keys, trades.drop(columns="order")], axis=1), _unmatched(positions))


def realized_pnl(fills: pd.DataFrame, by: Sequence[str], matching: Matching = "average_cost") -> Floats:
    """What each fill realised, before fees and funding: 0 of one that only opens. In the order of `fills`.

    `fills`, `by`, `matching`: as `round_trips` takes them (flat_to_flat is average_cost). At average cost it is what
    Binance's futures show as the realised profit of a fill; less the fill's own fee, what Hyperliquid does.

    >>> hours = pd.date_range("2025-01-01", freq="h", periods=3, tz="UTC")
    >>> fills = pd.DataFrame(
    ...     {"bot_id": 1, "time": hours, "quantity": [0.1, -0.04, -0.06], "price": [60_000, 60_700, 60_600]})
    >>> realized_pnl(fills, ["bot_id"]).round(9).tolist()
    [0.0, 28.0, 36.0]
    """
    positions = _positions(_in_order(fills, by))
    exits, _ = _oldest_first(positions) if matching == "fifo" else _average_cost(positions)
    out = np.zeros(len(fills))
    out[positions.fill[exits.fill]] = _gross(positions, exits)
    return out


@dataclass(frozen=True)
class _Fills:
    """Fills in order, position after position.

    `fill`: where each stood. `position`: codes. `side`: +1 or -1 in hedge mode, else 0. `quantity`: as given. `units`:
    signed, in whole ones of 1 / `scale`. `known`: whether the fee is; else it is 0 here.
    """

    fill: Ints
    position: Ints
    side: Ints
    time: Ints
    quantity: Floats
    units: Ints
    scale: Floats
    price: Floats
    fee: Floats
    known: Bools
    funding: Floats
    multiplier: Floats
    inverse: Bools

    def at(self, rows: Array) -> _Fills:
        return _Fills(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _in_order(fills: pd.DataFrame, by: Sequence[str]) -> _Fills:
    """The fills by position, time and sequence, those of one instant in an order of their own."""
    sides = fills["position_side"] if "position_side" in fills else pd.Series(None, fills.index, dtype=object)
    position = _codes(fills.assign(_side=sides), [*by, "_side"])
    quantity, price = fills["quantity"].to_numpy(float), fills["price"].to_numpy(float)
    fee = _floats(fills, "fee", 0.0)
    fee = np.where(fee == 0, 0.0, fee * _floats(fills, "fee_rate", 1.0))
    inverse = (fills["contract_type"] == "inverse").to_numpy(bool) if "contract_type" in fills else quantity != quantity
    multiplier = _floats(fills, "contract_multiplier", 1.0)
    _check(fills, position, quantity, price, sides, multiplier, inverse)
    units, scale = _whole_units(quantity, position)
    known = np.isfinite(fee)
    side = np.asarray(sides.map({"LONG": 1, "SHORT": -1}).fillna(0), np.int64)
    fee, funding = np.where(known, fee, 0.0), _floats(fills, "funding", 0.0)
    rows = _Fills(
        np.arange(len(fills)), position, side, micros(fills["time"]), quantity, units, scale, price, fee, known,
        funding, multiplier, inverse,
    )  # fmt: skip
    sequence = fills["sequence"].to_numpy(np.int64) if "sequence" in fills else np.zeros(len(fills), np.int64)
    rows = _funding_by_itself(rows)
    order = np.lexsort((sequence[rows.fill], rows.time, rows.position))
    rows = rows.at(order)
    instant = np.cumsum(_is_new(rows.position, rows.time, sequence[rows.fill])) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.nan_to_num(rows.fee / np.abs(rows.units))
    return rows.at(np.lexsort((rate, rows.price, _turn(rows, instant), instant)))


def _funding_by_itself(rows: _Fills) -> _Fills:
    """The funding of a fill in a row of its own, as it belongs to what is held and not to the fill."""
    both = np.flatnonzero((rows.quantity != 0) & (rows.funding != 0))
    count = len(rows.fill)
    rows = rows.at(np.concatenate([np.arange(count), both]))
    rows.funding[both] = 0.0
    for column in (rows.quantity, rows.units, rows.fee):
        column[count:] = 0
    rows.known[count:] = True
    return rows


def _codes(frame: pd.DataFrame, by: Sequence[str]) -> Ints:
    """A number for each group of rows; what is missing is a group too."""
    return np.asarray(frame.groupby(list(by), sort=False, dropna=False).ngroup(), np.int64)


def _floats(fills: pd.DataFrame, name: str, default: float) -> Floats:
    """A column that need not be there; what is missing in `fee_rate` is not known, elsewhere it is the default."""
    if name not in fills:
        return np.full(len(fills), default)
    column = fills[name].astype(float)
    return np.asarray(column if name == "fee_rate" else column.fillna(default), np.float64)


def _check(
    fills: pd.DataFrame,
    position: Ints,
    quantity: Floats,
    price: Floats,
    sides: pd.Series,
    multiplier: Floats,
    inverse: Bools,
) -> None:
    one = pd.DataFrame({"multiplier": multiplier, "inverse": inverse}).groupby(position)
    wrong = {
        "time": (fills["time"].isna().to_numpy(), "an instant"),
        "quantity": (~np.isfinite(quantity), "a finite number"),
        "price": ((quantity != 0) & ~((price > 0) & np.isfinite(price)), "a finite number above 0"),
        "funding": (~np.isfinite(_floats(fills, "funding", 0.0)), "a finite number"),
        "position_side": ((sides.notna() & ~sides.isin(["LONG", "SHORT"])).to_numpy(), "LONG, SHORT or missing"),
        "contract_multiplier": (one["multiplier"].transform("first").to_numpy() != multiplier, "one for each position"),
        "contract_type": (one["inverse"].transform("first").to_numpy() != inverse, "one for each position"),
    }
    for name, (rows, meant) in wrong.items():
        if rows.any():
            row = int(np.flatnonzero(rows)[0])
            raise ValueError(f"fill {row} has {name} {fills[name].iloc[row]}; give {meant}")


def _whole_units(quantity: Floats, position: Ints) -> tuple[Ints, Floats]:
    """Quantities in whole units of a power of ten, one for each position, and how many of them one is."""
    size = np.abs(quantity)
    total = _sums(position, size)[position]
    power = UNIT_DIGITS - _magnitude(total)
    digits, decimals = _as_decimal(size)
    coarse = np.rint(np.where(decimals > power, size * _ten(power), digits)).astype(np.int64)
    units = coarse * 10 ** np.maximum(power - decimals, 0)
    return np.where(quantity < 0, -units, units), _ten(power)


def _sums(code: Ints, values: Array, count: int = 0) -> Floats:
    """The sum of the values of each code, of at least so many codes."""
    out: Floats = np.bincount(code, values, count).astype(np.float64)
    return out


def _magnitude(size: Floats) -> Ints:
    """The least n for which a size is not above 10**n; 0 of 0."""
    out: Ints = np.ceil(np.log10(np.where(size > 0, size, 1.0))).astype(np.int64)
    return out


def _ten(power: Ints) -> Floats:
    out: Floats = _TENS[power + 60]
    return out


def _as_decimal(size: Floats) -> tuple[Floats, Ints]:
    """The decimal number that a size stands for: its digits as a whole number, and how many are decimals."""
    decimals = np.clip(DIGITS - _magnitude(size), 0, MOST_DECIMALS)
    return np.rint(size * _ten(decimals)), decimals


def _quantity(units: Ints, scale: Floats) -> Floats:
    """Whole units as the decimal number that they stand for."""
    digits, decimals = _as_decimal(units / scale)
    return digits / _ten(decimals)


def _turn(rows: _Fills, instant: Ints) -> Ints:
    """When a fill has its turn among those of its instant: see the notes of `round_trips`. Funding belongs to what is
    held before, if anything is."""
    first = np.flatnonzero(_is_new(instant))
    net = np.add.reduceat(rows.units, first) if len(first) else first
    of = rows.at(first)
    held, _ = _walk(net, of.position, of.side)
    before = _before(held, of.position)
    long = np.where(of.side != 0, of.side, np.where(before < 0, -1, 1))
    reduces = rows.units * long[instant] < 0
    reduction = _sums(instant, np.where(reduces, np.abs(rows.units), 0), len(first))
    reduce_first = (reduction <= np.abs(before) * (1 + ROUNDING))[instant]
    turn = np.where(reduces == reduce_first, 1, 2)
    return np.where(rows.units == 0, np.where(before[instant] != 0, 0, 3), turn)


def _is_new(*keys: Array) -> Bools:
    """Rows that differ from the one before in any of the keys; the first does."""
    new = np.ones(len(keys[0]), np.bool_)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return new


def _before(held: Ints, position: Ints) -> Ints:
    """What was held before each row."""
    return np.where(_is_new(position), 0, np.roll(held, 1))


def _walk(units: Ints, position: Ints, side: Ints) -> tuple[Ints, Ints]:
    """What is held after each row (signed), and what of it closes more than its side holds (hedge mode; not signed).

    What rounding leaves of a position goes with the exit that left it (see `FLAT`).
    """
    towards = np.where(side != 0, side, 1)
    moves = units * towards
    flat = pd.Series(np.abs(units)).groupby(position).transform("max").to_numpy() // FLAT
    while True:
        held, excess = _reflected(moves, position, side)
        size, left = np.abs(held), np.abs(held) < np.abs(_before(held, position))
        rest = np.flatnonzero((size > 0) & (size <= flat) & (np.abs(moves) > flat) & left)
        if not len(rest):
            return held * towards, np.where(excess > flat, excess, 0)
        again = np.where(_is_new(position[rest]), 0, np.roll(held[rest], 1))
        moves = moves.copy()
        moves[rest] -= held[rest] - again


def _reflected(moves: Ints, position: Ints, side: Ints) -> tuple[Ints, Ints]:
    """Running sums; in hedge mode they stop at 0, and what would go below is the excess."""
    held = pd.Series(moves).groupby(position).cumsum()
    lowest = held.groupby(position).cummin().clip(upper=0).to_numpy()
    lowest = np.where(side != 0, lowest, 0)
    return held.to_numpy() - lowest, _before(lowest, position) - lowest


@dataclass(frozen=True)
class _Positions(_Fills):
    """Fills with what they do. `before`, `held`: what is held around them, in size. `opens`, `closes`: units. `excess`:
    of the units, what closes more than there is. `trip`: the number of the latest round trip that began; `begins`:
    whether one does, which is then of `long` or not. `first`: the fill that began each trip."""

    before: Ints
    held: Ints
    opens: Ints
    closes: Ints
    excess: Ints
    trip: Ints
    begins: Bools
    long: Bools
    first: Ints

    def share(self, part: Ints) -> Floats:
        """What part of the fill's units these are."""
        whole = self.opens + self.closes + self.excess
        out: Floats = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
        return out


def _positions(fills: _Fills) -> _Positions:
    held, excess = _walk(fills.units, fills.position, fills.side)
    before = _before(held, fills.position)
    turned = np.sign(before) * np.sign(held) < 0
    size_before, size = np.abs(before), np.abs(held)
    opens = np.where(turned, size, np.maximum(size - size_before, 0))
    closes = np.where(turned, size_before, np.maximum(size_before - size, 0))
    begins = (opens > 0) & ((before == 0) | turned)
    first = np.flatnonzero(begins)
    return _Positions(
        **{name: getattr(fills, name) for name in _Fills.__dataclass_fields__},
        before=size_before, held=size, opens=opens, closes=closes, excess=excess,
        trip=np.cumsum(begins) - 1, begins=begins, long=held > 0, first=first,
    )  # fmt: skip


@dataclass(frozen=True)
class _Costs:
    """What was paid for parts of positions. `fill`: the exit of each, or the last one before which it is still held.
    `trip`. `units`. `step`: the average entry price as a distance from that of the trip's first fill (see `_step`).
    `fee`: of the entries. `funding`. `since`: the fill of the oldest entry."""

    fill: Ints
    trip: Ints
    units: Ints
    step: Floats
    fee: Floats
    funding: Floats
    since: Ints

    def at(self, rows: Array) -> _Costs:
        return _Costs(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _step(price: Floats, reference: Floats, inverse: Bools) -> Floats:
    """A price as a distance from another one, in which averages by units are taken; 0 of the same price, so that
    averages of equal prices are that price to the last bit."""
    return np.where(inverse, reference / price - 1, price - reference)


def _price(step: Floats, reference: Floats, inverse: Bools) -> Floats:
    """The price at a distance: the reverse of `_step`."""
    with np.errstate(divide="ignore"):
        return np.where(inverse, reference / (1 + step), reference + step)


def _entry_steps(p: _Positions) -> Floats:
    """The distance of each opening fill from its trip's first."""
    if not len(p.first):
        return np.zeros(len(p.fill))
    reference = p.price[p.first[np.maximum(p.trip, 0)]]
    return np.where(p.opens > 0, _step(np.where(p.opens > 0, p.price, 1.0), reference, p.inverse), 0.0)


def _average_cost(p: _Positions) -> tuple[_Costs, _Costs]:
    """Of what exits close, and of what is left: every unit of a position costs the same."""
    exits, ends = np.flatnonzero(p.closes), _still_held(p)
    pools, part = _pools(p)
    taken = (p.closes / np.maximum(p.before, 1))[exits]
    trip = (p.trip - p.begins)[exits]
    before = pools[exits - 1]
    since = p.first if len(p.first) else np.zeros(0, np.int64)
    return (
        _Costs(exits, trip, p.closes[exits], before[:, 0] / p.before[exits], before[:, 1] * taken, part[exits],
               since[trip]),
        _Costs(ends, p.trip[ends], p.held[ends], pools[ends, 0] / p.held[ends], pools[ends, 1], pools[ends, 2],
               since[p.trip[ends]]),
    )  # fmt: skip


def _still_held(p: _Positions) -> Ints:
    """The last fills of the positions that are not flat."""
    last = np.append(_is_new(p.position)[1:], True)[: len(p.fill)]
    return np.flatnonzero(last & (p.held > 0))


def _pools(p: _Positions) -> tuple[Floats, Floats]:
    """Steps times units, entry fees and funding of what is held after each fill, of which an exit takes the part that
    it closes; and the funding that it takes."""
    is_held = p.before > 0
    kept = np.divide(p.before - p.closes, p.before, out=np.zeros(len(p.fill)), where=is_held)
    inflow = np.stack([p.opens * _entry_steps(p), p.fee * p.share(p.opens), np.where(is_held, p.funding, 0.0)], axis=1)
    pools = linear_recurrence(kept, inflow)
    return pools, np.where(is_held, np.roll(pools[:, 2], 1) * (1 - kept), 0.0)


def _oldest_first(p: _Positions) -> tuple[_Costs, _Costs]:
    """Of what exits close, and of what is left: first in, first out. Funding is that of the whole position, as at
    average cost.

    Entries and exits of a trip divide its units, each at the sums of theirs; between two such points lies what one
    entry gave to one exit.
    """
    entry, leave = np.flatnonzero(p.opens), np.flatnonzero(p.closes)
    trip = np.concatenate([p.trip[entry], (p.trip - p.begins)[leave]])
    is_exit = np.arange(len(trip)) >= len(entry)
    units = np.concatenate([p.opens[entry], p.closes[leave]])
    point = pd.Series(units).groupby([trip, is_exit]).cumsum().to_numpy()
    order = np.lexsort((point, trip))
    trip, point, is_exit = trip[order], point[order], is_exit[order]
    width = point - _before(point, trip)
    lot: Ints = np.cumsum(~is_exit) - ~is_exit
    out: Ints = np.cumsum(is_exit) - is_exit
    used = width > 0
    width, lot, out, trip = width[used], entry[lot[used]], out[used], trip[used]
    trip_of = (p.trip - p.begins)[leave]
    is_left = out >= np.bincount(trip_of, minlength=len(p.first)).cumsum()[trip]
    steps, fees = _entry_steps(p), p.fee * p.share(p.opens)

    def costs(rows: Bools, code: Ints, fill: Ints, trips: Ints, units: Ints, funding: Floats) -> _Costs:
        size, lots = width[rows], lot[rows]
        step = _sums(code, size / units[code] * steps[lots], len(fill))
        fee = _sums(code, size / p.opens[lots] * fees[lots], len(fill))
        since = np.full(len(fill), len(p.fill))
        np.minimum.at(since, code, lots)
        return _Costs(fill, trips, units, step, fee, funding, since)

    ends = _still_held(p)
    number = np.zeros(len(p.first), np.int64)
    number[p.trip[ends]] = np.arange(len(ends))
    pools, part = _pools(p)
    return (
        costs(~is_left, out[~is_left], leave, trip_of, p.closes[leave], part[leave]),
        costs(is_left, number[trip[is_left]], ends, p.trip[ends], p.held[ends], pools[ends, 2]),
    )


def _order_of(p: _Positions, fills: pd.DataFrame) -> Ints:
    """A number for each exit order; of fills that name none, for each instant."""
    instant = pd.factorize(p.time)[0]
    if "order_id" not in fills:
        return instant
    order = pd.factorize(fills["order_id"])[0][p.fill]
    return np.where(order >= 0, order, order.max(initial=0) + 1 + instant)


def _gross(p: _Positions, exits: _Costs) -> Floats:
    """What each exit gained before fees and funding."""
    inverse = p.inverse[exits.fill]
    quantity, multiplier = _quantity(exits.units, p.scale[exits.fill]), p.multiplier[exits.fill]
    entry_price = _price(exits.step, p.price[p.first[exits.trip]], inverse)
    notional = notional_of(quantity, multiplier, entry_price, inverse)
    long, price = p.long[p.first[exits.trip]], p.price[exits.fill]
    return gross_pnl(notional, quantity, multiplier, inverse, long, entry_price, price)


def _closed(p: _Positions, exits: _Costs, label: Ints, exit_of: Ints) -> pd.DataFrame:
    """A trade of the exits of each label."""
    _, head = np.unique(label, return_index=True)
    by = pd.DataFrame({"units": exits.units, "since": exits.since, "fill": exits.fill, "exit": exit_of}).groupby(label)
    units = by["units"].sum().to_numpy(np.int64)
    part = exits.units / units[label]

    def total(values: Array) -> Floats:
        return _sums(label, values, len(head))

    price, inverse = p.price[exits.fill], p.inverse[exits.fill]
    reference = price[head]
    step = total(part * _step(price, reference[label], inverse))
    costs = _Costs(exits.fill[head], exits.trip[head], units, total(part * exits.step), total(exits.fee),
                   total(exits.funding), by["since"].min().to_numpy(np.int64))  # fmt: skip
    exit_fee = total((p.fee * p.share(p.closes))[exits.fill])
    return (
        _trades(p, costs)
        .assign(
            status="closed",
            exit_time=_instants(p.time[by["fill"].max().to_numpy(np.int64)]),
            exit_price=_price(step, reference, inverse[head]),
            exit_fee=np.where(total(~p.known[exits.fill]) > 0, np.nan, exit_fee),
            exits=by["exit"].nunique().to_numpy(float),
            last_fill=p.fill[by["fill"].max().to_numpy(np.int64)],
        )
        .pipe(_with_pnl)
    )


def _with_pnl(trades: pd.DataFrame) -> pd.DataFrame:
    names = [
        "notional",
        "quantity",
        "contract_multiplier",
        "entry_price",
        "exit_price",
        "entry_fee",
        "exit_fee",
        "funding",
    ]
    size, quantity, multiplier, entry, leave, entry_fee, exit_fee, funding = (trades[name].to_numpy() for name in names)
    inverse, long = (
        (trades[name] == word).to_numpy(bool) for name, word in (("contract_type", "inverse"), ("direction", "LONG"))
    )
    gross = gross_pnl(size, quantity, multiplier, inverse, long, entry, leave)
    return trades.assign(pnl=net_pnl(gross, entry_fee + exit_fee, funding))


def _trades(p: _Positions, costs: _Costs) -> pd.DataFrame:
    """What all trades have, for each of these parts of positions, as long as they are open."""
    first = p.first[costs.trip]
    inverse, multiplier = p.inverse[first], p.multiplier[first]
    entry_price = _price(costs.step, p.price[first], inverse)
    quantity = _quantity(costs.units, p.scale[first])
    is_unknown = _sums(p.trip[p.opens > 0], ~p.known[p.opens > 0], len(p.first))[costs.trip] > 0
    return pd.DataFrame(
        {
            "trip": costs.trip,
            "order": costs.fill,
            "direction": np.where(p.long[first], "LONG", "SHORT"),
            "status": "open",
            "entry_time": _instants(p.time[costs.since]),
            "exit_time": _instants(np.full(len(first), NEVER)),
            "entry_price": entry_price,
            "exit_price": np.nan,
            "quantity": quantity,
            "notional": notional_of(quantity, multiplier, entry_price, inverse),
            "contract_multiplier": multiplier,
            "contract_type": np.where(inverse, "inverse", "linear"),
            "entry_fee": np.where(is_unknown, np.nan, costs.fee),
            "exit_fee": 0.0,
            "funding": costs.funding,
            "exits": np.nan,
            "pnl": np.nan,
            "realized_pnl": 0.0,
            "first_fill": p.fill[costs.since],
            "last_fill": -1,
        }
    )


def _instants(time: Ints) -> pd.Series:
    return pd.Series(time.astype("M8[us]")).dt.tz_localize("UTC")


def _exits_so_far(p: _Positions, left: _Costs, exits: _Costs, exit_of: Ints) -> pd.DataFrame:
    """The trades that are left, with what their exits so far realised."""
    trades = _trades(p, left)
    if not len(exits.fill):
        return trades
    done = _closed(p, exits, pd.factorize(exits.trip)[0], exit_of).set_index("trip")
    done = done.reindex(left.trip)
    return trades.assign(
        exits=done["exits"].to_numpy(),
        realized_pnl=done["pnl"].where(done["exits"].notna(), 0.0).to_numpy(),
        last_fill=done["last_fill"].fillna(-1).to_numpy(np.int64),
    )


def _unmatched(p: _Positions) -> pd.DataFrame:
    """What belongs to no position."""
    nothing = p.units == 0
    funding = np.where((p.before == 0) & (p.held == 0), p.funding, 0.0)
    fee = np.where(p.known, p.fee * np.where(nothing, 1.0, p.share(p.excess)), np.nan)
    quantity = np.sign(p.units) * _quantity(p.excess, p.scale)
    quantity = np.where(nothing, p.quantity, quantity)
    frame = pd.DataFrame({"fill": p.fill, "quantity": quantity, "fee": fee, "funding": funding})
    is_any = (p.excess > 0) | (funding != 0) | (nothing & ((fee != 0) | (quantity != 0)))
    out: pd.DataFrame = frame[is_any].groupby("fill", as_index=False).sum(min_count=1)
    return out
