"""What a page shows as a file: CSV, JSON or Parquet of the same rows and columns."""

from __future__ import annotations

import csv
import io
import re
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


def export(rows: Sequence[Record], figures: Sequence[Figure], kind: Format, *name: object) -> Answer:
    """The rows as a file, a column per figure in their order. `name`: the parts of its name, None for what is not."""
    headers = {"Content-Disposition": f'attachment; filename="{file_name(*name)}.{kind}"'}
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


def file_name(*parts: object) -> str:
    """The parts that there are, of letters that stand in a header and in any file system as they are.

    >>> file_name("funds", "USD", None), file_name("funds", 'a"/€', date(2025, 1, 2))
    ('funds-USD', 'funds-a___-2025-01-02')
    """
    return "-".join(re.sub(r"[^A-Za-z0-9._-]", "_", str(part)) for part in parts if part is not None)


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
