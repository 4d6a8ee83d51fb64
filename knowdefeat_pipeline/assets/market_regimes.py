"""`market_regimes`: is a market trending, ranging or volatile at the close of each bar."""

from collections.abc import Iterator
from datetime import date, datetime

import dagster as dg
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, each_day, span
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.market.regimes import FIRST_FIT, PROBABILITIES, label_regimes
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.store.market import Tail, bar_series, read_tail
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.staleness import current_snapshot, mark

COLUMNS = [figure.name for figure in TABLES["market_regimes"]]
LINEAGE = {name: [("price_bars", "bars")] for name in ("label", *PROBABILITIES)}
CHECKS = [
    dg.AssetCheckSpec(
        "probabilities_sum_to_one",
        asset="market_regimes",
        blocking=True,
        description="The probabilities of the three regimes sum to 1 at every bar.",
    ),
]


@catalogue.market_asset(
    deps=["price_bars"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("market_regimes", TABLES["market_regimes"], LINEAGE),
    description="The market regime at the close of each bar, told from the bars up to it: later bars change no label.",
)
def market_regimes(
    context: dg.AssetExecutionContext, database: Database, clock: Clock
) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    rows = compute(database, first, last, clock.now())
    catalogue.describe(context, rows, each_day(first, last), COLUMNS[1:])
    wrong = int(((rows[[*PROBABILITIES]].sum(axis=1) - 1).abs() > 1e-9).sum())
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=wrong == 0, metadata={"wrong": wrong})])


def compute(database: Database, first: date, last: date, now: datetime) -> pd.DataFrame:
    """Replace the days first..last; the new rows. A day's labels rest on a bounded past, and only that is read."""
    since, until = span(first, last)
    with database.connect() as connection:
        seen = current_snapshot(connection)
        parts = [
            _labels(tail, *series)
            for series in bar_series(connection)
            if (tail := read_tail(connection, database.address(), series, since, until, FIRST_FIT))
        ]
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
        with connection.transaction():
            table = pa.Table.from_pandas(rows, preserve_index=False)
            replace_days(connection, "market_regimes", first, last, table)
            mark(connection, "market_regimes", [(day, as_of(day, now), seen) for day in each_day(first, last)])
    return rows


def _labels(tail: Tail, ticker: str, timeframe: str) -> pd.DataFrame:
    labels = label_regimes(tail.bars, position=tail.position, since=tail.since)
    return labels.assign(day=labels["open_time"].dt.date, ticker=ticker, timeframe=timeframe)[COLUMNS]
