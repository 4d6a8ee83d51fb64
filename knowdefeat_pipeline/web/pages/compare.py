"""Compare: are these bots the same bet, or different ones?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import numpy as np
import psycopg
from fastapi import APIRouter, Query, Request, Response

from knowdefeat_pipeline.store.bots import bot_currencies
from knowdefeat_pipeline.store.ranking import ranked_bots
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.models import RANKED
from knowdefeat_pipeline.web.correlations import MOST_BOTS, read_correlations
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Are these bots the same bet, or different ones?"
WINDOWS = (30, 90, 180)
FIRST = 12  # bots that are compared where none are named: the best


@router.get("/compare")
def compare(
    request: Request,
    site: Shared,
    bots: Annotated[list[str] | None, Query(description="Names, one by one or a line each.")] = None,
    days: Annotated[int, Query(ge=10, le=365)] = 30,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """Some bots side by side; the best where none are named."""

    def read(connection: psycopg.Connection) -> Answer:
        last = latest_day(connection)
        if last is None:
            return render("empty.html", request, site, title="Compare", question=QUESTION)
        rows = {row["bot_id"]: row for row in ranked_bots(connection, last)}
        lines = (line.strip(" \r") for text in bots or [] for line in text.split("\n"))
        named = [line for line in lines if line]
        names = named or [row["bot"] for row in rows.values() if row["eligible"]][:FIRST]
        if len(names) > MOST_BOTS:
            raise Problem(422, f"At most {MOST_BOTS} bots can be compared.")
        found = read_correlations(connection, names, last, days)
        shown = [rows[key] for key in found.bot_ids if key in rows]
        if format:
            return export(shown, RANKED, format, "compare", last)
        curves = np.cumsum(found.pnl, axis=0).T.tolist()
        currency_of = bot_currencies(connection)
        currencies = [currency_of[key] for key in found.bot_ids]
        return render(
            "compare.html", request, site,
            question=QUESTION, found=found, rows=shown, names=found.bots, days=days, windows=WINDOWS, formats=FORMATS,
            as_of=next(iter(rows.values()))["as_of"] if rows else None, currencies=sorted({*currencies}),
            dates=[last - timedelta(days=days - 1 - n) for n in range(days)],
            matrix=[[None if value != value else value for value in line] for line in found.correlation.tolist()],
            charts=charts(found.bots, currencies, curves),
        )  # fmt: skip

    return site.answer(request, read)


def charts(bots: Sequence[str], currencies: Sequence[str], curves: Sequence[list[float]]) -> list[dict[str, Any]]:
    """Of each currency the curves of its bots, that of the first bot first: amounts of two currencies share no axis."""
    found: dict[str, list[tuple[str, list[float]]]] = {}
    for name, currency, values in zip(bots, currencies, curves, strict=True):
        found.setdefault(currency, []).append((name, values))
    return [
        {"currency": currency, "curves": own, "series": [{"label": name, "values": values} for name, values in own]}
        for currency, own in found.items()
    ]
