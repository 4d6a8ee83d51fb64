"""How results appear in the catalogue: columns, row counts, previews, pictures. Names are those of `core`."""

import base64
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

import dagster as dg
import numpy as np
import pandas as pd
from dagster import TableColumn, TableColumnConstraints, TableColumnDep, TableColumnLineage, TableSchema

from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS, DAILY
from knowdefeat_pipeline.core.schema import Figure

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")
BELIEFS = ("strategy_beliefs", "strategy_weights")
FUNDS = ("fund_allocations",)
MARKET = ("price_bars", "market_regimes", "trade_scores")
PREVIEW_ROWS = 5

# On runs that new trades begin, by the live listener and by the sensor: there may be one every second.
LIVE_TAG, BATCH_TAG = "knowdefeat/live", "knowdefeat/batch"

# Stable enough to build on; a notice at every start would only teach people to overlook notices.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy")

# The chain is refreshed once a day at least: late by more than an hour or two deserves a look, half a day an alarm.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

day_asset = partial(
    dg.asset,
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=CHUNK_DAYS),
    owners=["team:knowdefeat"],
)
"""`dagster.asset` by day, a range of days in one run."""
chain_asset = partial(day_asset, group_name="ranking", freshness_policy=FRESH)
"""The same as every member of the chain uses it: refreshed daily."""
belief_asset = partial(chain_asset, group_name="beliefs")
"""The same for what is learned of strategies."""
market_asset = partial(day_asset, group_name="market")
"""The same for market data, which need not be there."""


def table(
    name: str, figures: Iterable[Figure], lineage: Mapping[str, Iterable[tuple[str, str]]] | None = None
) -> dict[str, object]:
    """Definition metadata that names the SQL table, its columns and their sources: column → (upstream asset, column).

    It stands in the definition as it never changes: with every materialisation it would be most of the event log.
    """
    columns = {"dagster/table_name": name, "dagster/column_schema": column_schema(figures)}
    return columns | ({"dagster/column_lineage": column_lineage(lineage)} if lineage else {})


def column_schema(figures: Iterable[Figure]) -> TableSchema:
    """The table's columns with types and descriptions."""
    return TableSchema(
        columns=[
            TableColumn(
                f.name,
                f.type,
                f"{f.description} [{f.unit}]" if f.unit else f.description,
                constraints=TableColumnConstraints(nullable=f.nullable),
            )
            for f in figures
        ]
    )


def column_lineage(columns: Mapping[str, Iterable[tuple[str, str]]]) -> TableColumnLineage:
    """From column → [(upstream asset, column)]."""
    return TableColumnLineage(
        {
            name: [TableColumnDep(asset_key=asset, column_name=column) for asset, column in sources]
            for name, sources in columns.items()
        }
    )


def describe(
    context: dg.AssetExecutionContext,
    rows: pd.DataFrame,
    days: Sequence[date],
    preview: Sequence[str],
    shown: pd.DataFrame | None = None,
) -> None:
    """Put row counts on every partition of the run, and a preview of the last day's first rows on the last
    (of `shown`, where that says more than the rows).

    The preview goes to one partition only: what is said per partition stays in the event log.
    """
    counts = Counter(rows["day"].tolist())
    for day in days:
        context.add_asset_metadata({"dagster/partition_row_count": counts[day]}, partition_key=day.isoformat())
    shown = rows if shown is None else shown
    last = np.flatnonzero(shown["day"] == days[-1])[:PREVIEW_ROWS]
    context.add_asset_metadata(
        {
            "dagster/row_count": counts[days[-1]],  # the UI shows it beside the run's last day
            "preview": dg.MetadataValue.md(markdown_table(shown[list(preview)].iloc[last])),
        },
        partition_key=days[-1].isoformat(),
    )


def show(context: dg.AssetExecutionContext, day: date, name: str, draw: Callable[[], str | None]) -> None:
    """Put the SVG that `draw` returns on one partition; None is nothing to show."""
    # Metadata stays in the event log for ever. 4 kB a second would be 350 MB a day, so that runs that new trades begin
    # draw nothing; the daily refresh, backfills and runs by hand do.
    if {LIVE_TAG, BATCH_TAG} & context.run.tags.keys():
        return
    svg = draw()
    if svg is not None:
        picture = f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
        context.add_asset_metadata({name: dg.MetadataValue.md(picture)}, partition_key=day.isoformat())


def markdown_table(rows: pd.DataFrame) -> str:
    """A small table; numbers to four significant digits, an empty one says so."""
    if rows.empty:
        return "No rows on this day."
    cells = [[_cell(value) for value in row] for row in rows.itertuples(index=False, name=None)]
    lines = [list(map(str, rows.columns)), ["---"] * len(rows.columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
