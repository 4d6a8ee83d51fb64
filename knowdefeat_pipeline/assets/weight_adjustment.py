"""The daily adjustment: what the learner proposes for the days of a run, written as versions and as a row a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.assets.bot_rankings import rank_days
from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS, day_end
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.learning.proposal import Proposal, propose
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats, micros
from knowdefeat_pipeline.store.learning import (
    add_version,
    ai_setting,
    lock_versions,
    published_days,
    read_history,
    record_adjustment,
    trades_known,
)
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.store.results import replace_days, weight_versions
from knowdefeat_pipeline.store.staleness import days_locked

AUTHOR = "ai"
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Attempt:
    """What became of one day; `version` is the one published, None where the weights in force stay."""

    day: date
    proposal: Proposal
    version: int | None


@contextmanager
def later_days_locked(database: Database, last: date, now: datetime) -> Iterator[None]:
    """All days after `last` that anybody may compute meanwhile; the run holds its own, and days are locked in order."""
    with days_locked(database.address(), last + ONE_DAY, max(last, now.date()) + ONE_DAY):
        yield


def adjust(
    database: Database, connection: psycopg.Connection, days: Sequence[date], now: datetime
) -> tuple[list[Attempt], date | None]:
    """Adjust the weights of those of the days that have ended, and rank again whatever day a new version touches.

    Call it inside a transaction and with all days from the first of them locked. A day is adjusted once, and none that
    lies before the latest version: what was in force is never rewritten. The attempts, and the last day ranked again.
    """
    lock_versions(connection)
    done = published_days(connection, days[0], days[-1])
    ended = {day: day_end(day) for day in days if day_end(day) <= now and day not in done}
    attempts = list(_attempts(database, connection, ended))
    for attempt in attempts:
        record_adjustment(
            connection,
            day=attempt.day,
            as_of=ended[attempt.day],
            outcome=attempt.proposal.outcome,
            reason=attempt.proposal.reason,
            evidence=attempt.proposal.evidence,
            version=attempt.version,
        )
    published = [attempt.day for attempt in attempts if attempt.version is not None]
    return attempts, _rank_again(database, connection, published[0]) if published else None


def _attempts(database: Database, connection: psycopg.Connection, ended: dict[date, datetime]) -> Iterator[Attempt]:
    """The days in order, each on top of what the one before it left in force; publishes what is proposed."""
    versions = weight_versions(connection)
    latest, home = versions[-1], [version for version in versions if version["author"] != AUTHOR][-1]
    began = latest["in_force_from"]
    setting = ai_setting(connection)
    open_days = {day: end for day, end in ended.items() if began is None or end >= began}
    for day in ended:
        if day not in open_days:
            why = f"version {latest['version']} is in force from {began:%Y-%m-%d %H:%M} UTC: history is not rewritten"
            yield Attempt(day, Proposal("refused", why, None, {}), None)
    if not open_days:
        return
    if not setting["ai_enabled"]:
        why = f"switched off since {setting['changed_at']:%Y-%m-%d %H:%M} UTC: {setting['reason']}"
        yield from (Attempt(day, Proposal("disabled", why, None, {}), None) for day in open_days)
        return
    last = max(open_days)
    learned = learn_weights(Panel.of(read_history(database.address(), last)))
    rests_on = trades_known(connection, min(open_days), last)
    in_force, number = _array(latest), latest["version"]
    for day, end in open_days.items():
        proposal = propose(learned, int(micros([end])[0]), in_force, _array(home))
        trades, last_exit = rests_on.get(day, (0, None))
        proposal.evidence.update(trades=trades, last_exit=last_exit.isoformat() if last_exit else None)
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
        yield Attempt(day, proposal, version)


def _array(version: dict[str, Any]) -> Floats:
    return np.array([version["weights"][name] for name in VARIABLE_NAMES])


def _rank_again(database: Database, connection: psycopg.Connection, first: date) -> date | None:
    """Rank from `first` on to the last computed day, which it returns; the figures below and the marks stay."""
    last = latest_day(connection, "bot_metrics")
    while last is not None and first <= last:
        end = min(last, first + timedelta(days=CHUNK_DAYS - 1))
        rows = rank_days(database, connection, first, end)
        replace_days(connection, "bot_rankings", first, end, pa.Table.from_pandas(rows, preserve_index=False))
        first = end + ONE_DAY
    return last


def changes(attempts: Sequence[Attempt]) -> pd.DataFrame:
    """A row per attempt: day, outcome, version, reason."""
    return pd.DataFrame(
        [(a.day, a.proposal.outcome.replace("_", " "), a.version, a.proposal.reason) for a in attempts],
        columns=["day", "outcome", "version", "reason"],
    )
