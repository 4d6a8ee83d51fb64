"""Trades in order, the series they form, and the windows of a series that figures look at.

A series is one bot's closed trades (ticker `*`) or one bot's trades in one ticker, in the order of the house: exit
time, entry time, trade id. A window is a contiguous slice of a series, so that every figure is an operation on slices.
All times inside are int64 microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Floats, Ints

BLOCK_TRADES = 250_000
CHUNK_ELEMENTS = 125_000


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
        columns, names, bounds = _dealt(table)
        pnl = columns["pnl"]
        pnl += 0.0  # no -0.0: what a short's breakeven yields
        if not np.isfinite(pnl).all():
            raise ValueError("every closed trade needs a finite pnl; the checks on trades list the rows that have none")
        by_name = np.argsort(np.argsort(np.array(names, dtype=object))).astype(np.int32)
        for first, stop in pairwise(bounds):
            part = {name: values[first:stop] for name, values in columns.items()}
            part["ticker"][:] = by_name[part["ticker"]]
            order = _order(part["bot"], part["exit"], part["entry"], part["trade_id"])
            if order is not None:
                for values in part.values():
                    values[:] = values[order]
        del columns["trade_id"]
        return cls(**columns, tickers=tuple(sorted(names)))


_TYPES = {
    "bot": np.int64,
    "ticker": np.int32,
    "long": np.bool_,
    "entry": np.int64,
    "exit": np.int64,
    "pnl": np.float64,
    "slippage": np.float64,
    "trade_id": np.int64,
}


def _dealt(table: pa.Table) -> tuple[dict[str, np.ndarray], list[str], Ints]:
    """The columns of the trades, dealt out to blocks of whole bots in their order, and the bounds of the blocks.

    Batch by batch, as they were read: what is sorted afterwards stays near the processor, so that many trades cost no
    more each than few.
    """
    columns: dict[str, np.ndarray] = {name: np.empty(len(table), dtype) for name, dtype in _TYPES.items()}
    names: dict[str, int] = {}
    low, block_of, bounds = _blocks(table["bot_id"])
    fill = bounds[:-1].copy()
    for batch in table.to_batches():
        read = _read(batch, names)
        target: slice | Ints = slice(fill[0], fill[0] + len(batch))
        if len(fill) > 1:
            block = block_of[read["bot"] - low]
            size = np.bincount(block, minlength=len(fill))
            target = np.empty(len(batch), np.int64)
            place = np.repeat(fill - np.cumsum(size) + size, size) + np.arange(len(batch))
            target[np.argsort(block, kind="stable")] = place
            fill += size
        else:
            fill += len(batch)
        for name, values in read.items():
            columns[name][target] = values
    return columns, list(names), bounds


def _blocks(bot: pa.ChunkedArray) -> tuple[int, Ints, Ints]:
    """The least bot, the block of every bot from there on, and the bounds of the blocks: one for few trades."""
    whole = 0, np.zeros(1, np.uint16), np.array([0, len(bot)])
    if len(bot) <= 2 * BLOCK_TRADES:
        return whole
    low, high = pc.min_max(bot).as_py().values()
    if high - low > len(bot):  # too far apart to be counted in an array
        return whole
    count = np.zeros(high - low + 1, np.int64)
    for chunk in bot.chunks:
        count += np.bincount(chunk.to_numpy() - low, minlength=len(count))
    block_of = ((np.cumsum(count) - count) // BLOCK_TRADES).astype(np.uint16)
    return low, block_of, np.concatenate([[0], np.cumsum(np.bincount(block_of, count).astype(np.int64))])


def _read(batch: pa.RecordBatch, names: dict[str, int]) -> dict[str, Any]:
    """A batch's columns; `names` gathers the tickers, each with its code."""
    given = set(batch.schema.names)
    return {
        "bot": batch["bot_id"].to_numpy(),
        "ticker": _codes(batch["ticker"], names) if "ticker" in given else names.setdefault("", 0),
        "long": pc.equal(batch["direction"], "LONG").to_numpy(zero_copy_only=False) if "direction" in given else True,
        "entry": _micros(batch["entry_time"]),
        "exit": _micros(batch["exit_time"]),
        "pnl": batch["pnl"].to_numpy(zero_copy_only=False),
        "slippage": batch["slippage"].to_numpy(zero_copy_only=False) if "slippage" in given else np.nan,
        "trade_id": batch["trade_id"].to_numpy(),
    }


def _codes(column: pa.Array, names: dict[str, int]) -> Ints:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    code = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
    return np.array(code, dtype=np.int32)[encoded.indices.to_numpy()]


def _micros(column: pa.Array) -> Ints:
    return pc.cast(column, pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()


def _order(bot: Ints, exit_: Ints, entry: Ints, trade_id: Ints) -> Ints | None:
    """The permutation into the order of the house; None where the rows already stand in it.

    Rows are grouped by bot in linear time; most come in the order of their exits and then stand right already.
    """
    if _ascending(bot, exit_):
        return None
    order = _grouped(bot)
    bot, exit_ = bot[order], exit_[order]
    if _ascending(bot, exit_):
        return order
    span = int(np.ptp(exit_)) + 1
    if int(np.ptp(bot) + 1) * span >= 2**63:
        return order[np.lexsort((trade_id[order], entry[order], exit_, bot))]
    key = (bot - bot[0]) * span + (exit_ - exit_.min())
    within = np.argsort(key, kind="stable")
    key, order = key[within], order[within]
    tied = np.flatnonzero(np.diff(key) == 0)
    if len(tied):
        rows = np.union1d(tied, tied + 1)
        those = order[rows]
        order[rows] = those[np.lexsort((trade_id[those], entry[those], key[rows]))]
    return order


def _ascending(bot: Ints, exit_: Ints) -> bool:
    """Whether rows stand in the order of (bot, exit) without ties, which would need a closer look."""
    same = bot[1:] == bot[:-1]
    return bool(((bot[1:] > bot[:-1]) | (same & (exit_[1:] > exit_[:-1]))).all())


def _grouped(bot: Ints) -> Ints:
    """The rows by bot, otherwise in their order: a radix sort, 16 bits at a time."""
    low = bot.min(initial=0)
    if len(bot) and bot.max() - low >= 2**32:
        bot, low = pd.factorize(bot, sort=True)[0], 0
    digit = np.empty(len(bot), np.uint16)
    order = np.argsort(np.subtract(bot, low, out=digit, casting="unsafe"), kind="stable")
    if len(bot) == 0 or bot.max() - low < 2**16:
        return order
    return order[np.argsort(((bot - low) >> 16).astype(np.uint16)[order], kind="stable")]


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


def counts_before(group: Ints, groups: int, instant: Ints, cuts: Ints) -> Ints:
    """How many entries of each group have `instant < cut`; shape (groups, cuts), cuts ascending."""
    width = len(cuts) + 1
    slot = group * width + np.searchsorted(cuts, instant, side="right")
    counts = np.bincount(slot, minlength=groups * width).reshape(groups, width)
    return np.cumsum(counts[:, :-1], axis=1)


def positions(instant: Ints, start: Ints, stop: Ints, cuts: Ints) -> Ints:
    """The index of each segment's first entry with `instant >= cut`; shape (segments, cuts), cuts ascending.

    The segments [start, stop) follow one another and cover `instant`, which ascends within each.
    """
    segment = np.repeat(np.arange(len(start)), stop - start)
    return start[:, None] + counts_before(segment, len(start), instant, cuts)


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
