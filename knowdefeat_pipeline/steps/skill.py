"""Skill: `bot_skill`, whether each bot is good or lucky."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from itertools import chain, islice

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.rows import TEXTS, Columns, joined
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Said, said_by
from knowdefeat_pipeline.core.skill.judgement import judged, numbered_by_leaders
from knowdefeat_pipeline.core.skill.luck import Luck
from knowdefeat_pipeline.core.skill.panel import Panel
from knowdefeat_pipeline.core.skill.verdicts import WINDOWS, WORDS, Window
from knowdefeat_pipeline.core.units import DAY, Ints, day_start, last_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.in_parts import copy_by_parts
from knowdefeat_pipeline.steps.metrics import MeasuredDays
from knowdefeat_pipeline.steps.outcome import DayRows, StepResult
from knowdefeat_pipeline.steps.shards import read_days
from knowdefeat_pipeline.store.bots import asking_leaders
from knowdefeat_pipeline.store.fleet_rows import fleet_rows
from knowdefeat_pipeline.store.memory import Leaders, Memory
from knowdefeat_pipeline.store.results import delete_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.shards import trades_of
from knowdefeat_pipeline.store.staleness import Mark, marked, marking, marks

DAYS_AT_ONCE = 5  # that are judged while the database takes in those before
Numbers = Callable[[Panel], Ints]  # of the strategies of a panel's bots
COLUMNS = [figure.name for figure in TABLES["bot_skill"] if figure.name != "day"]


def compute_skill(session: Session, first: date, last: date, metrics: MeasuredDays | None = None) -> StepResult:
    """Replace the skill of the days first..last that have metrics: a row per bot and window.

    `metrics`: these, by whoever has just written them; what is recorded of them is read by default.
    """
    connection = session.connection
    upstream = metrics.marks if metrics else marks(connection, "bot_metrics", first, last)
    said: Iterator[Said[Window]] = iter(())
    own = list[Mark]()
    if upstream:
        session.ensure_begun(first)
        results = _Results(session, first.replace(day=1), upstream)
        own = [Mark(of.day, of.as_of, results.seen, {"bot_metrics": of.number}) for of in upstream]
        said = results.said([of.as_of for of in own])
    ends = {of.day: of.as_of for of in own}
    with one_transaction(connection):
        with connection.pipeline():  # the server works while this process finds out what the results say first
            asked = asking_leaders(connection)
            delete_days(connection, "bot_skill", first, last)
            noted = marking(connection, "bot_skill", first, last, own)
            said = chain([*islice(said, 1)], said)
        (leaders,) = asked.fetchall()
        parts = _parts([*ends.values()], said, partial(_numbers, session.memory, leaders))
        rows = copy_by_parts(connection, "bot_skill", parts, ends, fleet_rows)
    return StepResult("bot_skill", first, last, _Judged(rows, ends), marks=marked(noted, own))


def _numbers(memory: Memory | None, leaders: Leaders, panel: Panel) -> Ints:
    """The number of the strategy of each bot of the panel."""

    def number() -> Ints:
        known, leader = np.array(leaders, np.int64)
        return numbered_by_leaders(panel.bot, known, leader)

    return memory.numbered(panel, leaders, number) if memory else number()


def _parts(ends: Sequence[datetime], said: Iterator[Said[Window]], numbers: Numbers) -> Iterator[Columns]:
    """The rows at each of `ends`, of which the results say that, some of these at a time, one at least."""
    for at in range(0, max(len(ends), 1), DAYS_AT_ONCE):
        yield _rows(ends[at : at + DAYS_AT_ONCE], islice(said, DAYS_AT_ONCE), numbers)


def _rows(ends: Sequence[datetime], said: Iterable[Said[Window]], numbers: Numbers) -> Columns:
    """The rows at each of `ends`, of which the results say that, by as_of, window and bot."""
    parts, panel = list[Columns](), None
    for each in said:
        if each.panel is not panel:
            panel, number = each.panel, numbers(each.panel)
        by_days = dict[int, Columns]()  # windows in which the same days lie say the same: in a young fleet both
        for window, of in each.of.items():
            if len(of.daily) not in by_days:
                by_days[len(of.daily)] = judged(of, number[: len(of)], each.luck.setdefault(window, Luck()))
            parts.append(by_days[len(of.daily)])
    if not parts:
        return {name: np.empty(0, object if name in TEXTS else None) for name in COLUMNS}
    of_part = np.repeat(np.arange(len(parts)), [len(part["bot_id"]) for part in parts])
    of_end, of_window = np.divmod(of_part, len(WINDOWS))
    rows = joined(parts) | {"as_of": micros(ends)[of_end], "time_window": np.array([*WINDOWS], object)[of_window]}
    return {name: rows[name] for name in COLUMNS}


class _Judged(DayRows):
    """Rows of which a frame has the verdicts in words."""

    def frame(self) -> pd.DataFrame:
        frame = super().frame()
        return frame.assign(verdict=pd.array(WORDS[frame["verdict"].to_numpy(np.int16)], dtype="str"))


class _Results:
    """The results of all bots, by the days of earlier months and the trades since the first of one.

    `upstream`: the marks of the metrics, whose shards may have left the days of that month.
    """

    def __init__(self, session: Session, month: date, upstream: Sequence[Mark]) -> None:
        until = upstream[-1].as_of
        self._url, self._memory = session.url, session.memory
        self._past = session.days(month)
        self._since = day_start(month)
        self._staged = session.staging if session.staging and session.staging.is_of(upstream) else None
        self._plan = None if self._staged else session.plan(self._since, until, days=0)
        self._known = None if self._staged or self._plan else session.trades(self._since, until)
        self.seen = session.seen

    def said(self, instants: Sequence[datetime]) -> Iterator[Said[Window]]:
        """What they say at each of these, which ascend."""
        ends = micros(instants)
        if self._memory and len(ends) == 1:
            yield self._memory.said(instants[0], lambda bots: next(self._until(ends, instants[0], bots)))
            return
        # Days that have ended are the same for every later instant; what ends within its day leaves trades out.
        for part in np.split(np.arange(len(ends)), np.flatnonzero(ends % DAY) + 1):
            if len(part):
                yield from self._until(ends[part], instants[part[-1]])

    def _until(self, ends: Ints, last: datetime, bots: Ints | None = None) -> Iterator[Said[Window]]:
        """What the results of these bots (None: all) say by each of these ends of days (µs), the `last` of which need
        not be one."""
        month = self._of_month(last, bots)
        results = DailyResults.concat([self._past if bots is None else self._past.among(bots), month])
        return said_by(results, last_day(ends), WINDOWS)

    def _of_month(self, until: datetime, bots: Ints | None) -> DailyResults:
        """The days of these bots (None: all) since the first of the month; of many trades, some bots at a time."""
        since, end = micros([self._since, until]).tolist()
        if self._staged:
            return read_days(self._staged)
        if self._known:
            return DailyResults.between(self._known.of_bots(bots), since, end)
        shards = (trades_of(self._url, of.bots, self._since, until, self.seen) for of in self._plan or ())
        return DailyResults.concat([DailyResults.between(trades, since, end) for trades in shards])
