"""Trades in order, the series they form, and the windows of a series that figures look at.

A series is one bot's closed trades (ticker `*`) or one bot's trades in one ticker, in the order of the house: exit
time, entry time, trade id. A window is a contiguous slice of a series, so that every figure is an operation on slices.
All times inside are int64 microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

SECOND = 1_000_000
DAY = 86_400 * SECOND
WINDOW_DAYS = 30

Ints = np.ndarray
Floats = np.ndarray

CHUNK_ELEMENTS = 125_000
SORT_BLOCK = 500_000

ROUNDING = 1e-12
"""What a sum of trades may be off by through rounding, as a share of the sum of their sizes."""
EQUAL = 1e-9
"""Relative difference up to which two results are equal: the same return reached from other prices."""


@dataclass(frozen=True)
class Trades:
    """Closed trades as columns, sorted by (bot, exit, entry, trade id).

    `bot`, `entry`, `exit` int64; `ticker` int32 codes into `tickers` (sorted by name); `long` bool; `pnl` float64 in
    quote currency; `slippage` float64 in basis points, NaN where unknown.
    """

    bot: Ints
    ticker: Ints
    long: np.ndarray
    entry: Ints
    exit: Ints
    pnl: Floats
    slippage: Floats
    tickers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.bot)

    def with_tickers(self, names: Iterable[str]) -> Trades:
        """The same trades over a vocabulary that also holds `names`."""
        tickers = tuple(sorted({*self.tickers, *names}))
        code = {name: number for number, name in enumerate(tickers)}
        moved = np.array([code[name] for name in self.tickers], dtype=np.int32)
        return replace(self, ticker=moved[self.ticker] if len(moved) else self.ticker, tickers=tickers)

    def rows(self, first: int, stop: int) -> Trades:
        """The trades first..stop, without copying them."""
        part = {f.name: getattr(self, f.name)[first:stop] for f in fields(self) if f.name != "tickers"}
        return replace(self, **part)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Trades:
        """From columns trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl and, if there, slippage."""
        return cls.from_arrow(pa.Table.from_pandas(frame, preserve_index=False))

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Trades:
        """The same columns as an Arrow table, rows in any order; streaks alone need no ticker, direction or slippage.

        Raises ValueError where pnl is NULL or not finite.
        """
        given = set(table.column_names)
        code, names = _codes(table["ticker"]) if "ticker" in given else (np.zeros(len(table), np.int32), ("",))
        pnl = table["pnl"].to_numpy().astype(np.float64, copy=False) + 0.0  # no -0.0: what a short's breakeven yields
        if not np.isfinite(pnl).all():
            raise ValueError("every closed trade needs a finite pnl; the checks on trades list the rows that have none")
        bot, entry, exit_ = _ints(table["bot_id"]), _micros(table["entry_time"]), _micros(table["exit_time"])
        order = _order(bot, exit_, entry, _ints(table["trade_id"]))
        slippage = (
            table["slippage"].to_numpy().astype(np.float64, copy=False)
            if "slippage" in given
            else np.full(len(bot), np.nan)
        )
        long = pc.equal(table["direction"], "LONG").to_numpy() if "direction" in given else np.ones(len(bot), bool)
        trades = cls(bot, code, long, entry, exit_, pnl, slippage, names)
        if order is None:
            return trades
        columns = [field.name for field in fields(cls) if field.name != "tickers"]
        return replace(trades, **{name: getattr(trades, name)[order] for name in columns})


def _codes(column: pa.ChunkedArray) -> tuple[Ints, tuple[str, ...]]:
    """Dictionary codes of a text column, the dictionary sorted by name."""
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    names = encoded.dictionary.to_pylist()
    rank = np.argsort(np.argsort(np.array(names, dtype=object))).astype(np.int32) if names else np.empty(0, np.int32)
    return rank[encoded.indices.to_numpy(zero_copy_only=False)], tuple(sorted(names))


def _ints(column: pa.ChunkedArray) -> Ints:
    return column.to_numpy().astype(np.int64, copy=False)


def _micros(column: pa.ChunkedArray) -> Ints:
    return pc.cast(column, pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()


def _order(bot: Ints, exit_: Ints, entry: Ints, trade_id: Ints) -> Ints | None:
    """The permutation into the order of the house; None where the rows already stand in it.

    Many rows are dealt out to blocks of whole bots first, by a radix sort on the block's number: what is then sorted
    stays near the processor, so that the cost grows with the rows and not faster.
    """
    if len(bot) <= 2 * SORT_BLOCK:
        return _order_block(bot, exit_, entry, trade_id)
    code = pd.factorize(bot, sort=True)[0]
    block = (np.cumsum(np.bincount(code)) // SORT_BLOCK).astype(np.uint16)[code]
    order = np.argsort(block, kind="stable")
    for part in np.split(order, np.cumsum(np.bincount(block))[:-1]):
        within = _order_block(bot[part], exit_[part], entry[part], trade_id[part])
        if within is not None:
            part[:] = part[within]
    return order


def _order_block(bot: Ints, exit_: Ints, entry: Ints, trade_id: Ints) -> Ints | None:
    """The same for the rows of some bots.

    One sort on a packed (bot, exit) key, then a sort of the few ties alone, is five times as fast as a lexsort of all.
    """
    if len(bot) == 0:
        return None
    low, span = exit_.min(), int(np.ptp(exit_)) + 1
    if int(np.ptp(bot) + 1) * span >= 2**63:
        return np.lexsort((trade_id, entry, exit_, bot))
    key = (bot - bot.min()) * span + (exit_ - low)
    ascending = np.diff(key)
    if (ascending > 0).all():
        return None
    order = np.argsort(key, kind="stable")
    key = key[order]
    tied = np.flatnonzero(np.diff(key) == 0)
    if len(tied):
        rows = np.union1d(tied, tied + 1)
        within = order[rows]
        order[rows] = within[np.lexsort((trade_id[within], entry[within], key[rows]))]
    return order


@dataclass(frozen=True)
class Series:
    """Series of trades: `rows` index into the trades, `start`/`stop` bound each series in `rows`.

    `bot` and `ticker` (code, -1 for all) name each series; the bots' come first, sorted. A bot that only ever traded
    one ticker has no ticker series of its own, as it would repeat the bot's: `answers` lists, for every (bot, ticker)
    row of a result, the series that answers for it and the row's ticker code.
    """

    rows: Ints
    start: Ints
    stop: Ints
    bot: Ints
    ticker: Ints
    answers: tuple[Ints, Ints]

    @classmethod
    def of(cls, trades: Trades, pairs: tuple[Ints, Ints] | None = None) -> Series:
        """Series of the (bot, ticker code) `pairs` ever traded, by default those in `trades`."""
        width = len(trades.tickers) + 1
        key = trades.bot * width + trades.ticker
        known = np.sort(pd.unique(key if pairs is None else pairs[0] * width + pairs[1]))
        bots, tickers_each = np.unique(known // width, return_counts=True)
        bot_start, bot_stop = (np.searchsorted(trades.bot, bots, side) for side in ("left", "right"))
        several = np.repeat(tickers_each > 1, tickers_each)
        own = known[several]
        split = np.flatnonzero(np.repeat(tickers_each > 1, bot_stop - bot_start))
        split = split[np.argsort(key[split], kind="stable")]
        own_start, own_stop = (len(trades) + np.searchsorted(key[split], own, side) for side in ("left", "right"))
        by_ticker = np.where(several, len(bots) + np.cumsum(several) - 1, np.searchsorted(bots, known // width))
        return cls(
            rows=np.concatenate([np.arange(len(trades)), split]),
            start=np.concatenate([bot_start, own_start]),
            stop=np.concatenate([bot_stop, own_stop]),
            bot=np.concatenate([bots, own // width]),
            ticker=np.concatenate([np.full(len(bots), -1), own % width]),
            answers=(
                np.concatenate([np.arange(len(bots)), by_ticker]),
                np.concatenate([np.full(len(bots), -1), known % width]),
            ),
        )

    def __len__(self) -> int:
        return len(self.start)


def micros(instants: Sequence[datetime] | pd.DatetimeIndex) -> Ints:
    """UTC instants as int64 microseconds."""
    return pd.to_datetime(np.asarray(instants, dtype=object), utc=True).as_unit("us").asi8


def counts_until(group: Ints, groups: int, instant: Ints, cuts: Ints) -> Ints:
    """How many entries of each group have `instant <= cut`; shape (groups, cuts), cuts ascending."""
    width = len(cuts) + 1
    slot = group * width + np.searchsorted(cuts, instant, side="left")
    counts = np.bincount(slot, minlength=groups * width).reshape(groups, width)
    return np.cumsum(counts[:, :-1], axis=1)


def positions(instant: Ints, start: Ints, stop: Ints, cuts: Ints) -> Ints:
    """The index after each segment's last entry with `instant <= cut`; shape (segments, cuts), cuts ascending.

    The segments [start, stop) follow one another and cover `instant`, which ascends within each.
    """
    segment = np.repeat(np.arange(len(start)), stop - start)
    return start[:, None] + counts_until(segment, len(start), instant, cuts)


def reduce_windows(operation: np.ufunc, values: np.ndarray, low: Ints, high: Ints, empty: float) -> np.ndarray:
    """`operation` (add, maximum, minimum) over the values of each window [low, high); `empty` where there are none.

    Each window is reduced by itself, so its bits do not depend on its neighbours.
    """
    if len(low) == 0:
        return values[:0]
    bounds = np.stack([low, high], axis=1).ravel()
    reduced = operation.reduceat(np.append(values, 0), bounds)[::2]
    return np.where(high > low, reduced, empty)


@dataclass(frozen=True)
class Dense:
    """A chunk of windows of similar length laid out as a matrix, one window a row, padded at the end.

    `pick` are the windows' numbers; `index` the positions in the series' rows, -1 on padding, where `inside` is False.
    The width is a power of two that follows from the window's own length, so that a sum over a row never depends on its
    neighbours.
    """

    pick: Ints
    index: Ints
    inside: np.ndarray


def dense_chunks(low: Ints, high: Ints, elements: int = CHUNK_ELEMENTS) -> Iterator[Dense]:
    """All non-empty windows [low, high), as matrices of at most `elements` entries (or one row)."""
    length = high - low
    width = np.where(length > 0, 1 << np.ceil(np.log2(np.maximum(length, 1))).astype(np.int64), 0)
    for size in np.unique(width[width > 0]):
        members = np.flatnonzero(width == size)
        rows = max(1, elements // int(size))
        offsets = np.arange(size)
        for begin in range(0, len(members), rows):
            pick = members[begin : begin + rows]
            inside = offsets < length[pick, None]
            yield Dense(pick, np.where(inside, low[pick, None] + offsets, -1), inside)
