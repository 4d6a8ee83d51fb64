"""From a trade that a bot writes into its own database to the ranking that contains it, while followers are killed.

    python -m benchmarks.follow [--trades 50] [--rate 5] [--kills 3] [--bots 50] [--per-bot 200] [--seed 1] [--json]

Real processes (`knowdefeat live`, `knowdefeat follow`) over a database of their own with a fleet in it. Another process
writes closed trades into a SQLite database laid out as freqtrade's, with a log of changes and without waiting for any
lock; half way it closes it, moves it away and goes on in a new one. Meanwhile the follower is killed (SIGKILL) and
started again at random instants. A trade is in the ranking once the lifetime of its bot there counts it. With a kill
the wait includes the start of the next follower, which is given beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.common import database, fleet, report, store
from benchmarks.live import PATIENCE, program, quantiles

POLL = 0.02  # seconds between two looks at the ranking
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS trades (id INTEGER PRIMARY KEY, strategy TEXT, pair TEXT, is_open INTEGER,"
    " is_short INTEGER, amount REAL, open_rate REAL, close_rate REAL, stake_amount REAL, max_stake_amount REAL,"
    " leverage REAL, fee_open REAL, fee_close REAL, funding_fees REAL, open_date TEXT, close_date TEXT,"
    " close_profit_abs REAL, stake_currency TEXT, exit_reason TEXT)"
)
INSERT = (
    "INSERT INTO trades VALUES (?, 'Grid', 'ETH/USDT', 0, 0, 0.5, 2000, 2010, 1000, 1000, 1, 0, 0, 0, ?, ?, 5, 'USDT',"
    " 'roi')"
)
RANKED = (
    "SELECT m.lifetime_trades FROM bot_rankings AS r JOIN bot_metrics AS m USING (day, bot_id, as_of)"
    " JOIN bots AS b USING (bot_id)"
    " WHERE m.ticker = '*' AND b.name = 'alpha Grid' ORDER BY r.day DESC LIMIT 1"
)


def write(path: Path, trades: int, rate: float, written: Queue[float]) -> None:
    """A bot's process: one transaction a trade, at this rate; tells when each was committed."""
    started = time.time()
    for half in (range(1, trades // 2 + 1), range(trades // 2 + 1, trades + 1)):
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(SCHEMA)
            for number in half:
                time.sleep(max(0.0, started + number / rate - time.time()))
                now = datetime.now(UTC).replace(tzinfo=None)
                connection.execute(INSERT, (number, f"{now - timedelta(hours=1)}", f"{now}"))
                written.put(time.time())
        if half[0] == 1:
            path.rename(path.with_name(f"{path.name}.1"))


def start(path: Path, log: Path) -> subprocess.Popen[bytes]:
    """A follower."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "knowdefeat"), "follow", str(path)], stdout=file, stderr=file
        )


def watch(connection: psycopg.Connection, chosen: argparse.Namespace, path: Path, home: Path) -> dict[str, Any]:
    """When each trade was written and when it was ranked, with the followers' kills between."""
    log = home / "follow.log"
    follower, draw = start(path, log), random.Random(chosen.seed)
    deadline = time.time() + PATIENCE
    while not (log.exists() and "Following" in log.read_text()) and time.time() < deadline:
        time.sleep(POLL)
    written: Queue[float] = get_context("spawn").Queue()
    bot = get_context("spawn").Process(target=write, args=(path, chosen.trades, chosen.rate, written))
    bot.start()
    at, ranked = [written.get()], list[float]()
    length = chosen.trades / chosen.rate
    kills = sorted(at[0] + draw.uniform(0.1, 0.9) * length for _ in range(chosen.kills))
    due, deadline = [*kills], time.time() + length + PATIENCE
    while len(ranked) < chosen.trades:
        if time.time() > deadline:
            raise TimeoutError(f"{len(ranked)} of {chosen.trades} trades were ranked\n{log.read_text()}")
        if due and time.time() >= due[0]:
            due.pop(0)
            follower.send_signal(signal.SIGKILL)
            follower.wait()
            follower = start(path, log)
        row = connection.execute(RANKED).fetchone()
        ranked += [time.time()] * ((row[0] if row else 0) - len(ranked))
        time.sleep(POLL)
    bot.join()
    follower.send_signal(signal.SIGINT)
    follower.wait()
    while len(at) < chosen.trades:
        at.append(written.get())
    return {"written": at, "ranked": ranked, "kills": kills}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures, over a database with a fleet that ended a minute ago."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=home)
        from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
        from knowdefeat_pipeline.automation.runs import refresh_days
        from knowdefeat_pipeline.definitions import defs
        from knowdefeat_pipeline.store.staleness import HORIZON_DAYS

        now = datetime.now(UTC)
        store(url, fleet(chosen.bots, chosen.per_bot, 365, end=now - timedelta(minutes=1)))
        with open_instance() as instance:
            refresh_days(defs, instance, now.date() - timedelta(days=HORIZON_DAYS), now.date())
        path = Path(home) / "alpha" / "tradesv3.sqlite"
        path.parent.mkdir()
        with (
            psycopg.connect(url, autocommit=True) as connection,
            program("knowdefeat", "live", ready="Listening", home=home),
        ):
            found = watch(connection, chosen, path, Path(home))
            ((recorded, ids, held),) = connection.execute(
                "SELECT count(*), count(DISTINCT source_trade_id), (SELECT count(*) FROM trade_quarantine)"
                " FROM trades WHERE source = 'freqtrade'"
            ).fetchall()
    seconds = [done - begun for begun, done in zip(found["written"], found["ranked"], strict=True)]
    # A trade was delayed by a kill if its follower was killed while it was under way, or just started.
    quiet = [
        after
        for begun, after in zip(found["written"], seconds, strict=True)
        if not any(begun - 3 < kill < begun + after for kill in found["kills"])
    ]
    return {
        "trades": chosen.trades,
        "recorded": recorded,
        "ids": ids,
        "held": held,
        "all": quantiles(seconds) | {"most": max(seconds)},
        "without_kills": quantiles(quiet) | {"trades": len(quiet)} if quiet else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=50)
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--bots", type=int, default=50)
    parser.add_argument("--per-bot", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen)
    every, quiet = figures["all"], figures["without_kills"]
    rows = [
        (
            "written, recorded, as different ids, held",
            f"{figures['trades']}, {figures['recorded']}, {figures['ids']}, {figures['held']}",
        ),
        ("written → ranked", f"p50 {every['p50']:.2f} s, p95 {every['p95']:.2f} s, most {every['most']:.2f} s"),
    ]
    if quiet:
        rows.append(
            ("while no follower was killed", f"p50 {quiet['p50']:.2f} s, p95 {quiet['p95']:.2f} s ({quiet['trades']})")
        )
    report(
        f"{chosen.trades} trades at {chosen.rate:g} a second, {chosen.kills} kills, a rotation",
        rows,
        figures,
        chosen.json,
    )


if __name__ == "__main__":
    main()
