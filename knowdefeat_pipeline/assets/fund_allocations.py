"""`fund_allocations`: what each bot is given, what stays cash, and why."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.funds.daily import Breach, Division, breaches, divide_days
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.store.funds import fund_inputs, unfunded, write_division

PREVIEW = ("bot_id", "quote_currency", "rank", "amount", "decision", "reason")
LINEAGE = {
    "amount": [("bot_rankings", "rank_score"), ("bot_rankings", "is_active")],
    "rank": [("bot_rankings", "rank")],
    "drawdown": [("trades", "pnl")],
    "daily_loss": [("trades", "pnl")],
}
CHECKS = [
    dg.AssetCheckSpec(
        "no_amount_is_negative",
        asset="fund_allocations",
        blocking=True,
        description="Every bot is given 0 or more.",
    ),
    dg.AssetCheckSpec(
        "no_cap_is_broken",
        asset="fund_allocations",
        blocking=True,
        description="No bot and no ticker holds more than its share of the funds, and none a smaller ticket than the "
        "minimum.",
    ),
    dg.AssetCheckSpec(
        "amounts_and_cash_sum_to_the_funds",
        asset="fund_allocations",
        blocking=True,
        description="Of every day and currency, to the cent.",
    ),
    dg.AssetCheckSpec(
        "only_ranked_active_bots_are_funded",
        asset="fund_allocations",
        blocking=True,
        description="Inactive, halted and unranked bots are given nothing.",
    ),
]


@catalogue.chain_asset(
    deps=["bot_rankings", "strategy_beliefs"],
    group_name="funds",
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("fund_allocations", TABLES["fund_allocations"], LINEAGE),
    description="Funds over active, ranked bots that no risk rule halts: in proportion to what the settings aim at, "
    "within the caps, to the cent; the rest is cash.",
)
def fund_allocations(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    division, settings, without = compute(database, first, last)
    shown = division.rows.assign(amount=division.rows["amount"] / 100).sort_values(
        ["day", "quote_currency", "amount", "bot_id"], ascending=[True, True, False, True]
    )
    catalogue.describe(context, division.rows, each_day(first, last), PREVIEW, shown)
    context.add_asset_metadata(_summary(division, without), partition_key=last.isoformat())
    yield dg.MaterializeResult(check_results=[_result(found) for found in breaches(division, settings)])


def compute(database: Database, first: date, last: date) -> tuple[Division, Sequence[FundSettings], list[str]]:
    """Replace the days first..last; what they hold, the settings, and the currencies for which none are set."""
    with database.connect() as connection:
        inputs, upstream = fund_inputs(connection, database.address(), first, last)
        division = divide_days(inputs)
        write_division(connection, first, last, division, upstream)
        return division, inputs.settings, unfunded(connection)


def _summary(division: Division, without: list[str]) -> dict[str, Any]:
    """The last day's totals per currency, and what to do where nothing is allocated."""
    metadata: dict[str, Any] = {
        f"no funds in {currency}": f"None are set. Next: knowdefeat funds set --currency {currency} --funds AMOUNT"
        for currency in without
    }
    days = division.days
    for row in days[days["day"] == days["day"].max()].itertuples() if len(days) else ():
        metadata[f"allocated in {row.quote_currency}"] = row.allocated / 100
        metadata[f"cash in {row.quote_currency}"] = row.cash / 100
        metadata[f"why cash in {row.quote_currency}"] = row.cash_reason
    metadata["decisions of the risk rules"] = dg.MetadataValue.md(
        catalogue.markdown_table(
            pd.DataFrame(
                [
                    (e.bot_id, e.kind, str(e.in_force_from), e.reason)
                    for e in division.events[-catalogue.PREVIEW_ROWS :]
                ],
                columns=["bot_id", "kind", "at", "reason"],
            )
        )
    )
    return metadata


def _result(found: Breach) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key="fund_allocations", check_name=found.rule, passed=found.broken == 0, metadata=dict(found.figures)
    )
