"""JSON: an array of objects, alone or in an object; and NDJSON, an object a line."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable
from knowdefeat_pipeline.sources.readers import values
from knowdefeat_pipeline.sources.readers.encodings import as_utf8, whole_lines

BEYOND = "is nested far deeper than any table, or has a number of thousands of digits; check the export"
"""Why the library refuses what is JSON."""


def read_json(data: bytes, wanted: str | None, sought: values.Sought | None) -> RawTable:
    """Raises SourceError for what is no JSON, or does not hold one array of objects."""
    utf8, encoding, notes = as_utf8(data)
    text = utf8.decode()
    origin = Origin("JSON", encoding)
    try:
        found = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        return _read_lines(whole_lines(utf8).decode() if sought and sought.grows else text, encoding, error)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"the JSON {BEYOND}") from error
    rows_of = sought.rows_of(found) if sought else None
    if rows_of:
        return _raw(rows_of, range(1, len(rows_of) + 1), [], origin, notes)
    arrays = {"": found} if isinstance(found, list) else found if isinstance(found, dict) else {}
    arrays = {name: rows for name, rows in arrays.items() if _is_table(rows)}
    if not arrays and isinstance(found, dict) and not any(isinstance(value, dict | list) for value in found.values()):
        return _raw([found], [1], [], Origin("NDJSON", encoding), notes)
    part = "" if "" in arrays else values.chosen("array", _columns_of(arrays), wanted, sought)
    rows = arrays[part]
    return _raw(rows, range(1, len(rows) + 1), [], Origin(origin.format, encoding, None, part or None), notes)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name.replace("Infinity", "inf"))


def _is_table(rows: object) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)


def _columns_of(arrays: dict[str, list[dict[str, Any]]]) -> dict[str, Sequence[str]]:
    return {name: list(dict.fromkeys(key for row in rows for key in row)) for name, rows in arrays.items()}


def _read_lines(text: str, encoding: str, whole: json.JSONDecodeError) -> RawTable:
    """An object a line. A last line that is cut short is a row that does not fit; any other such line is an error."""
    lines = [line for line in text.splitlines() if line.strip()]
    rows, cut = [], []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line, parse_constant=_constant)
        except json.JSONDecodeError as error:
            if number == 1 or number < len(lines):
                place = whole if number == 1 else error
                raise SourceError(
                    f"the file cannot be read as JSON (line {place.lineno if number == 1 else number}: {place.msg}); "
                    "check the export"
                ) from error
            cut.append((number, [line]))
            continue
        except (ValueError, RecursionError) as error:
            raise SourceError(f"line {number} {BEYOND}") from error
        if not isinstance(row, dict):
            raise SourceError(f"row {number} is no JSON object; write an object a line")
        rows.append(row)
    return _raw(rows, range(1, len(rows) + 1), cut, Origin("NDJSON", encoding), ())


def _raw(
    rows: list[dict[str, Any]],
    numbers: Sequence[int],
    cut: list[tuple[int, list[str]]],
    origin: Origin,
    notes: tuple[str, ...],
) -> RawTable:
    names = _columns_of({"": rows})[""]
    try:
        table = values.table(names, ([row.get(name) for row in rows] for name in names))
    except (ValueError, OverflowError, RecursionError) as error:  # beyond every number, and half letters
        raise SourceError(f"the JSON has a value that is no number or text ({error}); check the export") from error
    return RawTable(table, np.array(numbers, dtype="int64"), cut, origin, notes)
