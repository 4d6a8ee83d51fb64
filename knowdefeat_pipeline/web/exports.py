"""What a page shows as a file: CSV, JSON or Parquet of the same rows and columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from knowdefeat_pipeline.core.escaping import for_csv
from knowdefeat_pipeline.core.schema import Figure
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.web.answers import Answer, as_json

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "json", "parquet")
PARQUET = "application/vnd.apache.parquet"


def export(rows: Sequence[Record], figures: Sequence[Figure], kind: Format, name: str) -> Answer:
    """The rows as a file of that name, a column per figure in their order."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    names = [figure.name for figure in figures]
    if kind == "json":
        return as_json([{name: row[name] for name in names} for row in rows], headers)
    if kind == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(names)
        writer.writerows([[_cell(row[name]) for name in names] for row in rows])
        return Answer(text.getvalue().encode(), "text/csv", headers)
    return Answer(_parquet(rows, figures), PARQUET, headers)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return for_csv(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None else value


def _parquet(rows: Sequence[Record], figures: Sequence[Figure]) -> bytes:
    import pyarrow as pa  # 40 MB that only this pays
    import pyarrow.parquet as pq

    types = {
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "double precision": pa.float64(),
        "numeric": pa.float64(),
        "text": pa.string(),
        "date": pa.date32(),
        "timestamptz": pa.timestamp("us", "UTC"),
        "boolean": pa.bool_(),
        "jsonb": pa.string(),
    }
    columns = {f.name: pa.array([_plain(row[f.name]) for row in rows], types[f.type]) for f in figures}
    notes = {f.name: {"description": f.description, "unit": f.unit} for f in figures}
    schema = pa.schema([pa.field(name, column.type, metadata=notes[name]) for name, column in columns.items()])
    sink = io.BytesIO()
    pq.write_table(pa.table(list(columns.values()), schema=schema), sink)
    return sink.getvalue()


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
