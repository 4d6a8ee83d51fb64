"""A real PostgreSQL server for the tests: our embedded one, or the one that KNOWDEFEAT_TEST_DATABASE_URL names."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import ROOT

# The same examples in every run, so that a change is judged by what it changed; others: make test-random.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", print_blob=True, deadline=None)
hypothesis.settings.load_profile("same")


@contextmanager
def temporary_database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a fresh database, gone at the end: empty, or like that of the URL `template`, which nobody may use."""
    template = str(conninfo_to_dict(template)["dbname"]) if "/" in template else template
    name = f"knowdefeat_test_{secrets.token_hex(6)}"
    with connect(server_url) as connection:
        # Copying files takes a fifth of the time of writing the copy to the log, as is usual from PostgreSQL 15 on.
        strategy = sql.SQL(" STRATEGY file_copy" if connection.info.server_version >= 150000 else "")
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        connection.execute(create + strategy)
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with connect(server_url) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


MEMORY = Path("/dev/shm")
ROOM = 4e9  # bytes, more than a server of the tests has ever held


def _fastest() -> Path | None:
    """A folder in memory, where databases are copied four times as fast; None (the usual one) without room there."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedPostgres]:
    """An embedded server for the whole session. Tests that kill servers make their own."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-", dir=_fastest()) as home:
        server = EmbeddedPostgres(Path(home))
        with connect(server.ensure_running()) as connection:  # no test pulls the plug on this one
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """A URL whose user may create databases."""
    return os.environ.get("KNOWDEFEAT_TEST_DATABASE_URL") or request.getfixturevalue("server").ensure_running()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The URL of a database with every migration, to be cloned. Nobody may stay connected to it."""
    with temporary_database(server_url, "template0") as url:
        migrations.upgrade(url)
        yield url


@pytest.fixture
def database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a fresh database with every migration."""
    with temporary_database(server_url, template) as url:
        yield url


@pytest.fixture(scope="session")
def cloned(server_url: str) -> Callable[[str], AbstractContextManager[str]]:
    """Makes a copy of a database, for as long as its `with` lasts; whoever is connected to the original is put out."""

    @contextmanager
    def clone(url: str) -> Iterator[str]:
        name = str(conninfo_to_dict(url)["dbname"])
        with connect(server_url) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with temporary_database(server_url, name) as copy:
            yield copy

    return clone


@pytest.fixture
def empty_database(server_url: str) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    with temporary_database(server_url, "template0") as url:
        yield url


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, outside the repository."""
    folder = Path(os.environ.get("KNOWDEFEAT_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set KNOWDEFEAT_SHARED_DATA")
    return folder
