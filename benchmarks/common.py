"""What the benchmarks share: a synthetic fleet, a database of their own, timing, and one way to print."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

END = datetime(2025, 7, 1, tzinfo=UTC)
DAY = 86_400_000_000
TICKERS = ("BTC", "ETH", "SOL", "TSLA", "COIN", "NVDA")


def fleet(bots: int, per_bot: int, days: float, seed: int = 1, end: datetime = END) -> pa.Table:
    """`bots` × `per_bot` closed trades with exits spread evenly at random over the `days` before `end`, by exit time.

    One ticker a bot, as most bots trade; t(5) results of a standard deviation of 20 on 1,000 a trade.
    """
    rng = np.random.default_rng(seed)
    count = bots * per_bot
    exit_ = np.sort(int(end.timestamp() * 1e6) - (rng.random(count) * days * DAY).astype(np.int64) - 1)
    bot = rng.permutation(np.repeat(np.arange(1, bots + 1, dtype=np.int32), per_bot))
    entry = exit_ - rng.integers(10_000_000, 3_600_000_000, count)
    long = (bot // len(TICKERS)) % 2 == 0
    change = rng.standard_t(5, count) * np.sqrt(3 / 5) * 0.02
    exit_price = np.maximum(100 * (1 + change), 1.0)
    side = np.where(long, 1, -1)
    pnl = 1000.0 * side * (exit_price - 100.0) / 100.0 - 0.0
    instant = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "source": pa.array(["benchmark"] * count),
            "source_trade_id": pa.array(np.arange(count)).cast(pa.string()),
            "bot_id": bot,
            "ticker": pa.array(np.array(TICKERS)[bot % len(TICKERS)]),
            "direction": pa.array(np.where(long, "LONG", "SHORT")),
            "status": pa.array(["closed"] * count),
            "entry_time": pa.array(entry, instant),
            "exit_time": pa.array(exit_, instant),
            "entry_price": np.full(count, 100.0),
            "exit_price": exit_price,
            "notional": np.full(count, 1000.0),
            "pnl": pnl,
        }
    )


def as_read(trades: pa.Table) -> pa.Table:
    """The fleet in the columns in which the metrics engine reads trades."""
    return trades.append_column("trade_id", pa.array(np.arange(len(trades)))).append_column(
        "slippage", pa.nulls(len(trades), pa.float64())
    )


@contextmanager
def database() -> Iterator[str]:
    """The URL of a fresh embedded server's database, migrated, gone at the end."""
    from knowdefeat_pipeline.postgres import migrations
    from knowdefeat_pipeline.postgres.server import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        server = EmbeddedPostgres(Path(home))
        url = server.ensure_running()
        migrations.upgrade(url)
        yield url
        server.stop()


def store(url: str, trades: pa.Table) -> None:
    """Load a fleet, and let the planner know."""
    from knowdefeat_pipeline.postgres.connection import connect, copy_arrow

    with connect(url) as connection:
        copy_arrow(connection, "trades", trades)
        connection.execute("VACUUM ANALYZE trades")


def timed(work: Callable[[], Any], repeat: int, before: Callable[[], Any] = lambda: None) -> dict[str, float]:
    """Medians of wall and CPU seconds over `repeat` calls, after one that is not counted; nor is `before` each."""
    before()
    work()
    walls, cpus = [], []
    for _ in range(repeat):
        before()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall": statistics.median(walls), "cpu": statistics.median(cpus)}


# Large arrays that a process frees go back to the kernel, which has to zero them before the process gets them again: on
# a virtual machine up to 2 s per GB, more than the work itself. A process told to keep them shows what the work costs.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}


def alone(work: Callable[..., dict], *arguments: Any) -> dict:
    """The answer of `work` from a process of its own, with `peak_mb`: the most memory that the process held."""
    os.environ.update(KEEP_MEMORY)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_peak, work, arguments).result()


def _with_peak(work: Callable[..., dict], arguments: tuple) -> dict:
    answer = work(*arguments)
    scale = 1 if sys.platform == "darwin" else 1024
    return answer | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6}


def report(title: str, rows: list[tuple[str, str]], figures: dict, as_json: bool) -> None:
    """Print the result."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    print(title)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name.ljust(width)}  {value}")
