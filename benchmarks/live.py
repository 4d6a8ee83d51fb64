"""From a trade's commit to the ranking that contains it: the live listener, the sensor alone, and Know-Defeat's way.

    python -m benchmarks.live [--bots 1000] [--per-bot 1000] [--seconds 60] [--rate 200] [--log-minutes 10]
                              [--batches 1000] [--json]

Real processes (`knowdefeat live`, `dagster-daemon`) over a database of their own. Know-Defeat polls every 5 s, asks
about ten questions of the bot that traded, then reads all bots' metrics and upserts the score of each by itself; here
it does so on the same trades with the index (bot_id, exit_time). The floor of any path by way of runs, what stock
Dagster notes of a run of five assets that do nothing, is measured beside them. Then

- a steady stream of trades: whether any is missed, how old the ranking gets, how many batches there are;
- a trade a second for `--log-minutes`: what the listener's reports leave in Dagster's tables, extrapolated to a day;
- `--batches` batches without a pause: the listener's memory at the hundredth and at the last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.common import database, fleet, report, store

POLL = 0.005  # seconds between two looks at the ranking
SENSOR_POLL = 0.05  # the same where a process has to start first, which looking would only slow down
PATIENCE = 120.0
PEER_INTERVAL = 5.0  # seconds, Know-Defeat's
DAYS = 365
INSERT = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " SELECT b, 'ETH', 'LONG', 'closed', at - interval '1 hour', at, 100, 100 + random(), 1000"
    " FROM generate_series(%s::integer, %s::integer) AS b, LATERAL (SELECT clock_timestamp() AS at) AS t"
)
VISIBLE = (
    "SELECT m.lifetime_trades FROM bot_rankings AS r JOIN bot_metrics AS m USING (day, bot_id, as_of)"
    " WHERE r.day = %s AND r.bot_id = %s AND m.ticker = '*'"
)


def latencies(
    connection: psycopg.Connection, trials: int, pause: tuple[float, float], poll: float = POLL
) -> list[float]:
    """Seconds from a commit to the ranking that contains the trade, for one trade at a time."""
    found = []
    draw = random.Random(1)
    for trial in range(trials + 1):
        time.sleep(draw.uniform(*pause))
        bot = 1 + trial % 5
        ((count,),) = connection.execute(
            "SELECT count(*) FROM trades WHERE bot_id = %s AND status = 'closed'", (bot,)
        ).fetchall()
        connection.execute(INSERT, (bot, bot))
        committed = time.perf_counter()
        _await(lambda bot=bot, count=count: _visible(connection, bot) > count, poll)
        found.append(time.perf_counter() - committed)
    return found[1:]  # the first one finds everything cold


def _visible(connection: psycopg.Connection, bot: int) -> int:
    row = connection.execute(VISIBLE, (datetime.now(UTC).date(), bot)).fetchone()
    return row[0] if row else 0


def _await(done: Callable[[], bool], poll: float = POLL) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened within {PATIENCE:g} s")
        time.sleep(poll)


@contextmanager
def program(name: str, *arguments: str, ready: str, home: str) -> Iterator[Path]:
    """One of our programs, from when it says that it is ready; the file that it writes to."""
    log = Path(home) / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / name), *arguments], stdout=file, stderr=file, start_new_session=True
        )
    try:
        _await(lambda: ready in log.read_text() or process.poll() is not None)
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def sustained(connection: psycopg.Connection, log: Path, bots: int, rate: int, seconds: int) -> dict[str, Any]:
    """`rate` trades a second, each its own transaction, for so long; what the ranking makes of them."""
    batches = _batches(log)
    ((known,),) = connection.execute("SELECT count(*) FROM trades WHERE status = 'closed'").fetchall()
    start, sent, ages = time.perf_counter(), 0, []
    while sent < rate * seconds:
        due = min(rate * seconds, int((time.perf_counter() - start) * rate))
        for _ in range(sent, due):
            bot = 1 + sent % bots
            connection.execute(INSERT, (bot, bot))
            sent += 1
        age = connection.execute(
            "SELECT extract(epoch FROM clock_timestamp() - max(as_of)) FROM bot_rankings WHERE day = %s",
            (datetime.now(UTC).date(),),
        ).fetchone()
        ages.append(float(age[0]))
        time.sleep(0.02)
    took = time.perf_counter() - start
    ranked = "SELECT sum(lifetime_trades) FROM bot_metrics WHERE day = %s AND ticker = '*'"
    today = datetime.now(UTC).date()
    _await(lambda: connection.execute(ranked, (today,)).fetchall()[0][0] == known + sent)
    batches = _batches(log) - batches
    return {
        "trades": sent,
        "per_second": sent / took,
        "batches": batches,
        "batches_per_second": batches / took,
        "age": quantiles(ages),
        "oldest": max(ages),
    }


def _batches(log: Path) -> int:
    return log.read_text().count(" refreshed in ")


def reports(connection: psycopg.Connection, bots: int, minutes: float) -> dict[str, float]:
    """What a trade a second leaves in Dagster's tables, in so many minutes and, extrapolated, in a day."""
    before, start, sent = dagster_tables(connection), time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < 60 * minutes:
        if sent <= passed:
            connection.execute(INSERT, (1 + sent % bots, 1 + sent % bots))
            sent += 1
        time.sleep(0.05)
    after = dagster_tables(connection)
    rows, size = (now - then for now, then in zip(after, before, strict=True))
    return {"minutes": minutes, "trades": sent, "event_rows": rows, "bytes": size,
            "mb_a_day": size * 24 * 60 / minutes / 1e6}  # fmt: skip


def dagster_tables(connection: psycopg.Connection) -> tuple[int, int]:
    """Rows of Dagster's event log, and the bytes of all tables of Dagster's with their indexes."""
    ((rows, size),) = connection.execute(
        "SELECT (SELECT count(*) FROM dagster.event_logs),"
        " (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
        "  WHERE relkind = 'r' AND relnamespace = 'dagster'::regnamespace)"
    ).fetchall()
    return rows, size


def memory(connection: psycopg.Connection, url: str, bots: int, batches: int) -> dict[str, float]:
    """The listener's resident memory (MB) after a tenth of the batches and after all, a trade each, without a pause."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_listen, args=(url, theirs), daemon=True)
    process.start()
    theirs.close()
    found, begun = {}, time.perf_counter()
    try:
        while not ours.recv().startswith("Listening"):
            pass
        for number in range(1, batches + 1):
            connection.execute(INSERT, (1 + number % bots, 1 + number % bots))
            while " refreshed in " not in ours.recv():
                pass
            if number in (max(1, batches // 10), batches):
                found[number] = _resident_mb(process.pid)
    finally:
        process.kill()
        process.join()
    early, late = (found[number] for number in sorted(found))
    return {"batches": batches, "early_mb": early, "late_mb": late, "seconds": time.perf_counter() - begun}


def _listen(url: str, told: Connection) -> None:
    """A listener that makes no pause between batches, and tells of each."""
    from knowdefeat_pipeline.assets.calendar import Calendar
    from knowdefeat_pipeline.assets.resources import Clock
    from knowdefeat_pipeline.automation import live
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
    from knowdefeat_pipeline.build import build_defs

    live.SPACING = 0.0
    report = LiveReport(open_instance, parents_of(build_defs()), seconds=5)
    live.Listener(url, Calendar(), Clock().now, told.send, report).run()


def _resident_mb(pid: int | None) -> float:
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout) / 1e3


class KnowDefeat:
    """The predecessor's refresh: some ten queries for the bot, then one upsert per bot from all bots' metrics."""

    WINDOWS = ("1 hour", "2 hours", "1 day", "7 days", "30 days")

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        connection.execute("CREATE TABLE kd_metrics (bot_id integer, ticker text, name text, value double precision,"
                           " PRIMARY KEY (bot_id, ticker, name))")  # fmt: skip
        connection.execute("CREATE TABLE kd_rankings (bot_id integer PRIMARY KEY, score double precision)")
        connection.execute("INSERT INTO kd_metrics SELECT bot_id, '*', 'one_hour_performance', 0 FROM bots")

    def refresh(self, bot: int) -> None:
        """After one trade of the bot."""
        closed = "FROM trades WHERE bot_id = %s AND status = 'closed'"
        figures = {}
        for window in self.WINDOWS:
            figures[window] = self._ask(f"SELECT sum(pnl) {closed} AND exit_time > now() - interval '{window}'", bot)
        recent = f"{closed} AND exit_time > now() - interval '30 days'"
        figures["win rate"] = self._ask(
            f"SELECT 100.0 * count(*) FILTER (WHERE pnl > 0) / nullif(count(*), 0) {recent}", bot
        )
        figures["profit per second"] = self._ask(
            f"SELECT sum(pnl) / nullif(extract(epoch FROM sum(exit_time - entry_time)), 0) {recent}", bot
        )
        for name in ("drawdown", "streaks", "last"):
            pnl = [row[0] for row in self.connection.execute(f"SELECT pnl {recent} ORDER BY exit_time", (bot,))]
            curve = np.cumsum(pnl)
            figures[name] = float((np.maximum.accumulate(curve) - curve).mean()) if pnl else 0.0
        for name, value in figures.items():
            self.connection.execute(
                "INSERT INTO kd_metrics VALUES (%s, '*', %s, %s)"
                " ON CONFLICT (bot_id, ticker, name) DO UPDATE SET value = excluded.value", (bot, name, value)
            )  # fmt: skip
        scores = self.connection.execute("SELECT bot_id, sum(value) FROM kd_metrics GROUP BY bot_id").fetchall()
        for other, score in scores:
            self.connection.execute(
                "INSERT INTO kd_rankings VALUES (%s, %s) ON CONFLICT (bot_id) DO UPDATE SET score = excluded.score",
                (other, score),
            )

    def _ask(self, statement: str, bot: int) -> float | None:
        ((value,),) = self.connection.execute(statement, (bot,)).fetchall()
        return None if value is None else float(value)


def peer(url: str, trials: int) -> list[float]:
    """Seconds from commit to score, Know-Defeat's way: the wait for its next poll, drawn, and its measured work."""
    draw = random.Random(1)
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        know_defeat = KnowDefeat(connection)
        for trial in range(trials):
            connection.execute(INSERT, (1, 1))
            begun = time.perf_counter()
            know_defeat.refresh(1 + trial % 5)
            found.append(draw.uniform(0, PEER_INTERVAL) + time.perf_counter() - begun)
    return found


def bookkeeping(home: str, runs: int) -> list[float]:
    """Seconds of a run of five chained assets that do nothing, in a warm process over stock Dagster's storage.

    With what any such process needs: connections that are kept open, and nothing captured of what steps print.
    """
    import dagster as dg

    from knowdefeat_pipeline.automation.dagster_internals.instance import dagster_url
    from knowdefeat_pipeline.settings import Settings

    def trivial(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"floor_{number}", deps=[f"floor_{number - 1}"] if number else [])
        def asset() -> None:
            pass

        return asset

    job = dg.Definitions(
        assets=[trivial(number) for number in range(5)], jobs=[dg.define_asset_job("floor")]
    ).resolve_job_def("floor")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    stock = {
        "storage": {"postgres": {"postgres_url": dagster_url(Settings.from_environment())}},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager",
        },
        "telemetry": {"enabled": False},
    }  # fmt: skip
    (Path(home) / "dagster.yaml").write_text(json.dumps(stock))
    found = []
    with dg.DagsterInstance.from_config(home) as instance:
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=3600, max_overflow=20)
        for _ in range(runs):
            begun = time.perf_counter()
            job.execute_in_process(instance=instance, run_config=quiet)
            found.append(time.perf_counter() - begun)
            time.sleep(0.2)
    return found[1:]


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and 95 % quantile."""
    return {"p50": float(np.quantile(values, 0.5)), "p95": float(np.quantile(values, 0.95))}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures, over a database with the whole fleet, up to now."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=home)
        from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
        from knowdefeat_pipeline.automation.runs import refresh_days
        from knowdefeat_pipeline.definitions import defs
        from knowdefeat_pipeline.settings import ROOT
        from knowdefeat_pipeline.store.staleness import HORIZON_DAYS

        now = datetime.now(UTC)
        store(url, fleet(chosen.bots, chosen.per_bot, DAYS, end=now - timedelta(minutes=1)))
        with open_instance() as instance:
            refresh_days(defs, instance, now.date() - timedelta(days=HORIZON_DAYS), now.date())
        figures: dict[str, Any] = {}
        with psycopg.connect(url, autocommit=True) as connection:
            with program("knowdefeat", "live", ready="Listening", home=home) as log:
                figures["live"] = quantiles(latencies(connection, chosen.trials, (1.1, 2.1)))
                figures["stream"] = sustained(connection, log, chosen.bots, chosen.rate, chosen.seconds)
                if chosen.log_minutes:
                    figures["reports"] = reports(connection, chosen.bots, chosen.log_minutes)
            workspace = ["-w", str(ROOT / "workspace.yaml")]
            with program("dagster-daemon", "run", *workspace, ready="Instance is configured", home=home):
                sensor = latencies(connection, max(3, chosen.trials // 2), (1, 5), SENSOR_POLL)
            figures["sensor"] = quantiles(sensor)
            figures["know_defeat"] = quantiles(peer(url, chosen.trials))
            if chosen.batches:
                figures["memory"] = memory(connection, url, chosen.bots, chosen.batches)
            figures["bookkeeping"] = quantiles(bookkeeping(home, chosen.trials))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--per-bot", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--log-minutes", type=float, default=0, help="0: the event log is not measured")
    parser.add_argument("--batches", type=int, default=0, help="0: the listener's memory is not measured")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen)
    stream, theirs, floor = figures["stream"], figures["know_defeat"]["p50"], figures["bookkeeping"]["p50"]
    rows = [
        (
            name,
            f"p50 {found['p50']:.2f} s, p95 {found['p95']:.2f} s; Know-Defeat {theirs / found['p50']:.1f} ×",
        )
        for name, found in (("live listener", figures["live"]), ("sensor alone", figures["sensor"]))
    ]
    rows += [
        ("Know-Defeat's way", f"p50 {theirs:.2f} s, p95 {figures['know_defeat']['p95']:.2f} s"),
        (
            "Dagster's bookkeeping alone",
            f"p50 {floor:.2f} s (five assets that do nothing); live {figures['live']['p50'] / floor:.1f} ×",
        ),
        (
            f"{chosen.rate} trades/s for {chosen.seconds} s",
            f"{stream['trades']:,} sent at {stream['per_second']:.0f}/s, none missed; {stream['batches']} batches,"
            f" {stream['batches_per_second']:.2f}/s",
        ),
        ("age of the ranking meanwhile", f"p50 {stream['age']['p50']:.2f} s, p95 {stream['age']['p95']:.2f} s,"
         f" oldest {stream['oldest']:.2f} s"),
    ]  # fmt: skip
    if left := figures.get("reports"):
        rows += [
            (
                "event log at a trade a second",
                f"{left['mb_a_day']:.0f} MB a day, extrapolated from {left['minutes']:g} minutes"
                f" ({left['bytes'] / 1e6:.2f} MB, {left['event_rows']:,} rows)",
            )
        ]
    if held := figures.get("memory"):
        rows += [
            (
                "listener's memory",
                f"{held['early_mb']:.0f} MB after {max(1, held['batches'] // 10):,} batches,"
                f" {held['late_mb']:.0f} MB after {held['batches']:,}",
            )
        ]
    report(f"{chosen.bots:,} bots × {chosen.per_bot:,} trades, commit → ranking", rows, figures, chosen.json)


if __name__ == "__main__":
    main()
