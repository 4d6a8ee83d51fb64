"""Figures of bots: `bot_metrics` and `win_streaks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.metrics import engine
from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.lifetime import Past
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import WINDOW_DAYS, Ints, day_start, each_day, micros
from knowdefeat_pipeline.postgres.connection import one_transaction, query
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, Figures, StepResult
from knowdefeat_pipeline.steps.slow_results import write_slow_results
from knowdefeat_pipeline.store.bot_days import write_bot_days
from knowdefeat_pipeline.store.exposures import read_capital
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.one_day import renew_day
from knowdefeat_pipeline.store.open_positions import write_open_positions
from knowdefeat_pipeline.store.results import active_bots, replace_days
from knowdefeat_pipeline.store.session import KnownTrades, Scores, Session
from knowdefeat_pipeline.store.staleness import Mark, mark, marks

CHECKS = (
    CheckSpec(
        "bot_metrics",
        "every_active_bot_has_metrics",
        "Each active bot with closed trades has a row on every day computed.",
    ),
)


def compute_metrics(session: Session, first: date, last: date, now: datetime) -> StepResult:
    """Replace the metrics of the days first..last, which are true at each day's end, or `now` for the running day.

    The session has begun with the first day (see `Session.begin`).
    """
    connection = session.connection
    # At the very midnight the day that begins has no instant of its own yet.
    days = [day for day in each_day(first, last) if day_start(day) < now] or [first]
    ends = [units.as_of(day, now) for day in days]
    known = session.trades(_since(first, ends), ends[-1])
    own = [Mark(day, end, known.seen) for day, end in zip(days, ends, strict=True)]
    inputs = _Inputs.read(session, known, first, ends)
    if session.memory and first == last:
        rows = _write_day(session, session.memory, inputs, own[0])
    else:
        rows = _write_days(session, inputs, first, last, own)
    missing = _missing(connection, rows, dict(zip(days, ends, strict=True)), known.seen)
    figures: Figures = {"checked": len(rows), "missing": len(missing), "first missing": str(missing[:5])}
    check = CheckResult("every_active_bot_has_metrics", not missing, figures)
    return StepResult("bot_metrics", first, last, rows, (check,))


def _since(first: date, ends: Sequence[datetime]) -> datetime:
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

    def blocks(self, bots: Ints | None = None) -> Iterator[pd.DataFrame]:
        """The metrics of these bots, None for all, some at a time."""
        return engine.bot_metrics_blocks(
            self.known.of_bots(bots),
            micros(self.ends),
            capital=self.capital,
            past=self.past if bots is None else self.past.among(bots),
            trade_scores=self.scores(bots),
        )

    def table(self, bots: Ints | None) -> pd.DataFrame:
        """The metrics of these bots in one table."""
        return pd.concat(self.blocks(bots), ignore_index=True)


def _write_days(session: Session, inputs: _Inputs, first: date, last: date, own: Sequence[Mark]) -> pd.DataFrame:
    """Compute and replace the metrics of these days; all of them."""
    connection = session.connection
    with one_transaction(connection):
        write_open_positions(connection, first, last, own)
        write_bot_days(connection, first, last, own)
        written = WrittenBlocks(inputs.blocks(), {pd.Timestamp(of.as_of): of.day for of in own})
        replace_days(connection, "bot_metrics", first, last, written.tables())
        rows = write_slow_results(session, written.rows(), own)
        mark(connection, "bot_metrics", first, last, own)
    return rows


def _write_day(session: Session, memory: Memory, inputs: _Inputs, of: Mark) -> pd.DataFrame:
    """Renew the metrics of a day of which a memory may know what was there; all of them."""
    found = memory.renewed(
        "bot_metrics", of.as_of, inputs.capital.now(*micros([of.as_of]).tolist()), inputs.table, engine.carry_metrics
    )
    connection = session.connection
    with one_transaction(connection):
        write_open_positions(connection, of.day, of.day, [of])
        write_bot_days(connection, of.day, of.day, [of])
        rows = write_slow_results(session, found.table.assign(day=of.day), [of])
        renew_day(connection, memory, "bot_metrics", found, of)
    return rows


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
    """Replace the streaks of the days first..last that have metrics; a row per bot and day."""
    connection = session.connection
    upstream = marks(connection, "bot_metrics", first, last)
    ends = [of.as_of for of in upstream]
    known = session.trades(ends[0] - timedelta(days=WINDOW_DAYS), ends[-1]) if upstream else None
    own = [Mark(of.day, of.as_of, known.seen, {"bot_metrics": of.number}) for of in upstream] if known else []

    def compute(bots: Ints | None) -> pd.DataFrame:
        return engine.win_streak_rows(known.of_bots(bots) if known else Trades.none(), micros(ends))

    if session.memory and len(own) == 1 and first == last:
        found = session.memory.renewed("win_streaks", ends[0], {}, compute, engine.carry_streaks)
        with one_transaction(connection):
            renew_day(connection, session.memory, "win_streaks", found, own[0])
        rows = found.table.assign(day=first)
    else:
        rows = _with_day(compute(None), {pd.Timestamp(of.as_of): of.day for of in own})
        with one_transaction(connection):
            written = pa.Table.from_pandas(rows, preserve_index=False, nthreads=1)
            replace_days(connection, "win_streaks", first, last, written)
            mark(connection, "win_streaks", first, last, own)
    return StepResult("win_streaks", first, last, rows)
