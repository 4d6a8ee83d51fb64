"""The ranking: `bot_rankings`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np

from knowdefeat_pipeline.core.funds.events import BotEvent, inactive_bots
from knowdefeat_pipeline.core.ranking.ranking import ranking_rows
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, version_in_force
from knowdefeat_pipeline.core.rows import Columns, chosen
from knowdefeat_pipeline.core.schema import ALL_TICKERS, FLAG, PARTITION, TABLES, VARIABLE_NAMES
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.units import Bools, Ints, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.metrics import MeasuredDays
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, DayRows, StepResult
from knowdefeat_pipeline.store.funds import bot_events
from knowdefeat_pipeline.store.learning import weight_versions
from knowdefeat_pipeline.store.one_day import renew_day
from knowdefeat_pipeline.store.results import of_days, replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, basis, mark

ROUNDING = 1e-9
COLUMNS = [figure.name for figure in TABLES["bot_rankings"] if figure not in (FLAG, PARTITION)]
CHECKS = (
    CheckSpec(
        "bot_rankings",
        "contributions_sum_to_the_score",
        "The contributions of each ranked bot sum to rank_score - 50.",
    ),
)


@dataclass(frozen=True)
class RankedDays(StepResult):
    """The ranking of each day; `versions`: those of the weights that were in force, and all later ones."""

    versions: Sequence[WeightVersion] = field(kw_only=True)


def compute_rankings(session: Session, first: date, last: date, metrics: MeasuredDays | None = None) -> RankedDays:
    """Replace the rankings of the days first..last that have metrics.

    `metrics`: these, by whoever has just written them; what is recorded of them is read by default.
    """
    connection = session.connection
    seen, upstream = basis(connection, "bot_metrics", first, last, metrics.marks if metrics else None)
    figures = metrics.figures if metrics else _read(session, first, last)
    ends = {of.day: of.as_of for of in upstream}
    versions = weight_versions(connection, min(ends.values(), default=None))
    events = bot_events(connection)
    rows = _rank(chosen(figures, figures["ticker"] == ALL_TICKERS), [*ends.values()], versions, events)
    own = [Mark(of.day, of.as_of, seen, {"bot_metrics": of.number}) for of in upstream]
    with one_transaction(connection):
        if session.memory and [*ends] == [first] == [last]:
            found = session.memory.compared("bot_rankings", rows)
            recorded = [renew_day(connection, session.memory, "bot_rankings", found, own[0])[0]]
        else:
            replace_days(connection, "bot_rankings", first, last, of_days(rows, ends))
            recorded = mark(connection, "bot_rankings", first, last, own)
    checks = (_check(rows),)
    return RankedDays("bot_rankings", first, last, DayRows(rows, ends), checks, marks=recorded, versions=versions)


def _read(session: Session, first: date, last: date) -> Columns:
    table = session.read("ranking/ranking_metrics", first, last)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    return columns | {"as_of": arrow_micros(table["as_of"])}


def _rank(
    metrics: Columns, ends: Sequence[datetime], versions: Sequence[WeightVersion], events: Sequence[BotEvent]
) -> Columns:
    """The bots of these metrics, ranked by the weights in force at each as_of."""
    number = np.searchsorted(micros(ends), metrics["as_of"])
    in_force = [version_in_force(versions, end) for end in ends]
    weights = {name: np.array([v.weights[name] for v in in_force])[number] for name in VARIABLE_NAMES}
    rows, order = ranking_rows(metrics, weights)
    bot, number = rows["bot_id"], number[order]
    rows |= {
        "weight_version": np.array([v.version for v in in_force], int)[number],
        "is_active": _active(bot, number, [inactive_bots(events, end) for end in ends]),
    }
    return {name: rows[name] for name in COLUMNS}


def _active(bot: Ints, number: Ints, inactive: Sequence[Collection[int]]) -> Bools:
    """Whether each bot is active at the as_of of that number, given who is not at each."""
    known = {each: place for place, each in enumerate(np.unique(bot).tolist())}
    gone = [at * len(known) + known[each] for at, bots in enumerate(inactive) for each in bots if each in known]
    place = np.searchsorted(np.array([*known], np.int64), bot)
    return ~np.isin(number * len(known) + place, np.array(gone, np.int64))


def _check(rows: Columns) -> CheckResult:
    points = np.stack([rows[f"{name}_points"] for name in VARIABLE_NAMES], axis=1).sum(axis=1)
    off = np.abs(points - (rows["rank_score"] - 50))[rows["eligible"]]
    wrong = int((~(off <= ROUNDING)).sum())
    return CheckResult("contributions_sum_to_the_score", wrong == 0, {"checked": len(off), "wrong": wrong})
