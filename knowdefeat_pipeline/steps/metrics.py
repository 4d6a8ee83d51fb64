"""Figures of bots: `bot_metrics` and `win_streaks`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.metrics import engine
from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.lifetime import Past
from knowdefeat_pipeline.core.ranking.ranking import RANKED_BY
from knowdefeat_pipeline.core.rows import Columns, as_columns, chosen, joined
from knowdefeat_pipeline.core.schema import ALL_TICKERS, SLOW_NAMES
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS, Ints, day_start, each_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction, query
from knowdefeat_pipeline.scale.plan import Plan, Refresh
from knowdefeat_pipeline.scale.staging import Staging
from knowdefeat_pipeline.steps.in_parts import computed_ahead, replace_counted
from knowdefeat_pipeline.steps.outcome import (
    CheckResult,
    CheckSpec,
    CountedRows,
    DayRows,
    Figures,
    StepResult,
    counts_of_days,
    rows_per_end,
)
from knowdefeat_pipeline.steps.shards import stage_refresh
from knowdefeat_pipeline.steps.slow_results import FOLLOWED, with_slow_results, write_slow_results
from knowdefeat_pipeline.store.bot_days_rows import write_bot_days
from knowdefeat_pipeline.store.exposures import read_capital
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.one_day import renew_day
from knowdefeat_pipeline.store.open_positions import write_open_positions
from knowdefeat_pipeline.store.results import active_bots, first_rows, of_days, replace_days
from knowdefeat_pipeline.store.session import KnownTrades, Scores, Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

BLOCKS_AHEAD = 3  # of metrics, of 8 MB each, that wait to be written
HELD = sorted({"as_of", *FOLLOWED, *RANKED_BY} - {*SLOW_NAMES})  # of many rows, what other steps rest on
SHOWN = 5  # rows of a day that is published without being held
CHECKS = (
    CheckSpec(
        "bot_metrics",
        "every_active_bot_has_metrics",
        "Each active bot with closed trades has a row on every day computed.",
    ),
)


@dataclass(frozen=True)
class MeasuredDays(StepResult):
    """The metrics of each day; `figures`: the same as columns, without their day, None where they are counted."""

    figures: Columns | None = field(kw_only=True)


def compute_metrics(session: Session, first: date, last: date, now: datetime) -> MeasuredDays:
    """Replace the metrics of the days first..last, which are true at each day's end, or `now` for the running day.

    The session has begun with the first day (see `Session.begin`).
    """
    connection = session.connection
    # At the very midnight the day that begins has no instant of its own yet.
    days = [day for day in each_day(first, last) if day_start(day) < now] or [first]
    end_of = {day: units.as_of(day, now) for day in days}
    ends = [*end_of.values()]
    exits = since(first, ends)
    if plan := session.plan(exits, ends[-1], len(ends)):
        return _compute_in_shards(session, plan, first, last, end_of, exits)
    known = session.trades(exits, ends[-1])
    own = [Mark(day, end, known.seen) for day, end in zip(days, ends, strict=True)]
    inputs = _Inputs.read(session, known, first, ends)
    if not session.memory or first != last:
        return _write_days(session, inputs, first, last, own)
    figures, recorded = _write_day(session, session.memory, inputs, own[0])
    check = _check(connection, figures, len(figures["as_of"]), end_of, known.seen)
    return MeasuredDays("bot_metrics", first, last, DayRows(figures, end_of), (check,), figures=figures, marks=recorded)


def _compute_in_shards(
    session: Session, plan: Plan, first: date, last: date, end_of: Mapping[date, datetime], exits: datetime
) -> MeasuredDays:
    """The same by shards of bots, with the streaks beside them, which need no reading of their own then."""
    refresh = Refresh(session.stage().plan, first, last, end_of, exits, session.seen, with_metrics=True)
    staged = stage_refresh(session, plan, refresh)
    own = [Mark(day, end, refresh.seen) for day, end in end_of.items()]
    connection = session.connection
    with one_transaction(connection):
        write_open_positions(connection, first, last, own)
        staged.publish(connection, "bot_days_rows", first, last)
        staged.publish(connection, "bot_metrics_rows", first, last)
        followed = _followed(staged)
        write_slow_results(session, followed, own)
        recorded = staged.marks = mark(connection, "bot_metrics", first, last, own)
    return _counted(connection, first, last, recorded, staged.counts["bot_metrics"], followed)


def _counted(
    connection: psycopg.Connection, first: date, last: date, written: Sequence[Mark], counts: Ints, whole: Columns
) -> MeasuredDays:
    """Days of which so many rows are written. `whole`: of those over all tickers, as_of and bot_id at least."""
    ends = {of.day: of.as_of for of in written}
    of_day = counts_of_days(ends, counts)
    check = _check(connection, whole, sum(of_day.values()), ends, written[0].seen)
    rows = CountedRows(of_day, first_rows(connection, "bot_metrics", last, SHOWN))
    return MeasuredDays("bot_metrics", first, last, rows, (check,), figures=None, marks=written)


def _followed(staged: Staging) -> Columns:
    """What the slow variables follow from, of all shards, by bot."""
    rows = pa.concat_tables([*staged.read("followed")])
    return as_columns(rows.sort_by([("bot_id", "ascending"), ("as_of", "ascending")]))


def since(first: date, ends: Sequence[datetime]) -> datetime:
    """The exits that the metrics of these days look back to: those of the window, and of the month of the first day."""
    return min(day_start(first.replace(day=1)), ends[0] - timedelta(days=WINDOW_DAYS))


@dataclass(frozen=True)
class _Inputs:
    """What metrics are computed from."""

    known: KnownTrades
    ends: Sequence[datetime]
    capital: Capital
    past: Past
    scores: Scores

    @classmethod
    def read(cls, session: Session, known: KnownTrades, first: date, ends: Sequence[datetime]) -> _Inputs:
        scores = session.scores(ends[0] - timedelta(days=WINDOW_DAYS), ends[-1], known.seen)
        return cls(
            known, ends, read_capital(session.connection, session.url), session.past(first.replace(day=1)), scores
        )

    @property
    def as_of(self) -> Ints:
        """`ends` in µs."""
        return micros(self.ends)

    def blocks(self, bots: Ints | None = None) -> Iterator[Columns]:
        """The metrics of these bots, None for all, some at a time."""
        return engine.bot_metrics_blocks(
            self.known.of_bots(bots),
            self.as_of,
            capital=self.capital,
            past=self.past if bots is None else self.past.among(bots),
            trade_scores=self.scores(bots),
        )

    def table(self, bots: Ints | None) -> Columns:
        """The metrics of these bots in one table."""
        return joined([*self.blocks(bots)])


def _write_days(session: Session, inputs: _Inputs, first: date, last: date, own: Sequence[Mark]) -> MeasuredDays:
    """Compute and replace the metrics of these days, of which only what other steps rest on is held."""
    connection = session.connection
    ends = {of.day: of.as_of for of in own}
    counts, held = np.zeros(len(own), np.int64), list[Columns]()

    def tables(blocks: Iterator[Columns]) -> Iterator[pa.Table]:
        for block in blocks:
            counts[:] += rows_per_end(block, inputs.as_of)
            held.append(chosen({name: block[name] for name in HELD}, block["ticker"] == ALL_TICKERS))
            yield of_days(block, ends)

    # The database takes in the days, and then one block after another, while the next is computed.
    with computed_ahead(inputs.blocks(), BLOCKS_AHEAD) as blocks, one_transaction(connection):
        write_open_positions(connection, first, last, own)
        write_bot_days(connection, inputs.known.trades, first, last, own, None)
        replace_days(connection, "bot_metrics", first, last, tables(blocks))
        whole = joined(held)
        whole |= write_slow_results(session, {name: whole[name] for name in FOLLOWED}, own)
        recorded = mark(connection, "bot_metrics", first, last, own)
    # In the order in which the ranking would read it.
    session.leave(recorded, chosen(whole, np.lexsort((whole["bot_id"], whole["as_of"]))))
    return _counted(connection, first, last, recorded, counts, whole)


def _write_day(session: Session, memory: Memory, inputs: _Inputs, of: Mark) -> tuple[Columns, list[Mark]]:
    """Renew the metrics of a day of which a memory may know what was there; all of them, and the mark."""
    found = memory.renewed(
        "bot_metrics", of.as_of, inputs.capital.now(*micros([of.as_of]).tolist()), inputs.table, engine.carry_metrics
    )
    connection = session.connection
    with one_transaction(connection):
        write_open_positions(connection, of.day, of.day, [of])
        rows = with_slow_results(session, found.table, [of])
        recorded, moved = renew_day(connection, memory, "bot_metrics", found, of)
        write_bot_days(connection, inputs.known.of_bots(moved), of.day, of.day, [of], moved)
    return rows, [recorded]


def _check(
    connection: psycopg.Connection, rows: Columns, count: int, end_of: Mapping[date, datetime], seen: str
) -> CheckResult:
    missing = _missing(connection, rows, end_of, seen)
    found: Figures = {"checked": count, "missing": len(missing), "first missing": str(missing[:5])}
    return CheckResult("every_active_bot_has_metrics", not missing, found)


def _missing(
    connection: psycopg.Connection, rows: Columns, ends: Mapping[date, datetime], seen: str
) -> list[tuple[date, int]]:
    """The days and active bots that had closed a trade by then, as `seen` shows them, and have no row."""
    days = [*ends]
    bots = active_bots(connection)
    present = np.zeros((len(days), len(bots)), bool)
    asked_for = np.isin(rows["bot_id"], bots)
    day = np.searchsorted(micros([*ends.values()]), rows["as_of"][asked_for])
    present[day, np.searchsorted(bots, rows["bot_id"][asked_for])] = True
    absent = [(number, int(bots[at])) for number, at in np.argwhere(~present)]
    if not absent:  # as a rule; to ask for the first trades of all bots takes as long as their streaks
        return []
    asked = [*{bot for _, bot in absent}]
    found: dict[int, datetime] = dict(connection.execute(query("trades/first_exits"), (asked, seen)).fetchall())
    return [(days[number], bot) for number, bot in absent if bot in found and found[bot] < ends[days[number]]]


def compute_streaks(session: Session, first: date, last: date, metrics: MeasuredDays | None = None) -> StepResult:
    """Replace the streaks of the days first..last that have metrics; a row per bot and day.

    `metrics`: these, by whoever has just written them; what is recorded of them is read by default.
    """
    connection = session.connection
    upstream = metrics.marks if metrics else marks(connection, "bot_metrics", first, last)
    ends = [of.as_of for of in upstream]
    if upstream and (staged := _staged_streaks(session, upstream, first, last)):
        return _publish_streaks(session, staged, upstream, first, last)
    known = session.trades(ends[0] - timedelta(days=WINDOW_DAYS), ends[-1]) if upstream else None
    own = [Mark(of.day, of.as_of, known.seen, {"bot_metrics": of.number}) for of in upstream] if known else []
    end_of = {of.day: of.as_of for of in own}

    def compute(bots: Ints | None) -> Columns:
        return engine.win_streak_rows(known.of_bots(bots) if known else Trades.none(), micros(ends))

    if session.memory and len(own) == 1 and first == last:
        found = session.memory.renewed("win_streaks", ends[0], {}, compute, engine.carry_streaks)
        with one_transaction(connection):
            recorded = [renew_day(connection, session.memory, "win_streaks", found, own[0])[0]]
        return StepResult("win_streaks", first, last, DayRows(found.table, end_of), marks=recorded)
    parts = engine.win_streak_blocks(known.trades if known else Trades.none(), micros(ends))
    with one_transaction(connection):
        rows = replace_counted(connection, "win_streaks", first, last, parts, end_of)
        recorded = mark(connection, "win_streaks", first, last, own)
    return StepResult("win_streaks", first, last, rows, marks=recorded)


def _staged_streaks(session: Session, upstream: Sequence[Mark], first: date, last: date) -> Staging | None:
    """The streaks of these days as shards left them: beside their metrics, or by a plan of their own; None where they
    are computed in one piece."""
    if session.staging and session.staging.is_of(upstream):
        return session.staging
    end_of = {of.day: of.as_of for of in upstream}
    exits = upstream[0].as_of - timedelta(days=WINDOW_DAYS)
    plan = session.plan(exits, upstream[-1].as_of, len(upstream))
    if plan is None:
        return None
    refresh = Refresh(session.stage().plan, first, last, end_of, exits, session.seen, with_metrics=False)
    return stage_refresh(session, plan, refresh)


def _publish_streaks(
    session: Session, staged: Staging, upstream: Sequence[Mark], first: date, last: date
) -> StepResult:
    connection, refresh = session.connection, staged.refresh
    seen = refresh.seen if refresh else session.seen
    own = [Mark(of.day, of.as_of, seen, {"bot_metrics": of.number}) for of in upstream]
    with one_transaction(connection):
        staged.publish(connection, "win_streaks_rows", first, last)
        recorded = mark(connection, "win_streaks", first, last, own)
    counts = counts_of_days({of.day: of.as_of for of in upstream}, staged.counts["win_streaks"])
    rows = CountedRows(counts, first_rows(connection, "win_streak_summary", last, SHOWN))
    return StepResult("win_streaks", first, last, rows, marks=recorded)
