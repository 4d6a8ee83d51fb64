"""What a reading found, before anything is written: how each column is read, the first trades and the held rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.fields import FIELDS
from knowdefeat_pipeline.sources.layout import KNOW_DEFEAT, TABLE
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.sources.within_file import all_held

TRADES, HELD = 3, 10
"""How many trades and held rows are shown."""


def as_record(name: str, reading: Reading) -> dict[str, Any]:
    """What a dry run found, for programs."""
    origin, held = reading.raw.origin, all_held(reading)
    valid = accepted(reading, held)
    return {
        "file_name": name,
        "source": reading.source,
        "format": origin.format,
        "encoding": origin.encoding,
        "separator": origin.separator,
        "table": origin.part,
        "rows_read": reading.rows_read,
        "valid": len(valid),
        "held": len(held),
        "columns": columns(reading),
        "constants": reading.layout.constants,
        "currency": reading.layout.currency,
        "trades": [plain_values(row) for row in valid.head(TRADES).to_dict("records")],
        "held_rows": held[["row_number", "reason", "message"]].head(HELD).to_dict("records"),
        "notes": reading.notes,
    }


def accepted(reading: Reading, held: pd.DataFrame) -> pd.DataFrame:
    """The trades that would not be held."""
    return reading.valid[~reading.valid["row_number"].isin(held["row_number"])]


def columns(reading: Reading) -> list[dict[str, Any]]:
    """Each column of the file: which field it is, its first cell that holds anything, and how its cells are read."""
    fields = {column: field for field, column in reading.layout.columns.items()}
    first = {
        name: _first(reading.raw.table.column(name).slice(0, 100).to_pylist())
        for name in reading.raw.table.column_names
    }
    return [
        {"column": name, "field": fields.get(name), "first": first[name], "read_as": _read_as(name, fields, reading)}
        for name in first
    ]


def _first(cells: Sequence[object]) -> str:
    return next((str(cell) for cell in cells if cell is not None and str(cell).strip()), "")


def _read_as(name: str, fields: Mapping[str, str], reading: Reading) -> str:
    layout = reading.layout
    if name not in fields:
        return "not used" if layout.format in (TABLE, KNOW_DEFEAT) else "not by itself"
    if FIELDS[fields[name]].kind == "time":
        order = f", {layout.dates.replace('-', ' ')}" if layout.dates else ""
        return f"time{order}, {names.zone(name) or layout.timezone}"
    decimal = f", decimal {layout.decimals[name]}" if name in layout.decimals else ""
    return f"{'text' if FIELDS[fields[name]].kind in ('text', 'bot') else 'number'}{decimal}"


def plain_values(row: dict[Any, Any]) -> dict[str, Any]:
    """Plain values, None where there is none."""
    plain = {str(field): None if pd.isna(value) else value for field, value in row.items()}
    return {
        field: value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for field, value in plain.items()
    }
