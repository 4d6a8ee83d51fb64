"""A database of trades which is also Dagster's, as in operation."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture
def url(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three bots' trades of the eight days before END, in the database that the environment names."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    load_trades(database, read_frame(simulate("base", bots=3, days=8, seed=3, end=END).trades, "simulator", END), "f")
    return database


@pytest.fixture
def instance(url: str) -> Iterator[dg.DagsterInstance]:
    with open_instance() as opened:
        yield opened


@pytest.fixture
def connection(url: str, instance: dg.DagsterInstance) -> Iterator[psycopg.Connection]:
    with closing(connect(url)) as opened:
        yield opened
