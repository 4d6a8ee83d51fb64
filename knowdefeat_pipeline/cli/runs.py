"""Dagster runs in this process: which days, in which pieces, with a progress bar."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from knowdefeat_pipeline.cli.options import CommandError, check_order
from knowdefeat_pipeline.cli.views.output import err
from knowdefeat_pipeline.cli.views.progress import progress
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings, before_first_day
from knowdefeat_pipeline.store.staleness import BELIEFS, MARKET, RANKING, Family, settle, stale_days

if TYPE_CHECKING:
    from knowdefeat_pipeline.automation.runs import Outcome


DEFAULT_DAYS = 90
ROUNDS = 2  # a day that is computed to its end for the first time makes later ones stale, which are computed already


def day_range(
    settings: Settings, traded: tuple[date, date] | None, today: date, from_: date | None, to: date | None, all_: bool
) -> tuple[date, date]:
    """The days that a command is to compute, at most until `today`. Raises CommandError where there are none."""
    if traded is None:
        raise CommandError("No trade has closed yet, so there is nothing to rank. Ingest some: knowdefeat ingest FILE")
    last = to or (max(traded[0], min(traded[1], today)))
    first = from_ or (traded[0] if all_ else max(traded[0], last - timedelta(days=DEFAULT_DAYS - 1)))
    if from_ is None:
        # Days before the first partition count in the figures of later ones; only whoever asks for all is told of them.
        first = min(first if all_ else max(first, settings.first_day), last)
    check_order(from_, to)
    if first > last:
        raise CommandError(
            f"--from {first} lies after {last}, the last day with trades; choose that or an earlier one."
        )
    if last > today:
        raise CommandError(f"--to {last} lies in the future; choose {today} or an earlier day.")
    if first < settings.first_day:
        raise CommandError(f"{before_first_day(first, settings.first_day)} Or choose a later --from.")
    return first, last


def chunks(first: date, last: date, size: int) -> list[tuple[date, date]]:
    """The range in pieces of at most `size` days, in order."""
    starts = [first + timedelta(days=at) for at in range(0, (last - first).days + 1, size)]
    return [(start, min(last, start + timedelta(days=size - 1))) for start in starts]


def materialise(first: date, last: date, quiet: bool, beliefs_only: bool = False) -> Outcome:
    """The chain, beliefs and funds for first..last in one run, its progress shown unless `quiet`; its Outcome."""
    from knowdefeat_pipeline.assets import catalogue

    label = f"Materialising {_range(first, last)}"
    if beliefs_only:
        return _run("learn", len(catalogue.BELIEFS) + len(catalogue.FUNDS), label, first, last, quiet)
    assets = (*catalogue.CHAIN, *catalogue.BELIEFS, *catalogue.FUNDS)
    return _run("recompute", len(assets), label, first, last, quiet)


def _run(job: str, assets: int, label: str, first: date, last: date, quiet: bool) -> Outcome:
    # Dagster takes a second to import: commands that only read go without.
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import refresh_days
    from knowdefeat_pipeline.definitions import defs

    with open_instance() as instance, progress(label, assets, quiet) as advance:
        return refresh_days(defs, instance, first, last, advance, job=job)


def bring_up_to_date(settings: Settings, url: str, quiet: bool) -> list[date]:
    """Compute what is stale of the ranking and the beliefs, some days a run, and what becomes stale by that; the days.

    What others make stale meanwhile is left to the next one who asks.
    """
    computed: set[date] = set()
    for family, job in ((RANKING, "refresh"), (BELIEFS, "learn")):  # beliefs rest on metrics
        for _ in range(ROUNDS):
            for first, last in _stale_ranges(family, settings, url):
                label = f"{'Learning' if family is BELIEFS else 'Refreshing'} {_range(first, last)}"
                _run(job, len(family.assets) + (family is RANKING), label, first, last, quiet)
                computed |= set(each_day(first, last))
    return sorted(computed)


def _stale_ranges(family: Family, settings: Settings, url: str) -> list[tuple[date, date]]:
    """The stale days of a family, in pieces of at most a run's worth of days."""
    with connect(url) as connection:
        found = stale_days(connection, family, clock.now(connection), settings.first_day)
        settle(connection, found)
    if found and found.first < settings.first_day:  # computed before the setting was another one
        raise CommandError(f"Stale days cannot be renewed: {before_first_day(found.first, settings.first_day)}")
    return chunks(found.first, found.last, settings.chunk_days) if found else []


def compute_market(settings: Settings, url: str, quiet: bool) -> tuple[date, date] | None:
    """Regimes and scores of all days that lack them, some days a run; these days, None where there are none."""
    ranges = _stale_ranges(MARKET, settings, url)
    for first, last in ranges:
        materialise_market(first, last, quiet)
    return (ranges[0][0], ranges[-1][1]) if ranges else None


def materialise_market(first: date, last: date, quiet: bool) -> Outcome:
    """The assets of the market for first..last in one run, its progress shown unless `quiet`; its Outcome."""
    from knowdefeat_pipeline.assets import catalogue

    return _run("market", len(catalogue.MARKET), f"Market of {_range(first, last)}", first, last, quiet)


def adjust_range(first: date, last: date, quiet: bool) -> Outcome:
    """The weights of first..last adjusted in one run; its Outcome."""
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import adjust_days
    from knowdefeat_pipeline.definitions import defs

    label = f"Adjusting the weights of {_range(first, last)}"
    with open_instance() as instance, progress(label, 1, quiet) as advance:
        return adjust_days(defs, instance, first, last, advance)


def audit(first: date, last: date) -> list[dict[str, Any]]:
    """The checks of the audit of first..last."""
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import audit_days
    from knowdefeat_pipeline.definitions import defs

    with err.status("Auditing the results"), open_instance() as instance:
        return audit_days(defs, instance, first, last).checks


def _range(first: date, last: date) -> str:
    days = (last - first).days + 1
    return f"{first} … {last} ({days:,} {'day' if days == 1 else 'days'})"
