"""The ranking: `bot_rankings`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.funds.events import inactive_bots
from knowdefeat_pipeline.core.ranking.ranking import rank_bots
from knowdefeat_pipeline.core.ranking.weight_set import version_in_force
from knowdefeat_pipeline.core.schema import ALL_TICKERS, FLAG, TABLES, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Bools, Ints
from knowdefeat_pipeline.postgres.connection import one_transaction
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult
from knowdefeat_pipeline.store.funds import bot_events
from knowdefeat_pipeline.store.learning import weight_versions
from knowdefeat_pipeline.store.one_day import renew_day
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, current_snapshot, mark, marks

ROUNDING = 1e-9
COLUMNS = [figure.name for figure in TABLES["bot_rankings"] if figure is not FLAG]
CHECKS = (
    CheckSpec(
        "bot_rankings",
        "contributions_sum_to_the_score",
        "The contributions of each ranked bot sum to rank_score - 50.",
    ),
)


def compute_rankings(session: Session, first: date, last: date, metrics: pd.DataFrame | None = None) -> StepResult:
    """Replace the rankings of the days first..last that have metrics.

    `metrics`: the rows of `bot_metrics` of these days, by whoever has just written them; they are read by default.
    """
    connection = session.connection
    seen = current_snapshot(connection)
    upstream = marks(connection, "bot_metrics", first, last)
    if metrics is None:
        metrics = session.read("ranking/ranking_metrics", first, last).to_pandas()
    rows = _rank(connection, metrics[metrics["ticker"] == ALL_TICKERS].reset_index(drop=True))
    own = [Mark(of.day, of.as_of, seen, {"bot_metrics": of.number}) for of in upstream]
    with one_transaction(connection):
        if session.memory and [of.day for of in own] == [first] == [last]:
            found = session.memory.compared("bot_rankings", rows)
            renew_day(connection, session.memory, "bot_rankings", found, own[0])
        else:
            table = pa.Table.from_pandas(rows, preserve_index=False, nthreads=1)
            replace_days(connection, "bot_rankings", first, last, table)
            mark(connection, "bot_rankings", first, last, own)
    return StepResult("bot_rankings", first, last, rows, (_check(rows),))


def _rank(connection: psycopg.Connection, metrics: pd.DataFrame) -> pd.DataFrame:
    """The bots of these metrics, ranked by the weights in force at each as_of."""
    number, ends = pd.factorize(metrics["as_of"], sort=True)
    versions, events = weight_versions(connection, ends[0] if len(ends) else None), bot_events(connection)
    in_force = [version_in_force(versions, end) for end in ends]
    weights = {name: np.array([v.weights[name] for v in in_force])[number] for name in VARIABLE_NAMES}
    metrics = metrics.assign(
        weight_version=np.array([v.version for v in in_force], int)[number],
        is_active=_active(metrics["bot_id"].to_numpy(), number, [inactive_bots(events, end) for end in ends]),
    )
    ranking = rank_bots(metrics, weights)
    added = {name: metrics[name].array[ranking.index] for name in ("day", "weight_version", "is_active")}
    return ranking.assign(**added)[COLUMNS]


def _active(bot: Ints, number: Ints, inactive: Sequence[Collection[int]]) -> Bools:
    """Whether each bot is active at the as_of of that number, given who is not at each."""
    known = {each: place for place, each in enumerate(np.unique(bot).tolist())}
    gone = [at * len(known) + known[each] for at, bots in enumerate(inactive) for each in bots if each in known]
    place = np.searchsorted(np.array([*known], np.int64), bot)
    return ~np.isin(number * len(known) + place, np.array(gone, np.int64))


def _check(rows: pd.DataFrame) -> CheckResult:
    points = rows[[f"{name}_points" for name in VARIABLE_NAMES]].to_numpy(np.float64).sum(axis=1)
    off = np.abs(points - (rows["rank_score"].to_numpy(np.float64) - 50))[rows["eligible"].to_numpy(bool)]
    wrong = int((~(off <= ROUNDING)).sum())
    return CheckResult("contributions_sum_to_the_score", wrong == 0, {"checked": len(off), "wrong": wrong})
