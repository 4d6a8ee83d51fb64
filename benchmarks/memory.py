"""Whether the memory of the processes of `knowdefeat up` stays level: a day's trades at one a second, in minutes.

    python -m benchmarks.memory [--bots 24] [--minutes 10] [--growing] [--json]

A real `knowdefeat up` over a server of its own, on which 86,400 trades are closed in so many minutes, as evenly as can
be; the listener's batches are the larger for it (benchmarks.growth has as many as a day has). Shown is what each
program holds, with the code server that it began, at the end of each tenth of the time, and of the server what its
processes have for themselves. Runs, which come and go, are left out. At the end `up` is stopped by SIGTERM.

The listener holds the trades of the metrics' window, about 250 bytes each. A fleet that has traded at one rate for
longer than the window holds as many as ever; so here as many leave the window, in the same minutes, as enter it.
`--growing` leaves them out, as on the first days of a fleet.

Known limit: what grows by the hour and not by the trade shows little of itself in minutes.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pyarrow as pa

from benchmarks.common import fleet, report, store

TRADES = 86_400  # of a day, one a second
HISTORY_DAYS, PER_DAY = 90, 20
STARTING = timedelta(minutes=1)  # until `up` is ready, about
PAUSE = 0.5  # seconds between two transactions
LOOKS = 10
READY = "Dagster UI: "
PROGRAMS = {"web.serve": "pages", "web.dagster_ui": "Dagster UI", "dagster-daemon": "daemon", " live": "listener"}
INSERT = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " SELECT 1 + n %% %(bots)s, 'ETH', 'LONG', 'closed', now() - interval '1 hour', now(), 100, 100 + random(), 1000"
    " FROM generate_series(%(first)s::integer, %(last)s::integer) AS n"
)
COUNTED = "SELECT sum(lifetime_trades) FROM bot_metrics WHERE ticker = '*' AND day = (SELECT max(day) FROM bot_metrics)"


def measure(bots: int, minutes: float, growing: bool) -> dict[str, Any]:
    """Megabytes of each program at each look; trades closed and counted; in how many seconds `up` stopped, and how."""
    now = datetime.now(UTC)
    history = [fleet(bots, PER_DAY * HISTORY_DAYS, HISTORY_DAYS, end=now - timedelta(minutes=1))]
    if not growing:
        leaving = fleet(
            bots, TRADES // bots, minutes / 1440, end=_window_ends(now) + STARTING + timedelta(minutes=minutes)
        )
        history.append(leaving.set_column(0, "source", pa.array(["leaving"] * len(leaving))))
    with tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ["KNOWDEFEAT_HOME"] = home
        os.environ.pop("KNOWDEFEAT_DATABASE_URL", None)
        from knowdefeat_pipeline.postgres import migrations
        from knowdefeat_pipeline.postgres.server import EmbeddedPostgres

        server = EmbeddedPostgres(Path(home))
        try:
            url = server.ensure_running()
            migrations.upgrade(url)
            for trades in history:
                store(url, trades)
            with _up() as up, psycopg.connect(url, autocommit=True) as writer:
                looks = []
                for part in range(LOOKS):
                    _close(writer, bots, part * TRADES // LOOKS, (part + 1) * TRADES // LOOKS, minutes * 60 / LOOKS)
                    looks.append(_held(up) | {"PostgreSQL": _private(server)})
                ((counted,),) = writer.execute(COUNTED).fetchall()
                stopping = time.monotonic()
                up.send_signal(signal.SIGTERM)
                status = up.wait()
                stopped = time.monotonic() - stopping
        finally:
            server.stop()
    held = {name: [round(look.get(name, 0.0), 1) for look in looks] for name in looks[-1]}
    behind = sum(map(len, history)) + TRADES - int(counted)
    return {"held_mb": held, "trades_behind": behind, "stopped_s": stopped, "exit_status": status}


def _window_ends(now: datetime) -> datetime:
    """The oldest exit that the listener holds."""
    from knowdefeat_pipeline.steps.metrics import since

    return since(now.date(), [now])


@contextmanager
def _up() -> Iterator[subprocess.Popen[str]]:
    """`knowdefeat up`, once it is ready."""
    command = [str(Path(sys.executable).parent / "knowdefeat"), "up"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if READY in line:
                break
        else:
            raise RuntimeError("".join(said))
        yield process
    finally:
        process.terminate()
        process.wait()


def _close(connection: psycopg.Connection, bots: int, first: int, last: int, seconds: float) -> None:
    """Close the trades with these numbers, spread over so many seconds; the rest at once if that takes longer."""
    begun, done = time.monotonic(), first
    while done < last:
        time.sleep(PAUSE)
        due = min(last, first + int((last - first) * (time.monotonic() - begun) / seconds))
        if due > done:
            connection.execute(INSERT, {"bots": bots, "first": done, "last": due - 1})
            done = due


def _held(up: subprocess.Popen[str]) -> dict[str, float]:
    """Megabytes of each program, by its name."""
    return {
        name: sum(_resident(process) for process in [program, *_code_servers(program)]) / 1e6
        for program in psutil.Process(up.pid).children()
        for part, name in PROGRAMS.items()
        if part in " ".join(program.cmdline())
    }


def _code_servers(program: psutil.Process) -> list[psutil.Process]:
    found = []
    for process in program.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "grpc" in process.cmdline():
                found.append(process)
    return found


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _private(server: Any) -> float:
    """Megabytes that the server's processes share with no other: without its buffers."""
    total, postmaster = 0, psutil.Process(server.status().pid)
    for process in [postmaster, *postmaster.children()]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().uss
    return total / 1e6


def main() -> None:
    """Print how the memory goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--growing", action="store_true", help="let no trade leave the window")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen.bots, chosen.minutes, chosen.growing)
    rows = [(name, "  ".join(f"{mb:4.0f}" for mb in held) + " MB") for name, held in figures["held_mb"].items()]
    rows.append(("trades not counted yet", f"{figures['trades_behind']:,}"))
    rows.append(("stopped by SIGTERM", f"in {figures['stopped_s']:.1f} s, exit status {figures['exit_status']}"))
    title = f"{chosen.bots} bots, {TRADES:,} trades in {chosen.minutes:g} minutes"
    report(title, rows, figures, chosen.json)


if __name__ == "__main__":
    main()
