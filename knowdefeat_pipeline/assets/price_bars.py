"""`price_bars`: the bars of each day, counted, with a look for gaps. The rows arrive by ingestion or INSERT."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day, span
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import BAR_DAY
from knowdefeat_pipeline.store.market import bar_series

COLUMNS = [figure.name for figure in BAR_DAY]
CHECKS = [
    dg.AssetCheckSpec(
        "no_gaps",
        asset="price_bars",
        description="No bar is missing where the same time of the week before or after has one.",
    ),
]


@catalogue.market_asset(
    kinds={"postgres"},
    check_specs=CHECKS,
    metadata=catalogue.table("price_bars", BAR_DAY),
    description="Bars of market data, validated on arrival; refused rows wait in quarantine.",
)
def price_bars(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    rows, days = count(database, first, last), each_day(first, last)
    counts = rows.groupby("day")["bars"].sum()
    for day in days:
        context.add_asset_metadata(
            {"dagster/partition_row_count": int(counts.get(day, 0))}, partition_key=day.isoformat()
        )
    preview = catalogue.markdown_table(rows.loc[rows["day"] == last, COLUMNS].head(catalogue.PREVIEW_ROWS))
    context.add_asset_metadata(
        {"dagster/row_count": int(counts.get(last, 0)), "preview": dg.MetadataValue.md(preview)},
        partition_key=last.isoformat(),
    )
    yield dg.MaterializeResult(check_results=[_check(rows)])


def count(database: Database, first: date, last: date) -> pd.DataFrame:
    """A row per day and series with bars or gaps."""
    with database.connect() as connection:
        series = bar_series(connection)
    tickers, timeframes = [ticker for ticker, _ in series], [timeframe for _, timeframe in series]
    return database.read("market/bar_days", *span(first, last), tickers, timeframes).to_pandas()


def _check(rows: pd.DataFrame) -> dg.AssetCheckResult:
    gaps = int(rows["gaps"].sum())
    where = rows[rows["gaps"] > 0].drop(columns="bars").head(catalogue.PREVIEW_ROWS)
    return dg.AssetCheckResult(
        passed=gaps == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"missing bars": gaps, "first": dg.MetadataValue.md(catalogue.markdown_table(where))},
        description=f"{gaps:,} bars are missing; load them, and the days from there on are computed again",
    )
