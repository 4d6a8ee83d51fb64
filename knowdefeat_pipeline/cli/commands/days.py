"""`days`: which days of each asset are computed, failed or missing."""

from __future__ import annotations

from dataclasses import asdict

from knowdefeat_pipeline.cli.options import Json, migrated_url
from knowdefeat_pipeline.cli.views.output import number, out, print_json, table
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.results import traded_days


def days(json: Json = False) -> None:
    """Show which days of each asset are computed, failed or missing."""
    url = migrated_url()
    # Dagster takes a second to import: commands that do not ask it go without.
    from knowdefeat_pipeline.assets.catalogue import CHAIN
    from knowdefeat_pipeline.assets.partition_states import in_words, partition_states
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance

    with connect(url) as connection, open_instance() as instance:
        found = partition_states(instance, CHAIN, traded_days(connection))
    if json:
        print_json([asdict(states) for states in found])
        return
    table(
        "Days with trades or between them (UTC)",
        (("asset", "left"), ("computed", "right"), ("failed", "left"), ("missing", "left")),
        [(s.asset, number(len(s.computed)), in_words(s.failed), in_words(s.missing)) for s in found],
    )
    lacking = sorted({day for states in found for day in (*states.failed, *states.missing)})
    if lacking:
        out.print(f"\nCompute them: [bold]knowdefeat backfill --from {lacking[0]} --to {lacking[-1]}[/]")
