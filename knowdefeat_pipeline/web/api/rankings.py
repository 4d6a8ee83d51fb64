"""`/rankings`, `/correlations`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api.cursors import links, next_address, part, plain, read_cursor
from knowdefeat_pipeline.web.api.models import POINTS, RANKED_NAMES, Rankings
from knowdefeat_pipeline.web.correlations import MOST_BOTS, read_correlations
from knowdefeat_pipeline.web.parameters import Day
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.rankings import PLACE, Asked, read_ranking
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["rankings"])
NOTHING = "Nothing has been computed yet. Run: knowdefeat run"


@router.get("/rankings", response_model=Rankings)
def rankings(
    request: Request,
    site: Shared,
    asked: Annotated[Asked, Depends()],
    limit: Annotated[int, Query(ge=1, le=1000, description="The most rows of a part.")] = 100,
    cursor: Annotated[str | None, Query(description="Where the part begins: from next or Link.")] = None,
    explain: Annotated[bool, Query(description="Also what each variable adds to the score.")] = False,
) -> Response:
    """One day's bots in order, with figures beside; unranked ones last."""

    def read(connection: psycopg.Connection) -> Answer:
        found = read_ranking(connection, asked)
        if found is None:
            raise Problem(404, NOTHING)
        after = None if cursor is None else read_cursor(cursor, *[plain] * PLACE)
        rows, place = part(found.chosen, asked.key, after, limit)
        following = next_address(request, place)
        names = [name for name in RANKED_NAMES if explain or name not in POINTS]
        return as_json(
            {
                "day": found.day,
                "as_of": found.rows[0]["as_of"] if found.rows else None,
                "count": len(found.chosen),
                "next": following,
                "data": [{name: row[name] for name in names} for row in rows],
            },
            links(following),
        )

    return site.answer(request, read)


class CorrelationMatrix(BaseModel):
    """Bots in cluster order, and how they move together."""

    day: date = Field(description="The last UTC day that counts.")
    days: int = Field(description="How many days count.")
    bots: list[str] = Field(description="The bots, in an order in which those that move together stand together.")
    correlation: list[list[float | None]] = Field(
        description="Of their daily net pnl, over the days on which both closed a trade; null under 10 of them."
    )
    effective_bets: float = Field(description="As how many independent bets they count: N² / Σ ρ².")


@router.get("/correlations", response_model=CorrelationMatrix)
def correlations(
    request: Request,
    site: Shared,
    bots: Annotated[list[str], Query(description="The bots, by name or id; repeat it.", max_length=MOST_BOTS)],
    days: Annotated[int, Query(ge=10, le=365, description="The trailing UTC days that count.")] = 30,
    day: Annotated[Day | None, Query(description="The last of them; the last one computed by default.")] = None,
) -> Response:
    """Which bots are the same bet, and as how many they count."""

    def read(connection: psycopg.Connection) -> Answer:
        last = day or latest_day(connection, "bot_days_rows")
        if last is None:
            raise Problem(404, NOTHING)
        found = read_correlations(connection, bots, last, days)
        matrix: Any = found.correlation.tolist()
        return as_json(
            {
                "day": last,
                "days": days,
                "bots": found.bots,
                "correlation": matrix,
                "effective_bets": found.effective_bets,
            }
        )

    return site.answer(request, read)
