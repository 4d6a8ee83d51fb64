"""How a file is read, shown before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from rich.text import Text

from knowdefeat_pipeline.cli.views.output import Record, out, strong
from knowdefeat_pipeline.cli.views.tables import NOTHING, number, table
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.canonical import COLUMNS, FIELDS
from knowdefeat_pipeline.sources.layout import KNOW_DEFEAT, TABLE
from knowdefeat_pipeline.sources.raw import Origin
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.sources.within_file import all_held

TRADES, HELD = 3, 10
"""How many trades and held rows are shown."""
SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


def as_record(name: str, reading: Reading) -> Record:
    """What a dry run found, for programs."""
    origin, held = reading.raw.origin, all_held(reading)
    valid = _accepted(reading, held)
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
        "columns": _columns(reading),
        "constants": reading.layout.constants,
        "currency": reading.layout.currency,
        "trades": [_values(row) for row in valid.head(TRADES).to_dict("records")],
        "held_rows": held[["row_number", "reason", "message"]].head(HELD).to_dict("records"),
        "notes": reading.notes,
    }


def show_reading(name: str, reading: Reading) -> None:
    """What a dry run found, in 80 columns."""
    held = all_held(reading)
    valid = _accepted(reading, held)
    found = f"{counted(len(valid), 'trade')}, {number(len(held))} held"
    out.print(
        Text.assemble(
            strong(name), f" ({printable(_origin(reading.raw.origin))}): {counted(reading.rows_read, 'row')}: {found}"
        )
    )
    rows = [
        (_cut(c["column"], 24), c["field"] or NOTHING, _cut(c["first"], 20), c["read_as"]) for c in _columns(reading)
    ]
    table("Columns", [(heading, "left") for heading in ("column", "field", "first cell", "read as")], rows)
    if reading.layout.constants:
        said = ", ".join(f"{field} = {text}" for field, text in reading.layout.constants.items())
        out.print(f"Of trades that name none: {said}")
    for note in reading.notes:
        out.print(f"  {note}", style="dim")
    if len(valid):
        _show_trades(valid.head(TRADES))
    if len(held):
        first = held.head(HELD)[["row_number", "message"]]
        table(_title("Held", HELD, len(held)), [("row", "right"), ("message", "left")], _texts(first))
    out.print("Nothing was written. To load the trades, run the command without --dry-run.", style="dim")


def _accepted(reading: Reading, held: pd.DataFrame) -> pd.DataFrame:
    """The trades that would not be held."""
    return reading.valid[~reading.valid["row_number"].isin(held["row_number"])]


def _origin(origin: Origin) -> str:
    separated = f"separated by {SEPARATORS.get(origin.separator, origin.separator)}" if origin.separator else None
    return ", ".join(filter(None, [origin.format, origin.encoding, separated, origin.part]))


def _columns(reading: Reading) -> list[dict[str, Any]]:
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


def _read_as(name: str, fields: dict[str, str], reading: Reading) -> str:
    layout = reading.layout
    if name not in fields:
        return "not used" if layout.format in (TABLE, KNOW_DEFEAT) else "not by itself"
    if FIELDS[fields[name]].kind == "time":
        order = f", {layout.dates.replace('-', ' ')}" if layout.dates else ""
        return f"time{order}, {names.zone(name) or layout.timezone}"
    decimal = f", decimal {layout.decimals[name]}" if name in layout.decimals else ""
    return f"{'text' if FIELDS[fields[name]].kind == 'text' else 'number'}{decimal}"


def _show_trades(trades: pd.DataFrame) -> None:
    """Fields down, trades across: so that a trade fits a narrow terminal."""
    shown = [_values(row) for row in trades.to_dict("records")]
    fields = [field for field in ("row_number", *COLUMNS, "pnl") if any(row[field] is not None for row in shown)]
    rows = [(field, *(_cut(_shown(row[field]), 19) for row in shown)) for field in fields]
    columns: list[Any] = [("field", "left"), *((f"trade {place}", "right") for place in range(1, len(shown) + 1))]
    table(f"Trades (the first {len(shown)})", columns, rows)


def _values(row: dict[Any, Any]) -> dict[str, Any]:
    """Plain values, None where there is none."""
    plain = {str(field): None if pd.isna(value) else value for field, value in row.items()}
    return {
        field: value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for field, value in plain.items()
    }


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:,.10g}"
    return NOTHING if value is None else str(value)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _texts(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in frame.itertuples(index=False)]


def _title(what: str, shown: int, there: int) -> str:
    return what if there <= shown else f"{what} (the first {shown} of {there:,})"
