"""Skill: `bot_skill`, whether each bot is good or lucky."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Evidence, evidence
from knowdefeat_pipeline.core.skill.judgement import WINDOWS, Window, judged, windowed
from knowdefeat_pipeline.core.units import DAY, Ints, day_of, day_start, last_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.store.bots import bot_strategies
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

NEVER_ENDING = np.iinfo(np.int64).max
COLUMNS = [figure.name for figure in TABLES["bot_skill"]]


def compute_skill(session: Session, first: date, last: date) -> StepResult:
    """Replace the skill of the days first..last that have metrics: a row per bot and window."""
    connection = session.connection
    upstream = marks(connection, "bot_metrics", first, last)
    parts, own = [pd.DataFrame(columns=COLUMNS)], list[Mark]()
    if upstream:
        session.ensure_begun(first)
        results, strategies = _Results(session, first.replace(day=1), upstream[-1].as_of), bot_strategies(connection)
        own = [Mark(of.day, of.as_of, results.seen, {"bot_metrics": of.number}) for of in upstream]
        parts = [_rows(of, results.evidence(of.as_of), strategies) for of in upstream]
    rows = pd.concat(parts, ignore_index=True)
    with one_transaction(connection):
        replace_days(connection, "bot_skill", first, last, pa.Table.from_pandas(rows, preserve_index=False, nthreads=1))
        mark(connection, "bot_skill", first, last, own)
    return StepResult("bot_skill", first, last, rows)


def _rows(of: Mark, said: Mapping[Window, Evidence], strategies: Mapping[int, str]) -> pd.DataFrame:
    """The rows of a day on which results say that, by window and bot."""
    parts = [judged(evidence, strategies) for evidence in said.values()]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    window = np.repeat(np.array([*said], object), [len(evidence) for evidence in said.values()])
    return pd.DataFrame({"day": of.day, "as_of": of.as_of, **columns, "time_window": window})[COLUMNS]


class _Results:
    """The results of all bots, by the days of earlier months and the trades since the first of one."""

    def __init__(self, session: Session, month: date, until: datetime) -> None:
        self._memory = session.memory
        self._past = session.days(month)
        self._since = day_start(month)
        self._known = session.trades(self._since, until)
        self.seen = self._known.seen

    @cached_property
    def _whole_days(self) -> DailyResults:
        return self._before(None, NEVER_ENDING)

    def evidence(self, as_of: datetime) -> Mapping[Window, Evidence]:
        """What they say at `as_of`, by window."""
        (end,) = micros([as_of]).tolist()

        def compute(bots: Ints | None) -> Mapping[Window, Evidence]:
            # Days that have ended are the same for every as_of of a range.
            results = self._whole_days if bots is None and end % DAY == 0 else self._before(bots, end)
            return {window: evidence(windowed(results, window, last_day(end))) for window in WINDOWS}

        return self._memory.evidence(as_of, compute) if self._memory else compute(None)

    def _before(self, bots: Ints | None, end: int) -> DailyResults:
        """The results of these bots (None: all) from trades that closed before `end` (µs)."""
        trades, (since,) = self._known.of_bots(bots), micros([self._since]).tolist()
        inside = (since <= trades.exit) & (trades.exit < end)
        month = DailyResults.of_columns(trades.bot[inside], day_of(trades.exit[inside]), trades.pnl[inside])
        return DailyResults.concat([self._past if bots is None else self._past.among(bots), month])
