"""Figures of bots: `bot_metrics` and `win_streaks`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.metrics import engine
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.units import WINDOW_DAYS, day_start, each_day, micros
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, Figures, StepResult
from knowdefeat_pipeline.store.results import active_bots, bot_capital, replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

CHECKS = (
    CheckSpec(
        "bot_metrics",
        "every_active_bot_has_metrics",
        "Each active bot with closed trades has a row on every day computed.",
    ),
)
STREAK_TABLES = ("win_streaks", "win_streak_summary")


def compute_metrics(session: Session, first: date, last: date, now: datetime) -> StepResult:
    """Replace the metrics of the days first..last, which are true at each day's end, or `now` for the running day.

    The session has begun with the first day (see `Session.begin`).
    """
    connection = session.connection
    # At the very midnight the day that begins has no instant of its own yet.
    days = [day for day in each_day(first, last) if day_start(day) < now] or [first]
    ends = [units.as_of(day, now) for day in days]
    window = ends[0] - timedelta(days=WINDOW_DAYS)
    month = first.replace(day=1)
    known = session.trades(min(day_start(month), window), ends[-1])
    blocks = engine.bot_metrics_blocks(
        known.trades,
        micros(ends),
        capital=bot_capital(connection),
        past=session.past(month),
        trade_scores=session.scores(window, ends[-1], known.seen),
    )
    with connection.transaction():
        written = WrittenBlocks(blocks, dict(zip(pd.DatetimeIndex(ends), days, strict=True)))
        replace_days(connection, "bot_metrics", first, last, written.tables())
        own = [Mark(day, end, known.seen) for day, end in zip(days, ends, strict=True)]
        mark(connection, "bot_metrics", first, last, own)
    rows = written.rows()
    missing = _missing(connection, rows, dict(zip(days, ends, strict=True)), known.seen)
    figures: Figures = {"checked": len(rows), "missing": len(missing), "first missing": str(missing[:5])}
    check = CheckResult("every_active_bot_has_metrics", not missing, figures)
    return StepResult("bot_metrics", first, last, rows, (check,))


class WrittenBlocks:
    """Blocks of rows on their way into the database, and all of them once they are there.

    The database takes in one block while the next is computed.
    """

    def __init__(self, blocks: Iterator[pd.DataFrame], day_of: dict[pd.Timestamp, date]) -> None:
        self._blocks = blocks
        self._day_of = day_of
        self._written: list[pd.DataFrame] = []

    def tables(self) -> Iterator[pa.Table]:
        """The blocks, each with its days."""
        for block in self._blocks:
            rows = _with_day(block, self._day_of)
            self._written.append(rows)
            yield pa.Table.from_pandas(rows, preserve_index=False)

    def rows(self) -> pd.DataFrame:
        """What `tables` has yielded."""
        return pd.concat(self._written, ignore_index=True)


def _with_day(rows: pd.DataFrame, day_of: dict[pd.Timestamp, date]) -> pd.DataFrame:
    rows.insert(0, "day", rows["as_of"].map(day_of))
    return rows


def _missing(
    connection: psycopg.Connection, rows: pd.DataFrame, ends: dict[date, datetime], seen: str
) -> list[tuple[date, int]]:
    """The days and active bots that had closed a trade by then, as `seen` shows them, and have no row."""
    days, bots = list(ends), [bot for bot, active in active_bots(connection).items() if active]
    present = np.zeros((len(days), len(bots) + 1), bool)  # bots that are not asked for share the last column
    day, bot = (pd.Index(of).get_indexer(pd.Index(rows[name])) for of, name in ((days, "day"), (bots, "bot_id")))
    present[day, bot] = True
    absent = [(days[d], bots[b]) for d, b in np.argwhere(~present[:, :-1])]
    if not absent:  # as a rule; to ask for the first trades of all bots takes as long as their streaks
        return []
    asked = [*{bot for _, bot in absent}]
    found: dict[int, datetime] = dict(connection.execute(query("trades/first_exits"), (asked, seen)).fetchall())
    return [(day, bot) for day, bot in absent if bot in found and found[bot] < ends[day]]


def compute_streaks(session: Session, first: date, last: date) -> StepResult:
    """Replace the streaks of the days first..last that have metrics; the rows are those of the summary."""
    connection = session.connection
    upstream = marks(connection, "bot_metrics", first, last)
    lengths, summary = (pd.DataFrame(columns=[f.name for f in TABLES[name]]) for name in STREAK_TABLES)
    own: list[Mark] = []
    if upstream:
        ends = [of.as_of for of in upstream]
        known = session.trades(ends[0] - timedelta(days=WINDOW_DAYS), ends[-1])
        own = [Mark(of.day, of.as_of, known.seen, {"bot_metrics": of.number}) for of in upstream]
        day_of = dict(zip(pd.DatetimeIndex(ends), [of.day for of in upstream], strict=True))
        lengths, summary = (_with_day(rows, day_of) for rows in engine.win_streak_tables(known.trades, micros(ends)))
    with connection.transaction():
        for table, rows in zip(STREAK_TABLES, (lengths, summary), strict=True):
            replace_days(connection, table, first, last, pa.Table.from_pandas(rows, preserve_index=False, nthreads=1))
        mark(connection, "win_streaks", first, last, own)
    return StepResult("win_streaks", first, last, summary)
