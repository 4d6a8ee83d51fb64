"""What leaves the database as files: trades, and what was computed of them, row after row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Literal, get_args

import pyarrow as pa

from knowdefeat_pipeline.postgres.connection import query, stream_arrow

Exported = Literal["trades", "rankings", "metrics", "weights", "allocations"]
EXPORTED: tuple[Exported, ...] = get_args(Exported)


@contextmanager
def exported(
    url: str, what: Exported, first: date | None, last: date | None, bot_id: int | None
) -> Iterator[pa.RecordBatchReader]:
    """The rows as batches that are read while they are taken, all of one instant.

    `first`, `last`: UTC days of results, and of trades that closed then, or are open and were entered then; None: all.
    `bot_id`: of one bot; weights are of none, and all are given.
    """
    with stream_arrow(url, query(f"exports/{what}"), (first, last, bot_id)) as batches:
        yield batches
