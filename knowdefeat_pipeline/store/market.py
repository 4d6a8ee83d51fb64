"""Market data: recording bars and order books, and reading the bars that an answer rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd
import psycopg
import pyarrow as pa
from psycopg import sql

from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow, query, read_arrow
from knowdefeat_pipeline.sources.market import Form, MarketReading, Reason
from knowdefeat_pipeline.store.trades import hold

STAGE = """
    CREATE TEMP TABLE incoming_market ON COMMIT DROP AS
    SELECT NULL::bigint AS row_number, {columns} FROM {table} WITH NO DATA
"""
CONFLICTS = """
    SELECT i.row_number, concat_ws(', ', {told}) FROM incoming_market AS i JOIN {table} AS t ON {same}
    WHERE {differs} ORDER BY i.row_number
"""
REPLACE = "UPDATE {table} AS t SET ({values}) = ROW({new}) FROM incoming_market AS i WHERE {same} AND ({differs})"
INSERT = """
    INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming_market ORDER BY {key} ON CONFLICT DO NOTHING
"""
_LOCK = int.from_bytes(b"kdmarket", "big")  # the advisory lock that loads hold: one at a time


@dataclass(frozen=True)
class Loaded:
    """The accepted rows of one ticker (and timeframe, for bars) of a file: how many, and from when to when."""

    ticker: str
    timeframe: str | None
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class MarketReport:
    """What became of a file: `rows_read` is the sum of all counts but `already_quarantined`.

    `unfinished` bars were still open and are left to a later load. `quarantined`: rows that are held, by reason, of
    which `already_quarantined` were held before. `settled`: refused rows that were released or discarded before.
    """

    file_name: str
    rows_read: int
    inserted: int
    replaced: int
    unchanged: int
    unfinished: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    already_quarantined: int = 0
    settled: int = 0
    series: tuple[Loaded, ...] = ()
    notes: tuple[str, ...] = ()


def load_market(url: str, reading: MarketReading, file_name: str, *, replaces: bool = False) -> MarketReport:
    """Record a reading in one transaction: all of it, or, if the database refuses anything, nothing.

    The same row again changes nothing. A row that differs from the recorded one of the same key goes to quarantine, or
    takes its place if the reading `replaces`. Raises DatabaseUnreachable and psycopg.Error.
    """
    with connect(url) as connection, connection.transaction():
        inserted, replaced, conflicts = record_market(connection, reading, replaces=replaces)
        refused = pd.concat([reading.refused, conflicts], ignore_index=True)
        held = hold(connection, reading.layout.source, reading.layout.as_json(), file_name, refused)
    accepted = reading.valid[~reading.valid["row_number"].isin(conflicts["row_number"])]
    return MarketReport(
        file_name=file_name,
        rows_read=reading.raw.rows,
        inserted=inserted,
        replaced=replaced,
        unchanged=len(accepted) - inserted - replaced + reading.repeated,
        unfinished=reading.unfinished,
        quarantined=held.by_reason,
        already_quarantined=held.before,
        settled=held.settled,
        series=_series(reading.layout.form, accepted),
        notes=reading.notes,
    )


def record_market(
    connection: psycopg.Connection, reading: MarketReading, *, replaces: bool = False
) -> tuple[int, int, pd.DataFrame]:
    """Write the valid rows inside the caller's transaction; rows inserted and replaced, and those in conflict."""
    form = reading.layout.form
    advisory.take(connection, _LOCK, "another load of market data")
    connection.execute("DROP TABLE IF EXISTS incoming_market")  # of another load in this transaction
    connection.execute(_for(form, STAGE))
    rows = pa.Table.from_pandas(reading.valid, preserve_index=False)
    copy_arrow(connection, "incoming_market", rows, ["row_number", *form.fields])
    connection.execute("ANALYZE incoming_market")
    conflicts = [] if replaces else connection.execute(_for(form, CONFLICTS)).fetchall()
    replaced = connection.execute(_for(form, REPLACE)).rowcount if replaces else 0
    inserted = connection.execute(_for(form, INSERT)).rowcount
    if inserted:
        connection.execute(_for(form, "ANALYZE {table}"))
    findings = [(row, Reason.CONFLICT, form.time, {"other": f"recorded: {told}"}) for row, told in conflicts]
    return inserted, replaced, reading.refuse(findings)


def _for(form: Form, statement: str) -> sql.Composed:
    """One of the statements above for the columns of a form; those that are not its key are its values."""
    values = [name for name in form.fields if name not in form.key]

    def listed(names: Iterable[str], template: str, separator: str) -> sql.Composed:
        return sql.SQL(separator).join(
            sql.SQL(template).format(name=sql.Identifier(name), label=sql.Literal(f"{name} ")) for name in names
        )

    return sql.SQL(statement).format(
        table=sql.Identifier(form.table),
        columns=listed(form.fields, "{name}", ", "),
        key=listed(form.key, "{name}", ", "),
        values=listed(values, "{name}", ", "),
        new=listed(values, "i.{name}", ", "),
        same=listed(form.key, "t.{name} = i.{name}", " AND "),
        differs=listed(values, "t.{name} IS DISTINCT FROM i.{name}", " OR "),
        told=listed(values, "{label} || coalesce(t.{name}::text, 'none')", ", "),
    )


def _series(form: Form, rows: pd.DataFrame) -> tuple[Loaded, ...]:
    keys = [name for name in ("ticker", "timeframe") if name in form.fields]
    found = rows.groupby(keys)[form.time].agg(["size", "min", "max"]).reset_index()
    return tuple(
        Loaded(row["ticker"], row.get("timeframe"), row["size"], row["min"], row["max"])
        for row in found.to_dict("records")
    )


@dataclass(frozen=True)
class Tail:
    """Bars of one series as the learners take them: from `position` on, with those to be told about from `since` on."""

    bars: pd.DataFrame
    position: int
    since: int


def read_tail(
    connection: psycopg.Connection,
    url: str,
    series: tuple[str, str],
    since: datetime,
    until: datetime,
    needed: Callable[[int], int],
) -> Tail | None:
    """The bars of (ticker, timeframe) that open before `until`, from the first on which those from `since` on rest: the
    place that `needed` answers for the place of the first of them.

    None where no bar opens from `since` on.
    """
    ticker, timeframe = series
    about = {"ticker": ticker, "timeframe": timeframe, "since": since, "until": until}
    ((place, count),) = connection.execute(query("market/bar_place"), about).fetchall()
    if not count:
        return None
    position = needed(place)
    bars = read_arrow(url, query("market/read_bars"), [ticker, timeframe, since, until, place - position])
    return Tail(bars.to_pandas(), position, place)
