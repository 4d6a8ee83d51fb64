"""`backfill`: recompute historical days, some at a time."""

from __future__ import annotations

from knowdefeat_pipeline.cli.database import computing_url
from knowdefeat_pipeline.cli.options import AllDays, Chunk, From, Json, To, require_days
from knowdefeat_pipeline.cli.runs import (
    audit,
    bring_up_to_date,
    chunks,
    compute_market,
    day_range,
    materialise,
    materialise_market,
)
from knowdefeat_pipeline.cli.views.checks import show_checks
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import has_market_data
from knowdefeat_pipeline.store.results import traded_days


def backfill(
    from_: From = None,
    to: To = None,
    all_: AllDays = False,
    chunk: Chunk = None,
    json: Json = False,
) -> None:
    """Recompute a range of days, one run per chunk of it; a chunk that is done stays done, so it can be resumed."""
    settings = Settings.from_environment()
    require_days(from_, all_)
    url = computing_url(settings)
    with connect(url) as connection:
        first, last = day_range(settings, traded_days(connection), clock.now(connection).date(), from_, to, all_)
        market = has_market_data(connection)
    compute_market(settings, url, quiet=json)
    runs = []
    for begin, end in chunks(first, last, chunk or settings.chunk_days):
        try:
            if market:
                materialise_market(begin, end, quiet=json)
            outcome = materialise(begin, end, quiet=json)
        except KeyboardInterrupt:
            err.print(f"Stopped. Go on with: knowdefeat backfill --from {begin} --to {last}")
            raise
        runs.append({"run_id": outcome.run_id, "from": begin, "to": end})
    bring_up_to_date(settings, url, quiet=json)
    checks = audit(first, last)
    if json:
        print_json({"runs": runs, "checks": checks})
        return
    days = (last - first).days + 1
    out.print(f"{counted(days, 'day')} from {first} to {last} recomputed in {counted(len(runs), 'run')}.")
    show_checks(checks)
