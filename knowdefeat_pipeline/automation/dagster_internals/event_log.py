"""Dagster's records of runs and events, with fewer statements: a refresh takes a fraction of a second, and the stock
storages would spend most of it on their own.

What is told of runs, steps, assets and checks is the same, and any other process may read and write it by the stock
storages meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from dagster import AssetKey, DagsterEventType, EventLogEntry, EventLogRecord
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.base import AssetEntry, AssetRecord
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from sqlalchemy import Connection

# What tells how a run gets on, and is of no use to anybody who could only read it a moment later.
PROGRESS = {
    DagsterEventType.ENGINE_EVENT,
    DagsterEventType.LOGS_CAPTURED,
    DagsterEventType.RESOURCE_INIT_STARTED,
    DagsterEventType.RESOURCE_INIT_SUCCESS,
    DagsterEventType.STEP_OUTPUT,
}
# What waits for the next event of another kind, to be written with it.
HELD = {DagsterEventType.STEP_START, DagsterEventType.STEP_SUCCESS, DagsterEventType.ASSET_CHECK_EVALUATION}

PLANNED = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
INSERT = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)


class AsksOnce:
    """A storage that asks once, and not before every statement, which tables and columns there are."""

    def _once(self, name: str, look: Callable[[], bool]) -> bool:
        if name not in self._there and look():
            self._there.add(name)
        return name in self._there

    @cached_property
    def _there(self) -> set[str]:
        return set()


class RunStorage(AsksOnce, PostgresRunStorage):
    """The stock run storage, which asks once."""

    def has_run_stats_index_cols(self) -> bool:
        return self._once("run stats", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        return self._once("backfill_id", super().has_backfill_id_column)


class EventLog(AsksOnce, PostgresEventLogStorage):
    """The stock event log, which asks once and writes the plan of a run (an event per day and asset) in one statement.

    In a process of `short_runs`, one after another, it leaves out PROGRESS, writes HELD together with the next event
    of another kind, and does not ask the database for what the run itself has just materialised.
    """

    short_runs = False

    def store_event(self, event: EventLogEntry) -> None:
        if not self.short_runs:
            super().store_event(event)
        elif event.dagster_event_type in HELD:
            self._held.append(event)
        elif event.dagster_event_type not in PROGRESS:
            events = [*self._held, event]
            self._held.clear()
            self._unfiled.extend(zip(events, self._write(events), strict=True))
            if event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION:
                self._file(*self._unfiled.pop())  # the run asks for it; for its checks nobody asks before its end
                return
            unfiled = [*self._unfiled]
            self._unfiled.clear()
            for stored, event_id in unfiled:
                self._file(stored, event_id)

    def _write(self, events: Sequence[EventLogEntry]) -> list[int]:
        """The ids of the events, in their order."""
        with self._connect() as connection:
            return [*connection.execute(INSERT, [self._event_to_row(event) for event in events]).scalars()]

    def _file(self, event: EventLogEntry, event_id: int) -> None:
        """What the stock class does with an event that is written."""
        if event.dagster_event_type == DagsterEventType.RUN_START:
            self._materialised.clear()
        key = event.dagster_event.asset_key if event.dagster_event else None
        if key and event.dagster_event_type in ASSET_EVENTS:
            with self.index_transaction() as connection:
                self._store_asset_event_tags(connection, [event], [event_id])
                self._store_asset_event(connection, event, event_id)
        if event.dagster_event_type in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(event, event_id)
        if key and event.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION:
            self._materialised[key] = EventLogRecord(event_id, event)

    @cached_property
    def _held(self) -> list[EventLogEntry]:
        return []

    @cached_property
    def _unfiled(self) -> list[tuple[EventLogEntry, int]]:
        """Events that are written, with their ids."""
        return []

    @cached_property
    def _materialised(self) -> dict[AssetKey, EventLogRecord]:
        """By the run that goes on."""
        return {}

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        own = [key for key in asset_keys or () if key in self._materialised]
        if not own:
            return super().get_asset_records(asset_keys)
        others = [key for key in asset_keys or () if key not in self._materialised]
        return [*map(self._own_record, own), *(super().get_asset_records(others) if others else ())]

    def _own_record(self, key: AssetKey) -> AssetRecord:
        last = self._materialised[key]
        run_id = last.event_log_entry.run_id
        entry = AssetEntry(asset_key=key, last_materialization_record=last, last_run_id=run_id)
        return AssetRecord(storage_id=last.storage_id, asset_entry=entry)

    def get_latest_tags_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        asset_partitions: Sequence[str] | None = None,
        before_cursor: int | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, Mapping[str, str]]:
        own = self._materialised.get(asset_key)
        if own and event_type == DagsterEventType.ASSET_MATERIALIZATION and before_cursor is after_cursor is None:
            materialisation = own.event_log_entry.get_dagster_event().step_materialization_data.materialization
            day, tags = materialisation.partition, materialisation.tags or {}
            if day and asset_partitions == [day]:
                return {day: {name: tags[name] for name in tag_keys if name in tags}}
        return super().get_latest_tags_by_partition(
            asset_key, event_type, tag_keys, asset_partitions, before_cursor, after_cursor
        )

    def has_table(self, table_name: str) -> bool:
        return self._once(f"table {table_name}", lambda: super(EventLog, self).has_table(table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        inspect = super()._has_asset_key_col_on_connection
        return self._once(f"column {column_name}", lambda: inspect(conn, column_name))

    def has_asset_key_col(self, column_name: str) -> bool:
        inspect = super().has_asset_key_col
        return self._once(f"column {column_name}", lambda: inspect(column_name))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        plan = [event for event in events if event.dagster_event_type in PLANNED]
        others = [event for event in events if event.dagster_event_type not in PLANNED]
        if plan:
            assets: dict[AssetKey | None, EventLogEntry] = {}
            for event, event_id in zip(plan, self._write(plan), strict=True):
                if event.dagster_event_type in ASSET_CHECK_EVENTS:
                    self.store_asset_check_event(event, event_id)
                else:
                    assets[event.get_dagster_event().asset_key] = event
            with self.index_transaction() as connection:
                for event in assets.values():
                    self._store_asset_event(connection, event, 0)  # the id of a plan is not kept
        if others:
            super().store_event_batch(others)
