"""`trades`: what bots recorded, counted and checked day by day. The rows themselves arrive by ingestion or INSERT."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import TRADE_DAY
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.results import trade_days

# What the database must enforce, row by row and at every write. To count the rows that break a rule which no row can
# break would read the whole table for nothing.
CONSTRAINTS = {
    "trades_closed_has_exit": "closed trades have an exit",
    "trades_content_key": "no trade is recorded twice",
    "trades_source_key": "no trade of a source is recorded twice",
    "trades_pnl_agrees": "net pnl follows from prices, size and fees",
}
CHECKS = [
    dg.AssetCheckSpec(
        "constraints_are_enforced",
        asset="trades",
        blocking=True,
        description=f"The database enforces that {', '.join(CONSTRAINTS.values())}.",
    ),
    dg.AssetCheckSpec(
        "reported_pnl_agrees",
        asset="trades",
        description="What sources claimed agrees with the net pnl; where it does not, the computed figure is used.",
    ),
]


@catalogue.chain_asset(
    kinds={"postgres"},
    check_specs=CHECKS,
    metadata=catalogue.table("trades", TRADE_DAY),
    description="Closed trades of the bots, validated on arrival; refused rows wait in quarantine.",
)
def trades(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    with database.connect() as connection:
        days = trade_days(connection, first, last)
        enforced = {row[0] for row in connection.execute(query("trades/enforced")).fetchall()}
        held = _one(connection.execute("SELECT count(*) FROM trade_quarantine WHERE status = 'held'").fetchone())
    rows = pd.DataFrame(days, columns=[f.name for f in TRADE_DAY])
    _describe(context, rows, each_day(first, last), held)
    yield dg.MaterializeResult(check_results=_check(rows, enforced))


def _one(row: tuple | None) -> int:
    return 0 if row is None else int(row[0])


def _describe(context: dg.AssetExecutionContext, rows: pd.DataFrame, days: list[date], held: int) -> None:
    closed = dict(zip(rows["day"], rows["closed"], strict=True))
    for day in days:
        context.add_asset_metadata(
            {"dagster/partition_row_count": int(closed.get(day, 0))}, partition_key=day.isoformat()
        )
    context.add_asset_metadata(
        {
            "dagster/row_count": int(closed.get(days[-1], 0)),
            "held in quarantine": held,
            "preview": dg.MetadataValue.md(catalogue.markdown_table(rows.tail(catalogue.PREVIEW_ROWS))),
        },
        partition_key=days[-1].isoformat(),
    )


def _check(rows: pd.DataFrame, enforced: set[str]) -> list[dg.AssetCheckResult]:
    disagreeing, reported = int(rows["disagreeing"].sum()), int(rows["reported"].sum())
    missing = {name: rule for name, rule in CONSTRAINTS.items() if name not in enforced}
    return [
        _result("constraints_are_enforced", not missing, {"missing constraints": _listed(missing)}),
        _result(
            "reported_pnl_agrees",
            disagreeing == 0,
            {"disagreed and recomputed": disagreeing, "reported": reported},
            dg.AssetCheckSeverity.WARN,
            f"{disagreeing:,} of the {reported:,} recorded pnl values disagreed and were recomputed",
        ),
    ]


def _listed(missing: dict[str, str]) -> str:
    return "; ".join(f"{name} ({rule})" for name, rule in missing.items()) or "none"


def _result(
    name: str,
    passed: bool,
    metadata: dict[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    description: str | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key="trades",
        check_name=name,
        passed=passed,
        severity=severity,
        metadata=metadata,
        description=description,
    )
