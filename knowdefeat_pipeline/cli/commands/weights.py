"""`weights`: the 19 weights of the ranking: what is in force, how it came about, and how a person changes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from knowdefeat_pipeline.cli.database import current_url, database
from knowdefeat_pipeline.cli.options import CommandError, From, Json, Limit, Reason, To, require_reason
from knowdefeat_pipeline.cli.runs import adjust_range, bring_up_to_date
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.weights import (
    adjustment_state,
    show_attempts,
    show_difference,
    show_evidence,
    show_version,
    show_versions,
    since,
)
from knowdefeat_pipeline.core.learning.ridge_experts import NAMED_SETS
from knowdefeat_pipeline.core.ranking.weight_set import (
    WeightError,
    WeightVersion,
    points_moved,
    version_in_force,
)
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.learning import (
    WeightsChanged,
    adjustments,
    ai_setting,
    change_weights,
    complete_days,
    evidence_of,
    set_ai,
    weight_versions,
)

Make = Callable[[Sequence[WeightVersion]], Mapping[str, float]]

app = typer.Typer(invoke_without_command=True, help="The 19 weights: show, compare, change, roll back, adjust.")

BasedOn = Annotated[
    int | None,
    typer.Option("--based-on", help="The version that you looked at: refused if another one is the latest by then."),
]


@app.callback()
def weights(context: typer.Context, json: Json = False) -> None:
    """The 19 weights in force now; --help lists what else there is."""
    if context.invoked_subcommand is None:
        show(None, json)


@app.command()
def show(
    version: Annotated[int | None, typer.Argument(help="A version; by default the one in force now.")] = None,
    json: Json = False,
) -> None:
    """The 19 weights of a version, and what it rests on."""
    with database() as connection:
        versions = weight_versions(connection)
        chosen = version_in_force(versions, clock.now(connection)) if version is None else _version(versions, version)
        setting, evidence = ai_setting(connection), evidence_of(connection, chosen.version)
    if json:
        print_json(asdict(chosen) | {"evidence": evidence, "ai_enabled": setting["ai_enabled"]})
        return
    show_version(chosen)
    if "statement" in evidence:
        show_evidence(evidence)
    out.print(adjustment_state(setting), style="dim")


def _version(versions: Sequence[WeightVersion], wanted: int) -> WeightVersion:
    for version in versions:
        if version.version == wanted:
            return version
    raise CommandError(f"There is no version {wanted}. See which there are: knowdefeat weights history")


@app.command()
def history(
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """The versions, the latest first: who, why, since when, and how far each moved."""
    with database() as connection:
        versions = weight_versions(connection)
    befores: list[WeightVersion | None] = [None, *versions[:-1]]
    rows = [
        asdict(version) | {"moved": points_moved(version, before)}
        for version, before in zip(versions, befores, strict=True)
    ]
    rows = rows[::-1][:limit]
    if json:
        print_json(rows)
        return
    show_versions(rows, len(versions))


@app.command()
def diff(
    one: Annotated[int, typer.Argument(help="A version.")],
    other: Annotated[int | None, typer.Argument(help="Another; by default the one in force now.")] = None,
    json: Json = False,
) -> None:
    """How two versions differ, the largest difference first."""
    with database() as connection:
        versions, now = weight_versions(connection), clock.now(connection)
    before = _version(versions, one)
    after = version_in_force(versions, now) if other is None else _version(versions, other)
    rows = [(name, before.weights[name], after.weights[name]) for name in VARIABLE_NAMES]
    rows = sorted((row for row in rows if row[1] != row[2]), key=lambda row: -abs(row[2] - row[1]))
    if json:
        print_json(
            {
                "from": before.version,
                "to": after.version,
                "change": {name: round(b - a, 1) for name, a, b in rows},
            }
        )
        return
    if not rows:
        out.print(f"Versions {before.version} and {after.version} have the same weights.")
        return
    show_difference(before, after, rows)


@app.command("set")
def set_(
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="VARIABLE=WEIGHT…", help="The weights to change.")
    ] = None,
    reason: Reason = "",
    file: Annotated[
        Path | None, typer.Option(help='JSON file {"variable": weight, …} of the weights to change.')
    ] = None,
    named: Annotated[
        str | None, typer.Option("--set", help=f"All weights of a named set: {', '.join(NAMED_SETS)}.")
    ] = None,
    scale: Annotated[bool, typer.Option("--normalise", help="Scale to an absolute sum of 100 and round.")] = False,
    based_on: BasedOn = None,
    json: Json = False,
) -> None:
    """Change weights; those not named stay, or are scaled with the others by --normalise. In force from now."""
    chosen = (_named(named) if named else {}) | (_from_file(file) if file else {}) | _pairs(changes or [])
    if not chosen:
        raise CommandError(
            "Say what to change: knowdefeat weights set avg_win_rate=12 one_day_performance=8 --reason …\n"
            "Or put a named set in force: knowdefeat weights set --set recommended --reason …"
        )
    _change(lambda versions: {**versions[-1].weights, **chosen}, reason, based_on, scale, json)


@app.command()
def reset(reason: Reason = "Back to the default weights", based_on: BasedOn = None, json: Json = False) -> None:
    """Back to the default weights, as a new version in force from now."""
    _change(lambda _: DEFAULT_WEIGHTS, reason, based_on, False, json)


@app.command()
def rollback(
    version: Annotated[int, typer.Argument(help="The version whose weights come back.")],
    reason: Reason = "",
    based_on: BasedOn = None,
    json: Json = False,
) -> None:
    """Back to the weights of an earlier version, as a new version in force from now."""
    _change(
        lambda versions: _version(versions, version).weights,
        reason or f"Rollback to version {version}",
        based_on,
        False,
        json,
    )


def _named(name: str) -> dict[str, float]:
    if name not in NAMED_SETS:
        raise CommandError(f"There is no set {name!r}. Choose one of: {', '.join(NAMED_SETS)}")
    return NAMED_SETS[name]


def _pairs(pairs: Sequence[str]) -> dict[str, float]:
    weights = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{pair}: write VARIABLE=WEIGHT, for instance avg_win_rate=12.5") from None
    return weights


def _from_file(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(type(value) in (int, float) for value in content.values()):
        raise CommandError(f'{path}: write one JSON object of numbers, {{"avg_win_rate": 12.5, …}}')
    return content


def _change(make: Make, reason: str, based_on: int | None, scale: bool, as_json: bool) -> None:
    """Add the version whose weights `make` makes of all versions, and rank the running day with it."""
    reason = require_reason(reason)
    settings = Settings.from_environment()
    url = current_url(settings)
    with connect(url) as connection:
        try:
            before, made = change_weights(connection, make, reason=reason, based_on=based_on, scale=scale)
        except WeightError as error:
            raise WeightError(str(error).replace("(normalise to", "(--normalise to")) from error
        except WeightsChanged as error:
            one, other = error.based_on, error.latest.version
            if one > other:
                raise
            raise CommandError(
                f"{error}\nSee what differs: knowdefeat weights diff {one} {other}; then repeat the change with "
                f"--based-on {other}."
            ) from error
        setting = ai_setting(connection)
    ranked = bring_up_to_date(settings, url, quiet=as_json)
    if as_json:
        print_json(
            {
                "version": made.version,
                "based_on": before.version,
                "reason": reason,
                "in_force_from": made.in_force_from,
                "weights": made.weights,
                "ranked_again": ranked,
            }
        )
        return
    out.print(f"Version {made.version}{since(made)}: {points_moved(made, before):.1f} points moved.")
    is_ranked = made.in_force_from is not None and made.in_force_from.date() in ranked
    told = "The running day is ranked with it." if is_ranked else "It applies to days that end from now on."
    out.print(told, style="dim")
    if setting["ai_enabled"]:
        out.print("The daily adjustment goes on from here. To stop it: knowdefeat weights disable-ai", style="dim")


@app.command("enable-ai")
def enable_ai(reason: Reason = "Switched on by hand", json: Json = False) -> None:
    """Let the learner adjust the weights once a day."""
    _switch(True, reason, json)


@app.command("disable-ai")
def disable_ai(reason: Reason = "Switched off by hand", json: Json = False) -> None:
    """Keep the weights as they are: runs of the daily adjustment only record that it is off."""
    _switch(False, reason, json)


def _switch(enabled: bool, reason: str, as_json: bool) -> None:
    reason = require_reason(reason)
    with database() as connection:
        set_ai(connection, enabled, reason)
        setting = ai_setting(connection)
    print_json(setting) if as_json else out.print(adjustment_state(setting))


@app.command()
def adjust(from_: From = None, to: To = None, json: Json = False) -> None:
    """Let the learner adjust the weights after computed days that have ended; the days after each are ranked anew."""
    settings = Settings.from_environment()
    url = current_url(settings)
    with connect(url) as connection:
        first, last = _adjustable(connection, from_, to)
    outcome = adjust_range(first, last, quiet=json)
    bring_up_to_date(settings, url, quiet=json)
    with connect(url) as connection:
        rows = adjustments(connection, first, last)
    if json:
        print_json({"run_id": outcome.run_id, "from": first, "to": last, "days": rows})
        return
    show_attempts(rows, first, last)


def _adjustable(connection: psycopg.Connection, from_: date | None, to: date | None) -> tuple[date, date]:
    """The days asked for; by default those that were computed to their end since the latest version."""
    computed = complete_days(connection)
    if computed is None:
        raise CommandError("No day has been computed to its end yet. Run: knowdefeat run")
    began = weight_versions(connection)[-1].in_force_from
    # A version in force from a day's very end may still be built upon that day.
    since = computed[0] if began is None else (began - timedelta(microseconds=1)).date()
    first, last = max(computed[0], from_ or since), min(computed[1], to or computed[1])
    if first > last:
        raise CommandError(f"There is nothing to adjust from {first} to {last}. Compute more: knowdefeat run")
    return first, last
