"""Skill: `bot_skill`, whether each bot is good or lucky."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Evidence, evidence
from knowdefeat_pipeline.core.skill.judgement import WINDOWS, Window, judged, windowed
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import DAY, Ints, day_start, last_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.store.bots import bot_strategies
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import KnownTrades, Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

COLUMNS = [figure.name for figure in TABLES["bot_skill"]]

# What the results of all bots say at an as_of (µs), by window.
Said = Callable[[int], Mapping[Window, Evidence]]


def compute_skill(session: Session, first: date, last: date) -> StepResult:
    """Replace the skill of the days first..last that have metrics: a row per bot and window."""
    connection = session.connection
    upstream = marks(connection, "bot_metrics", first, last)
    parts, own = [pd.DataFrame(columns=COLUMNS)], []
    if upstream:
        session.ensure_begun(first)
        since = day_start(first.replace(day=1))
        known = session.trades(since, upstream[-1].as_of)
        said, strategies = _said(session, known, *micros([since]).tolist()), bot_strategies(connection)
        own = [Mark(of.day, of.as_of, known.seen, {"bot_metrics": of.number}) for of in upstream]
        parts += [_rows(of, said, strategies) for of in upstream]
    rows = pd.concat(parts, ignore_index=True)
    with one_transaction(connection):
        replace_days(connection, "bot_skill", first, last, pa.Table.from_pandas(rows, preserve_index=False, nthreads=1))
        mark(connection, "bot_skill", first, last, own)
    return StepResult("bot_skill", first, last, rows)
