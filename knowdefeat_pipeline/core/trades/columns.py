"""Closed trades as columns, in the order of the house: bot, exit time, entry time, trade id.

All times inside are int64 microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Array, Bools, Codes, Floats, Ints

BLOCK_TRADES = 250_000


@dataclass(frozen=True)
class Trades:
    """Closed trades as columns, sorted by (bot, exit, entry, trade id).

    `bot`, `entry`, `exit` int64; `ticker` int32 codes into `tickers` (sorted by name); `long` bool; `pnl` float64 in
    quote currency; `slippage` float64 in basis points, NaN where unknown; `fees` float64 in quote currency.
    """

    bot: Ints
    ticker: Codes
    long: Bools
    entry: Ints
    exit: Ints
    pnl: Floats
    slippage: Floats
    fees: Floats
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

    def among(self, bots: Ints | None) -> Trades:
        """The trades of these bots, None for all."""
        if bots is None:
            return self
        chosen = np.isin(self.bot, bots)
        part = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "tickers"}
        return replace(self, **part)

    @classmethod
    @cache
    def none(cls) -> Trades:
        """Trades of which there are none."""
        instant = pa.timestamp("us", "UTC")
        columns = {"trade_id": pa.int64(), "bot_id": pa.int64(), "entry_time": instant, "exit_time": instant}
        return cls.from_arrow(pa.schema([*columns.items(), ("pnl", pa.float64())]).empty_table())

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Trades:
        """From columns trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl, if there slippage and fees."""
        return cls.from_arrow(pa.Table.from_pandas(frame, preserve_index=False))

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Trades:
        """The same columns as an Arrow table, rows in any order. Streaks need no ticker, direction, slippage or fees.

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
    "fees": np.float64,
    "trade_id": np.int64,
}


def _dealt(table: pa.Table) -> tuple[dict[str, Array], list[str], Ints]:
    """The columns of the trades, dealt out to blocks of whole bots in their order, and the bounds of the blocks.

    Batch by batch, as they were read: what is sorted afterwards stays near the processor, so that many trades cost no
    more each than few.
    """
    columns: dict[str, Array] = {name: np.empty(len(table), dtype) for name, dtype in _TYPES.items()}
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


def _blocks(bot: pa.ChunkedArray) -> tuple[int, Array, Ints]:
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
        "entry": arrow_micros(batch["entry_time"]),
        "exit": arrow_micros(batch["exit_time"]),
        "pnl": batch["pnl"].to_numpy(zero_copy_only=False),
        "slippage": batch["slippage"].to_numpy(zero_copy_only=False) if "slippage" in given else np.nan,
        "fees": batch["fees"].to_numpy(zero_copy_only=False) if "fees" in given else 0.0,
        "trade_id": batch["trade_id"].to_numpy(),
    }


def _codes(column: pa.Array, names: dict[str, int]) -> Ints:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    code = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
    out: Ints = np.array(code, dtype=np.int32)[encoded.indices.to_numpy()]
    return out


def arrow_micros(column: pa.Array | pa.ChunkedArray) -> Ints:
    """A column of timestamps as int64 microseconds since 1970 UTC, what is finer cut off."""
    out: Ints = pc.cast(column, pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    return out


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
