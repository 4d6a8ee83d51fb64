"""Fleet: how is it going, and does anything need me?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response

from knowdefeat_pipeline.core.market.labels import ANY_REGIME
from knowdefeat_pipeline.core.schema import PARTITION, Figure
from knowdefeat_pipeline.core.schema.figure import count, number, text
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.store.fleet import closed_trades, fleet_days, fleet_strategies, fleet_totals, held_rows
from knowdefeat_pipeline.store.learning import last_adjustments, weight_versions
from knowdefeat_pipeline.store.ranking import ranked_bots
from knowdefeat_pipeline.store.reads import Record, last_ranked_day, latest_day
from knowdefeat_pipeline.store.staleness import FAMILIES, stale_days
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.learning import ALL, read_learned
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "How is it going, and does anything need me?"
DAYS = 60
TOP, MOVERS, LAST_CLOSED, STRATEGIES = 10, 8, 12, 12
EXPORTED: tuple[Figure, ...] = (
    PARTITION,
    text("quote_currency", "The currency of the amounts."),
    count("trades", "Trades that closed on the day."),
    count("wins", "Those of them with pnl > 0."),
    number("pnl", "currency", "Sum of their net pnl."),
    number("fees", "currency", "Sum of their fees."),
)


@router.get("/")
def fleet(request: Request, site: Shared, format: Annotated[Format | None, Query()] = None) -> Response:
    """The fleet by currency, who leads, what moved, and what closed last."""

    def read(connection: psycopg.Connection) -> Answer:
        day = latest_day(connection)
        if day is None:
            return render("empty.html", request, site, title="Fleet", question=QUESTION)
        days = fleet_days(connection, day, DAYS)
        if format:
            return export(days, EXPORTED, format, "fleet", day)
        rows = ranked_bots(connection, day)
        moved = [row for row in rows if row["moved_1d"]]
        now = clock.now(connection)
        closed = closed_trades(connection, LAST_CLOSED)
        stale = {family.name: stale_days(connection, family, now) for family in FAMILIES}
        return render(
            "fleet.html", request, site,
            last_ranked=None if any(row["eligible"] for row in rows) else last_ranked_day(connection),
            question=QUESTION, day=day, as_of=rows[0]["as_of"], totals=fleet_totals(connection, day), top=rows[:TOP],
            movers=sorted(moved, key=lambda row: -abs(row["moved_1d"]))[:MOVERS],
            strategies=by_currency(fleet_strategies(connection, day)), most_strategies=STRATEGIES, closed=closed,
            currencies={row["quote_currency"] for row in [*rows, *closed]},
            charts=charts(days, day), held=held_rows(connection), formats=FORMATS,
            stale={name: found for name, found in stale.items() if found}, flagged=[r for r in rows if r["flag"]],
            learned=read_learned(connection, regime=ANY_REGIME), version=weight_versions(connection)[-1],
            attempt=next(iter(last_adjustments(connection, 1)), None), all=ALL,
        )  # fmt: skip

    return site.answer(request, read)


def by_currency(rows: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """The rows of each currency in their order, those of the most rows first."""
    found: dict[str, list[Record]] = {}
    for row in rows:
        found.setdefault(row["quote_currency"], []).append(row)
    return sorted(found.items(), key=lambda of: (-len(of[1]), of[0]))


def charts(days: Iterable[Record], last: date) -> list[dict[str, Any]]:
    """Of each currency the days, what was made on each and since the first one that is shown."""
    found = []
    for currency, rows in by_currency(days):
        made = {row["day"]: row["pnl"] for row in rows}
        first = min(made)
        shown = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        pnl = [made.get(day, 0.0) for day in shown]
        total, running = 0.0, []
        for amount in pnl:
            total += amount
            running.append(total)
        found.append({"currency": currency, "days": shown, "pnl": pnl, "cumulative": running})
    return found
