"""Versions of the weights and what the daily adjustment came to: how they are added and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import SerializationFailure
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.core.ranking.weight_set import WeightError, WeightVersion, normalise, validate
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import query


class WeightsChanged(KnowDefeatError):
    """Another version than the one that a change builds on, `based_on`, is the `latest` by now; nothing was written."""

    page = "guides/weights.md"

    def __init__(self, latest: WeightVersion, based_on: int) -> None:
        self.latest, self.based_on = latest, based_on
        super().__init__(
            f"There is no version {based_on}: version {latest.version} is the latest. Nothing was written."
            if based_on > latest.version
            else f"Version {latest.version} ({latest.author}: {latest.reason}) is the latest, and this change builds "
            f"on version {based_on}: nothing was written."
        )


def weight_versions(connection: psycopg.Connection, since: datetime | None = None) -> list[WeightVersion]:
    """All versions in the order in which they came into force.

    With `since` without those that were no longer in force strictly before then.
    """
    rows = connection.execute(_versions_since(), (since,)).fetchall()
    return [
        WeightVersion(version, author, reason, in_force_from, dict(zip(VARIABLE_NAMES, weights, strict=True)))
        for version, author, reason, in_force_from, *weights in rows
    ]


@cache
def _versions_since() -> bytes:
    names = sql.SQL(", ").join(sql.SQL("{}::float8").format(sql.Identifier(name)) for name in VARIABLE_NAMES)
    statement = sql.SQL(
        # -infinity, from which the defaults are in force, has no Python datetime.
        "SELECT version, author, reason, nullif(in_force_from, '-infinity'), {} FROM weight_versions "
        "WHERE in_force_from >= coalesce((SELECT max(in_force_from) FROM weight_versions "
        "WHERE in_force_from < %s::timestamptz), '-infinity') "
        "ORDER BY in_force_from, version"
    )
    return statement.format(names).as_bytes()


def lock_versions(connection: psycopg.Connection) -> None:
    """Nobody else adds a version until the transaction ends; waits for whoever does."""
    connection.execute("SELECT weight_versions_lock()")


def add_version(
    connection: psycopg.Connection,
    weights: Mapping[str, float],
    *,
    based_on: int,
    author: str,
    reason: str,
    in_force_from: datetime,
    evidence: Mapping[str, Any] | None = None,
) -> int:
    """Add a valid set of weights as the version that follows `based_on`; its number.

    Raises WeightsChanged where another version is the latest by now, and psycopg's CheckViolation for a set that is not
    valid or would be in force before the latest version is.
    """
    names = ("version", "author", "reason", "evidence", "in_force_from", *VARIABLE_NAMES)
    statement = sql.SQL("INSERT INTO weight_versions ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join([sql.Placeholder()] * len(names))
    )
    values = (based_on + 1, author, reason, Jsonb({"based_on": based_on, **(evidence or {})}), in_force_from)
    try:
        connection.execute(statement, [*values, *(weights[name] for name in VARIABLE_NAMES)])
    except SerializationFailure as error:
        raise WeightsChanged(weight_versions(connection)[-1], based_on) from error
    return based_on + 1


def change_weights(
    connection: psycopg.Connection,
    make: Callable[[Sequence[WeightVersion]], Mapping[str, float]],
    *,
    reason: str,
    based_on: int | None = None,
    scale: bool = False,
    by: str | None = None,
) -> tuple[WeightVersion, WeightVersion]:
    """Put in force from now on, by hand, the weights that `make` makes of all versions; the version before and the new.

    `based_on`: the version that whoever decides looked at, by default the latest. `scale`: to Σ|w| = 100, rounded.
    `by`: the name of the token that decides, which the evidence keeps.
    Raises WeightError for weights that are not valid or those of the latest version, WeightsChanged where another
    version is the latest by now.
    """
    versions = weight_versions(connection)
    latest = versions[-1]
    base = latest.version if based_on is None else based_on
    if base != latest.version:
        raise WeightsChanged(latest, base)
    wanted = make(versions)
    weights = normalise(wanted) if scale else validate(wanted)
    if weights == latest.weights:
        raise WeightError(f"These are the weights of version {base}, the latest: nothing to change.")
    now = clock.now(connection)
    now = max(now, latest.in_force_from or now)  # the database's clock may have been set back
    made = replace(latest, version=base + 1, author="manual", reason=reason, in_force_from=now, weights=weights)
    add_version(
        connection,
        weights,
        based_on=base,
        author=made.author,
        reason=reason,
        in_force_from=now,
        evidence={"by": by} if by else None,
    )
    return latest, made


def evidence_of(connection: psycopg.Connection, version: int) -> dict[str, Any]:
    """What a version rests on; raises KeyError for one that does not exist."""
    row = connection.execute("SELECT evidence FROM weight_versions WHERE version = %s", (version,)).fetchone()
    if row is None:
        raise KeyError(version)
    evidence: dict[str, Any] = row[0]
    return evidence


def ai_setting(connection: psycopg.Connection) -> dict[str, Any]:
    """Whether the daily adjustment is on: ai_enabled, and by whom, why and when it was set."""
    with connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(
            "SELECT ai_enabled, author, reason, changed_at FROM weight_settings ORDER BY setting DESC LIMIT 1"
        ).fetchall()
    return row


def set_ai(connection: psycopg.Connection, enabled: bool, reason: str) -> None:
    """Switch the daily adjustment on or off."""
    connection.execute(
        "INSERT INTO weight_settings (ai_enabled, author, reason) VALUES (%s, 'manual', %s)", (enabled, reason)
    )


def record_adjustment(
    connection: psycopg.Connection,
    *,
    day: date,
    as_of: datetime,
    outcome: str,
    reason: str,
    evidence: Mapping[str, Any],
    version: int | None,
) -> None:
    """Note what the adjustment of a day came to, over an earlier attempt that published nothing."""
    row = {"day": day, "as_of": as_of, "outcome": outcome, "reason": reason, "version": version}
    connection.execute(query("learning/record_adjustment"), row | {"evidence": Jsonb(evidence)})


def adjustments(connection: psycopg.Connection, first: date, last: date) -> list[dict[str, Any]]:
    """What the adjustment came to on the days first..last, one record a day; days never attempted are absent."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("learning/weight_adjustments"), {"first": first, "last": last}).fetchall()


def last_adjustments(connection: psycopg.Connection, count: int) -> list[dict[str, Any]]:
    """What the adjustment came to on the last days that it was asked about, at most so many, the latest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("learning/last_adjustments"), {"count": count}).fetchall()


def published_days(connection: psycopg.Connection, first: date, last: date) -> set[date]:
    """The days of first..last on which the adjustment published a version."""
    rows = connection.execute(
        "SELECT day FROM weight_adjustments WHERE version IS NOT NULL AND day BETWEEN %s AND %s", (first, last)
    ).fetchall()
    return {day for (day,) in rows}


def complete_days(connection: psycopg.Connection) -> tuple[date, date] | None:
    """The first and the last computed day whose figures are those of its end; None without one."""
    ((first, last),) = connection.execute(query("learning/complete_days")).fetchall()
    return None if first is None else (first, last)


def history_state(connection: psycopg.Connection) -> datetime | None:
    """When a complete day was last computed: while that is the same, so is the history. None without one."""
    row = connection.execute(
        "SELECT max(refreshed_at) FROM refreshed_days WHERE asset = 'bot_metrics' AND as_of = day_end(day)"
    ).fetchone()
    return row[0] if row else None


def trades_known(connection: psycopg.Connection, first: date, last: date) -> dict[date, tuple[int, datetime]]:
    """How many trades had closed by the as_of of each computed day of first..last, and when the last of them did."""
    rows = connection.execute(
        "SELECT day, sum(lifetime_trades)::bigint, max(last_exit) FROM bot_metrics "
        "WHERE ticker = '*' AND day BETWEEN %s AND %s GROUP BY day",
        (first, last),
    ).fetchall()
    return {day: (trades, last_exit) for day, trades, last_exit in rows}
