"""`evaluate`: the learners replayed on any history, so that they can be judged from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.context import CommandError, Json
from knowdefeat_pipeline.cli.output import out, print_json
from knowdefeat_pipeline.core.bars import PRICES, BarError
from knowdefeat_pipeline.core.regimes import NEUTRAL, REGIMES, label_regimes
from knowdefeat_pipeline.sources.replay import Column, read_table

app = typer.Typer(no_args_is_help=True, help="Replay a learner on a file and write what it knew at each time.")

SERIES: dict[str, Column] = {"ticker": "text", "timeframe": "text"}
BARS: dict[str, Column] = {"open_time": "clock", **dict.fromkeys((*PRICES, "volume"), "amount")}


@app.callback()
def evaluate() -> None:
    """Keeps `evaluate` a group of commands however few it has."""


@app.command()
def regimes(
    bars: Annotated[Path, typer.Option(help="CSV or Parquet: open_time, open, high, low, close, volume.")],
    output: Annotated[Path, typer.Option("--out", help="Label and probabilities per bar, as .csv or .parquet.")],
    json: Json = False,
) -> None:
    """The market regimes: each bar's label, told from the bars up to it.

    open_time are ISO timestamps or plain numbers. Where there are columns ticker or timeframe, each series of bars is
    labelled by itself. Rows may be in any order and keep it.
    """
    check_writable(output)
    frame = read_table(bars, BARS, SERIES, gaps=("volume",))
    frame.index += 1  # errors name the rows of the file
    keys = [name for name in SERIES if name in frame]
    parts = [part for _, part in frame.groupby(keys, sort=False, dropna=False)] if keys else [frame]
    try:
        labels = pd.concat([label_regimes(part.sort_values("open_time", kind="stable")) for part in parts])
    except BarError as error:
        raise CommandError(f"{bars}: {error}") from error
    write_table(frame[keys].join(labels), output)
    shares = labels["label"].value_counts(normalize=True).reindex([*REGIMES, NEUTRAL], fill_value=0.0)
    if json:
        print_json({"bars": len(labels), "shares": shares.to_dict()})
        return
    out.print(f"{output}: {len(labels):,} bars, " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))


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
        frame.to_csv(path, index=False)
