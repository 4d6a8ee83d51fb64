"""What a refresh would take, before it is run."""

from __future__ import annotations

from datetime import date, datetime

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.units import day_start, each_day
from knowdefeat_pipeline.scale.costs import Estimate, estimate, held_bytes
from knowdefeat_pipeline.scale.plan import Extent, make_plan
from knowdefeat_pipeline.steps.metrics import since
from knowdefeat_pipeline.store.months import unfolded_trades
from knowdefeat_pipeline.store.session import Session


def estimate_refresh(session: Session, first: date, last: date, now: datetime) -> Estimate:
    """What the chain over the days first..last reads, writes and takes; it writes nothing."""
    days = [day for day in each_day(first, last) if day_start(day) < now] or [first]
    ends = [units.as_of(day, now) for day in (days[0], days[-1])]
    workers, slices = session.workers, Extent.of(session.connection).slices(len(days))
    plan = make_plan(session.url, since(first, ends), ends[-1], len(days), workers.shard_bytes, slices)
    whole = held_bytes(plan.trades, plan.rows) <= workers.whole_bytes
    return estimate(
        trades=plan.trades,
        rows=plan.rows,
        shards=1 if whole else len(plan),
        held=held_bytes(plan.trades, plan.rows) if whole else held_bytes(plan.largest.trades, plan.largest.rows),
        history=unfolded_trades(session.connection, first.replace(day=1)),
    )
