"""How fast a file of trades is taken in, beside the least that the database takes for the same rows.

    python -m benchmarks.ingest [--rows 1000000] [--repeat 1] [--json]

One file of so many trades of 100 bots is read, judged and recorded as `ingest` does it. The floor is one COPY of the
same rows into a table with the columns, constraints and indexes of `trades`, but without its triggers. Then one more
trade goes into a database of that size, by the command `ingest` and by a plain INSERT, each in a process of its own.
What the command's start alone takes, its imports, is shown too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from benchmarks.common import END, database, fleet, report, timed

BOTS, DAYS = 100, 90
NOW = END + timedelta(days=1)
PLAIN = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " VALUES (1, 'BTC', 'LONG', 'closed', '2025-06-01Z', '2025-06-02Z', 100, 101, 1000)"
)
CONNECT = "import os, psycopg; connection = psycopg.connect(os.environ['KNOWDEFEAT_DATABASE_URL'], autocommit=True)"
INSERT = f"{CONNECT}; connection.execute({PLAIN!r})"
START = "from knowdefeat_pipeline.cli import app; import knowdefeat_pipeline.store.trades"
COMMAND = "from knowdefeat_pipeline.cli import main; main()"


def measure(rows: int, repeat: int) -> dict[str, Any]:
    """Seconds of each, and their ratios."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as folder:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=folder)
        trades = fleet(BOTS, rows // BOTS, DAYS)
        path = Path(folder) / "trades.parquet"
        pa.parquet.write_table(trades.drop_columns(["source", "pnl"]), path)
        floor = timed(lambda: _copy(url, trades), repeat, lambda: _empty(url, "floor"))["wall"]
        product = timed(lambda: _ingest(url, path), repeat, lambda: _empty(url, "trades"))["wall"]
        return {
            "rows": len(trades),
            "floor": floor,
            "product": product,
            "speed": floor / product,
            **_single(path, repeat),
        }


def _empty(url: str, table: str) -> None:
    from knowdefeat_pipeline.postgres.connection import connect

    with connect(url) as connection:
        connection.execute(
            "TRUNCATE trades, bots, imports, trade_quarantine, quarantine_repeats, trade_revisions, trade_scores,"
            " trade_ranges"
        )
        if table == "floor":
            connection.execute("DROP TABLE IF EXISTS floor")
            connection.execute(
                "CREATE TABLE floor (LIKE trades INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES)"
            )
            rules = connection.execute(
                "SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint"
                " WHERE conrelid = 'trades'::regclass AND contype = 'c'"
            )
            for name, rule in rules.fetchall():
                of_floor = rule.replace("trades.*", "NULL")
                connection.execute(f"ALTER TABLE floor ADD CONSTRAINT {name} CHECK ({of_floor})")


def _copy(url: str, trades: pa.Table) -> None:
    from knowdefeat_pipeline.postgres.connection import connect, copy_arrow

    with connect(url) as connection, connection.transaction():
        copy_arrow(connection, "floor", trades)


def _ingest(url: str, path: Path) -> None:
    from knowdefeat_pipeline.sources.files import read_trades
    from knowdefeat_pipeline.store.trades import load_trades

    found = load_trades(url, read_trades(path, now=NOW), path.name)
    if found.inserted != found.rows_read:
        raise SystemExit(f"{found.rows_read - found.inserted} rows were not recorded: {found}")


def _single(path: Path, repeat: int) -> dict[str, float]:
    """One more trade by the command, and by a plain INSERT; what their start alone takes."""
    number = iter(range(10**6))

    def one_more() -> Path:
        file = path.with_name(f"one-{next(number)}.csv")
        file.write_text(
            "id,bot,ticker,side,entry_time,exit_time,entry_price,exit_price,notional\n"
            f"x{file.stem},1,BTC,buy,2025-06-01,2025-06-02,100,101,1000\n"
        )
        return file

    command = timed(lambda: _run(COMMAND, "ingest", str(one_more())), repeat)["wall"]
    plain, start = timed(lambda: _run(INSERT), repeat)["wall"], timed(lambda: _run(START), repeat)["wall"]
    return {"one": command, "insert": plain, "start": start, "one_ratio": command / (plain + start)}


def _run(code: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rows, options.repeat)
    rows = [
        ("floor: a bare COPY", f"{found['floor']:.2f} s, {found['rows'] / found['floor']:,.0f} rows/s"),
        ("through the product", f"{found['product']:.2f} s, {found['rows'] / found['product']:,.0f} rows/s"),
        ("speed beside the floor", f"{found['speed']:.0%}"),
        ("one trade by ingest", f"{found['one']:.2f} s"),
        ("plain INSERT; the start alone", f"{found['insert']:.2f} s; {found['start']:.2f} s"),
        ("beside INSERT plus start", f"{found['one_ratio']:.2f} times"),
    ]
    report(f"Taking in {found['rows']:,} trades", rows, found, options.json)


if __name__ == "__main__":
    main()
