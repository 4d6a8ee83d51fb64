"""`variable_weights`: the 17 weights in force once a day was ranked."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, each_day
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.figures import TABLES
from knowdefeat_pipeline.store.pending import mark, marks
from knowdefeat_pipeline.store.results import replace_days, version_in_force, weight_versions

PREVIEW = ("variable", "weight", "version")
LINEAGE = catalogue.column_lineage({"weight": [("bot_rankings", "weight_version")]})


@catalogue.chain_asset(
    deps=["bot_rankings"],
    kinds={"postgres"},
    metadata=catalogue.table("variable_weights", TABLES["variable_weights"]),
    description="The weights in force at each day's as_of: signed, one decimal, absolute sum 100.0.",
)
def variable_weights(
    context: dg.AssetExecutionContext, database: Database, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    days, now = each_day(first, last), clock.now()
    with database.connect() as connection:
        upstream = marks(connection, "bot_rankings", first, last)
        versions = weight_versions(connection)
        ranked = {day: instant for day, instant, _ in upstream}
        in_force = [(day, ranked.get(day, as_of(day, now))) for day in days]
        rows = pd.DataFrame(
            [
                (day, instant, variable, weight, version["version"])
                for day, instant in in_force
                for version in [version_in_force(versions, instant)]
                for variable, weight in version["weights"].items()
            ],
            columns=[figure.name for figure in TABLES["variable_weights"]],
        )
        with connection.transaction():
            table = pa.Table.from_pandas(rows, preserve_index=False)
            replace_days(connection, "variable_weights", first, last, table)
            mark(connection, "variable_weights", upstream)
    catalogue.describe(context, rows, days, PREVIEW, LINEAGE)
    yield dg.MaterializeResult()
