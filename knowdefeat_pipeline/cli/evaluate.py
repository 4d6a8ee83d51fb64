"""`evaluate`: what a learner would have held before each instant of any history, to be judged from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.context import CommandError
from knowdefeat_pipeline.cli.output import out
from knowdefeat_pipeline.core.belief_state import Method, Rules
from knowdefeat_pipeline.sources.replay import read_table

app = typer.Typer(no_args_is_help=True, help="Replay any history: what a learner would have held before each time.")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """A table as CSV or Parquet, by the suffix. Raises CommandError for another."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        raise CommandError(f"{path}: write .csv or .parquet")


@app.command("beliefs")
def beliefs(
    outcomes: Annotated[
        Path, typer.Option(help="CSV or Parquet with columns time, strategy_id, result and, if known, regime.")
    ],
    output: Annotated[Path, typer.Option("--out", help="The .csv or .parquet file to write.")],
    method: Annotated[Method, typer.Option(help="Weigh by the edge, or by the probability of being best.")] = "edge",
    unit: Annotated[
        str | None,
        typer.Option(help="A unit of time: a number, or 1h, 1d, … for timestamps. By default each time is one more."),
    ] = None,
) -> None:
    """Weights and beliefs of strategies before each time of a history of outcomes, learned from earlier rows alone.

    Times are ISO timestamps or plain numbers; rows of one time are one batch. Results are in any unit, for each
    strategy its own. The answer has the columns time, strategy_id, weight, p_win, edge.
    """
    from knowdefeat_pipeline.core.belief_replay import replay  # scipy, which other commands can do without

    if output.suffix not in (".csv", ".parquet"):
        raise CommandError(f"{output}: write .csv or .parquet")
    history = read_table(outcomes, {"time": "clock", "strategy_id": "text", "result": "amount"}, {"regime": "text"})
    table = replay(history, Rules(), method, _unit(unit, history["time"]))
    write_table(table, output)
    count = history["time"].nunique()
    out.print(f"{output}: what was held before each of {count:,} times, {len(table):,} rows")


def _unit(text: str | None, time: pd.Series) -> float | None:
    """The unit as a number of the clock's own, or of seconds."""
    if text is None:
        return None
    try:
        timestamps = isinstance(time.dtype, pd.DatetimeTZDtype)
        unit = pd.Timedelta(text).total_seconds() if timestamps else float(text)
    except ValueError:
        unit = float("nan")
    if not 0 < unit < float("inf"):
        raise typer.BadParameter(f"--unit {text}: write a number above 0, or for timestamps a length such as 1h or 1d")
    return unit
