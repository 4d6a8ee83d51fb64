"""Files that several commands read and write: panels, and tables as CSV, Parquet or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from knowdefeat_pipeline.cli.options import CommandError, FileFormat
from knowdefeat_pipeline.cli.views.output import plain
from knowdefeat_pipeline.core.escaping import for_csv
from knowdefeat_pipeline.core.ranking.panel import KEYS, OPTIONAL, REQUIRED, Panel
from knowdefeat_pipeline.sources.replay import Column, read_table

FIGURES = ("volatility", *(name for name in REQUIRED if name not in KEYS))
PANEL: dict[str, Column] = {"as_of": "clock", "bot_id": "text", "group": "text", **dict.fromkeys(FIGURES, "amount")}


def read_panel(path: Path) -> Panel:
    """The panel of a file; its frame's `given_as_of` is as_of as the file has it, timestamps or numbers."""
    frame = read_table(path, PANEL, dict.fromkeys(OPTIONAL, "amount"), gaps=("group", *FIGURES))
    given = frame["as_of"]
    instants = given if isinstance(given.dtype, pd.DatetimeTZDtype) else pd.to_datetime(given, unit="D", utc=True)
    try:
        return Panel.of(frame.assign(as_of=instants, given_as_of=given, bot_id=plain_numbers(frame["bot_id"])))
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


def plain_numbers(names: pd.Series) -> pd.Series:
    """Names that are all whole numbers as such, so that what is written can be joined to what was read."""
    plain = names.str.fullmatch(r"0|-?[1-9]\d{0,17}")
    return names.astype("int64") if plain.fillna(False).all() else names


def check_writable(path: Path) -> None:
    """Raises CommandError for a file that `write_table` cannot write, before any work is done."""
    if path.suffix not in (".csv", ".parquet"):
        raise CommandError(f"{path}: write .csv or .parquet")
    if not path.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {path.parent}; make it first")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """A frame as CSV or Parquet, by the suffix."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        texts = [str(name) for name in frame if pd.api.types.is_string_dtype(frame[name])]
        frame.assign(**{name: frame[name].map(for_csv, na_action="ignore") for name in texts}).to_csv(path, index=False)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of what is there once it is whole: an error leaves what was.

    Raises CommandError where there is no folder for it.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise CommandError(f"{path}: write a file in a folder that exists")
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_batches(batches: pa.RecordBatchReader, file: BinaryIO, form: FileFormat) -> int:
    """Rows written batch by batch, so that memory does not grow with their number; how many."""
    writer = {"csv": _write_csv, "parquet": _write_parquet, "json": _write_json}[form]
    return writer(batches, file)


def _write_csv(batches: pa.RecordBatchReader, file: BinaryIO) -> int:
    rows = 0
    with pa.csv.CSVWriter(file, batches.schema) as writer:
        for batch in batches:
            writer.write(pa.record_batch([_cells(column) for column in batch.columns], schema=batch.schema))
            rows += len(batch)
    return rows


def _cells(column: pa.Array) -> pa.Array:
    """A column as cells of a CSV file."""
    if not pa.types.is_string(column.type):
        return column
    texts = pc.dictionary_encode(column)
    safe = pa.array([None if text is None else for_csv(text) for text in texts.dictionary.to_pylist()], pa.string())
    return safe.take(texts.indices)


def _write_parquet(batches: pa.RecordBatchReader, file: BinaryIO) -> int:
    rows = 0
    with pa.parquet.ParquetWriter(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += len(batch)
    return rows


def _write_json(batches: pa.RecordBatchReader, file: BinaryIO) -> int:
    """An array of objects, one a line; what is missing is null."""
    rows = 0
    file.write(b"[")
    for batch in batches:
        for row in batch.to_pylist():
            file.write((",\n" if rows else "\n").encode() + json.dumps(plain(row), allow_nan=False).encode())
            rows += 1
    file.write(b"\n]\n")
    return rows
