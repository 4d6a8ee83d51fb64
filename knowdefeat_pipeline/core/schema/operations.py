"""How fresh results are, and what ran."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import Figure, text

FRESHNESS: tuple[Figure, ...] = (
    text("asset", "The asset: a table of results."),
    Figure("last_day", "date", "UTC day", "The last day that is computed.", nullable=False),
    Figure("days", "bigint", "days", "How many days are computed.", nullable=False),
    Figure("as_of", "timestamptz", "UTC", "When its latest figures are true.", nullable=False),
    Figure("refreshed_at", "timestamptz", "UTC", "When a day of it was last computed.", nullable=False),
)

RUNS: tuple[Figure, ...] = (
    text("run_id", "The run, by Dagster's id."),
    text("job", "The job that it is a run of."),
    text("status", "Its state, as Dagster names it: QUEUED, STARTED, SUCCESS, FAILURE, CANCELED and others."),
    Figure("requested_at", "timestamptz", "UTC", "When it was asked for."),
    Figure("started_at", "timestamptz", "UTC", "When its process began to work. NULL before."),
    Figure("ended_at", "timestamptz", "UTC", "When it ended. NULL before."),
)
