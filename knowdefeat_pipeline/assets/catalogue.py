"""How results appear in the catalogue: columns, row counts, previews, pictures. Names are those of `core`."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import dagster as dg
import pandas as pd
from dagster import TableColumn, TableColumnConstraints, TableColumnDep, TableColumnLineage, TableSchema

from knowdefeat_pipeline.core.escaping import for_markdown
from knowdefeat_pipeline.core.schema import Figure
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "bot_skill", "variable_weights")
FUNDS = ("fund_allocations",)
BELIEFS = ("strategy_beliefs", "strategy_weights")
MARKET = ("price_bars", "market_regimes", "trade_scores")
PREVIEW_ROWS = 5
SEVERITY = {"ERROR": dg.AssetCheckSeverity.ERROR, "WARN": dg.AssetCheckSeverity.WARN}

# On runs that new trades begin: there may be one every few seconds.
BATCH_TAG = "knowdefeat/batch"


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


def check_specs(specs: Iterable[CheckSpec], asset: str) -> list[dg.AssetCheckSpec]:
    """The checks of an asset as Dagster lists them."""
    return [
        dg.AssetCheckSpec(spec.name, asset=asset, blocking=spec.blocking, description=spec.description)
        for spec in specs
        if spec.asset == asset
    ]


def check_results(result: StepResult) -> list[dg.AssetCheckResult]:
    """What the step's checks found, as Dagster records it."""
    return [check_result(check, result.asset) for check in result.checks]


def check_result(check: CheckResult, asset: str) -> dg.AssetCheckResult:
    """What one check found."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check.name,
        passed=check.passed,
        severity=SEVERITY[check.severity],
        description=check.description,
        metadata=check_metadata(check),
    )


def check_metadata(check: CheckResult) -> dict[str, Any]:
    """The figures of a check, and the rows that show what it found."""
    shown = {} if check.examples is None else {"first": dg.MetadataValue.md(markdown_table(check.examples))}
    return {**check.figures, **shown}


def describe(
    context: dg.AssetExecutionContext,
    result: StepResult,
    preview: Sequence[str],
    shown: pd.DataFrame | None = None,
    names: Mapping[int, str] | None = None,
) -> None:
    """Put row counts on every partition of the run, and a preview of the last day's first rows on the last.

    `shown`: rows that say more than those written. `names` of the bots, for a preview that shows `bot`. The preview
    goes to one partition only: what is said per partition stays in the event log.
    """
    for day in result.days:
        context.add_asset_metadata(
            row_count(result.counts.get(day, 0), "partition_row_count"), partition_key=day.isoformat()
        )
    last_rows = result.last_rows if shown is None else shown[shown["day"] == result.last]
    first = last_rows.iloc[:PREVIEW_ROWS]
    if names is not None:
        first = with_names(first, names)
    context.add_asset_metadata(
        {
            **row_count(result.counts.get(result.last, 0), "row_count"),  # the UI shows it beside the run's last day
            "preview": dg.MetadataValue.md(markdown_table(first[list(preview)])),
        },
        partition_key=result.last.isoformat(),
    )


def with_names(rows: pd.DataFrame, names: Mapping[int, str]) -> pd.DataFrame:
    """Rows of bots with their names as `bot`; the key for a bot that has gone."""
    return rows.assign(bot=[names.get(key, str(key)) for key in rows["bot_id"].tolist()])


def row_count(rows: int, kind: Literal["row_count", "partition_row_count"]) -> dict[str, int]:
    """A number of rows as the UI knows it."""
    return {f"dagster/{kind}": rows}


def show(context: dg.AssetExecutionContext, day: date, name: str, draw: Callable[[], str | None]) -> None:
    """Put the SVG that `draw` returns on one partition; None is nothing to show."""
    # Metadata stays in the event log for ever. 4 kB every few seconds would come to much, so that runs that new trades
    # begin draw nothing; the daily refresh, backfills and runs by hand do.
    if BATCH_TAG in context.run.tags:
        return
    svg = draw()
    if svg is not None:
        picture = f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
        context.add_asset_metadata({name: dg.MetadataValue.md(picture)}, partition_key=day.isoformat())


def markdown_table(rows: pd.DataFrame) -> str:
    """A small table; numbers to four significant digits, texts as they are, an empty one says so."""
    if rows.empty:
        return "No rows on this day."
    cells = [[_cell(value) for value in row] for row in rows.itertuples(index=False, name=None)]
    lines = [list(map(str, rows.columns)), ["---"] * len(rows.columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, str):
        return for_markdown(value)
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
