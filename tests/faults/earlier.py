"""Databases of earlier schemas, with what their users and programs had put into them."""

import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import psycopg

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.tables import stored

# What people and bots put in, in the order of the keys; and what was computed from it, with the marks that say so.
GIVEN = (
    "bots",
    "trades",
    "positions",
    "trade_quarantine",
    "weight_versions",
    "price_bars",
    "order_book_levels",
    "trade_scores",
    "belief_ledger",
    "backtest_outcomes",
    "fund_settings",
    "bot_events",
    "weight_settings",
)
MEMORY = ("bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state", "bot_exposures",
          "bot_exposures_state", "open_positions", "slow_results", "bot_days_rows")  # fmt: skip
OPEN = ("position_marks",)  # which triggers keep, that do not look at what is filled in
COMPUTED = [*OPEN, *sorted({*TABLES, *map(stored, TABLES)} - {*GIVEN}), "trade_ranges", "refreshed_days", *MEMORY]

# How a row says of which transaction it is, or what it had seen: each database in its own numbers.
OF_TRANSACTIONS = {"xid8": "pg_current_xact_id()", "pg_snapshot": "pg_current_snapshot()"}
# When a row was written down, and by which import: no schema knew of imports before it had them.
WRITTEN_DOWN = ("created_at", "changed_at", "recorded_at", "first_seen_at", "import_id")
COLUMNS = (
    "SELECT column_name, udt_name, is_identity = 'YES' FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position"
)


def make(url: str, revision: str) -> None:
    """Bring a database up to a schema that is not the last, by its migrations alone."""
    with tempfile.TemporaryDirectory() as folder:
        for path in migrations.MIGRATIONS.glob("*.sql"):
            if path.name[:4] <= revision:
                shutil.copy(path, folder)
        with patch.object(migrations, "MIGRATIONS", Path(folder)), migrations.upgrading(url) as schema:
            assert schema.bring_to(revision)[-1] == revision


def fill(target: str, source: str) -> None:
    """Put all that the source holds, of today's schema, into a database of an earlier one, as far as that has a place.

    As if it had been there when it was computed: no trigger looks at it, and the marks have seen it.
    """
    with connect(source) as one, connect(target) as other:
        tables = set(_base_tables(other))
        other.execute("SET session_replication_role = replica")
        for part in (GIVEN, COMPUTED):
            with other.transaction():
                for table in part:
                    if table in tables:
                        copy_rows(one, other, table)


def enter(target: str, source: str, revision_before: set[str]) -> None:
    """Give a database, once it is upgraded, what its schema had no table for: `revision_before` names those it had."""
    with connect(source) as one, connect(target) as other, other.transaction():
        for table in GIVEN:
            if table not in revision_before and table != "weight_settings":
                copy_rows(one, other, table, "version > 1" if table == "weight_versions" else "true")


def table_names(url: str) -> set[str]:
    """The tables of a database."""
    with connect(url) as connection:
        return set(_base_tables(connection))


def _base_tables(connection: psycopg.Connection) -> list[str]:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [name for (name,) in found]


def copy_rows(source: psycopg.Connection, target: psycopg.Connection, table: str, which: str = "true") -> None:
    """Copy a table's rows, those apart that are there, in the columns that both have; call it in a transaction."""
    known = {name for name, _, _ in source.execute(COLUMNS, (table,)).fetchall()}
    columns = [column for column in target.execute(COLUMNS, (table,)).fetchall() if column[0] in known]
    copied = ", ".join(name for name, kind, _ in columns if kind not in OF_TRANSACTIONS)
    names = ", ".join(name for name, _, _ in columns)
    values = ", ".join(OF_TRANSACTIONS.get(kind, name) for name, kind, _ in columns)
    target.execute(f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {copied} FROM {table} WITH NO DATA")
    with (
        source.cursor().copy(f"COPY (SELECT {copied} FROM {table} WHERE {which}) TO STDOUT") as rows,
        target.cursor().copy("COPY incoming FROM STDIN") as written,
    ):
        for row in rows:
            written.write(row)
    target.execute(
        f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM incoming ON CONFLICT DO NOTHING"
    )
    target.execute("DROP TABLE incoming")
    for name, _, is_numbered in columns:
        if is_numbered:
            last = f"SELECT setval(pg_get_serial_sequence('{table}', '{name}'), max({name})) FROM {table}"
            target.execute(last)


def given(url: str) -> dict[str, list[str]]:
    """What people and bots put in, as the server writes it, without what a server numbers, or when and with what it came.

    Of the events of bots those that people caused; who that was no schema knew before it had the table.
    """
    found = {}
    with connect(url) as connection:
        for table in GIVEN:
            names = [
                name
                for name, kind, _ in connection.execute(COLUMNS, (table,)).fetchall()
                if kind not in OF_TRANSACTIONS and name not in WRITTEN_DOWN
            ]
            only = "true"
            if table == "bot_events":
                names, only = ["bot_id", "kind", "in_force_from"], "kind IN ('activated', 'deactivated', 'resumed')"
            rows = connection.execute(
                f"SELECT r::text FROM (SELECT {', '.join(names)} FROM {table} WHERE {only}) AS r ORDER BY 1"
            )
            found[table] = [row for (row,) in rows.fetchall()]
    return found
