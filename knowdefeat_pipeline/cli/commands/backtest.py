"""`backtest`: which of several sets of weights would have foretold the next day, and by how much. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from knowdefeat_pipeline.cli.commands.evaluate import read_panel
from knowdefeat_pipeline.cli.commands.run import From, To
from knowdefeat_pipeline.cli.options import CommandError, Json, migrated_url
from knowdefeat_pipeline.cli.views.backtest_report import draw_cumulative, draw_gains, html
from knowdefeat_pipeline.cli.views.output import NOTHING, Justify, number, out, print_json, table
from knowdefeat_pipeline.core.learning.backtest import REFERENCE, SETS, compare, contestants, daily_figures
from knowdefeat_pipeline.core.learning.inference import Estimate, best_is_luck, standard_error_under_null
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.ranking.weight_set import WeightError, normalise
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.units import DAY, Floats
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.learning import read_history
from knowdefeat_pipeline.store.results import version_in_force, weight_versions

IN_FORCE, VERSION = "in_force", "version:"
COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("weights", "left"),
    ("rank IC", "right"),
    ("± SE", "right"),
    ("gain", "right"),
    ("95 % interval", "left"),
    ("best quarter: pnl", "right"),
    ("result", "right"),
    ("turnover", "right"),
    ("deflated Sharpe", "right"),
)


@dataclass(frozen=True)
class Comparison:
    """A finished backtest: a table row and daily figures per set, over which days and of how many bots.

    days: the UTC days whose end the scores are true at; used: which of them have at least two labels.
    """

    table: pd.DataFrame
    daily: Mapping[str, pd.DataFrame]
    days: Sequence[date]
    bots: float

    @property
    def used(self) -> np.ndarray:
        return self.daily[REFERENCE]["ic"].notna().to_numpy()

    @property
    def luck(self) -> float:
        """Standard error of the mean rank IC of scores without skill."""
        return standard_error_under_null(self.bots, int(self.used.sum()))

    @property
    def statement(self) -> str:
        """In plain words: which set is furthest ahead of the default weights, and whether that may be luck."""
        others = self.table.drop(index=REFERENCE)
        if others.empty or others["gain"].isna().all():
            return "There is nothing to compare with the default weights."
        at = int(np.nanargmax(others["gain"]))
        found = Estimate(*others[["gain", "gain_se", "gain_low", "gain_high"]].to_numpy()[at].tolist())
        best = others.index[at]
        if found.mean <= 0:
            return f"No set is ahead of the default weights; the nearest is {best} ({found.mean:+.3f} rank IC)."
        told = "which cannot be told from luck" if best_is_luck(found, len(others)) else "more than luck"
        choice = f", as the best of {len(others)}" if len(others) > 1 else ""
        interval = f"({found.low:+.3f} to {found.high:+.3f})"
        return f"{best} is ahead of the default weights by {found.mean:+.3f} rank IC {interval}{choice}: {told}."


def backtest(
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

    The default weights always take part: gains are differences to theirs, day by day.
    """
    if report and (report.suffix != ".html" or not report.parent.is_dir()):
        raise CommandError(f"{report}: write an .html file in a folder that exists")
    url = None if panel else migrated_url()
    history = read_panel(panel) if panel else Panel.of(read_history(url or "", date.max))
    history = _until(history, to)
    versions = _versions(url, sets)
    names = _names(sets, versions if url else [])
    own = _sets_of(weights_file) | _stored(names, versions, history)
    found = _compare(history, [*names, *(name for name in own if name not in names)], own, from_)
    if report:
        report.write_text(_report(found, str(panel) if panel else "the history of this database"), encoding="utf-8")
    if json:
        print_json(_record(found) | ({"report": report} if report else {}))
        return
    _show(found)
    if report:
        out.print(f"Report: {report}")


def _until(history: Panel, to: date | None) -> Panel:
    if to is None:
        return history
    end = datetime.combine(to + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return Panel.of(history.frame[history.frame["as_of"] <= end])


def _versions(url: str | None, sets: str | None) -> list[dict]:
    """The versions of the database, which a file's panel needs only where the sets name one."""
    if url is None and VERSION not in (sets or "") and IN_FORCE not in (sets or ""):
        return []
    with connect(url or migrated_url()) as connection:
        return weight_versions(connection)


def _names(sets: str | None, versions: Sequence[dict]) -> list[str]:
    """The sets asked for, the default weights first."""
    if sets is None:
        return [*SETS, *([IN_FORCE] if len(versions) > 1 else [])]
    names = [name.strip() for name in sets.split(",") if name.strip()]
    for name in names:
        if name not in (*SETS, IN_FORCE) and not (name.startswith(VERSION) and name[len(VERSION) :].isdigit()):
            raise CommandError(f"There is no set {name!r}; choose of {', '.join(SETS)}, {IN_FORCE}, {VERSION}N.")
    return list(dict.fromkeys([REFERENCE, *names]))


def _stored(names: Sequence[str], versions: Sequence[dict], history: Panel) -> dict[str, Floats]:
    """Days x 17 of each of the named sets that the database holds."""
    by_number = {version["version"]: version for version in versions}
    found = {}
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
        found[name] = np.array([[v["weights"][variable] for variable in VARIABLE_NAMES] for v in ruling])
    return found


def _instants(history: Panel) -> list[datetime]:
    return pd.to_datetime(history.as_of, unit="us", utc=True).to_pydatetime().tolist()


def _sets_of(path: Path | None) -> dict[str, Floats]:
    """The sets of a file by name; one that is not named is called like the file."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    named = (
        found if isinstance(found, dict) and all(isinstance(v, dict) for v in found.values()) else {path.stem: found}
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


def _record(found: Comparison) -> dict[str, Any]:
    used = [day for day, counts in zip(found.days, found.used, strict=True) if counts]
    return {
        "from": used[0],
        "to": used[-1],
        "days": len(used),
        "bots": found.bots,
        "luck": found.luck,
        "statement": found.statement,
        "sets": {name: row | {"days": int(row["days"])} for name, row in found.table.to_dict("index").items()},
    }


def _about(found: Comparison) -> str:
    told = _record(found)
    return f"{told['from']} to {told['to']}: {told['days']:,} days, {found.bots:.0f} bots a day"


def _notes(found: Comparison) -> list[str]:
    return [
        f"Rank IC: rank correlation of a day's scores with the next day's results; without any skill its mean lies "
        f"within ±{2 * found.luck:.3f}. Gain: the difference to the default weights, day by day; who picks the best "
        f"of {len(found.table)} sets afterwards should expect less.",
        f"Best quarter: the next day's mean pnl of a bot, and its result in units of the bots' own volatility. "
        f"Turnover: the part of it that is new each day. Deflated Sharpe: the probability that its Sharpe ratio is "
        f"more than the best of {len(found.table)} sets without skill would reach.",
    ]


def _show(found: Comparison) -> None:
    table(f"Backtest of weights, {_about(found)}", COLUMNS, _cells(found))
    for note in _notes(found):
        out.print(note, style="dim")
    out.print(found.statement)


def _report(found: Comparison, source: str) -> str:
    return html(
        "Backtest of weights",
        f"{_about(found)}; from {source}",
        found.statement,
        _notes(found),
        [heading for heading, _ in COLUMNS],
        _cells(found),
        [
            draw_gains(found.table),
            draw_cumulative("Rank IC, added up", "sum of rank IC", found.days, _each(found, "ic")),
            draw_cumulative(
                "What the best quarter earned a bot",
                "sum of results (volatilities)",
                found.days,
                _each(found, "result"),
            ),
        ],
    )


def _each(found: Comparison, figure: str) -> dict[str, pd.Series]:
    return {name: figures[figure] for name, figures in found.daily.items()}


def _cells(found: Comparison) -> list[tuple[str, ...]]:
    return [_row(name, row) for name, row in found.table.iterrows()]


def _row(name: Any, row: pd.Series) -> tuple[str, ...]:
    interval = f"{row['gain_low']:+.3f} to {row['gain_high']:+.3f}" if name != REFERENCE else NOTHING
    return (
        str(name),
        number(row["rank_ic"], 3, sign=True),
        number(row["rank_ic_se"], 3),
        number(row["gain"], 3, sign=True) if name != REFERENCE else NOTHING,
        interval,
        number(row["top_quartile_pnl"], 2, sign=True),
        number(row["top_quartile_result"], 3, sign=True),
        number(row["turnover"], 2),
        number(row["deflated_sharpe"], 2),
    )
