"""What assets are given: the database and the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import psycopg
import pyarrow as pa
from pydantic import PrivateAttr

from knowdefeat_pipeline.core.series import Trades
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store import database


class Database(dg.ConfigurableResource):
    """The database of KNOWDEFEAT_DATABASE_URL, or the embedded one."""

    url: str = ""
    _resolved: str = PrivateAttr(default="")
    _held: tuple[datetime, datetime, Trades] | None = PrivateAttr(default=None)

    def address(self) -> str:
        """The URL, found once per process and run."""
        if not self._resolved:
            self._resolved = self.url or database.database_url(Settings.from_environment())
        return self._resolved

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode, closed at the end."""
        with database.connect(self.address()) as connection:
            yield connection

    def trades(self, since: datetime, until: datetime) -> Trades:
        """Closed trades with since < exit_time <= until, at least: what one asset of a run has read, the next need not.

        So the assets of a run also agree on which trades there are, whatever arrives meanwhile.
        """
        if self._held is None or not (self._held[0] <= since and self._held[1] >= until):
            self._held = (since, until, Trades.from_arrow(self.read("read_trades", since, until)))
        return self._held[2]

    def read(self, name: str, *parameters: object) -> pa.Table:
        """The rows of `sql/queries/<name>.sql` as an Arrow table."""
        return database.read_arrow(self.address(), database.query(name), parameters)


class Clock(dg.ConfigurableResource):
    """The time of the running day; `frozen_at` (ISO 8601 with zone) stops it."""

    frozen_at: str = ""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.fromisoformat(self.frozen_at) if self.frozen_at else datetime.now(UTC)
