"""What a refresh costs in one piece, in shards and on several processes, and the law that follows.

    python -m benchmarks.scale [--trades 1000000] [--bots 3000] [--days 1] [--processes 2] [--law] [--json]

The fleet lies in 30 days on an embedded server of its own. Measured are metrics and streaks of the last `--days` days,
each way in a process of its own, after one that folds the months: CPU seconds of our processes, CPU seconds of the
server, the most memory that the run's process and that a worker held, and a digest of what was written, which must be
one. With `--law` also smaller and wider fleets, and what a trade, a trade and day, and a row take by least squares over
them: the constants of `knowdefeat_pipeline/scale/costs.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import psutil

from benchmarks.common import END, alone, database, fleet, report, store

WAYS = ("one piece", "shards", "processes")
TABLES = ("bot_metrics_rows", "bot_days_rows", "win_streaks_rows", "slow_results")
LAW = ((500, 300_000, 1), (2_000, 1_000_000, 1), (2_000, 1_000_000, 8), (10_000, 300_000, 4), (20_000, 300_000, 8))


def measure(bots: int, trades: int, days: int, processes: int, ways: tuple[str, ...] = WAYS) -> dict[str, Any]:
    """Each way over the same fleet."""
    with database() as url:
        store(url, fleet(bots, trades // bots, 30))
        first = (END - timedelta(days=days)).date()
        alone(_fold, url, first)
        found = {way: alone(refresh, url, way, first, processes, len(ways) > 1) for way in ways}
    for of in found.values():
        of["trade_days"] = trades * days
        of["trades"] = trades
    return found


def refresh(url: str, way: str, first: Any, processes: int, cut: bool) -> dict[str, Any]:
    """One refresh, in this process."""
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.scale.workers import Workers
    from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
    from knowdefeat_pipeline.store.session import Session

    last = (END - timedelta(days=1)).date()
    shards: list[str] = []
    by_way = {"one piece": Workers(whole_mb=10**6), "shards": Workers(whole_mb=1 if cut else 450)}
    workers = by_way.get(way) or Workers(processes=processes)
    workers = Workers(processes=workers.processes, whole_mb=workers.whole_mb, report=shards.append)
    if way != "one piece":
        workers = _Cut(processes=workers.processes, report=shards.append)
    with connect(url) as connection:
        session = Session(url, connection, workers=workers)
        session.begin(first)
        wall, cpu, server = time.perf_counter(), _cpu(), _server_cpu(url)
        metrics = compute_metrics(session, first, last, END)
        streaks = compute_streaks(session, first, last)
        session.unstage()
        found = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu, "server_cpu": _server_cpu(url) - server}
        rows = sum(metrics.counts.values())
        assert sum(streaks.counts.values()) > 0
        worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        done = sum(told.startswith("Shard ") for told in shards)
        return found | {"rows": rows, "shards": done, "worker_mb": worker, "digest": _digest(connection)}


def _cut_workers() -> type:
    from knowdefeat_pipeline.scale.workers import Workers

    class Cut(Workers):
        """Whatever there is is cut, into shards of the usual size."""

        @property
        def whole_bytes(self) -> int:
            return -1

        @property
        def shard_bytes(self) -> int:
            return Workers().shard_bytes

    return Cut


def _Cut(**options: Any) -> Any:
    return _cut_workers()(**options)


def _fold(url: str, first: Any) -> dict[str, Any]:
    """What the first refresh of all does beside."""
    from knowdefeat_pipeline.store.session import open_session

    with open_session(url) as session:
        session.begin(first)
        session.connection.execute("VACUUM ANALYZE")
    return {}


def _cpu() -> float:
    """CPU seconds of this process and of those that it has begun, whether they have ended or not."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def _server_cpu(url: str) -> float:
    """CPU seconds of the server's processes, those that have ended too."""
    from knowdefeat_pipeline.postgres.connection import connect

    with connect(url) as connection:
        ((backend,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
        postmaster = psutil.Process(backend).parent()
        assert postmaster is not None
        return sum(postmaster.cpu_times()[:4]) + sum(sum(c.cpu_times()[:2]) for c in postmaster.children())


def _digest(connection: Any) -> str:
    found = hashlib.sha256()
    for table in TABLES:
        with connection.cursor().copy(f"COPY (SELECT * FROM {table} ORDER BY day, bot_id, 3) TO STDOUT") as copy:
            for piece in copy:
                found.update(piece)
    return found.hexdigest()[:16]


def law(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What a process takes, and a trade, a trade and day, and a row, by least squares over the runs."""
    ones = np.ones(len(runs))
    of = {name: np.array([run[name] for run in runs], float) for name in ("trades", "trade_days", "rows")}
    found = {}
    for name, terms in (("peak_mb", ("trades", "rows")), ("cpu", ("trade_days", "rows")), ("server_cpu", ("trades", "rows"))):
        design = np.stack([ones, *(of[term] / 1e6 for term in terms)], axis=1)
        fitted, *_ = np.linalg.lstsq(design, np.array([run[name] for run in runs]), rcond=None)
        found[name] = dict(zip(("alone", *terms), fitted.round(2).tolist(), strict=True))
    return found


def main() -> None:
    """Print what each way costs, and the law."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--bots", type=int, default=3_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--law", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = measure(chosen.bots, chosen.trades, chosen.days, chosen.processes)
    if len({of["digest"] for of in found.values()}) > 1:
        raise SystemExit(f"The ways differ in what they write: {found}")
    rows = [
        (
            way,
            f"{of['cpu']:.1f} CPU s, server {of['server_cpu']:.1f}, wall {of['wall']:.1f}; peak {of['peak_mb']:,.0f} MB, "
            f"of a worker {of['worker_mb']:,.0f}; {of['shards']} shards, {of['rows']:,} rows",
        )
        for way, of in found.items()
    ]
    figures: dict[str, Any] = {"ways": found}
    if chosen.law:
        figures["law"] = law([measure(*size, 1, ("one piece",))["one piece"] for size in LAW])
        rows += [(f"law of {name}", ", ".join(f"{k} {v}" for k, v in of.items())) for name, of in figures["law"].items()]
    report(f"{chosen.bots:,} bots, {chosen.trades:,} trades, {chosen.days} days", rows, figures, chosen.json)


if __name__ == "__main__":
    main()
