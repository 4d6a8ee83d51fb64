"""The ranking: `bot_rankings`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import psycopg

from knowdefeat_pipeline.core.funds.events import BotEvent, inactive_bots
from knowdefeat_pipeline.core.ranking.ranking import ranking_rows
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, version_in_force
from knowdefeat_pipeline.core.rows import Columns, chosen
from knowdefeat_pipeline.core.schema import ALL_TICKERS, FLAG, PARTITION, TABLES, VARIABLE_NAMES
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.units import Bools, Ints, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.in_parts import replace_counted
from knowdefeat_pipeline.steps.metrics import MeasuredDays
from knowdefeat_pipeline.steps.outcome import (
    CheckResult,
    CheckSpec,
    CountedRows,
    DayRows,
    StepResult,
)
from knowdefeat_pipeline.store.bots import count_bots
from knowdefeat_pipeline.store.funds import bot_events
from knowdefeat_pipeline.store.learning import weight_versions
from knowdefeat_pipeline.store.one_day import renew_day
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, basis, mark

ROUNDING = 1e-9
DAYS_AT_ONCE = 15  # that are ranked while the database takes in those before
ROWS_AT_ONCE = 200_000  # of a ranking, at most, which take a quarter of a gigabyte
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
    own = [Mark(of.day, of.as_of, seen, {"bot_metrics": of.number}) for of in upstream]
    ends = {of.day: of.as_of for of in own}
    of_bots = _OfBots.read(connection, own)
    figures = _of_whole(metrics.figures) if metrics and metrics.figures else session.take_left(upstream)
    if session.memory and [*ends] == [first] == [last]:
        rows = _rank(of_bots, _read(session, first, last) if figures is None else figures, [*ends.values()])
        found = session.memory.compared("bot_rankings", rows)
        with one_transaction(connection):
            recorded = [renew_day(connection, session.memory, "bot_rankings", found, own[0])[0]]
        return _ranked(first, last, DayRows(rows, ends), [_check(rows)], recorded, of_bots)
    spans, checks = _spans(own, count_bots(connection)), list[CheckResult]()

    def parts() -> Iterator[Columns]:
        for span in spans:
            days = [of.day for of in span] or [first]
            known = _read(session, days[0], days[-1]) if figures is None else figures
            rows = _rank(of_bots, known, [of.as_of for of in span])
            checks.append(_check(rows))
            yield rows

    with one_transaction(connection):
        written = replace_counted(connection, "bot_rankings", first, last, parts(), ends)
        recorded = mark(connection, "bot_rankings", first, last, own)
    return _ranked(first, last, written, checks, recorded, of_bots)


def _ranked(
    first: date,
    last: date,
    rows: DayRows | CountedRows,
    checks: Sequence[CheckResult],
    recorded: Sequence[Mark],
    of_bots: _OfBots,
) -> RankedDays:
    """`checks`: of some of the days each."""
    found = {name: sum(int(check.figures[name]) for check in checks) for name in ("checked", "wrong")}
    check = CheckResult(CHECKS[0].name, not found["wrong"], found)
    return RankedDays("bot_rankings", first, last, rows, (check,), marks=recorded, versions=of_bots.versions)


def _spans(own: Sequence[Mark], bots: int) -> list[Sequence[Mark]]:
    """The days in pieces (one at least), as a day's ranking looks at no other day and all rows may be too many."""
    each = max(1, min(DAYS_AT_ONCE, ROWS_AT_ONCE // max(bots, 1)))
    return [own[at : at + each] for at in range(0, max(len(own), 1), each)]


def _of_whole(figures: Columns) -> Columns:
    """Those of the figures that are over all tickers."""
    return chosen(figures, figures["ticker"] == ALL_TICKERS)


def _read(session: Session, first: date, last: date) -> Columns:
    table = session.read("ranking/ranking_metrics", first, last)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    return columns | {"as_of": arrow_micros(table["as_of"])}


@dataclass(frozen=True)
class _OfBots:
    """What a ranking looks at beside metrics: the versions of the weights, and what was decided of bots."""

    versions: Sequence[WeightVersion]
    events: Sequence[BotEvent]

    @classmethod
    def read(cls, connection: psycopg.Connection, own: Sequence[Mark]) -> _OfBots:
        return cls(weight_versions(connection, min((of.as_of for of in own), default=None)), bot_events(connection))


def _rank(of_bots: _OfBots, metrics: Columns, ends: Sequence[datetime]) -> Columns:
    """The bots of these metrics at each of `ends`, ranked by the weights in force then."""
    metrics = chosen(metrics, np.isin(metrics["as_of"], micros(ends)))
    number = np.searchsorted(micros(ends), metrics["as_of"])
    in_force = [version_in_force(of_bots.versions, end) for end in ends]
    weights = {name: np.array([v.weights[name] for v in in_force])[number] for name in VARIABLE_NAMES}
    rows, order = ranking_rows(metrics, weights)
    bot, number = rows["bot_id"], number[order]
    rows |= {
        "weight_version": np.array([v.version for v in in_force], int)[number],
        "is_active": _active(bot, number, [inactive_bots(of_bots.events, end) for end in ends]),
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
    return CheckResult(CHECKS[0].name, wrong == 0, {"checked": len(off), "wrong": wrong})
