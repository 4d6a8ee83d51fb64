"""`backfill`: recompute historical days, some at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from knowdefeat_pipeline.cli.commands.run import (
    From,
    To,
    audit,
    chunks,
    compute_market,
    day_range,
    materialise,
    materialise_market,
    show_checks,
)
from knowdefeat_pipeline.cli.options import CommandError, Json, migrated_url
from knowdefeat_pipeline.cli.views.output import err, number, out, print_json
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.market import has_market_data
from knowdefeat_pipeline.store.results import traded_days


def backfill(
    from_: From = None,
    to: To = None,
    all_: Annotated[bool, typer.Option("--all", help="Every day since the first trade.")] = False,
    chunk: Annotated[
        int | None, typer.Option(min=1, help="Days per run; KNOWDEFEAT_CHUNK_DAYS or 90 by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Recompute a range of days, one run per chunk of it; a chunk that is done stays done, so it can be resumed."""
    url = migrated_url()
    if from_ is None and not all_:
        raise CommandError("Say which days: --from YYYY-MM-DD [--to YYYY-MM-DD], or --all.")
    from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS

    with connect(url) as connection:
        first, last = day_range(traded_days(connection), from_, to, all_)
        market = has_market_data(connection)
    compute_market(url, quiet=json)
    runs = []
    for begin, end in chunks(first, last, chunk or CHUNK_DAYS):
        try:
            if market:
                materialise_market(begin, end, quiet=json)
            outcome = materialise(begin, end, quiet=json)
        except KeyboardInterrupt:
            err.print(f"Stopped. Go on with: knowdefeat backfill --from {begin} --to {last}")
            raise
        runs.append({"run_id": outcome.run_id, "from": begin, "to": end})
    checks = audit(first, last)
    if json:
        print_json({"runs": runs, "checks": checks})
        return
    days = (last - first).days + 1
    out.print(f"{number(days)} days from {first} to {last} recomputed in {number(len(runs))} runs.")
    show_checks(checks)
