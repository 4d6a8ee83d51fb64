"""Skill: `bot_skill`, whether each bot is good or lucky."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Said, said_by
from knowdefeat_pipeline.core.skill.judgement import WINDOWS, Window, judged, strategy_numbers
from knowdefeat_pipeline.core.skill.panel import Panel
from knowdefeat_pipeline.core.units import DAY, Array, Ints, day_of, day_start, last_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.store.bots import bot_strategies
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

COLUMNS = [figure.name for figure in TABLES["bot_skill"]]


def compute_skill(session: Session, first: date, last: date) -> StepResult:
    """Replace the skill of the days first..last that have metrics: a row per bot and window."""
    connection = session.connection
    upstream = marks(connection, "bot_metrics", first, last)
    rows, own = pd.DataFrame(columns=COLUMNS), list[Mark]()
    if upstream:
        session.ensure_begun(first)
        results = _Results(session, first.replace(day=1), upstream[-1].as_of)
        own = [Mark(of.day, of.as_of, results.seen, {"bot_metrics": of.number}) for of in upstream]
        rows = _rows(upstream, results.said([of.as_of for of in upstream]), bot_strategies(connection))
    with one_transaction(connection):
        replace_days(connection, "bot_skill", first, last, pa.Table.from_pandas(rows, preserve_index=False, nthreads=1))
        mark(connection, "bot_skill", first, last, own)
    return StepResult("bot_skill", first, last, rows)


def _rows(days: Sequence[Mark], said: Iterable[Said[Window]], strategies: Mapping[int, str]) -> pd.DataFrame:
    """The rows of days on which results say that, by day, window and bot."""
    parts, windows = list[dict[str, Array]](), list[Window]()
    panel: Panel | None = None
    for each in said:
        if each.panel is not panel:
            panel, number = each.panel, strategy_numbers(each.panel.bot, strategies)
        for window, of in each.of.items():
            parts.append(judged(of, number[: len(of)]))
            windows.append(window)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = [len(part["bot_id"]) for part in parts]
    of_part = np.repeat(np.arange(len(parts)), count)
    of_day = of_part // len(WINDOWS)
    columns["day"] = np.array([of.day for of in days], object)[of_day]
    columns["as_of"] = pd.DatetimeIndex([of.as_of for of in days])[of_day]
    columns["time_window"] = np.array(windows, object)[of_part]
    return pd.DataFrame(columns)[COLUMNS]


class _Results:
    """The results of all bots, by the days of earlier months and the trades since the first of one."""

    def __init__(self, session: Session, month: date, until: datetime) -> None:
        self._memory = session.memory
        self._past = session.days(month)
        self._since = day_start(month)
        self._known = session.trades(self._since, until)
        self.seen = self._known.seen

    def said(self, instants: Sequence[datetime]) -> Iterator[Said[Window]]:
        """What they say at each of these, which ascend."""
        ends = micros(instants)
        if self._memory and len(ends) == 1:
            yield self._memory.said(instants[0], lambda bots: next(self._until(ends, bots)))
            return
        # Days that have ended are the same for every later instant; what ends within its day leaves trades out.
        for part in np.split(ends, np.flatnonzero(ends % DAY) + 1):
            if len(part):
                yield from self._until(part)

    def _until(self, ends: Ints, bots: Ints | None = None) -> Iterator[Said[Window]]:
        """What the results of these bots (None: all) say by each of these ends of days (µs), the last of which need not
        be one."""
        trades, (since,) = self._known.of_bots(bots), micros([self._since]).tolist()
        inside = (since <= trades.exit) & (trades.exit < ends[-1])
        month = DailyResults.of_columns(trades.bot[inside], day_of(trades.exit[inside]), trades.pnl[inside])
        results = DailyResults.concat([self._past if bots is None else self._past.among(bots), month])
        return said_by(results, last_day(ends), WINDOWS)
