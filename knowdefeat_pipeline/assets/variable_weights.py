"""`variable_weights`: the 17 weights in force once a day was ranked; the learner adjusts them where the run says so."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
from pydantic import Field

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, day_end, each_day
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.weight_adjustment import Attempt, adjust, changes, later_days_locked
from knowdefeat_pipeline.assets.weight_pictures import draw_weights
from knowdefeat_pipeline.core.schema import TABLES, VARIABLE_NAMES
from knowdefeat_pipeline.store.results import replace_days, version_in_force, weight_versions
from knowdefeat_pipeline.store.staleness import mark, marks

PREVIEW = ("variable", "weight", "version")
LINEAGE = {"weight": [("bot_rankings", "weight_version")]}
SHOWN_DAYS = 180  # of the picture
SHOWN_ATTEMPTS = 30  # of the table


class Adjustment(dg.Config):
    """Whether the run adjusts the weights."""

    adjust: bool = Field(
        default=False,
        description="Let the learner adjust the weights of the run's days that have ended: once a day, and never "
        "before a version that exists already.",
    )


@catalogue.chain_asset(
    deps=["bot_rankings"],
    kinds={"postgres", "numpy"},
    metadata=catalogue.table("variable_weights", TABLES["variable_weights"], LINEAGE),
    description="The weights in force at each day's as_of: signed, one decimal, absolute sum 100.0. With `adjust` the "
    "learner first moves them toward what foretold the next day, and the days concerned are ranked again.",
)
def variable_weights(
    context: dg.AssetExecutionContext, config: Adjustment, database: Database, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    days, now = each_day(first, last), clock.now()
    with (
        later_days_locked(database, last, now) if config.adjust else nullcontext(),
        database.connect() as connection,
        connection.transaction(),
    ):
        upstream = marks(connection, "bot_rankings", first, last)
        attempts, ranked_until = adjust(database, connection, days, now) if config.adjust else ([], None)
        ranked = {day: instant for day, instant, _ in upstream}
        instants = {day: ranked.get(day, as_of(day, now)) for day in days} | _later_days(connection, last, ranked_until)
        rows = _rows(connection, instants)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        replace_days(connection, "variable_weights", first, max(instants), table)
        mark(connection, "variable_weights", upstream)
        if config.adjust:
            _describe_adjustment(context, connection, attempts, first, last)
    catalogue.describe(context, rows, days, PREVIEW)
    yield dg.MaterializeResult()


def _later_days(connection: psycopg.Connection, last: date, until: date | None) -> dict[date, datetime]:
    """The days after `last` that were ranked again, with the instants of their rows."""
    found = connection.execute(
        "SELECT DISTINCT day, as_of FROM variable_weights WHERE day > %s AND day <= %s ORDER BY day", (last, until)
    ).fetchall()
    return dict(found)


def _rows(connection: psycopg.Connection, instants: Mapping[date, datetime]) -> pd.DataFrame:
    versions = weight_versions(connection, min(instants.values()))
    return pd.DataFrame(
        [
            (day, instant, variable, weight, version["version"])
            for day, instant in instants.items()
            for version in [version_in_force(versions, instant)]
            for variable, weight in version["weights"].items()
        ],
        columns=[figure.name for figure in TABLES["variable_weights"]],
    )


def _describe_adjustment(
    context: dg.AssetExecutionContext,
    connection: psycopg.Connection,
    attempts: list[Attempt],
    first: date,
    last: date,
) -> None:
    """What became of each day, why, and the weights over time, on the run's last day."""
    told = changes(attempts)
    entries: dict[str, dg.MetadataValue] = {
        "adjusted days": dg.MetadataValue.int(int(told["version"].notna().sum())),
        "adjustment": dg.MetadataValue.md(
            catalogue.markdown_table(told.tail(SHOWN_ATTEMPTS))
            if attempts
            else "No day of this run has ended that was not adjusted before."
        ),
    }
    if attempts and "statement" in attempts[-1].proposal.evidence:
        moved = attempts[-1].proposal.evidence["change"]
        entries["evidence"] = dg.MetadataValue.text(attempts[-1].proposal.evidence["statement"])
        entries["weight changes"] = dg.MetadataValue.md(
            catalogue.markdown_table(pd.DataFrame({"variable": list(moved), "points": list(moved.values())}))
        )
    context.add_asset_metadata(entries, partition_key=last.isoformat())
    shown = each_day(min(first, last - timedelta(days=SHOWN_DAYS - 1)), last)
    catalogue.show(context, last, "weights over time", lambda: draw_weights(shown, _weights(connection, shown)))


def _weights(connection: psycopg.Connection, days: list[date]) -> np.ndarray:
    """The weights in force at the end of each day, days x 17."""
    ends = [day_end(day) for day in days]
    versions = weight_versions(connection, ends[0])
    return np.array([[version_in_force(versions, end)["weights"][name] for name in VARIABLE_NAMES] for end in ends])
