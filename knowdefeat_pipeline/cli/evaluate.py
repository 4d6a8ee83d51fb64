"""`evaluate`: the learners replayed on any history, so that they can be judged from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.context import CommandError, Json
from knowdefeat_pipeline.cli.output import out, print_json
from knowdefeat_pipeline.core.adjuster import replay
from knowdefeat_pipeline.core.evidence import evidence
from knowdefeat_pipeline.core.figures import VARIABLE_NAMES
from knowdefeat_pipeline.core.panel import DRAWDOWN_AMOUNT, Panel
from knowdefeat_pipeline.sources.replay import Column, read_table

app = typer.Typer(no_args_is_help=True, help="Replay a learner on a file and write what it knew at each time.")

FIGURES = ("volatility", *VARIABLE_NAMES, "label")
PANEL: dict[str, Column] = {"as_of": "clock", "bot_id": "text", "group": "text", **dict.fromkeys(FIGURES, "amount")}


@app.callback()
def evaluate() -> None:
    """Keeps `evaluate` a group of commands however few it has."""


@app.command()
def weights(
    panel: Annotated[Path, typer.Option(help="CSV or Parquet: as_of, bot_id, group, volatility, 17 variables, label.")],
    output: Annotated[Path, typer.Option("--out", help="Weights in force per as_of, as .csv or .parquet.")],
    scores: Annotated[Path | None, typer.Option(help="Also the score per as_of and bot, as .csv or .parquet.")] = None,
    json: Json = False,
) -> None:
    """The daily weight learner: the weights in force at each as_of, learned from labels that had ended by then.

    as_of are ISO timestamps or plain numbers of days; a label is the bot's pnl over the day after its as_of.
    """
    for path in filter(None, (output, scores)):
        check_writable(path)
    history = _read(panel)
    learned = replay(history)
    as_of = history.frame["given_as_of"].iloc[history.start[:-1]]
    in_force = pd.DataFrame(learned.weights, columns=list(VARIABLE_NAMES))
    in_force.insert(0, "as_of", as_of.array)
    write_table(in_force, output)
    if scores:
        rows = history.frame[["given_as_of", "bot_id"]].rename(columns={"given_as_of": "as_of"})
        write_table(rows.assign(score=history.scores(learned.weights)), scores)
    found = evidence(learned)
    if json:
        ic = {name: {"mean": of.mean, "standard_error": of.standard_error} for name, of in found.ic.items()}
        print_json({"as_ofs": len(as_of), "days": found.days, "rank_ic": ic, "statement": found.statement})
        return
    out.print(f"{output}: weights of {len(as_of):,} as_ofs. Mean rank IC over {found.days:,} settled days:")
    for name, of in found.ic.items():
        out.print(f"  {name.ljust(len('persistence'))}  {of.mean:+.4f} ± {of.standard_error:.4f}")
    out.print(found.statement)


def _read(path: Path) -> Panel:
    """The panel; its frame's `given_as_of` is as_of as the file has it, timestamps or numbers."""
    frame = read_table(path, PANEL, {DRAWDOWN_AMOUNT: "amount"}, gaps=("group", *FIGURES))
    given = frame["as_of"]
    instants = given if isinstance(given.dtype, pd.DatetimeTZDtype) else pd.to_datetime(given, unit="D", utc=True)
    try:
        return Panel.of(frame.assign(as_of=instants, given_as_of=given, bot_id=_numbers(frame["bot_id"])))
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


def _numbers(names: pd.Series) -> pd.Series:
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
        frame.to_csv(path, index=False)
