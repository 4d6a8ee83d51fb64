"""What a refresh costs in one piece, in shards and on several processes, and the law that follows.

    python -m benchmarks.scale [--trades 1000000] [--bots 3000] [--days 1] [--processes 2] [--law] [--json]

The fleet lies in 30 days on an embedded server of its own. Measured are metrics and streaks of the last `--days` days,
each way in a process of its own, into empty tables, once months were folded: CPU seconds of our processes and of the
server, the most memory that the run's process and that a worker held, and a digest of what was written, which must be
one. With `--law` also other sizes, and what follows from them by least squares: what a refresh takes by itself, for a
million trades and rows. `knowdefeat_pipeline/scale/costs.py` has it.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread
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
        found = {}
        for way in ways:
            alone(_prepare, url, first)
            found[way] = alone(refresh, url, way, first, processes)
    for of in found.values():
        of["trades"] = trades
    return found


def refresh(url: str, way: str, first: Any, processes: int) -> dict[str, Any]:
    """One refresh, in this process."""
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.steps.funds import compute_allocations
    from knowdefeat_pipeline.steps.learning import compute_weights
    from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
    from knowdefeat_pipeline.steps.ranking import compute_rankings
    from knowdefeat_pipeline.steps.skill import compute_skill
    from knowdefeat_pipeline.store.session import Session

    last, told = (END - timedelta(days=1)).date(), list[str]()
    with connect(url) as connection, _watched() as held:
        session = Session(url, connection, workers=_workers(way, processes, told.append))
        session.begin(first)
        wall, cpu, server = time.perf_counter(), _cpu(), _server_cpu(url)
        metrics = compute_metrics(session, first, last, END)
        compute_streaks(session, first, last)
        session.unstage()
        found: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
        found |= {"server_cpu": _server_cpu(url) - server, **held()}
        found |= {"rows": sum(metrics.counts.values()), "shards": sum(line.startswith("Shard ") for line in told)}
        # The rest of the chain, in the run's own process whichever way.
        cpu, server = _cpu(), _server_cpu(url)
        compute_rankings(session, first, last)
        compute_skill(session, first, last)
        compute_weights(session, first, last, END)
        compute_allocations(session, first, last)
        found |= {"chain_cpu": _cpu() - cpu, "server_chain_cpu": _server_cpu(url) - server}
        return found | {"chain_mb": held()["held_mb"], "digest": _digest(connection)}


def _workers(way: str, processes: int, tell: Callable[[str], None]) -> Any:
    from knowdefeat_pipeline.scale.workers import Workers

    class Cutting(Workers):
        """Whatever there is is cut, into shards of the usual size."""

        @property
        def whole_bytes(self) -> int:
            return -1

        @property
        def shard_bytes(self) -> int:
            return Workers().shard_bytes

    if way == "one piece":
        return Workers(whole_mb=10**6, report=tell)
    return Cutting(processes=processes if way == "processes" else 1, report=tell)


@contextmanager
def _watched() -> Iterator[Callable[[], dict[str, float]]]:
    """The most memory that this process, and any that it began, held up to then. (What the system keeps as the most
    that a process held begins with what its parent had.)"""
    most, over, me = {"held_mb": 0.0, "worker_mb": 0.0}, Event(), psutil.Process()

    def look() -> None:
        while not over.wait(0.02):
            most["held_mb"] = max(most["held_mb"], me.memory_info().rss / 1e6)
            for child in me.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    most["worker_mb"] = max(most["worker_mb"], child.memory_info().rss / 1e6)

    thread = Thread(target=look, daemon=True)
    thread.start()
    yield lambda: dict(most)
    over.set()
    thread.join()


def _prepare(url: str, first: Any) -> dict[str, Any]:
    """Empty results, and what the first refresh of all does besides: months are folded."""
    from knowdefeat_pipeline.core.schema import TABLES as RESULTS
    from knowdefeat_pipeline.store.session import open_session
    from knowdefeat_pipeline.store.tables import stored

    with open_session(url) as session:
        emptied = sorted({*map(stored, RESULTS), *TABLES})
        session.connection.execute(f"TRUNCATE {', '.join(emptied)}, refreshed_days")
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


TERMS = {
    "held_mb": ("trades", "rows"),
    "cpu": ("trades", "rows"),
    "chain_cpu": ("trades", "rows"),
    "server_cpu": ("trades", "rows"),
    "server_chain_cpu": ("rows",),
}


def law(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What a refresh takes by itself, and for a million trades and rows: least squares over runs."""
    found = {}
    for name, terms in TERMS.items():
        columns = [np.ones(len(runs)), *(np.array([run[term] for run in runs]) / 1e6 for term in terms)]
        fitted, *_ = np.linalg.lstsq(np.stack(columns, axis=1), np.array([run[name] for run in runs]), rcond=None)
        found[name] = dict(zip(("alone", *terms), fitted.round(2).tolist(), strict=True))
    return found


def _told(of: dict[str, Any]) -> str:
    return (
        f"{of['cpu']:.1f} CPU s, server {of['server_cpu']:.1f}, wall {of['wall']:.1f}; {of['shards']} shards, "
        f"{of['rows']:,} rows; at most {of['held_mb']:,.0f} MB, a worker {of['worker_mb']:,.0f}; the rest of the chain "
        f"{of['chain_cpu']:.1f} CPU s, server {of['server_chain_cpu']:.1f}, {of['chain_mb']:,.0f} MB"
    )


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
    rows = [(way, _told(of)) for way, of in found.items()]
    figures: dict[str, Any] = {"ways": found}
    if chosen.law:
        runs = [measure(*size, 1, ("one piece",))["one piece"] for size in LAW]
        figures |= {"runs": runs, "law": law(runs)}
        rows += [(f"law of {name}", ", ".join(f"{k} {v}" for k, v in of.items())) for name, of in law(runs).items()]
    report(f"{chosen.bots:,} bots, {chosen.trades:,} trades, {chosen.days} days", rows, figures, chosen.json)


if __name__ == "__main__":
    main()
