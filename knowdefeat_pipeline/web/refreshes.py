"""Starting a refresh: a run of Dagster's, asked for as its UI asks for one, so that it is queued and shown there.

The pages compute nothing themselves. While `knowdefeat up` runs, what is stale is computed without being asked for.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import psycopg

from knowdefeat_pipeline.assets.tags import range_tags
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

JOB = "refresh"
AUTHOR_TAG = "knowdefeat/by"  # the name of the token that asked for a run
PATIENCE = 10.0  # seconds for Dagster's web server
LAUNCH = """
    mutation Launch($run: ExecutionParams!) {
        launchRun(executionParams: $run) {
            __typename
            ... on LaunchRunSuccess { run { runId } }
            ... on PythonError { message }
        }
    }
"""

logger = logging.getLogger("knowdefeat.web")


@dataclass(frozen=True)
class Refresh:
    """A run that was asked for, and the days that it computes."""

    run_id: str
    first: date
    last: date


def start_refresh(site: Site, author: str, first: date | None = None, last: date | None = None) -> Refresh:
    """Ask for a run over the days first..last, of one day where one is named, over what is stale where none is.

    Raises Problem: 409 where nothing is stale or no Dagster is known, 422 for days that no run has, 503 where Dagster
    does not take it.
    """
    if site.dagster is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "These pages were started without Dagster's UI (--dagster), by which runs are started. Compute what is "
            "stale: knowdefeat run",
        )
    with site.connection() as connection:
        days = _days(connection, site, first, last)
    run_id = _launched(site.dagster, site.settings.code_location, range_tags(*days) | {AUTHOR_TAG: author})
    return Refresh(run_id, *days)


def _days(connection: psycopg.Connection, site: Site, first: date | None, last: date | None) -> tuple[date, date]:
    now, most = clock.now(connection), site.settings.chunk_days
    first, last = first or last, last or first
    if first is None or last is None:
        stale = stale_days(connection, RANKING, now)
        if not stale:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"Up to date: all {stale.computed_days:,} computed days include every recorded change. Name days to "
                "compute them all the same.",
            )
        return stale.part(most)
    if not site.settings.first_day <= first <= last <= now.date():
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{first} to {last} are no days that can be computed: write days in order, from "
            f"{site.settings.first_day} to {now.date()}.",
        )
    if last - first >= timedelta(days=most):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{first} to {last} are more than the {most} days of a run. Ask for parts, or: knowdefeat backfill",
        )
    return first, last


def _launched(dagster: str, location: str, tags: dict[str, str]) -> str:
    """The id of the run. Raises Problem."""
    run = {
        "mode": "default",
        "selector": {"repositoryLocationName": location, "repositoryName": "__repository__", "jobName": JOB},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    body = json.dumps({"query": LAUNCH, "variables": {"run": run}}).encode()
    # The address is that which this program was started with.
    asked = Request(  # noqa: S310
        f"{dagster.rstrip('/')}/graphql", body, {"Content-Type": "application/json"}
    )
    try:
        with urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
    except (URLError, TimeoutError, ValueError) as error:
        logger.warning("Dagster's web server did not answer: %s", error)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Dagster's web server at {dagster} does not answer. Look at its log (webserver.log), or compute what is "
            "stale by: knowdefeat run",
            {"Retry-After": "5"},
        ) from error
    found = (told.get("data") or {}).get("launchRun") or {}
    if found.get("__typename") != "LaunchRunSuccess":
        logger.error("Dagster took no run: %s", told)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Dagster did not take the run ({found.get('message') or found.get('__typename') or 'an error'}). Its UI "
            "shows whether its code is loaded.",
        )
    return str(found["run"]["runId"])
