"""The weights: `variable_weights`, and their daily adjustment by the learner, written as versions and a row a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import pandas as pd
import psycopg

from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.learning.proposal import Proposal, propose
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, version_in_force_after
from knowdefeat_pipeline.core.rows import Columns
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats, day_end, each_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.outcome import DayRows, StepResult
from knowdefeat_pipeline.steps.ranking import RankedDays
from knowdefeat_pipeline.store.learning import (
    add_version,
    ai_setting,
    lock_versions,
    published_days,
    record_adjustment,
    trades_known,
    weight_versions,
)
from knowdefeat_pipeline.store.results import of_days, replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, basis, mark
from knowdefeat_pipeline.store.weight_panel import read_history

AUTHOR = "ai"


@dataclass(frozen=True)
class Attempt:
    """What became of one day; `version` is the one published, None where the weights in force stay."""

    day: date
    proposal: Proposal
    version: int | None


@dataclass(frozen=True)
class WeightedDays(StepResult):
    """The weights of each day; `attempts`: what became of each day that the learner was asked about."""

    attempts: Sequence[Attempt] = ()


def compute_weights(
    session: Session,
    first: date,
    last: date,
    now: datetime,
    *,
    adjust: bool = False,
    ranked: RankedDays | None = None,
) -> WeightedDays:
    """Replace the weights of the ranked days first..last: those in force once the day was ranked, for what follows.

    With `adjust` the learner is asked first about those of the days that have ended. A day is adjusted once, and none
    that lies before the latest version: what was in force is never rewritten. Versions and rows are one transaction.
    `ranked`: the rankings, by whoever has just written them, where none is adjusted; they are read by default.
    """
    connection = session.connection
    with one_transaction(connection):
        if adjust:
            lock_versions(connection)
        seen, upstream = basis(connection, "bot_rankings", first, last, ranked.marks if ranked else None)
        attempts = _adjust(session, each_day(first, last), now) if adjust else []
        ends = {of.day: of.as_of for of in upstream}
        versions = ranked.versions if ranked else weight_versions(connection, min(ends.values(), default=None))
        rows = DayRows(_rows(versions, [*ends.values()]), ends)
        _write_where_different(connection, first, last, rows)
        own = [Mark(of.day, of.as_of, seen, {"bot_rankings": of.number}) for of in upstream]
        recorded = mark(connection, "variable_weights", first, last, own)
    return WeightedDays("variable_weights", first, last, rows, attempts=attempts, marks=recorded)


def _write_where_different(connection: psycopg.Connection, first: date, last: date, rows: DayRows) -> None:
    """Replace the days' weights; as they seldom change, what stands there already stays."""
    standing = connection.execute(
        "SELECT day, variable, weight, version FROM variable_weights_rows WHERE day BETWEEN %s AND %s", (first, last)
    ).fetchall()
    wanted = (rows.day, *(rows.columns[name] for name in ("variable", "weight", "version")))
    if sorted(standing) != sorted(zip(*(values.tolist() for values in wanted), strict=True)):
        replace_days(connection, "variable_weights", first, last, of_days(rows.columns, rows.ends))


def _rows(versions: Sequence[WeightVersion], ends: Sequence[datetime]) -> Columns:
    in_force = [version_in_force_after(versions, end) for end in ends]
    each = len(VARIABLE_NAMES)
    return {
        "as_of": np.repeat(micros(ends), each),
        "variable": np.tile(np.array(VARIABLE_NAMES, object), len(ends)),
        "weight": np.array([version.vector for version in in_force]).ravel(),
        "version": np.repeat(np.array([version.version for version in in_force], np.int64), each),
    }


def _adjust(session: Session, days: Sequence[date], now: datetime) -> list[Attempt]:
    """Adjust the weights of those of the days that have ended and were not adjusted before."""
    done = published_days(session.connection, days[0], days[-1])
    ended = {day: day_end(day) for day in days if day_end(day) <= now and day not in done}
    attempts = []
    for attempt in _attempts(session, ended):
        record_adjustment(
            session.connection,
            day=attempt.day,
            as_of=ended[attempt.day],
            outcome=attempt.proposal.outcome,
            reason=attempt.proposal.reason,
            evidence=attempt.proposal.evidence,
            version=attempt.version,
        )
        attempts.append(attempt)
    return attempts


def _attempts(session: Session, ended: Mapping[date, datetime]) -> list[Attempt]:
    """The days in order, each on top of what the one before it left in force; publishes what is proposed."""
    connection = session.connection
    versions = weight_versions(connection)
    latest, setting = versions[-1], ai_setting(connection)
    began = latest.in_force_from
    closed = [day for day, end in ended.items() if began is not None and end < began]
    why = (
        f"version {latest.version} is in force from {began:%Y-%m-%d %H:%M} UTC: history is not rewritten"
        if began
        else ""
    )
    attempts = [Attempt(day, Proposal("refused", why, None, {}), None) for day in closed]
    days = {day: end for day, end in ended.items() if day not in closed}
    if days and not setting["ai_enabled"]:
        why = f"switched off since {_minute(setting['changed_at'])}: {setting['reason']}"
        return attempts + [Attempt(day, Proposal("disabled", why, None, {}), None) for day in days]
    return attempts + _proposed(session, versions, days) if days else attempts


def _minute(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "the beginning"


def _proposed(session: Session, versions: Sequence[WeightVersion], days: Mapping[date, datetime]) -> list[Attempt]:
    """What the learner proposes for each of the days, published as versions."""
    connection, attempts = session.connection, []
    anchor = [version for version in versions if version.author != AUTHOR][-1]
    in_force, number = versions[-1].vector, versions[-1].version
    learned = learn_weights(Panel.of(read_history(session.url, max(days))), anchor=anchor.vector)
    rests_on = trades_known(connection, min(days), max(days))
    for day, end in days.items():
        proposal = propose(learned, int(micros([end])[0]), in_force, anchor.vector)
        trades, last_exit = rests_on.get(day, (0, None))
        known = {"trades": trades, "last_exit": last_exit.isoformat() if last_exit else None}
        proposal = replace(proposal, evidence={**proposal.evidence, **known})
        version = None
        if proposal.weights is not None:
            in_force = proposal.weights
            version = number = add_version(
                connection,
                dict(zip(VARIABLE_NAMES, in_force.tolist(), strict=True)),
                based_on=number,
                author=AUTHOR,
                reason=proposal.reason,
                in_force_from=end,
                evidence=proposal.evidence,
            )
        attempts.append(Attempt(day, proposal, version))
    return attempts


def changes(attempts: Sequence[Attempt]) -> pd.DataFrame:
    """A row per attempt: day, outcome, version, reason."""
    return pd.DataFrame(
        [(a.day, a.proposal.outcome.replace("_", " "), a.version, a.proposal.reason) for a in attempts],
        columns=["day", "outcome", "version", "reason"],
    )


def weights_over_time(connection: psycopg.Connection, days: Sequence[date]) -> Floats:
    """The weights in force after the end of each day, days x variables."""
    ends = [day_end(day) for day in days]
    versions = weight_versions(connection, ends[0])
    return np.array([version_in_force_after(versions, end).vector for end in ends])
