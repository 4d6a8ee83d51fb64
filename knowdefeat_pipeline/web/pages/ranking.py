"""Ranking: which bots are good, and what moved them?"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import numpy as np
import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.schema import Figure
from knowdefeat_pipeline.store.bot_days import daily_pnl
from knowdefeat_pipeline.store.bots import inactive_bots
from knowdefeat_pipeline.store.reads import Record, last_ranked_day, latest_day
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.cursors import cursor as written
from knowdefeat_pipeline.web.api.cursors import part, plain, read_cursor
from knowdefeat_pipeline.web.api.models import RANKED
from knowdefeat_pipeline.web.decisions import decide
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Fields
from knowdefeat_pipeline.web.pages.rendering import address, render
from knowdefeat_pipeline.web.rankings import PLACE, Asked, Ranking, read_ranking
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
ROWS = 100
SPARK_DAYS = 30
STATES = ("ranked", "unranked", "active", "inactive", "funded", "flagged")


@router.get("/ranking")
def ranking(
    request: Request,
    site: Shared,
    asked: Annotated[Asked, Depends()],
    cursor: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = ROWS,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """The bots of a day in order, filtered and sorted as the address says."""

    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        found = read_ranking(connection, asked)
        if found is None:
            return render("empty.html", request, site, title="Ranking", question=QUESTION)
        after = None if cursor is None else read_cursor(cursor, *[plain] * PLACE)
        rows, place = part(found.chosen, asked.key, after, limit)
        if format:
            return export(rows, EXPORTED, format, "ranking", found.day)
        bots, pnl, _ = daily_pnl(connection, found.day, SPARK_DAYS, [row["bot_id"] for row in rows])
        paths = dict(zip(bots, np.cumsum(pnl, axis=0).T.tolist(), strict=True))
        currencies = sorted({row["quote_currency"] for row in found.chosen})
        ranked = any(row["eligible"] for row in found.rows)
        return render(
            "ranking.html", request, site, last_ranked=None if ranked else last_ranked_day(connection),
            question=QUESTION, asked=asked, found=found, rows=rows, paths=paths, next=place and written(place),
            states=STATES, currencies=currencies, as_of=found.rows[0]["as_of"] if found.rows else None,
            first=found.chosen.index(rows[0]) + 1 if rows else 0, formats=FORMATS, columns=COLUMNS,
            decides=decides, changed=_changed(connection, found),
        )  # fmt: skip

    return site.answer(request, read, viewer="admin" if decides else "")


def _changed(connection: psycopg.Connection, found: Ranking) -> dict[int, Record]:
    """The bots that were activated or deactivated since the last ranking, which has them as they were; by bot."""
    if found.day != latest_day(connection):
        return {}
    inactive = inactive_bots(connection)
    return {row["bot_id"]: row for row in found.rows if row["is_active"] == (row["bot_id"] in inactive)}


@router.post("/ranking")
def decide_of_bots(request: Request, site: Shared, fields: Fields) -> Response:
    """Activate or deactivate the bots that are chosen, and go back to what was shown."""
    author = requires("admin")(request)
    decide(site, author, [value for name, value in fields if name == "bots"], dict(fields))
    return RedirectResponse(address("/ranking", dict(request.query_params)), HTTPStatus.SEE_OTHER)


QUESTION = "Which bots are good, and what moved them?"
EXPORTED: tuple[Figure, ...] = RANKED
# Of each column: by what it sorts (None: it cannot), its heading, what it means, its classes (n: a number, w: where
# there is room).
COLUMNS = (
    ("rank", "#", "Place by score", "n"),
    ("-moved_1d", "±1 d", "Places gained in a day", "n w"),
    ("-moved_7d", "±7 d", "Places gained in a week", "n w"),
    ("bot", "Bot", "", "name"),
    (None, "Strategy", "", "w"),
    (None, "Mostly", "Most traded ticker and direction of 30 days", "w"),
    ("-rank_score", "Score", "0 to 100; 50 is the middle", "n"),
    (None, "What moved it", "Right of the middle: what added to the score; left: what took from it", "w"),
    ("-p_skill", "P(edge>0)", "Probability that the edge is above 0", "n"),
    ("-edge", "Edge", "Net result per trade in its standard deviations, with 90 % interval", "w"),
    (None, "In", "The currency of the amounts of the row", ""),  # only where there are several
    (None, "Pnl, 30 d", "Net pnl over the last 30 days", "w"),
    ("-pnl_1d", "24 h", "Net pnl of 24 hours", "n w"),
    ("-pnl", "30 d", "Net pnl of 30 days", "n"),
    ("-open_pnl", "Open", "What open trades have gained before fees", "n w"),
    ("-trades", "Trades", "Closed in 30 days", "n w"),
    ("-win_rate", "Win %", "Winning trades of 30 days", "n w"),
    ("-profit_factor", "PF", "Profit factor of 30 days", "n w"),
    ("max_drawdown", "DD %", "Maximum drawdown of 30 days in percent", "n w"),
    ("-current_streak", "Streak", "The run that is under way: wins above 0, losses below", "n w"),
    ("-funds", "Funds", "What it was allocated", "n w"),
    (None, "State", "", "w"),
)
