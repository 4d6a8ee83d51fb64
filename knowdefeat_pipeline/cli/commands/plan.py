"""`plan`: what a backfill would read and write, and what it takes, before it is run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.options import AllDays, Chunk, From, Json, To, require_days
from knowdefeat_pipeline.cli.runs import chunks, day_range
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.tables import number, table
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.scale.costs import Estimate, shard_seconds
from knowdefeat_pipeline.scale.workers import Workers
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.steps.estimates import estimate_refresh
from knowdefeat_pipeline.store.results import traded_days
from knowdefeat_pipeline.store.session import Session

FIGURES = (
    "trades read", "MB read", "rows written", "MB written", "shards", "MB a process", "CPU s", "server CPU s",
)  # fmt: skip


def plan(
    from_: From = None,
    to: To = None,
    all_: AllDays = False,
    chunk: Chunk = None,
    json: Json = False,
) -> None:
    """Show what a backfill of these days would read and write, in how many shards, and what it would take."""
    settings = Settings.from_environment()
    require_days(from_, all_)
    url, workers = current_url(settings), Workers.of(settings)
    with connect(url) as connection:
        now = clock.now(connection)
        first, last = day_range(settings, traded_days(connection), now.date(), from_, to, all_)
        session = Session(url, connection, workers=workers)
        parts = chunks(first, last, chunk or settings.chunk_days)
        found = [(begin, end, estimate_refresh(session, begin, end, now)) for begin, end in parts]
    if json:
        print_json([{"from": begin, "to": end, **asdict(of)} for begin, end, of in found])
        return
    table(
        f"A backfill from {first} to {last}, {'one run' if len(found) == 1 else f'{len(found)} runs'}",
        (("days (UTC)", "left"), *((name, "right") for name in FIGURES)),
        [(_days(begin, end), *_figures(of)) for begin, end, of in found],
    )
    if any(of.history for _, _, of in found):
        history = max(of.history for _, _, of in found)
        out.print(f"The first run also reads about {history:,} trades of earlier months, once.")
    out.print(f"{_place(workers, [of for _, _, of in found])} How this is estimated: docs/scale.md.")


def _days(begin: date, end: date) -> str:
    return f"{begin}" if begin == end else f"{begin} to {end}"


def _figures(of: Estimate) -> list[str]:
    return [
        number(of.trades, 0),
        number(of.read_mb, 0),
        number(of.rows, 0),
        number(of.written_mb, 0),
        number(of.shards, 0) if of.shards > 1 else "in one piece",
        number(of.process_mb, 0),
        number(of.cpu_s, 1),
        number(of.server_cpu_s, 1),
    ]


def _place(workers: Workers, found: list[Estimate]) -> str:
    cut = [shard_seconds(of.trades, of.rows) for of in found if of.shards > 1]
    return f"Shards are computed {workers.place(max(cut))}." if cut else "It is computed by the run itself."
