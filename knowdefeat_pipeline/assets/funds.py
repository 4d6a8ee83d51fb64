"""`fund_allocations`: what each bot is given, what stays cash, and why."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.steps.funds import CHECKS, AllocatedDays, compute_allocations
from knowdefeat_pipeline.store.bots import bot_names
from knowdefeat_pipeline.store.fund_division import as_amounts
from knowdefeat_pipeline.store.funds import unfunded

PREVIEW = ("bot", "quote_currency", "rank", "amount", "decision", "reason")
LINEAGE = {
    "amount": [("bot_rankings", "rank_score"), ("bot_rankings", "is_active")],
    "rank": [("bot_rankings", "rank")],
    "p_skill": [("bot_skill", "p_skill")],
    "drawdown": [("trades", "pnl")],
    "daily_loss": [("trades", "pnl")],
}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `fund_allocations`."""

    @calendar.refreshed_asset(
        group_name="funds",
        deps=["bot_rankings", "bot_skill", "strategy_beliefs"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "fund_allocations"),
        metadata=catalogue.table("fund_allocations", TABLES["fund_allocations"], LINEAGE),
        description="Funds over active, ranked bots that no risk rule halts: in proportion to what the settings aim "
        "at, within the caps, to the cent; what these cannot hold is cash.",
    )
    def fund_allocations(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        allocated = compute_allocations(database.session, *covered_days(context))
        names = bot_names(database.session.connection)
        shown = as_amounts(allocated.rows).sort_values(
            ["day", "quote_currency", "amount", "bot_id"], ascending=[True, True, False, True]
        )
        catalogue.describe(context, allocated, PREVIEW, shown, names)
        missing = unfunded(database.session.connection)
        context.add_asset_metadata(_summary(allocated, missing, names), partition_key=allocated.last.isoformat())
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(allocated))

    return [fund_allocations]


def _summary(allocated: AllocatedDays, missing: Sequence[str], names: Mapping[int, str]) -> dict[str, Any]:
    """The last day's totals per currency, and what to do in those in which no funds are set (`missing`)."""
    metadata: dict[str, Any] = {
        f"no funds in {currency}": "None are set. "
        f"Next: knowdefeat funds set --currency {quote(currency)} --funds AMOUNT"
        for currency in missing
    }
    days = as_amounts(allocated.division.days)
    for row in days[days["day"] == days["day"].max()].itertuples() if len(days) else ():
        metadata[f"allocated in {row.quote_currency}"] = float(row.allocated)
        metadata[f"cash in {row.quote_currency}"] = float(row.cash)
        metadata[f"why cash in {row.quote_currency}"] = row.cash_reason
    decisions = [
        (names.get(event.bot_id, str(event.bot_id)), event.kind, str(event.in_force_from), event.reason)
        for event in allocated.division.events[-catalogue.PREVIEW_ROWS :]
    ]
    metadata["decisions of the risk rules"] = dg.MetadataValue.md(
        catalogue.markdown_table(pd.DataFrame(decisions, columns=["bot", "kind", "as_of", "reason"]))
    )
    return metadata
