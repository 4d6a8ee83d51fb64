"""Upgrades from each earlier schema with data, and backups restored into each PostgreSQL that is installed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres, server_version
from tests.faults.earlier import enter, fill, given, make, table_names
from tests.faults.matrix import CannotInject, Outcome
from tests.faults.world import knowdefeat, world
from tests.postgres.servers import FOUND, new_database, server_of

TRADES = 5


def upgrade(revision: str, computed: Path) -> Outcome:
    """A database of that schema with data and results, and trades in none of them; then `db migrate` and `run`."""
    with world(computed) as at:
        today, earlier = at.url, at.new_database("earlier")
        make(earlier, revision)
        fill(earlier, today)
        known = table_names(earlier)
        at.move(earlier)
        at.close_trades(TRADES)
        assert knowdefeat("db", "migrate").status == 0
        assert migrations.status(earlier).pending == []
        enter(earlier, today, known)
        _require_kept(today, earlier)
        return at.outcome(f"upgrade from schema {revision}", "all that was given is there; the next run was whole")


def restore(version: str, computed: Path) -> Outcome:
    """A backup of the embedded server, restored into another server, of that version of PostgreSQL."""
    with world(computed) as at, _another_server(version) as server:
        at.close_trades(TRADES)
        source, target = at.url, new_database(server, "target")
        with tempfile.TemporaryDirectory() as folder:
            assert knowdefeat("db", "backup", f"{folder}/backup").status == 0
            at.move(target)
            assert knowdefeat("db", "restore", f"{folder}/backup").status == 0
        _require_kept(source, target)
        return at.outcome(f"restore into PostgreSQL {version}", "all that was given is there; the next run was whole")


@contextmanager
def _another_server(version: str) -> Iterator[str]:
    """The maintenance database of a new server of that version: of the machine's, else the embedded one's."""
    if version in FOUND:
        with server_of(FOUND[version]) as url:
            yield url
    elif version == server_version().partition(".")[0]:
        with tempfile.TemporaryDirectory(prefix="knowdefeat-") as home:
            server = EmbeddedPostgres(Path(home))
            try:
                yield server.url_for("postgres")
            finally:
                server.stop()
    else:
        raise CannotInject(f"PostgreSQL {version} is not installed")


def _require_kept(source: str, target: str) -> None:
    """Every row that people and bots had put in is there, as it was; there may be more."""
    was, found = given(source), given(target)
    lacking = {table: set(rows) - set(found[table]) for table, rows in was.items()}
    assert not any(lacking.values()), lacking


UPGRADES = [partial(upgrade, revision) for revision in migrations.revisions()[:-1]]
RESTORES = [partial(restore, str(version)) for version in range(14, 19)]
