"""Columns of values that a workbook, a database or a document gave one by one."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from knowdefeat_pipeline.sources.guess import speak_of_trades
from knowdefeat_pipeline.sources.layout import NoTradesError, SourceError
from knowdefeat_pipeline.sources.raw import repeated

LISTED = 12
"""How many tables a message names."""
WHOLE = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Sought:
    """What is looked for in a file that may hold several tables.

    `rank`: how well a table of these columns fits, 0 for not at all. `beside`: which other tables of a database are
    read with such a one. `rows_of`: the rows of a document that is no plain array of objects, None of others.
    `grows`: whether somebody is writing the file, so that a last line without an end is not read yet.
    """

    rank: Callable[[Sequence[str]], float]
    beside: Callable[[Sequence[str]], Sequence[str]] = lambda columns: ()
    rows_of: Callable[[Any], list[dict[str, Any]] | None] = lambda document: None
    grows: bool = False


def table(names: Sequence[str], columns: Iterable[Sequence[object]]) -> pa.Table:
    """Columns of one type each: numbers or instants where all values are, else text. Raises SourceError."""
    if name := repeated(names):
        raise SourceError(f"the column '{name}' appears {names.count(name)} times; give each column its own name")
    return pa.table(dict(zip(names, map(_column, columns), strict=True)))


def _column(values: Sequence[object]) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int} and all(value in WHOLE for value in values if value is not None):
        return pa.array(values, pa.int64())
    if kinds and kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())  # type: ignore[arg-type]
    if kinds and kinds <= {datetime}:
        return pa.array(values, pa.timestamp("us"))
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, default=str, ensure_ascii=False)


def chosen(kind: str, tables: dict[str, Sequence[str]], wanted: str | None, sought: Sought | None) -> str:
    """Which of several tables to read: the one that is asked for, the one that fits best, or the only one.

    `tables`: name -> columns. Raises SourceError where that is none or several, NoTradesError where no
    table has rows or speaks of trades.
    """
    if wanted is not None:
        if wanted not in tables:
            raise SourceError(f"there is no {kind} '{wanted}'; those with rows are {', '.join(tables) or 'none'}")
        return wanted
    ranks = {name: sought.rank(columns) if sought else 0 for name, columns in tables.items()}
    best = max(ranks.values(), default=0)
    fitting = [name for name, rank in ranks.items() if rank == best > 0]
    for candidates in (fitting, [*tables]):
        if len(candidates) == 1:
            return candidates[0]
    if not tables:
        raise NoTradesError(f"there is no {kind} with rows in it; check the export")
    listed = ", ".join((fitting or [*tables])[:LISTED]) + " …" * (len(fitting or tables) > LISTED)
    speaks = sought is None or any(map(speak_of_trades, tables.values()))
    kind_of_error = SourceError if speaks else NoTradesError
    raise kind_of_error(f"there are several {kind}s; say which to read with --table NAME: {listed}")
