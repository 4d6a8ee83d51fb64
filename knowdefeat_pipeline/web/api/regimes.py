"""`/regimes`: what kind of market each ticker is in, and was."""

from __future__ import annotations

from typing import Annotated

import psycopg
from fastapi import APIRouter, Path, Query, Request, Response

from knowdefeat_pipeline.core.schema import REGIME_NOW
from knowdefeat_pipeline.store import reads
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.api.cursors import instant, links, next_address, read_cursor
from knowdefeat_pipeline.web.parameters import Spelled
from knowdefeat_pipeline.web.regimes import require_series
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["regimes"])
Ticker = Annotated[str, Path(description="The ticker."), Spelled]
Timeframe = Annotated[str | None, Query(description="The length of its bars, such as 15m, 1h or 1d.")]


@router.get("/regimes", response_model=list[models.Regime])  # type: ignore[valid-type]
def regimes(
    request: Request,
    site: Shared,
    ticker: Annotated[str | None, Query(description="Only of this ticker.")] = None,
    timeframe: Timeframe = None,
) -> Response:
    """Of each series of bars its regime now, since when, how sure, and the shares of 30 days."""

    def read(connection: psycopg.Connection) -> Answer:
        rows = reads.regimes(connection, ticker, timeframe)
        names = [figure.name for figure in REGIME_NOW]
        return as_json([{name: row[name] for name in names} for row in rows])

    return site.answer(request, read)


@router.get("/regimes/{ticker:path}/history", response_model=models.RegimeBars)
def history(
    request: Request,
    site: Shared,
    ticker: Ticker,
    timeframe: Timeframe = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="The most bars of a part.")] = 1000,
    cursor: Annotated[str | None, Query(description="Where the part begins: from next or Link.")] = None,
) -> Response:
    """The bars of a series with their labels, probabilities and true range, the latest first."""

    def read(connection: psycopg.Connection) -> Answer:
        series = require_series(reads.regimes(connection, ticker, timeframe), ticker, timeframe)
        before = None if cursor is None else read_cursor(cursor, instant)[0]
        rows = reads.regime_bars(connection, ticker, series["timeframe"], limit + 1, before=before)
        following = next_address(request, [rows[limit - 1]["open_time"].isoformat()] if len(rows) > limit else None)
        return as_json({"next": following, "data": rows[:limit]}, links(following))

    return site.answer(request, read)
