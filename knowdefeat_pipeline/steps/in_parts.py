"""Results of many rows, written part by part: the database takes in one part while the next is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime
from typing import TypeVar

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.rows import Columns, chosen, joined
from knowdefeat_pipeline.core.units import micros
from knowdefeat_pipeline.postgres.connection import copy_arrow
from knowdefeat_pipeline.steps.outcome import CountedRows, DayRows, counts_of_days, rows_per_end
from knowdefeat_pipeline.store.results import as_stored, of_days, replace_days
from knowdefeat_pipeline.store.tables import stored

T = TypeVar("T")


def replace_counted(
    connection: psycopg.Connection,
    table: str,
    first: date,
    last: date,
    parts: Iterable[Columns],
    ends: Mapping[date, datetime],
) -> CountedRows:
    """Replace the result's rows of the days first..last by those of the parts (one at least), and return how many each
    day has, with those of the last one.

    `ends`: the as_of of each day. Call it inside a transaction, as `replace_days`.
    """
    as_of = micros([*ends.values()])
    counts, shown = np.zeros(len(ends), np.int64), list[Columns]()

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            counts[:] += rows_per_end(part, as_of)
            shown.append(chosen(part, np.isin(part["as_of"], as_of[-1:])))
            yield of_days(part, ends)

    replace_days(connection, table, first, last, tables())
    return CountedRows(counts_of_days(ends, counts), DayRows(joined(shown), ends).frame())


def copy_by_parts(
    connection: psycopg.Connection,
    table: str,
    parts: Iterable[Columns],
    ends: Mapping[date, datetime],
    as_rows: Callable[[Columns, Mapping[date, datetime]], pa.Table],
) -> Columns:
    """Append the parts (one at least) to the result's rows, `as_rows` of these days, and return them."""
    written = list[Columns]()

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            written.append(dict(part))
            yield as_rows(part, ends)

    if len(ends) < 2:  # few rows, for which no thread is worth while
        rows = joined([*parts])
        copy_arrow(connection, stored(table), as_stored(table, as_rows(rows, ends)))
        return rows
    copy_arrow(connection, stored(table), as_stored(table, tables()))
    # Column by column, and each is let go of once it is joined: the rows are not held twice.
    return {name: np.concatenate([part.pop(name) for part in written]) for name in [*written[0]]}


@contextmanager
def computed_ahead(items: Iterator[T], most: int) -> Generator[Iterator[T]]:
    """The items (none is None), in order, computed by a thread from now on: up to `most` wait for who takes them.

    What computing one raises is raised to who takes it. At the end no item is being computed.

    >>> with computed_ahead(iter(range(3)), 2) as items:
    ...     list(items)
    [0, 1, 2]
    """
    thread = ThreadPoolExecutor(1, "ahead")
    coming = deque(thread.submit(next, items, None) for _ in range(most))

    def taken() -> Iterator[T]:
        while (item := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, items, None))
            yield item

    try:
        yield taken()
    finally:
        thread.shutdown(cancel_futures=True)
