"""`backtest`: which of several sets of weights would have foretold the next day, and by how much. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from knowdefeat_pipeline.cli.commands.backtest_funds import backtest_funds
from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.files import read_panel
from knowdefeat_pipeline.cli.options import CommandError, From, Json, To, check_order
from knowdefeat_pipeline.cli.views.backtest import Comparison, record, report_page, show_comparison
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.core.learning.backtest import REFERENCE, SETS, compare, contestants, daily_figures
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.ranking.weight_set import WeightError, WeightVersion, normalise, version_in_force
from knowdefeat_pipeline.core.units import DAY, Floats
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.learning import weight_versions
from knowdefeat_pipeline.store.weight_panel import read_history

app = typer.Typer(help="What weights or rules of allocation would have been worth.")
app.command("funds")(backtest_funds)
IN_FORCE, VERSION = "in_force", "version:"


@app.callback(invoke_without_command=True)
def backtest(
    context: typer.Context,
    from_: From = None,
    to: To = None,
    sets: Annotated[
        str | None,
        typer.Option(help=f"Comma-separated: {', '.join(SETS)}, {IN_FORCE} (what ranked each day), {VERSION}N."),
    ] = None,
    weights_file: Annotated[
        Path | None, typer.Option(help='JSON file of a set, {"variable": weight, …}, or of several by name.')
    ] = None,
    panel: Annotated[
        Path | None, typer.Option(help="A history as `evaluate weights` reads it, instead of the database's own.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also write a report with pictures: an .html file.")] = None,
    json: Json = False,
) -> None:
    """Replay history with any weights, `ai` being the learner from the first day on, and compare rank IC and pnl.

    The default weights always take part: gains are differences to theirs, day by day. `backtest funds` replays the
    division of funds.
    """
    if context.invoked_subcommand:
        return
    check_order(from_, to)
    if report and (report.suffix != ".html" or not report.parent.is_dir()):
        raise CommandError(f"{report}: write an .html file in a folder that exists")
    url = None if panel else current_url()
    history = read_panel(panel) if panel else Panel.of(read_history(url or "", date.max))
    history = _until(history, to)
    versions = _versions(url, sets)
    names = _names(sets, versions if url else [])
    own = _sets_of(weights_file) | _stored(names, versions, history)
    comparison = _compare(history, [*names, *(name for name in own if name not in names)], own, from_)
    if report:
        report.write_text(
            report_page(comparison, str(panel) if panel else "the history of this database"), encoding="utf-8"
        )
    if json:
        print_json(record(comparison) | ({"report": report} if report else {}))
        return
    show_comparison(comparison)
    if report:
        out.print(f"Report: {report}")


def _until(history: Panel, to: date | None) -> Panel:
    if to is None:
        return history
    end = datetime.combine(to + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return Panel.of(history.frame[history.frame["as_of"] <= end])


def _versions(url: str | None, sets: str | None) -> list[WeightVersion]:
    """The versions of the database, which a file's panel needs only where the sets name one."""
    if url is None and VERSION not in (sets or "") and IN_FORCE not in (sets or ""):
        return []
    with connect(url or current_url()) as connection:
        return weight_versions(connection)


def _names(sets: str | None, versions: Sequence[WeightVersion]) -> list[str]:
    """The sets asked for, the default weights first."""
    if sets is None:
        return [*SETS, *([IN_FORCE] if len(versions) > 1 else [])]
    names = [name.strip() for name in sets.split(",") if name.strip()]
    for name in names:
        if name not in (*SETS, IN_FORCE) and not (name.startswith(VERSION) and name[len(VERSION) :].isdigit()):
            raise CommandError(f"There is no set {name!r}; choose of {', '.join(SETS)}, {IN_FORCE}, {VERSION}N.")
    return list(dict.fromkeys([REFERENCE, *names]))


def _stored(names: Sequence[str], versions: Sequence[WeightVersion], history: Panel) -> dict[str, Floats]:
    """Days x 17 of each of the named sets that the database holds."""
    by_number = {version.version: version for version in versions}
    sets = {}
    for name in names:
        if name == IN_FORCE:
            ruling = [version_in_force(list(versions), instant) for instant in _instants(history)]
        elif name.startswith(VERSION):
            number_ = int(name[len(VERSION) :])
            if number_ not in by_number:
                raise CommandError(f"There is no version {number_}. See which there are: knowdefeat weights history")
            ruling = [by_number[number_]] * len(history)
        else:
            continue
        sets[name] = np.array([version.vector for version in ruling])
    return sets


def _instants(history: Panel) -> list[datetime]:
    return pd.to_datetime(history.as_of, unit="us", utc=True).to_pydatetime().tolist()


def _sets_of(path: Path | None) -> dict[str, Floats]:
    """The sets of a file by name; one that is not named is called like the file."""
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    named = (
        content
        if isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
        else {path.stem: content}
    )
    try:
        return {name: np.array([*normalise(weights).values()]) for name, weights in named.items()}
    except (WeightError, AttributeError, TypeError, ValueError) as error:
        raise CommandError(f'{path}: {error}; write {{"variable": weight, …}}, or several such by name') from error


def _compare(history: Panel, names: Sequence[str], own: Mapping[str, Floats], from_: date | None) -> Comparison:
    if len(history) == 0:
        raise CommandError("There is no day to look at. Compute some: knowdefeat run --all")
    since = 0
    if from_ is not None:
        # A day's scores are true at its end.
        begins = datetime.combine(from_, datetime.min.time(), tzinfo=UTC) + timedelta(microseconds=1)
        since = int(np.searchsorted(history.as_of, int(begins.timestamp() * 1_000_000)))
    scores = contestants(history, own)
    daily = daily_figures(history, {name: scores[name] for name in names}, since)
    days = pd.to_datetime(history.as_of[since:] - DAY, unit="us", utc=True).date.tolist()
    daily = {name: figures.iloc[since:].reset_index(drop=True) for name, figures in daily.items()}
    if not daily[REFERENCE]["ic"].notna().any():
        raise CommandError("No day has two bots whose next day is known. Compute more: knowdefeat run --all")
    labelled = np.bincount(history.day, ~np.isnan(history.label), minlength=len(history))[since:]
    bots = float(labelled[daily[REFERENCE]["ic"].notna()].mean())
    return Comparison(compare(daily), daily, days, bots)
