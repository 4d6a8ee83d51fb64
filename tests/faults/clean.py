"""Whether the tables equal a clean recomputation."""

from datetime import date, datetime

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.tables import stored

RESULTS = [name for name in TABLES if name not in ("fund_settings", "bot_events")]  # those are decisions
FOLDED = ("bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state")


def tables(url: str) -> dict[str, list[tuple]]:
    """All results."""
    found = {}
    with connect(url) as connection:
        for name in RESULTS:
            found[name] = sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
    return found


def computed(url: str) -> tuple[date, date, datetime]:
    """The first and the last day that was computed, and as of when."""
    with connect(url) as connection:
        (row,) = connection.execute(
            "SELECT min(day), max(day), max(as_of) FROM refreshed_days WHERE asset = 'bot_metrics'"
        ).fetchall()
    return row


def compute(url: str, job: str, first: date, last: date, now: datetime) -> None:
    """One run of the job over these days, at the instant `now`."""
    defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=now.isoformat())})
    with open_instance() as instance:
        refresh_days(defs, instance, first, last, job=job)


def differing(url: str) -> tuple[str, ...]:
    """The tables that differ from a clean recomputation, which replaces them; they may not all be empty."""
    found, (first, last, as_of) = tables(url), computed(url)
    assert all(found[name] for name in ("bot_metrics", "bot_rankings", "fund_allocations", "strategy_beliefs"))
    with connect(url) as connection:
        connection.execute(
            f"TRUNCATE {', '.join(map(stored, RESULTS))}, {', '.join(FOLDED)}, refreshed_days, settled_changes"
        )
    compute(url, "recompute", first, last, as_of)
    clean = tables(url)
    return tuple(name for name in RESULTS if clean[name] != found[name])
