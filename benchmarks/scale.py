"""What a refresh costs in one piece, in shards and on several processes, and the law that follows.

    python -m benchmarks.scale [--trades 1000000] [--bots 3000] [--days 1] [--processes 2] [--json]
    python -m benchmarks.scale --law [--json]
    python -m benchmarks.scale --live [--trades 10000000] [--bots 10000] [--json]

The fleet lies in 30 days, or as many as are computed, on an embedded server of its own. Measured are metrics and
streaks of the last `--days` days, each way in a process of its own, into empty tables, once months were folded: CPU
seconds of our processes and of the server, the most memory that the run's process and that a worker held, and a
digest of what was written, which must be one. With `--law` other sizes instead, and what follows from them by least
squares: what a refresh takes by itself, for a million trades and rows, in the words of
`knowdefeat_pipeline/scale/costs.py`.

With `--live` the fleet's trades lie in the 90 days before now, and measured is a batch of the live listener with one
trade: the median of 100 after twenty, from the look for days that are stale to the commit, step by step.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

from benchmarks.common import END, alone, database, fleet, report, store
from benchmarks.live import INSERT

WAYS = ("one piece", "shards", "processes")
TABLES = ("bot_metrics_rows", "bot_days_rows", "win_streaks_rows", "slow_results")
BEGUN = 2  # processes that compute shards
HISTORY_DAYS = 90  # of the live path
WARM_UP, BATCHES = 20, 100
FOLDED = (2_000, 1_000_000)  # bots and their trades of two months that are over
LAW = ((500, 300_000, 1), (2_000, 1_000_000, 1), (2_000, 1_000_000, 8), (10_000, 300_000, 4), (20_000, 300_000, 8))


def measure(bots: int, trades: int, days: int, processes: int, ways: tuple[str, ...] = WAYS) -> dict[str, Any]:
    """Each way over the same fleet."""
    with database() as url:
        store(url, fleet(bots, trades // bots, max(30, days)))
        first, found = (END - timedelta(days=days)).date(), {}
        for way in ways:
            alone(_prepare, url, first)
            found[way] = alone(refresh, url, way, first, processes) | {"trades": trades}
        found[ways[0]] |= alone(_reading, url, first)
    return found


def fold(bots: int, trades: int) -> dict[str, float]:
    """What the first refresh of all does besides: months that are over are folded."""
    with database() as url:
        store(url, fleet(bots, trades // bots, 60, end=END.replace(month=6)))
        return alone(_fold, url, END.date() - timedelta(days=1))


def _fold(url: str, first: Any) -> dict[str, float]:
    from knowdefeat_pipeline.store.session import open_session

    with open_session(url) as session:
        cpu, server = _cpu(), _server_cpu(url)
        session.begin(first)
        return {"cpu": _cpu() - cpu, "server_cpu": _server_cpu(url) - server}


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
        found: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
        found |= {"server_cpu": _server_cpu(url) - server, **held()}
        found |= {"rows": sum(metrics.counts.values()), "shards": sum(line.startswith("Shard ") for line in told)}
        # The rest of the chain, in the run's own process whichever way.
        cpu, server = _cpu(), _server_cpu(url)
        compute_rankings(session, first, last)
        compute_skill(session, first, last)
        compute_weights(session, first, last, END)
        compute_allocations(session, first, last)
        session.unstage()
        found |= {"chain_cpu": _cpu() - cpu, "server_chain_cpu": _server_cpu(url) - server}
        found |= {"stored_bytes": _stored_bytes(connection)}
        return found | {"chain_mb": held()["held_mb"], "digest": _digest(connection)}


def live(bots: int, trades: int) -> dict[str, Any]:
    """What a batch of the live listener with one trade takes over so many."""
    now = datetime.now(UTC)
    with database() as url:
        store(url, fleet(bots, trades // bots, HISTORY_DAYS, end=now - timedelta(minutes=1)))
        alone(_computed_once, url)
        return alone(_batches, url, bots)


def _computed_once(url: str) -> dict[str, Any]:
    """The last days, as a listener finds them."""
    from knowdefeat_pipeline.steps.chain import refresh as compute
    from knowdefeat_pipeline.store.session import open_session

    now = datetime.now(UTC)
    with open_session(url) as session:
        compute(session, now.date() - timedelta(days=2), now.date(), now)
    return {}


def _batches(url: str, bots: int) -> dict[str, Any]:
    """The median batch in this process; `steps`: wall milliseconds of each, and CPU of ours and of its server process;
    what this process held after all."""
    from knowdefeat_pipeline.automation.live import _prepared
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.steps import chain
    from knowdefeat_pipeline.store.memory import Memory
    from knowdefeat_pipeline.store.session import Session
    from knowdefeat_pipeline.store.staleness import RANKING, settle, stale_days

    taken = defaultdict[str, list[tuple[float, ...]]](list)

    def now() -> tuple[float, ...]:
        return time.perf_counter(), time.process_time(), sum(server.cpu_times()[:2])

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            begun = now()
            try:
                return work(*arguments, **named)
            finally:
                taken[name].append(tuple(end - begin for begin, end in zip(begun, now(), strict=True)))

        return call

    for name in [name for name in vars(chain) if name.startswith(("compute_", "count_"))]:
        setattr(chain, name, watched(name, getattr(chain, name)))
    with connect(url) as writer, connect(url) as connection:
        server = psutil.Process(connection.info.backend_pid)
        session = Session(url, _prepared(connection), Memory(url))
        session.begin = watched("begin", session.begin)  # type: ignore[method-assign]

        def batch() -> None:
            found = stale_days(connection, RANKING, datetime.now(UTC))
            settle(connection, found)
            chain.refresh(session, found.first, found.last, datetime.now(UTC))

        measured = watched("batch", batch)
        for number in range(WARM_UP + BATCHES):
            writer.execute(INSERT, (1 + number % bots, 1 + number % bots))
            measured()
    # The server's CPU comes in hundredths of a second: its mean says what the median cannot.
    steps = {name: 1e3 * np.array(values[-BATCHES:]) for name, values in taken.items()}
    return {
        "steps": {
            name: {
                "wall_ms": float(np.median(of[:, 0])),
                "cpu_ms": float(np.median(of[:, 1])),
                "server_cpu_ms": float(of[:, 2].mean()),
            }
            for name, of in steps.items()
        },
        "p95_ms": float(np.quantile(steps["batch"][:, 0], 0.95)),
        "held_mb": psutil.Process().memory_info().rss / 1e6,
    }


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

        def local_processes(self, seconds: float) -> int:
            return self.processes

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
    """Empty results, and months that are folded."""
    from knowdefeat_pipeline.store.session import open_session

    with open_session(url) as session:
        session.connection.execute(f"TRUNCATE {', '.join(_results())}, refreshed_days")
        session.begin(first)
        session.connection.execute("VACUUM ANALYZE")
    return {}


def _results() -> list[str]:
    """The tables that a refresh writes."""
    from knowdefeat_pipeline.core.schema import TABLES as RESULTS
    from knowdefeat_pipeline.store.tables import stored

    return sorted({*map(stored, RESULTS), *TABLES})


def _stored_bytes(connection: Any) -> int:
    """What they take, with their indexes."""
    asked = "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest(%s::text[]) AS name"
    ((found,),) = connection.execute(asked, (_results(),)).fetchall()
    return int(found)


def _reading(url: str, first: Any) -> dict[str, float]:
    """What a trade takes on its way to us, and what counting the trades to cut the bots takes the server."""
    from knowdefeat_pipeline.postgres.connection import connect, query, quoted
    from knowdefeat_pipeline.scale.plan import Extent, make_plan
    from knowdefeat_pipeline.steps.metrics import since

    asked, before = quoted(query("trades/read_trades"), [since(first, [END]), END]), _server_cpu(url)
    with connect(url) as connection:
        slices = Extent.of(connection).slices(1)
    trades = make_plan(url, since(first, [END]), END, 1, 10**9, slices).trades
    server = _server_cpu(url) - before
    with connect(url) as connection, connection.cursor().copy(f"COPY ({asked}) TO STDOUT (FORMAT BINARY)") as copy:
        return {"plan_server_cpu": server, "read_bytes": sum(map(len, copy)) / trades}


def _cpu() -> float:
    """CPU seconds of this process and of those that it has begun, whether they have ended or not."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own + sum(sum(child.cpu_times()[:4]) for child in psutil.Process().children(recursive=True))


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


def constants(
    runs: list[dict[str, Any]], ways: dict[str, dict[str, Any]], folded: dict[str, float]
) -> dict[str, float]:
    """The same in the words of `costs.py`, with what `ways` of one refresh and months that were folded show.

    `runs`: in one piece; `ways`: one of them, cut too."""
    found, shards, processes = law(runs), *(ways[way] for way in WAYS[1:])
    millions, read = FOLDED[1] / 1e6, sum(run["trades"] for run in runs)
    return {
        "PROCESS_MB": found["held_mb"]["alone"],
        "TRADE_BYTES": found["held_mb"]["trades"],
        "ROW_BYTES": found["held_mb"]["rows"],
        "REFRESH_S": found["cpu"]["alone"],
        "TRADES_S": found["cpu"]["trades"],
        "ROWS_S": found["cpu"]["rows"],
        "CHAIN_ROWS_S": found["chain_cpu"]["rows"],
        "SERVER_TRADES_S": found["server_cpu"]["trades"],
        "SERVER_ROWS_S": found["server_cpu"]["rows"],
        "SERVER_CHAIN_ROWS_S": found["server_chain_cpu"]["rows"],
        "SERVER_PLAN_S": 1e6 * sum(run["plan_server_cpu"] for run in runs) / read,
        "FOLD_S": folded["cpu"] / millions,
        "SERVER_FOLD_S": folded["server_cpu"] / millions,
        "START_S": processes["cpu"] - shards["cpu"],
        "READ_BYTES": float(np.median([run["read_bytes"] for run in runs])),
        "STORED_BYTES": sum(run["stored_bytes"] for run in runs) / sum(run["rows"] for run in runs),
    }


def _of_law() -> tuple[list[tuple[str, str]], dict[str, Any]]:
    runs = [measure(*size, 1, WAYS[:1])["one piece"] for size in LAW[:-1]]
    ways = measure(*LAW[-1], BEGUN)
    runs.append(ways["one piece"])
    folded = fold(*FOLDED)
    found = constants(runs, ways, folded)
    sizes = [f"{bots:,} bots, {trades:,} trades, {days} days" for bots, trades, days in LAW]
    rows = [(size, _told(run)) for size, run in zip(sizes, runs, strict=True)]
    rows += [(f"the last of them, {way}", _told(ways[way])) for way in WAYS[1:]]
    rows += [(f"{FOLDED[1]:,} trades folded", f"{folded['cpu']:.1f} CPU s, server {folded['server_cpu']:.1f}")]
    rows += [(name, f"{value:,.2f}") for name, value in found.items()]
    return rows, {"runs": runs, "ways": ways, "fold": folded, "constants": found}


def _of_live(found: dict[str, Any]) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    rows = [
        (name, f"{of['wall_ms']:.0f} ms, CPU {of['cpu_ms']:.0f}, server {of['server_cpu_ms']:.0f}")
        for name, of in found["steps"].items()
    ]
    rows += [("95 % of batches", f"{found['p95_ms']:.0f} ms"), ("held at last", f"{found['held_mb']:,.0f} MB")]
    return rows, found


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
    parser.add_argument("--processes", type=int, default=BEGUN)
    parser.add_argument("--law", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.law:
        report("What a refresh costs", *_of_law(), chosen.json)
        return
    if chosen.live:
        report(
            f"A batch over {chosen.bots:,} bots, {chosen.trades:,} trades",
            *_of_live(live(chosen.bots, chosen.trades)),
            chosen.json,
        )
        return
    found = measure(chosen.bots, chosen.trades, chosen.days, chosen.processes)
    if len({of["digest"] for of in found.values()}) > 1:
        raise SystemExit(f"The ways differ in what they write: {found}")
    rows = [(way, _told(of)) for way, of in found.items()]
    title = f"{chosen.bots:,} bots, {chosen.trades:,} trades, {chosen.days} days"
    report(title, rows, {"ways": found}, chosen.json)


if __name__ == "__main__":
    main()
