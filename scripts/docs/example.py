"""The fleet of the worked examples: its files, and every table of the product as its own commands fill it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.core.schema import DECISIONS, TABLES
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import ROOT, Settings

FOLDER = ROOT / "docs" / "example"
DAY = "2026-03-13"
"""The day that is worked through; its as_of is the midnight after it."""
BOT, TICKER, STRATEGY = "alpha", "ETH-USD", "momentum"

COMMANDS = """
knowdefeat ingest trades.csv
knowdefeat ingest-bars bars.csv
knowdefeat ingest-books books.csv
knowdefeat run --from 2026-03-02 --to 2026-03-13
knowdefeat funds set --funds 1000 --ungated --from 2026-03-02
knowdefeat bots deactivate epsilon --reason "under review"
knowdefeat beliefs reset --strategy grid --reason "rewritten"
knowdefeat weights adjust
knowdefeat run --from 2026-03-02 --to 2026-03-13
""".strip()
"""What fills the tables, in a folder with the three files."""


def bars() -> pd.DataFrame:
    """Sixty days of hourly bars of one ticker before the worked day ends: a walk that is the same in every build."""
    times = pd.date_range("2026-01-13", "2026-03-14", freq="h", inclusive="left", tz="UTC")
    rng = np.random.default_rng(1)
    close = 2000 * np.exp(np.cumsum(rng.normal(0, 0.005, len(times)))).round(6)
    opened = np.append(2000.0, close[:-1])
    reach = close * np.abs(rng.normal(0, 0.002, len(times)))
    frame = pd.DataFrame(
        {
            "ticker": TICKER,
            "timeframe": "1h",
            "open_time": times.strftime("%Y-%m-%d %H:%M"),
            "open": opened,
            "high": np.maximum(opened, close) + reach,
            "low": np.minimum(opened, close) - reach,
            "close": close,
            "volume": rng.lognormal(3, 0.5, len(times)),
        }
    )
    return frame.round(2)


def books() -> pd.DataFrame:
    """An order book shortly before the first entry: 30 bid and 10 asked within 1 % of the price."""
    levels = [("BID", 1995.0, 30.0), ("ASK", 2005.0, 10.0)]
    frame = pd.DataFrame(levels, columns=["side", "price", "size"])
    return frame.assign(ticker=TICKER, observed_at="2026-03-02 07:59")


def files() -> dict[str, str]:
    """The fleet's files by name, as CSV."""
    return {
        "trades.csv": (FOLDER / "trades.csv").read_text(encoding="utf-8"),
        "bars.csv": bars().to_csv(index=False, lineterminator="\n"),
        "books.csv": books().to_csv(index=False, lineterminator="\n"),
    }


@dataclass(frozen=True)
class Column:
    """A column of a table as the database describes it."""

    name: str
    type: str
    nullable: bool
    comment: str | None


@dataclass(frozen=True)
class Example:
    """What the database holds of the fleet: `rows` of the tables of definitions and of `bots`, as JSON has them;
    `columns` and `comments` of every table there."""

    rows: Mapping[str, list[dict[str, Any]]]
    columns: Mapping[str, list[Column]]
    comments: Mapping[str, str | None]


@contextmanager
def database() -> Iterator[str]:
    """The URL of a database of its own that the commands have filled, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-example-") as folder:
        for name, text in files().items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        home = Path(folder) / "home"
        foreign = {name: "" for name in os.environ if name.startswith("KNOWDEFEAT_")}
        before = Path.cwd()
        with mock.patch.dict(os.environ, foreign | {"KNOWDEFEAT_HOME": str(home)}):
            os.chdir(folder)
            try:
                run_commands(COMMANDS)
                yield database_url(Settings.from_environment())
            finally:
                os.chdir(before)
                EmbeddedPostgres(home).stop()


def run_commands(text: str) -> None:
    """Each line as the command that it is. Raises RuntimeError, with what it said, for one that fails."""
    import shlex

    for line in text.splitlines():
        said = StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                app(shlex.split(line)[1:], standalone_mode=False)
        except Exception as error:
            raise RuntimeError(f"{line}\n{said.getvalue()}") from error


def read() -> Example:
    """Fill a database, and read it."""
    with database() as url, connect(url) as connection:
        columns, comments = described(connection)
        return Example({name: _rows(connection, name) for name in (*TABLES, *DECISIONS, "bots")}, columns, comments)


def described(connection: psycopg.Connection) -> tuple[dict[str, list[Column]], dict[str, str | None]]:
    """Every table and view for people, with its columns in order, and what the database says of each."""
    statement = """
        SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END AS of,
               obj_description(c.oid, 'pg_class') AS said, a.attname, format_type(a.atttypid, a.atttypmod),
               NOT a.attnotnull, col_description(c.oid, a.attnum)
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname IN ('public', 'report') AND c.relkind IN ('r', 'v', 'p', 'm')
        ORDER BY n.nspname, c.relname, a.attnum
    """
    columns: dict[str, list[Column]] = {}
    comments: dict[str, str | None] = {}
    for of, said, *column in connection.execute(statement).fetchall():
        columns.setdefault(of, []).append(Column(*column))
        comments[of] = said
    return columns, comments


def _rows(connection: psycopg.Connection, table: str) -> list[dict[str, Any]]:
    """As JSON, which has a word for times before all others."""
    statement = sql.SQL("SELECT to_jsonb(of) FROM {} AS of").format(sql.Identifier(table))
    return [row for (row,) in connection.execute(statement).fetchall()]
