"""Bot: is it good, or was it lucky?"""

from __future__ import annotations

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.schema import ALL_TICKERS, BOT_DAYS, VARIABLES
from knowdefeat_pipeline.store import funds
from knowdefeat_pipeline.store.bot_days import bot_days, bot_equity
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.fleet import closed_trades, open_trades
from knowdefeat_pipeline.store.ranking import bot_history, ranked_bots
from knowdefeat_pipeline.store.reads import Record, day_rows, latest_day
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.decisions import decide
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Form
from knowdefeat_pipeline.web.pages.drawing import weeks
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.parameters import Bot, Day, bot_address
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Is this bot good, or was it lucky?"
WINDOWS = (30, 90, 365)
WEEKS = 13
TRADES = 20
OPEN = 50
EVENTS = 20
DAY_FIGURES = tuple(figure for figure in BOT_DAYS if figure.name != "bot_id")


@router.get("/bots/{bot:path}")
def bot_page(
    request: Request,
    site: Shared,
    bot: Bot,
    days: Annotated[int, Query(ge=7, le=3660)] = 90,
    day: Annotated[Day | None, Query(description="Only the trades of this day.")] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """Everything about one bot, by name or id."""

    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        (key,) = bot_keys(connection, [bot])
        (about,) = funds.bots_table(connection, key)
        last = latest_day(connection)
        if last is None:
            return render("empty.html", request, site, title=f"Bot {about['bot']}", question=QUESTION)
        done = bot_days(connection, key, max(days, 7 * WEEKS))
        if format:
            return export(done, DAY_FIGURES, format, "bot", key, last)
        row = next(iter(ranked_bots(connection, last, [key])), None)
        return render(
            "bot.html", request, site,
            question=QUESTION, about=about, row=row, last=last, days=days, windows=WINDOWS, day=day, formats=FORMATS,
            tickers=_tickers(connection, key, last), streaks=day_rows(connection, "win_streaks", last, bot_id=key),
            contributions=_contributions(connection, row), curve=_curve(connection, key, last, days),
            calendar=weeks({}, last, WEEKS), done={of["day"]: of for of in done},
            most=max((abs(of["pnl"]) for of in done), default=0.0),
            history=bot_history(connection, key, last - timedelta(days=days - 1), last),
            trades=closed_trades(connection, TRADES, bot_id=key, day=day), open=open_trades(connection, key, OPEN),
            events=funds.history(connection, about["bot"], EVENTS), decides=decides,
        )  # fmt: skip

    return site.answer(request, read, viewer="admin" if decides else "")


@router.post("/bots/{bot:path}")
def decide_of_bot(request: Request, site: Shared, bot: Bot, form: Form) -> Response:
    """Activate, deactivate or resume a bot."""
    decide(site, requires("admin")(request), [bot], form)
    return RedirectResponse(f"{bot_address(bot)}#decisions", HTTPStatus.SEE_OTHER)


def _tickers(connection: psycopg.Connection, key: int, last: date) -> list[Record]:
    """The bot's figures by ticker, those over all of them first."""
    rows = day_rows(connection, "bot_metrics", last, bot_id=key)
    return sorted(rows, key=lambda row: (row["ticker"] != ALL_TICKERS, row["ticker"]))


def _contributions(connection: psycopg.Connection, row: Record | None) -> list[dict[str, Any]]:
    """Of each variable what it adds to the score, and the figure itself."""
    if row is None or row["rank_score"] is None:
        return []
    (figures,) = day_rows(connection, "bot_metrics", row["day"], bot_id=row["bot_id"], ticker=ALL_TICKERS)
    return [
        {"variable": variable, "points": row[f"{variable.name}_points"] or 0.0, "value": figures[variable.name]}
        for variable in VARIABLES
    ]


def _curve(connection: psycopg.Connection, key: int, last: date, days: int) -> dict[str, list[Any]]:
    """Equity day by day, and how far below its peak (since the first day shown) it was, in percent."""
    rows = bot_equity(connection, key, last - timedelta(days=days - 1), last)
    peak, below = float("-inf"), []
    for row in rows:
        peak = max(peak, row["equity"])
        below.append(100 * (row["equity"] - peak) / peak if peak > 0 else None)
    return {
        "days": [row["day"] for row in rows],
        "equity": [row["equity"] for row in rows],
        "with_open": [row["equity_with_open"] for row in rows],
        "below": below,
    }
