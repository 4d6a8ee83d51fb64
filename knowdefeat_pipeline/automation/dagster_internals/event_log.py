"""Dagster's event log and runs, written all or nothing, the plan of a run in one statement.

What that rests on is checked before it is used.
What is recorded is the same but for planned checks, and any other process may read and write it by the stock storage
meanwhile.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cache

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterRun, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import Connection, Insert, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from knowdefeat_pipeline.automation.dagster_internals.transactions import OneTransaction

logger = logging.getLogger(__name__)

PLANNED_CHECK = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
PLANNED = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, PLANNED_CHECK}

# The methods that we override or call, with the parameters that we pass. Dagster has no public interface for storages
# (its documentation: "users should not directly instantiate" them), so any version may change these.
KEEPS_CONNECTIONS: dict[str, tuple[str, ...]] = {
    "optimize_for_webserver": ("statement_timeout", "pool_recycle", "max_overflow")
}
RELIED_ON: dict[type, dict[str, tuple[str, ...]]] = {
    PostgresEventLogStorage: {
        **KEEPS_CONNECTIONS,
        "_connect": (),
        "store_event": ("event",),
        "store_event_batch": ("events",),
        "prepare_insert_event_batch": ("events",),
        "_event_to_row": ("event",),
        "store_asset_event": ("event", "event_id"),
        "store_asset_check_event": ("event", "event_id"),
        "index_connection": (),
        "_has_asset_key_col_on_connection": ("conn", "column_name"),
    },
    PostgresRunStorage: {
        **KEEPS_CONNECTIONS,
        "connect": (),
        "add_run": ("dagster_run",),
        "add_run_tags": ("run_id", "new_tags"),
        "handle_run_event": ("run_id", "event", "update_timestamp"),
    },
    PostgresScheduleStorage: KEEPS_CONNECTIONS,
}


@cache
def is_supported() -> bool:
    """Whether the installed Dagster has all of RELIED_ON; what it lacks is logged, once per process."""
    missing = [
        f"{storage.__name__}.{name}({', '.join(parameters)})"
        for storage, methods in RELIED_ON.items()
        for name, parameters in methods.items()
        if not _takes(storage, name, parameters)
    ]
    if missing:
        logger.warning("This Dagster lacks %s: its stock storage is used, and runs take longer.", "; ".join(missing))
    return not missing


def _takes(storage: type, name: str, parameters: Sequence[str]) -> bool:
    method = getattr(storage, name, None)
    if method is None:
        return False
    try:
        inspect.signature(method).bind(None, **dict.fromkeys(parameters))
    except TypeError:
        return False
    return True


class EventLog(PostgresEventLogStorage):
    """The stock event log, which writes an event or a batch of them in one transaction.

    The plan of a run, an event per day and asset, it writes in one statement.

    Dagster hands over the plan as a batch, which the stock class stores event by event; no setting changes that. The
    chain of 1,000 bots over 90 days in one run took 5.7 s so, and 5.1 s in one statement (median of five, in turn).
    """

    def __init__(self, postgres_url: str) -> None:
        self._together = OneTransaction(super()._connect)
        self._asset_columns = set[str]()
        super().__init__(postgres_url)

    def _connect(self) -> AbstractContextManager[Connection]:
        return self._together.connection()

    def store_event(self, event: EventLogEntry) -> None:
        store = super().store_event
        self._together.run(lambda: store(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        self._together.run(lambda: self._store_batch(events))

    def prepare_insert_event_batch(self, events: Sequence[EventLogEntry]) -> Insert:
        """The stock statement has a parameter for every value of every event, and takes longer to build than to run:
        here each column is one, an array."""
        rows = [self._event_to_row(event) for event in events]
        columns = [SqlEventLogStorageTable.c[name] for name in rows[0]]
        arrays = (cast([row[column.name] for row in rows], ARRAY(column.type)) for column in columns)
        names = [column.name for column in columns]
        given = func.unnest(*arrays).table_valued(*names, with_ordinality="place").render_derived()
        in_order = select(*(given.c[name] for name in names)).order_by(given.c.place)
        return SqlEventLogStorageTable.insert().from_select(names, in_order)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        # The stock class reads the table's definition for each event of an asset; a column that is there stays there.
        if column_name not in self._asset_columns:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._asset_columns.add(column_name)
        return True

    def _store_batch(self, events: Sequence[EventLogEntry]) -> None:
        if not all(event.dagster_event_type in PLANNED for event in events):
            super().store_event_batch(events)
            return
        insert = self.prepare_insert_event_batch(events)
        with self.index_connection() as connection:
            event_ids = connection.execute(insert.returning(insert.table.c.id)).scalars().all()
        latest: dict[AssetKey | None, tuple[EventLogEntry, int]] = {}
        for event, event_id in zip(events, event_ids, strict=True):
            if event.dagster_event_type == PLANNED_CHECK:
                self.store_asset_check_event(_of_no_day(event), event_id)
            else:
                latest[event.get_dagster_event().asset_key] = event, event_id
        # An asset's own row knows of its last event only. In one order: whoever writes the same rows waits, no more.
        for event, event_id in sorted(latest.values(), key=lambda found: str(found[0].get_dagster_event().asset_key)):
            self.store_asset_event(event, event_id)


def _of_no_day(event: EventLogEntry) -> EventLogEntry:
    """A check that a run plans, as the one result that it will have: our checks look at all days of a run at once.

    The stock class notes it for each day of the run, and never hears of these again.
    """
    planned = event.get_dagster_event()
    key = planned.asset_check_planned_data.asset_check_key
    one = AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name)
    return event._replace(dagster_event=planned._replace(event_specific_data=one))


class Runs(PostgresRunStorage):
    """The stock storage of runs, which writes a run with its tags, or what an event makes of it, in one transaction."""

    def __init__(self, postgres_url: str) -> None:
        self._together = OneTransaction(super().connect)
        super().__init__(postgres_url)

    def connect(self) -> AbstractContextManager[Connection]:
        return self._together.connection()

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        add = super().add_run
        return self._together.run(lambda: add(dagster_run))

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        add = super().add_run_tags
        self._together.run(lambda: add(run_id, new_tags))

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        handle = super().handle_run_event
        self._together.run(lambda: handle(run_id, event, update_timestamp))
