"""`days`: which days of each asset are computed, stale, failed or missing."""

from __future__ import annotations

from dataclasses import asdict

from rich.text import Text

from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import out, print_json, strong
from knowdefeat_pipeline.cli.views.tables import number, table
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import has_market_data
from knowdefeat_pipeline.store.results import traded_days
from knowdefeat_pipeline.store.staleness import FAMILIES, MARKET, stale_days


def days(json: Json = False) -> None:
    """Show which days of each asset are computed, stale, failed or missing."""
    settings = Settings.from_environment()
    url = current_url(settings)
    # Dagster takes a second to import: commands that do not ask it go without.
    from knowdefeat_pipeline.assets.calendar import Calendar
    from knowdefeat_pipeline.assets.catalogue import BELIEFS, CHAIN, FUNDS
    from knowdefeat_pipeline.assets.partition_states import in_words, partition_states
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance

    calendar = Calendar(settings.first_day, settings.chunk_days)
    with connect(url) as connection, open_instance() as instance:
        traded = traded_days(connection)
        market = MARKET.assets if has_market_data(connection) else ()
        states = partition_states(instance, connection, (*CHAIN, *BELIEFS, *FUNDS, *market), traded, calendar)
        families = [stale_days(connection, family, clock.now(connection), settings.first_day) for family in FAMILIES]
    stale = {
        of.asset: sorted({day for found in families if of.asset in found.family.assets for day in found.days})
        for of in states
    }
    if json:
        print_json([asdict(of) | {"stale": stale[of.asset]} for of in states])
        return
    table(
        "Days with trades or between them (UTC)",
        (("asset", "left"), ("computed", "right"), ("stale", "left"), ("failed", "left"), ("missing", "left")),
        [(s.asset, number(len(s.computed)), *map(in_words, (stale[s.asset], s.failed, s.missing))) for s in states],
    )
    lacking = sorted({day for of in states for day in (*of.failed, *of.missing)})
    if lacking:
        command = strong(f"knowdefeat backfill --from {lacking[0]} --to {lacking[-1]}")
        out.print(Text.assemble("\nCompute them: ", command))
    elif traded and not any(of.computed for of in states):
        nothing = f"Nothing has been computed yet, and trades closed from {traded[0]} to {traded[1]}. Compute it: "
        out.print(Text.assemble("\n", nothing, strong("knowdefeat run")))
    elif any(stale.values()):
        command = strong("knowdefeat run")
        out.print(
            Text.assemble("\nCompute what is stale: ", command, ". While knowdefeat up runs, it is done by itself.")
        )
