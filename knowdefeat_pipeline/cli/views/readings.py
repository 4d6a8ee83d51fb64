"""How a file is read, shown before anything is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from rich.text import Text

from knowdefeat_pipeline.cli.views.output import out, strong
from knowdefeat_pipeline.cli.views.tables import NOTHING, number, table
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources.fields import COLUMNS
from knowdefeat_pipeline.sources.preview import HELD, TRADES, accepted, columns, plain_values
from knowdefeat_pipeline.sources.raw import Origin
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.sources.within_file import all_held

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


def show_reading(name: str, reading: Reading) -> None:
    """What a dry run found, in 80 columns."""
    held = all_held(reading)
    valid = accepted(reading, held)
    found = f"{counted(len(valid), 'trade')}, {number(len(held))} held"
    out.print(
        Text.assemble(
            strong(name), f" ({printable(_origin(reading.raw.origin))}): {counted(reading.rows_read, 'row')}: {found}"
        )
    )
    rows = [
        (_cut(c["column"], 24), c["field"] or NOTHING, _cut(c["first"], 20), c["read_as"]) for c in columns(reading)
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


def _origin(origin: Origin) -> str:
    separated = f"separated by {SEPARATORS.get(origin.separator, origin.separator)}" if origin.separator else None
    return ", ".join(filter(None, [origin.format, origin.encoding, separated, origin.part]))


def _show_trades(trades: pd.DataFrame) -> None:
    """Fields down, trades across: so that a trade fits a narrow terminal."""
    shown = [plain_values(row) for row in trades.to_dict("records")]
    fields = [field for field in ("row_number", *COLUMNS, "pnl") if any(row[field] is not None for row in shown)]
    rows = [(field, *(_cut(_shown(row[field]), 19) for row in shown)) for field in fields]
    columns: list[Any] = [("field", "left"), *((f"trade {place}", "right") for place in range(1, len(shown) + 1))]
    table(f"Trades (the first {len(shown)})", columns, rows)


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
