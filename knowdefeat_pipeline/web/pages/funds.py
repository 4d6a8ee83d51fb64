"""Funds: where does the money go, and why not elsewhere?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response

from knowdefeat_pipeline.core.schema import ALLOCATIONS
from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.cursors import cursor as written
from knowdefeat_pipeline.web.api.cursors import part, read_cursor
from knowdefeat_pipeline.web.api.models import NAME, STRATEGY
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.funds import Asked, place, read_allocation
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Where does the money go, and why not elsewhere?"
WINDOWS = (30, 90, 365)
ROWS = 100


@router.get("/funds")
def funds(
    request: Request,
    site: Shared,
    asked: Annotated[Asked, Depends()],
    days: Annotated[int, Query(ge=2, le=3660)] = 30,
    cursor: Annotated[str | None, Query()] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """The funds of one currency on a day: what each bot is given and why, and what stays cash."""

    def read(connection: psycopg.Connection) -> Answer:
        if latest_day(connection) is None:
            return render("empty.html", request, site, title="Funds", question=QUESTION)
        settings = {row["quote_currency"]: row for row in store.latest_settings(connection)}
        found = read_allocation(connection, asked.day)
        there = {of["quote_currency"]: of for of in found.currencies} if found else {}
        # That of the most bots, unless one is named: amounts of different currencies stand on no page together.
        first = max(there, key=lambda currency: there[currency]["bots"], default=None)
        currency = asked.currency or first
        own = [row for row in found.rows if row["quote_currency"] == currency] if found else []
        chosen = asked.chosen(own)
        rows, last = part(chosen, place, None if cursor is None else read_cursor(cursor, 5), ROWS)
        if format:
            return export(rows, (*ALLOCATIONS, NAME, STRATEGY), format, f"funds-{currency}-{found and found.day}")
        history = (
            store.allocation_days(connection, currency, found.day - timedelta(days=days - 1), found.day)
            if found and currency
            else []
        )
        return render(
            "funds.html", request, site,
            question=QUESTION, asked=asked, currency=currency, found=found, summary=there.get(currency or ""),
            currencies=sorted(there.keys() | settings.keys()), settings=settings.get(currency or ""), rows=rows,
            chosen=chosen, decisions=sums(own, "decision"), tickers=sums(own, "ticker"), history=history, days=days,
            windows=WINDOWS, unfunded=store.unfunded(connection), next=last and written(last), formats=FORMATS,
            first=chosen.index(rows[0]) + 1 if rows else 0,
        )  # fmt: skip

    return site.answer(request, read)


def sums(rows: Iterable[Record], by: str) -> list[dict[str, Any]]:
    """Of the rows of one currency the amounts and the number of bots by a column, the largest first."""
    found: dict[str | None, tuple[int, Decimal]] = {}
    for row in rows:
        bots, amount = found.get(row[by], (0, Decimal(0)))
        found[row[by]] = bots + 1, amount + row["amount"]
    told = [{"name": name, "bots": bots, "amount": amount} for name, (bots, amount) in found.items()]
    return sorted(told, key=lambda of: (-of["amount"], -of["bots"], of["name"] or ""))
