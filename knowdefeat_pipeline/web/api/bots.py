"""`/bots` and what belongs to one of them; `/trades`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.store import funds
from knowdefeat_pipeline.store.bot_days import bot_days, bot_equity
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.fleet import closed_trades
from knowdefeat_pipeline.store.reads import Record, day_rows, latest_day
from knowdefeat_pipeline.web.access import Decider
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.api.cursors import day as day_of
from knowdefeat_pipeline.web.api.cursors import instant, links, next_address, number, read_cursor
from knowdefeat_pipeline.web.decisions import resume
from knowdefeat_pipeline.web.parameters import Bot, DayAsked
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["bots"])

Limit = Annotated[int, Query(ge=1, le=1000, description="The most rows of a part.")]
Cursor = Annotated[str | None, Query(description="Where the part begins: from next or Link.")]


@router.get("/bots")
def bots(request: Request, site: Shared) -> Response:
    """Every bot: what it is, its state, its last place and its last allocation."""
    return site.answer(request, lambda connection: as_json({"data": funds.bots_table(connection)}))


class Change(BaseModel, extra="forbid"):
    """What is decided about a bot, and why. Who decides is the token's name."""

    is_active: bool = Field(description="Whether it may receive funds.")
    reason: str = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")


class Changed(BaseModel):
    """What became of a decision."""

    bot: str = Field(description="The bot as it was asked for.")
    is_active: bool = Field(description="Whether it may receive funds from now on.")
    changed: bool = Field(description="Whether that was otherwise before.")


@router.patch("/bots/{bot:path}", response_model=Changed)
def change_bot(site: Shared, author: Decider, bot: Bot, change: Change) -> dict[str, Any]:
    """Activate or deactivate a bot. Needs a token of the scope admin."""
    with site.connection() as connection:
        changed = funds.set_active(connection, [bot], change.is_active, author, change.reason.strip())
    return {"bot": bot, "is_active": change.is_active, "changed": bool(changed)}


class Resumption(BaseModel, extra="forbid"):
    """That a halted bot may go on, and why. Who decides is the token's name."""

    reason: str = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")


class Resumed(BaseModel):
    """A bot that goes on."""

    bot: str = Field(description="The bot as it was asked for.")
    halted: bool = Field(description="Whether the risk rules still halt it: false.")


@router.post("/bots/{bot:path}/resume", response_model=Resumed)
def resume_bot(site: Shared, author: Decider, bot: Bot, resumption: Resumption) -> dict[str, Any]:
    """Let a halted bot go on: its risk counts from the last ranking on. Needs a token of the scope admin."""
    with site.connection() as connection:
        resume(connection, bot, author, resumption.reason.strip())
    return {"bot": bot, "halted": False}


def _of_a_day(request: Request, site: Shared, bot: Bot, table: str, day: date | None, ticker: str | None) -> Response:
    def read(connection: psycopg.Connection) -> Answer:
        (key,) = bot_keys(connection, [bot])
        return as_json(_rows(connection, table, key, day, ticker))

    return site.answer(request, read)


def _rows(connection: psycopg.Connection, table: str, key: int, day: date | None, ticker: str | None) -> list[Record]:
    chosen = day or latest_day(connection, table)
    return [] if chosen is None else day_rows(connection, table, chosen, bot_id=key, ticker=ticker)


@router.get("/bots/{bot:path}/metrics", response_model=list[models.Metrics])  # type: ignore[valid-type]
def metrics(
    request: Request,
    site: Shared,
    bot: Bot,
    day: DayAsked = None,
    ticker: Annotated[str | None, Query(description=f"One ticker, or {ALL_TICKERS}; by default each.")] = None,
) -> Response:
    """A bot's figures of a day, by ticker and over all of them."""
    return _of_a_day(request, site, bot, "bot_metrics", day, ticker)


@router.get("/bots/{bot:path}/streaks", response_model=list[models.Streak])  # type: ignore[valid-type]
def streaks(request: Request, site: Shared, bot: Bot, day: DayAsked = None) -> Response:
    """How often a bot won several times in a row, and how often luck would."""
    return _of_a_day(request, site, bot, "win_streaks", day, None)


@router.get("/bots/{bot:path}/skill", response_model=list[models.Skill])  # type: ignore[valid-type]
def skill(request: Request, site: Shared, bot: Bot, day: DayAsked = None) -> Response:
    """Whether a bot is good or lucky."""
    return _of_a_day(request, site, bot, "bot_skill", day, None)


@router.get("/bots/{bot:path}/equity", response_model=list[models.Equity])  # type: ignore[valid-type]
def equity(
    request: Request,
    site: Shared,
    bot: Bot,
    days: Annotated[int, Query(ge=1, le=3660, description="The trailing UTC days.")] = 365,
) -> Response:
    """A bot's equity at the end of each computed day, without and with what was open."""

    def read(connection: psycopg.Connection) -> Answer:
        (key,) = bot_keys(connection, [bot])
        last = latest_day(connection, "bot_days_rows")
        return as_json([] if last is None else bot_equity(connection, key, last - timedelta(days=days - 1), last))

    return site.answer(request, read)


@router.get("/bots/{bot:path}/days", response_model=models.BotDays)
def days(
    request: Request,
    site: Shared,
    bot: Bot,
    by_ticker: Annotated[bool, Query(description="A row per ticker, or one over all of them.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What a bot did day by day, the latest first. Days on which it closed and held nothing are left out."""

    def read(connection: psycopg.Connection) -> Answer:
        (key,) = bot_keys(connection, [bot])
        before = None if cursor is None else read_cursor(cursor, day_of)[0]
        rows = bot_days(connection, key, limit + 1, before=before, by_ticker=by_ticker)
        if len(rows) > limit:  # whole days only: the next part begins with the one that is cut
            rows = [row for row in rows if row["day"] > rows[-1]["day"]] or rows
            following = next_address(request, [rows[-1]["day"]])
        else:
            following = None
        return as_json({"next": following, "data": rows}, links(following))

    return site.answer(request, read)


@router.get("/bots/{bot:path}/events", response_model=list[models.BotEvent])  # type: ignore[valid-type]
def events(request: Request, site: Shared, bot: Bot, limit: Limit = 100) -> Response:
    """Who activated, deactivated, halted and resumed a bot, when and why; the latest first."""
    return site.answer(request, lambda connection: as_json(funds.history(connection, bot, limit)))


@router.get("/bots/{bot:path}/trades", response_model=models.Trades)
def bot_trades(
    request: Request, site: Shared, bot: Bot, day: DayAsked = None, limit: Limit = 100, cursor: Cursor = None
) -> Response:
    """A bot's closed trades, the latest first; of one UTC day if asked."""
    return _trades(request, site, bot, day, limit, cursor)


# Behind the routes below it, each of which it would take for the name of a bot.
@router.get("/bots/{bot:path}")
def bot(request: Request, site: Shared, bot: Bot) -> Response:
    """One bot, by name or id."""

    def read(connection: psycopg.Connection) -> Answer:
        (key,) = bot_keys(connection, [bot])
        return as_json(funds.bots_table(connection, key)[0])

    return site.answer(request, read)


@router.get("/trades", response_model=models.Trades)
def trades(request: Request, site: Shared, day: DayAsked = None, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """All closed trades, the latest first; of one UTC day if asked."""
    return _trades(request, site, None, day, limit, cursor)


def _trades(
    request: Request, site: Shared, bot: str | None, day: date | None, limit: int, cursor: str | None
) -> Response:
    def read(connection: psycopg.Connection) -> Answer:
        key = None if bot is None else bot_keys(connection, [bot])[0]
        after = None if cursor is None else (*read_cursor(cursor, instant, number),)
        rows = closed_trades(connection, limit + 1, bot_id=key, after=after, day=day)
        last = rows[limit - 1] if len(rows) > limit else None
        following = next_address(request, [last["exit_time"], last["trade_id"]] if last else None)
        return as_json({"next": following, "data": rows[:limit]}, links(following))

    return site.answer(request, read, results=False)
