"""Trades out of a file of fills: the columns that a format reads, matched by `core.trades.round_trips`.

A position is what a bot holds of a ticker, from flat to flat. What the file itself says that a fill realised proves it:
where the two differ, the file does not tell the whole of the position, and its fills are held.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.trades.round_trips import RoundTrips, realized_pnl, round_trips
from knowdefeat_pipeline.core.units import Bools, Floats, Ints
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources.fields import NO_TRADE
from knowdefeat_pipeline.sources.format import Rows, numbered
from knowdefeat_pipeline.sources.rounding import half_of_last_decimal

POSITION = ["bot_id", "ticker"]
UNOPENED, UNPROVED, TURNED, UNREAD = NO_TRADE
"""What stands for the direction of a fill, or of a trade, that is held."""
ROUNDS = 20
"""How many fills at the beginning of a position's history may close what was opened before it."""


def as_trades(rows: Rows, fills: pd.DataFrame, realised: Floats | None = None) -> Rows:
    """A row a trade: that of the fill which opened it.

    `fills`: of each row `bot_id`, `ticker`, `time`, `quantity` (bought positive), `price`, `fee`, `fee_currency`
    (missing: that of the quote), `quote_currency`, and where there are such `strategy_id`, `leverage`, `position_side`,
    `order_id`, `id`, and `lot`, the least that can be sold, where fees leave less (see `_with_dust_sold`). `realised`:
    what the file says that each fill realised, before its fee. Fills that cannot be read, or close what the file does
    not open, are held.
    """
    fills = fills.reset_index(drop=True)
    numbers = np.isfinite(fills["quantity"]) & (fills["price"] > 0)
    readable = (numbers & fills[["time", *POSITION]].notna().all(axis=1)).to_numpy(bool)
    place = np.flatnonzero(readable)
    said = None if realised is None else realised[place]
    known = _in_proved_order(_with_rates(fills.iloc[place].reset_index(drop=True)), said)
    unopened = _unopened(known, said)
    place, known = place[~unopened], known[~unopened].reset_index(drop=True)
    if "lot" in known:
        known, left = _with_dust_sold(known)
        if left:
            sales = counted(left, "sale leaves", "sales leave")
            rows = rows.noting(f"{sales} less than can be sold, which closes the trade and is a cost of it")
    trips = round_trips(known, POSITION)
    trades, of = _trades(trips, known, None if said is None else said[~unopened])
    rows = explaining(rows, place[_explained(trades, of, trips.unmatched)])
    lone = [*np.flatnonzero(readable)[unopened], *place[trips.unmatched["fill"].to_numpy(int)]]
    held = _held(fills, np.unique(np.array(lone, int)))
    unread = pd.DataFrame({"place": np.flatnonzero(~readable)}).assign(direction=UNREAD)
    rows = _spanning(rows, fills, trades, place, np.unique(np.array(lone, int)), realised is not None)
    every = pd.concat([trades.assign(place=place[trades["first_fill"]]), held, unread]).sort_values("place")
    kept = np.isin(np.arange(len(rows)), every["place"])
    note = f"{counted(len(known), 'fill')} {'is' if len(known) == 1 else 'are'} {counted(len(trades), 'trade')}"
    if len(trades) and (trades["status"] == "open").all() and len(np.unique(np.sign(known["quantity"]))) > 1:
        note += ", all of them open: no fill brings what is held back to 0"
    return rows.noting(note).where(kept).making(**{name: every[name].to_numpy() for name in MADE if name in every})


MADE = (
    "source_trade_id", "bot_id", "strategy_id", "ticker", "direction", "status", "entry_time", "exit_time",
    "entry_price", "exit_price", "quantity", "contract_multiplier", "contract_type", "leverage", "exits", "entry_fee",
    "exit_fee", "fees", "fee_currency", "funding", "quote_currency",
)  # fmt: skip


def _held(fills: pd.DataFrame, place: Ints) -> pd.DataFrame:
    """Fills that close what the file does not open, as what they would have opened."""
    alone = fills.iloc[place].rename(columns={"time": "entry_time", "price": "entry_price"}).assign(place=place)
    alone = alone.assign(direction=UNOPENED, status="open", quantity=alone["quantity"].abs()).reset_index(drop=True)
    return alone.assign(source_trade_id=_ids(alone, alone)).drop(columns=["fee_currency", "leverage"], errors="ignore")


def tolerance(realised: Floats) -> Floats:
    """What a stated pnl may be off by: what it is rounded to, a cent at most."""
    rounding: float = min(max(1e-6, 2 * half_of_last_decimal(realised)), 0.0101)
    return 1e-6 * np.abs(realised) + rounding


def _in_proved_order(fills: pd.DataFrame, realised: Floats | None) -> pd.DataFrame:
    """The fills with their `sequence`: which of those of one instant came first.

    That is the order of their ids, or of the file, whichever way it runs. Where this contradicts what the file says of
    a position (see `_contradictions`), and the other way round, or with what opens the position first, less does, it
    was that one.
    """
    given = _order_of_file(fills)
    fills = fills.assign(sequence=given)
    position = fills.groupby(POSITION, sort=False).ngroup().to_numpy(int)
    several = fills.duplicated([*POSITION, "time"], keep=False).to_numpy(bool)
    among = np.isin(position, position[several])

    def contradicted(order: Ints, some: Bools) -> Floats:
        tried = fills[some].assign(sequence=order[some]).reset_index(drop=True)
        wrong = _contradictions(tried, None if realised is None else realised[some])
        counts: Floats = np.bincount(position[some], wrong, position.max(initial=0) + 1).astype(np.float64)
        return counts

    least = contradicted(given, among)
    for other in (-given, _opening_first(fills, realised)):
        among &= (least > 0)[position]
        if not among.any():
            break
        left = contradicted(other, among)
        fills["sequence"] = np.where(among & (left < least)[position], other, fills["sequence"])
        least = np.minimum(left, least)
    return fills


def _order_of_file(fills: pd.DataFrame) -> Ints:
    """The order of the fills' ids, where these are numbers that grow with time, else of the file: that may begin with
    the newest, as a whole or each position by itself."""
    place = np.arange(len(fills))
    if (numbers := _numbers(fills)) is not None:
        return np.asarray(numbers.rank(method="first"), np.int64)
    step = (
        fills.groupby(POSITION, sort=False)["time"].diff().dt.total_seconds(),
        fills["time"].diff().dt.total_seconds(),
    )
    later = next((votes for votes in (np.sign(moved).sum() for moved in step) if votes), 1)
    return place if later > 0 else -place


def _numbers(fills: pd.DataFrame) -> pd.Series | None:
    """The numbers in the fills' ids, where each position has them behind the same letters, and they grow with time."""
    if "id" not in fills:
        return None
    parts = fills["id"].astype("str").str.extract(r"^(?P<letters>.*?)(?P<number>\d{1,18})$")
    if parts["number"].isna().any():
        return None
    by = [fills[name] for name in POSITION]
    told = fills[[*POSITION, "time"]].assign(number=parts["number"].astype("int64"), letters=parts["letters"])
    ordered = told.sort_values(["number"], kind="stable")
    grow = ordered.groupby(POSITION, sort=False)["time"].diff().dropna() >= pd.Timedelta(0)
    return told["number"] if grow.all() and told["letters"].groupby(by).nunique().le(1).all() else None


def _opening_first(fills: pd.DataFrame, realised: Floats | None) -> Ints:
    """Of the fills of an instant first those that open a position, by the side that they say, or as they realised
    nothing; else in the given order."""
    closes = np.zeros(len(fills), bool) if realised is None else np.abs(realised) > tolerance(realised)
    if "position_side" in fills:
        sign = fills["position_side"].map({"LONG": 1, "SHORT": -1}).to_numpy(float)
        closes |= np.nan_to_num(fills["quantity"].to_numpy(float) * sign) < 0
    order = np.lexsort((fills["sequence"], closes))
    rank = np.empty(len(fills), np.int64)
    rank[order] = np.arange(len(fills))
    return rank


def _contradictions(fills: pd.DataFrame, realised: Floats | None) -> Bools:
    """Fills that realised another pnl than is stated, or close what nothing opened."""
    wrong = _unopened(fills, realised)
    rest = fills[~wrong].reset_index(drop=True)
    place = np.flatnonzero(~wrong)
    if "position_side" in rest and len(rest):
        wrong[place[round_trips(rest, POSITION).unmatched["fill"].to_numpy(int)]] = True
    if realised is not None:
        off = np.abs(realized_pnl(rest, POSITION) - realised[place])
        wrong[place] |= off > tolerance(realised[place])
    return wrong


def _with_rates(fills: pd.DataFrame) -> pd.DataFrame:
    """With what a fee is worth: 1 in quote currency, the price in what was traded, else not known."""
    quote = fills["quote_currency"]
    paid = fills["fee_currency"].astype("str").fillna(quote)
    same = (paid == quote).to_numpy(bool) | paid.isna().to_numpy(bool)
    markets = pd.DataFrame({"ticker": fills["ticker"], "coin": paid, "quote": quote}).astype("str").fillna("")
    code, known = pd.factorize(pd.MultiIndex.from_frame(markets))
    based = np.array([_is_base(*market) for market in known], bool)[code]
    rate = np.where(same, 1.0, np.where(based, fills["price"], np.nan))
    return fills.assign(fee_rate=rate, foreign=paid.mask(~np.isnan(rate)))


def _is_base(ticker: str, coin: str, quote: str) -> bool:
    """Whether the ticker is that of this coin in this quote; a contract's name may go on, as in `BTCUSD_PERP`.

    >>> _is_base("BNBUSDT", "BNB", "USDT"), _is_base("BNB/USDT:USDT", "BNB", "USDT")
    (True, True)
    >>> _is_base("BNBUPUSDT", "BNB", "USDT")
    False
    """
    return re.fullmatch(rf"{re.escape(coin)}[/_:-]?{re.escape(quote)}([/_:-].*)?", ticker) is not None


DUST = 0.05
"""The most of what was held before a sale that may be left as dust: a lot is known by how finely the amounts are
written, and where those are coarse, more than this is still a position."""


def _with_dust_sold(fills: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """With sales that leave less than a lot, and little of what was held, as sales of all that was held, for the same
    money; and how many leave something.

    Fees taken from what was bought leave such dust, which cannot be sold. It is a cost of its trade, and where a later
    sale takes it along, a gain of that one: the trades together gain what came in less what went out.
    """
    order = fills.sort_values(["time", "sequence"], kind="stable")
    sold, left = np.zeros(len(fills)), 0
    for places in order.groupby(POSITION, sort=False).indices.values():
        part = order.iloc[places]
        sold[places], leaving = _sold_out(part["quantity"].tolist(), part["lot"].tolist())
        left += leaving
    price = order["price"].where(order["quantity"] == sold, order["price"] * order["quantity"] / sold)
    return order.assign(quantity=sold, price=price).sort_index(), left


def _sold_out(quantities: list[float], lots: list[float]) -> tuple[list[float], int]:
    """The quantities of one position in order, and how many sales leave dust.

    A loop, as what a sale ends depends on the dust of the sales before it.

    >>> _sold_out([1.0, -0.5, -0.499], [0.01] * 3)
    ([1.0, -0.5, -0.5], 1)
    """
    out, held, dust, leaving = [], 0.0, 0.0, 0
    for quantity, lot in zip(quantities, lots, strict=True):
        rest, tiny = held + quantity, 1e-6 * lot
        ends = quantity < 0 < held and -dust - tiny <= rest < min(lot - tiny, DUST * held + tiny)
        if ends and abs(rest) > tiny:
            quantity = -held
            leaving += rest > 0
        if quantity < 0 and (ends or not held):
            dust = max(dust + rest, 0.0)
        held = 0.0 if ends else max(rest, 0.0)
        out.append(quantity)
    return out, leaving


def _unopened(fills: pd.DataFrame, realised: Floats | None) -> Bools:
    """Fills that realised something before anything was opened: the history begins with a position."""
    out = np.zeros(len(fills), bool)
    if realised is None:
        return out
    for _ in range(ROUNDS):
        rest = fills[~out]
        first = rest.sort_values(["time", "sequence"]).groupby(POSITION, sort=False).head(1).index
        early = first[np.abs(realised[first]) > tolerance(realised[first])]
        if not len(early):
            break
        out[early] = True
    return out


def _trades(trips: RoundTrips, fills: pd.DataFrame, realised: Floats | None) -> tuple[pd.DataFrame, Ints]:
    """The trades with what their first fill says of them, ids, and fees whose rate is not known as such; and of each
    fill which trade it belongs to, -1: none."""
    trades = trips.trades
    first = fills.iloc[trades["first_fill"].to_numpy(int)].reset_index(drop=True)
    beside = {name: first[name] for name in ("strategy_id", "leverage", "quote_currency") if name in first}
    trades = trades.assign(**beside, source_trade_id=_ids(trades, first))
    is_open = (trades["status"] == "open").to_numpy(bool)
    for name in ("entry_fee", "exit_fee"):
        trades[name] = trades[name].mask(is_open)
    trades["exits"] = trades["exits"].fillna(1)
    of = _trade_of(trades, fills)
    trades = _with_foreign_fees(trades, fills, of)
    if realised is not None:
        off = np.abs(realized_pnl(fills, POSITION) - realised)
        wrong, gained = off > tolerance(realised), np.abs(realised) > tolerance(realised)
        doubtful = _in_doubt(trades, fills, wrong) & ~_proved(trades, of, gained)
        untold = doubtful | _from_the_first(trades, fills, wrong)
        trades["direction"] = trades["direction"].mask(untold, UNPROVED)
    return trades, of


def _explained(trades: pd.DataFrame, of: Ints, unmatched: pd.DataFrame) -> Bools:
    """Of each fill whether it belongs to a trade, and to nothing that is held for want of other fills."""
    makes_none = trades["direction"].isin(NO_TRADE).to_numpy(bool)
    explained: Bools = (of >= 0) & ~np.append(makes_none, False)[of]
    explained[unmatched["fill"].to_numpy(int)] = False
    return explained


def explaining(rows: Rows, place: Ints) -> Rows:
    """The rows with the cells of these fills, as the file has them: ones that are held may be among them."""
    return replace(rows, raw=replace(rows.raw, explained=rows.raw.table.select(rows.raw.headings).take(place)))


def _spanning(rows: Rows, fills: pd.DataFrame, trades: pd.DataFrame, place: Ints, lone: Ints, proved: bool) -> Rows:
    """The rows with the time that each trade holds its position, by which it is told from trades of other files.

    What was held before a fill that closes it and makes no trade (`lone`) is over by then. Where nothing proves a side,
    a file that begins with an exit takes it for an entry: there the file also knows that nothing was held until its
    next trade.
    """
    known = trades[[*POSITION, "entry_time", "exit_time"]].assign(at=place[trades["first_fill"].to_numpy(int)])
    last = fills.groupby(POSITION)["time"].max().rename("last").reset_index()
    known = known.merge(last, on=POSITION, how="left").sort_values("entry_time", kind="stable")
    over = fills.loc[lone, [*POSITION, "time"]].dropna().sort_values("time").assign(since=lambda frame: frame["time"])
    known = pd.merge_asof(known, over, left_on="entry_time", right_on="time", by=POSITION, allow_exact_matches=False)
    either = not proved and "position_side" not in fills
    until = known["exit_time"].fillna(known["last"] + pd.Timedelta(microseconds=1))
    if either:
        until = known.groupby(POSITION, sort=False)["entry_time"].shift(-1).fillna(until)
    spans = pa.table(
        {
            "row_number": pa.array(rows.raw.row_number[known["at"].to_numpy(int)]),
            "until": pa.array(until),
            "since": pa.array(known["since"]),
            "one_way": pa.array(np.full(len(known), "position_side" not in fills)),
            "either": pa.array(np.full(len(known), either)),
        }
    )
    return replace(rows, raw=replace(rows.raw, spans=spans))


def _ids(trades: pd.DataFrame, first: pd.DataFrame) -> pd.Series:
    """The id of the fill that opened a trade, else ticker and time of entry, and which of several."""
    if "id" in first:
        return first["id"].astype("str")
    return numbered(trades["ticker"], trades["entry_time"])


def _trade_of(trades: pd.DataFrame, fills: pd.DataFrame) -> Ints:
    """The trade that each fill belongs to: the last of its position that was opened by then."""
    sides = ["position_side"] if "position_side" in fills else []
    by = [*POSITION, *sides]
    ours = fills.assign(fill=np.arange(len(fills)))[[*by, "time", "sequence", "fill"]]
    opened = ours.iloc[trades["first_fill"].to_numpy(int)].assign(trade=np.arange(len(trades)))[["fill", "trade"]]
    joined = ours.merge(opened, on="fill", how="left").sort_values(["time", "sequence"], kind="stable")
    trade = joined.groupby(by, sort=False, dropna=False)["trade"].ffill().fillna(-1).astype(int)
    return np.asarray(trade.sort_index(), np.int64)


def _with_foreign_fees(trades: pd.DataFrame, fills: pd.DataFrame, of: Ints) -> pd.DataFrame:
    """Closed trades that paid in a currency of which the file gives no rate: how much, and in which."""
    rows = np.flatnonzero(fills["foreign"].notna().to_numpy(bool) & (fills["fee"].to_numpy(float) != 0) & (of >= 0))
    paid = (
        fills.iloc[rows]
        .groupby(of[rows])
        .agg(fees=("fee", "sum"), named=("foreign", "first"), kinds=("foreign", "nunique"))
    )
    also = (
        pd.Series(fills["fee"].to_numpy(float) != 0)
        .where(fills["foreign"].isna().to_numpy(bool), False)
        .groupby(of)
        .any()
    )
    several = (paid["kinds"] > 1) | also.reindex(paid.index, fill_value=False)
    name = paid["named"].astype("str").mask(several, paid["named"] + " and others")
    closed = (trades["status"] == "closed").to_numpy(bool)
    fees = paid["fees"].reindex(range(len(trades))).where(closed)
    held = fees.notna().to_numpy(bool)
    untold = closed & ~held & trades[["entry_fee", "exit_fee"]].isna().any(axis=1).to_numpy(bool)
    return trades.assign(
        direction=trades["direction"].mask(untold, TURNED),
        fees=fees.to_numpy(float),
        fee_currency=name.reindex(range(len(trades))).where(closed).to_numpy(),
        entry_fee=trades["entry_fee"].mask(held),
        exit_fee=trades["exit_fee"].mask(held),
    )


def _from_the_first(trades: pd.DataFrame, fills: pd.DataFrame, wrong: Bools) -> Bools:
    """The trades of a position from that on to which its first wrong fill belongs."""
    at = fills["time"].where(wrong).groupby([fills[name] for name in POSITION]).min().rename("since").reset_index()
    since = trades[POSITION].merge(at, on=POSITION, how="left")["since"]
    last = trades["exit_time"].fillna(fills["time"].max()) if len(fills) else trades["exit_time"]
    return (last >= since).to_numpy(bool)


def _in_doubt(trades: pd.DataFrame, fills: pd.DataFrame, wrong: Bools) -> Bools:
    """The trades of a position with a wrong fill."""
    positions = pd.MultiIndex.from_frame(fills.loc[wrong, POSITION])
    return pd.MultiIndex.from_frame(trades[POSITION]).isin(positions)


def _proved(trades: pd.DataFrame, of: Ints, gained: Bools) -> Bools:
    """Trades of which a fill realised something. One that realised nothing may be two that are still open: both sides
    of a hedge, opened at one price. `gained`: of each fill, whether it realised anything."""
    by_exit = gained[trades["last_fill"].to_numpy(int)] if len(gained) else np.zeros(len(trades), bool)
    return by_exit | np.isin(np.arange(len(trades)), of[gained])
