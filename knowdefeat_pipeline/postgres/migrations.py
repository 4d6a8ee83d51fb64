"""The schema's history: the files `sql/migrations/NNNN_name.sql`, run by Alembic in the order of their numbers.

A revision is a file's number, and its parent the number before it, so the map of revisions is made in memory from the
folder: a new migration is one more SQL file. Of each that ran its checksum is kept, so that one that was edited since
is not taken for the one that ran.

Pending migrations run in one transaction. What one says below the line AFTERWARDS does not: an index over a large table
is built after it, CONCURRENTLY, while others write. Nothing may rest on it but speed. What is not there yet, as the
building was broken off, the next upgrade builds.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import psycopg
from psycopg import sql

from knowdefeat_pipeline.core.schema import BOT_DAYS, DECISIONS, TABLES
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import identity, roles
from knowdefeat_pipeline.postgres.advisory import PATIENCE, Lock, Waiting, granted, holders, told
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.edited import ALSO_RAN, checksum, way_back
from knowdefeat_pipeline.postgres.remedies import remedy_of
from knowdefeat_pipeline.settings import ROOT

if TYPE_CHECKING:
    from alembic.script import Script
    from sqlalchemy import Connection

MIGRATIONS = ROOT / "sql" / "migrations"
VERSION_TABLE = "knowdefeat_version"
CHECKSUM_TABLE = "knowdefeat_migrations"
POLL = 0.5  # seconds between two looks whether another one still builds indexes
LOCK_TIMEOUT = 60.0  # seconds for which an upgrade waits for another one, and for the users of a table that it changes
AFTERWARDS = "\n-- Afterwards, while others write:\n"
_LOCK = int.from_bytes(b"knowdfts", "big")  # the advisory lock that upgrades hold
_INDEXING = int.from_bytes(b"kdindexs", "big")  # the one of who builds indexes after an upgrade
_INDEX = re.compile(r"\s*(CREATE|DROP) INDEX CONCURRENTLY IF (?:NOT )?EXISTS (\w+)[^;]*;")


class MigrationError(KnowDefeatError):
    """The schema is not what the code needs, or cannot be brought there; the message says why and what to do."""

    page = "operations.md#upgrade"


@dataclass(frozen=True)
class MigrationStatus:
    """`current`: the database's revision, None before the first. `pending`: what is missing to `latest`, in order."""

    current: str | None
    latest: str
    pending: list[str]


def status(url: str) -> MigrationStatus:
    """Where the database's schema stands. Raises DatabaseUnreachable; MigrationError if it is newer than the code."""
    with connect(url) as connection:
        return _status(connection)


def require_current(url: str) -> None:
    """Raise MigrationError unless every migration has been run, and DatabaseUnreachable without a database."""
    found = status(url)
    if found.current is None:
        raise MigrationError(
            "The database has no KnowDefeat tables yet. Load trades and compute: knowdefeat run --trades FILE. The "
            "demo instead: knowdefeat run. The tables alone: knowdefeat db migrate"
        )
    if found.pending:
        raise MigrationError(
            f"The database's schema is at {found.current}, and this version of the code needs {found.latest}. "
            "Run: knowdefeat db migrate"
        )


def upgrade(url: str) -> list[str]:
    """Run the pending migrations, all in one transaction, and give the roles their rights; the revisions run.

    Then build, and drop, the indexes that they leave for afterwards. Concurrent upgrades wait for each other.

    A database that was copied from another server becomes this server's own on the way (see `identity`).
    Raises MigrationError or ForeignTransactions (the database is then as it was) and DatabaseUnreachable; where nothing
    was pending and the connection broke, psycopg.OperationalError.
    """
    try:
        with upgrading(url) as schema:
            pending = schema.bring_to()
            identity.adopt(schema.connection)
        finish_indexes(url)
        return pending
    except psycopg.OperationalError as error:
        if not status(url).pending:  # there was nothing to do, or it is done
            raise
        raise MigrationError(
            f"The connection broke during the upgrade, of which all or nothing was done: {error}\n"
            "Run again: knowdefeat db migrate"
        ) from error


def finish_indexes(url: str) -> None:
    """Build and drop the indexes that migrations leave for afterwards, as far as that is not done; others may write
    meanwhile, and who else builds is waited for.

    Raises MigrationError and psycopg.OperationalError; the next upgrade goes on.
    """
    with connect(url) as connection:
        if not _unfinished(connection):
            return
        # Not waited for within a statement: to build an index is to wait for the end of every older one.
        while connection.execute("SELECT pg_try_advisory_lock(%s)", [_INDEXING]).fetchone() != (True,):
            time.sleep(POLL)
        with _as_owner(connection):
            for name, statement in _unfinished(connection).items():
                try:
                    # One that was broken off stays behind, of no use.
                    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))
                    connection.execute(statement)
                except psycopg.OperationalError:
                    raise
                except psycopg.Error as error:
                    raise MigrationError(
                        f"The index {name} was not built: {error}\nEverything works, more slowly. Remove the cause, "
                        "then run: knowdefeat db migrate"
                    ) from error


def _unfinished(connection: psycopg.Connection) -> dict[str, bytes]:
    """The statements of migrations that ran, by their index, of which the last of an index counts, as far as they are
    not carried out."""
    current = _current(connection)
    wanted = {
        found[2]: (found[1] == "CREATE", found[0].encode())
        for revision, path in _files().items()
        if current is not None and revision <= current
        for found in _INDEX.finditer(path.read_text(encoding="utf-8").partition(AFTERWARDS)[2])
    }
    valid = "SELECT i.indexrelid IS NOT NULL, coalesce(i.indisvalid, false) FROM (SELECT to_regclass(%s) AS index) AS n"
    valid += " LEFT JOIN pg_index AS i ON i.indexrelid = n.index"
    state = {name: connection.execute(valid, [name]).fetchone() for name in wanted}
    return {
        name: statement
        for name, (create, statement) in wanted.items()
        if state[name] != ((True, True) if create else (False, False))
    }


@dataclass(frozen=True)
class Schema:
    """The schema of a database in the transaction of an upgrade, which commits at its end or leaves no trace.

    `is_new`: the transaction makes the tables, so that nobody else can use them yet.
    """

    connection: psycopg.Connection
    alchemy: "Connection"
    is_new: bool

    def bring_to(self, revision: str | None = None) -> list[str]:
        """Run the migrations up to that revision (None: all); the revisions run. Raises MigrationError."""
        from alembic.runtime.migration import MigrationContext, RevisionStep
        from alembic.script.revision import RevisionMap
        from sqlalchemy.exc import DBAPIError

        scripts = list(_scripts(self.connection, self.is_new))
        history = RevisionMap(lambda: scripts)
        pending = [r for r in _status(self.connection).pending if revision is None or r <= revision]
        steps = [RevisionStep(history, cast("Script", history.get_revision(r)), is_upgrade=True) for r in pending]
        options = {"version_table": VERSION_TABLE, "fn": lambda heads, context: steps}
        try:
            with _as_owner(self.connection):
                MigrationContext.configure(self.alchemy, opts=options).run_migrations()
        except DBAPIError as error:
            advice = remedy_of(error.orig or error) or (
                "Its user must be allowed to create tables: make it the owner of the database."
            )
            raise MigrationError(
                f"The database refused the upgrade, and is as it was: {error.orig}\n{advice}"
            ) from error
        if pending:
            _comment(self.connection)
        _note_checksums(self.connection, revision)
        if revision is None:
            _give_rights(self.connection, was_changed=bool(pending))
        return pending


@contextmanager
def _as_owner(driver: psycopg.Connection) -> Iterator[None]:
    """As the role that owns the tables, where that is another one: what a migration makes may have to be of their
    owner, as a sequence that belongs to a column."""
    other = driver.execute(
        "SELECT tableowner FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'trades'"
        " AND tableowner <> current_user AND pg_has_role(tableowner, 'MEMBER')"
    ).fetchone()
    if other:
        driver.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(other[0])))
    yield
    if other:
        driver.execute("RESET ROLE")


def _give_rights(driver: psycopg.Connection, was_changed: bool) -> None:
    try:
        roles.follow_upgrade(driver, was_changed)
    except psycopg.Error as error:
        raise MigrationError(
            f"Giving the roles their rights failed, and the database is as it was: {error}\n"
            "If a lock timed out, end the sessions that use the table and try again."
        ) from error


@contextmanager
def upgrading(url: str) -> Iterator[Schema]:
    """One transaction for migrations and whatever else belongs to them; others wait. Raises as `upgrade` does."""
    from sqlalchemy import NullPool, create_engine  # with Alembic 0.4 s, which only an upgrade should pay
    from sqlalchemy.exc import DBAPIError

    engine = create_engine("postgresql+psycopg://", creator=partial(_connect_for_upgrade, url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            driver = cast(psycopg.Connection, connection.connection.driver_connection)
            _lock(driver)
            yield Schema(driver, connection, is_new=_current(driver) is None)
    except DBAPIError as error:  # of the commit, or of the rollback over a connection that was lost
        raise cast(psycopg.Error, error.orig) from error


def revisions() -> list[str]:
    """The revisions that this version of the code knows, in order."""
    return list(_files())


def _comment(driver: psycopg.Connection) -> None:
    """Say in the database itself what every column of the results means."""
    columns = driver.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    ).fetchall()
    for table, figures in {**TABLES, **DECISIONS, "bot_days": BOT_DAYS}.items():
        for figure in figures:
            if (table, figure.name) in columns:
                comment = sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                    sql.Identifier(table), sql.Identifier(figure.name), sql.Literal(figure.description)
                )
                driver.execute(comment)


def _files() -> dict[str, Path]:
    """The migrations by revision, in order."""
    paths = sorted(MIGRATIONS.glob("*.sql"))
    for number, path in enumerate(paths, start=1):
        if not re.fullmatch(rf"{number:04}_[a-z0-9_]+\.sql", path.name):
            raise MigrationError(
                f"{path} is out of order: migrations are numbered without gaps or repeats, so this one's name should "
                f"start with {number:04}_ and be in small letters, digits and underscores."
            )
    if not paths:
        raise MigrationError(f"There are no migrations in {MIGRATIONS}. Get the project again, with its sql folder.")
    return {path.name[:4]: path for path in paths}


def _status(connection: psycopg.Connection) -> MigrationStatus:
    revisions = list(_files())
    current = _current(connection)
    if current is not None and current not in revisions:
        raise MigrationError(
            f"The database's schema is at {current}, and this version of the code knows it up to {revisions[-1]}: a "
            "newer version has been here. Update knowdefeat-pipeline, or point KNOWDEFEAT_DATABASE_URL (or "
            "KNOWDEFEAT_HOME) to another database."
        )
    _require_unedited(connection)
    return MigrationStatus(current, revisions[-1], [r for r in revisions if current is None or r > current])


def _current(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass(%s)", [VERSION_TABLE]).fetchone() == (None,):
        return None
    row = connection.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(VERSION_TABLE))).fetchone()
    return row[0] if row else None


def _note_checksums(driver: psycopg.Connection, until: str | None) -> None:
    """Note the checksum of each migration that has run, up to that one (None: all), and has none yet.

    In a database that was migrated before checksums were kept, that is the checksum of today's file: which one ran
    then, nobody knows any more.
    """
    driver.execute(
        "CREATE TABLE IF NOT EXISTS knowdefeat_migrations (revision text PRIMARY KEY, checksum text NOT NULL, "
        "noted_at timestamptz NOT NULL DEFAULT now())"
    )
    driver.cursor().executemany(
        "INSERT INTO knowdefeat_migrations (revision, checksum) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [
            (revision, checksum(path.read_bytes()))
            for revision, path in _files().items()
            if until is None or revision <= until
        ],
    )


def _require_unedited(connection: psycopg.Connection) -> None:
    """Raise MigrationError where a file is not the one that ran."""
    if connection.execute("SELECT to_regclass('knowdefeat_migrations')").fetchone() == (None,):
        return
    files = _files()
    noted = connection.execute("SELECT revision, checksum FROM knowdefeat_migrations ORDER BY 1").fetchall()
    for revision, ran in noted:
        if revision in files and ran not in (checksum(files[revision].read_bytes()), ALSO_RAN.get(revision)):
            raise MigrationError(
                f"{files[revision].name} is not the migration that was applied to this database. "
                f"{way_back(files[revision], ran)}"
            )


def _connect_for_upgrade(url: str) -> psycopg.Connection:
    connection = connect(url)
    connection.autocommit = False  # SQLAlchemy's transactions rely on the driver's implicit BEGIN
    return connection


def _lock(driver: psycopg.Connection) -> None:
    driver.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_TIMEOUT}s"])
    waiting, deadline = Waiting("another upgrade of this database"), time.monotonic() + LOCK_TIMEOUT
    while not granted(driver, "SELECT pg_advisory_xact_lock(%s)", [_LOCK], min(PATIENCE, LOCK_TIMEOUT)):
        found = holders(driver, Lock.of(_LOCK))
        waiting.tell(found)
        if time.monotonic() > deadline:
            raise MigrationError(
                f"Another upgrade of this database has been running for {LOCK_TIMEOUT:g} s. Let it end, then try "
                f"again. It is {told(found)}."
            )


def _scripts(driver: psycopg.Connection, is_new: bool) -> Iterator["Script"]:
    """The migrations as Alembic wants them: modules with a parent and a function."""
    from alembic.script import Script

    parent = None
    for revision, path in _files().items():
        module = ModuleType(path.stem)
        module.down_revision = parent  # type: ignore[attr-defined]
        module.upgrade = partial(_run, driver, path, is_new)  # type: ignore[attr-defined]
        yield Script(module, revision, path)
        parent = revision


def _run(driver: psycopg.Connection, path: Path, is_new: bool) -> None:
    """Execute the file as it stands: `%` and `:` mean nothing, for no parameters are passed.

    Where the tables are new, what is for afterwards can be done at once.
    """
    text = path.read_bytes()
    now, _, afterwards = text.partition(AFTERWARDS.encode())
    try:
        driver.execute(now)
        if is_new and afterwards:
            driver.execute(afterwards.replace(b" CONCURRENTLY", b""))
    except psycopg.Error as error:
        position = int(error.diag.statement_position or 0)  # in characters, from 1; 0: PostgreSQL names none
        line = f", line {text.decode()[:position].count(chr(10)) + 1}" if position else ""
        raise MigrationError(
            f"Migration {path.name}{line} failed, and the database is as it was: {error}\n"
            "If a lock timed out, end the sessions that use the table and try again."
        ) from error
