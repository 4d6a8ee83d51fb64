"""Files that several commands read and write: panels, and tables as CSV or Parquet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from knowdefeat_pipeline.cli.options import CommandError
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
