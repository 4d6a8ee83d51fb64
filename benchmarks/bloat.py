"""How far a table of results grows that is rewritten all the time, under different autovacuum settings.

    python -m benchmarks.bloat [--bots 200] [--days 730] [--minutes 30] [--naptime 60] [--speed 12] [--json]

Copies of `bot_metrics_rows` with `days` of history, of which the last day's rows are deleted and inserted anew once a
second for `minutes`, each copy with its own settings. `--speed` runs the clock of both the refreshes and the autovacuum
launcher that many times as fast. Shown are the bytes, indexes included, beyond those of the table as it was made.
"""

from __future__ import annotations

import argparse
import time

import psycopg
from psycopg import sql

from benchmarks.common import database, report
from knowdefeat_pipeline.postgres.connection import connect

CHOSEN = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0"
VARIANTS = {
    "PostgreSQL's defaults": "",
    "our settings": CHOSEN,
    "our settings, threshold 20,000": CHOSEN.replace("2000", "20000"),
    "our settings, fillfactor 50": CHOSEN + ", fillfactor = 50",
}
VALUES = {"double precision": "random()", "bigint": "1", "text": "'BTC'", "timestamp with time zone": "now()"}


def main() -> None:
    """Print what each setting comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--naptime", type=float, default=60, help="seconds between two looks of autovacuum")
    parser.add_argument("--speed", type=float, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with database() as url, connect(url) as connection:
        connection.execute(f"ALTER SYSTEM SET autovacuum_naptime = '{max(1, round(options.naptime / options.speed))}s'")
        connection.execute("SELECT pg_reload_conf()")
        _make(connection, options.bots, options.days)
        figures = _rewrite(connection, options.minutes, options.speed)
    rows = [
        (
            name,
            f"{f['made_mb']:7.1f} MB made, at most {f['most_mb']:+7.1f} MB, at the end {f['last_mb']:+7.1f} MB, "
            f"{f['vacuums']:3d} vacuums, {f['milliseconds']:5.1f} ms a refresh",
        )
        for name, f in figures.items()
    ]
    title = (
        f"{options.bots} bots, {options.days} days, {options.minutes:g} minutes of a refresh a second, "
        f"naptime {options.naptime:g} s"
    )
    report(title, rows, figures, options.json)


def _make(connection: psycopg.Connection, bots: int, days: int) -> None:
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'bot_metrics_rows' "
        "AND column_name NOT IN ('day', 'bot_id', 'ticker') ORDER BY ordinal_position"
    ).fetchall()
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns)
    values = sql.SQL(", ").join(sql.SQL(VALUES[kind]) for _, kind in columns)  # type: ignore[arg-type]
    for number, settings in enumerate(VARIANTS.values()):
        connection.execute(f"CREATE TABLE v{number} (LIKE bot_metrics_rows INCLUDING ALL)")
        if settings:
            connection.execute(f"ALTER TABLE v{number} SET ({settings})")
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (day, bot_id, ticker, {}) SELECT current_date - d, b, t, {} "
                "FROM generate_series({} - 1, 0, -1) AS d, generate_series(1, {}) AS b, "
                "(VALUES ('*'), ('BTC')) AS v (t)"
            ).format(sql.Identifier(f"v{number}"), names, values, days, bots)
        )
        connection.execute(f"VACUUM (ANALYZE) v{number}")
        connection.execute(f"CREATE TABLE d{number} AS SELECT * FROM v{number} WHERE day = current_date")


def _rewrite(connection: psycopg.Connection, minutes: float, speed: float) -> dict[str, dict]:
    made = [_bytes(connection, number) for number in range(len(VARIANTS))]
    most, spent, refreshes = [*made], [0.0] * len(made), round(minutes * 60)
    begun = time.monotonic()
    for refresh in range(refreshes):
        for number in range(len(made)):
            at = time.perf_counter()
            with connection.transaction():
                connection.execute(f"DELETE FROM v{number} WHERE day = current_date")
                connection.execute(f"INSERT INTO v{number} SELECT * FROM d{number}")
            spent[number] += time.perf_counter() - at
            most[number] = max(most[number], _bytes(connection, number))
        time.sleep(max(0.0, begun + (refresh + 1) / speed - time.monotonic()))
    print(f"{refreshes} refreshes in {time.monotonic() - begun:.0f} s, {refreshes / speed:.0f} s were due", flush=True)
    return {
        name: {
            "made_mb": made[number] / 1e6,
            "most_mb": (most[number] - made[number]) / 1e6,
            "last_mb": (_bytes(connection, number) - made[number]) / 1e6,
            "vacuums": _vacuums(connection, number),
            "milliseconds": 1e3 * spent[number] / refreshes,
        }
        for number, name in enumerate(VARIANTS)
    }


def _bytes(connection: psycopg.Connection, number: int) -> int:
    ((size,),) = connection.execute("SELECT pg_total_relation_size(%s::regclass)", (f"v{number}",)).fetchall()
    return size


def _vacuums(connection: psycopg.Connection, number: int) -> int:
    statement = "SELECT autovacuum_count FROM pg_stat_all_tables WHERE relname = %s"
    ((count,),) = connection.execute(statement, (f"v{number}",)).fetchall()
    return count


if __name__ == "__main__":
    main()
