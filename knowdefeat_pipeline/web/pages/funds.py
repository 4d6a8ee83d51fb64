"""Funds: where does the money go, and why not elsewhere? And where would it go by other settings?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.funds.settings import METHODS, FundSettings
from knowdefeat_pipeline.core.money import AmountError
from knowdefeat_pipeline.core.schema import ALLOCATIONS
from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.access import may
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.cursors import cursor as written
from knowdefeat_pipeline.web.api.cursors import part, plain, read_cursor
from knowdefeat_pipeline.web.api.models import NAME, STRATEGY, TRIED
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Form, first_of_all, may_not
from knowdefeat_pipeline.web.funds import SETTINGS, Asked, FundsAsked, known_settings, place, read_allocation
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.parameters import Version, version_number
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared, Site
from knowdefeat_pipeline.web.tried_funds import Tried, differing, tried

router = APIRouter()
QUESTION = "Where does the money go, and why not elsewhere?"
WINDOWS = (30, 90, 365)
ROWS = 100


@dataclass(frozen=True)
class WhatIf:
    """What the form of other settings holds: what was `typed`, on top of which version, why, what it comes to, and what
    is wrong with it or is another's meanwhile."""

    typed: Mapping[str, str] = field(default_factory=dict)
    based_on: int | None = None
    reason: str = ""
    found: Tried | None = None
    trouble: str | None = None
    conflict: Sequence[Record] = ()


@router.get("/funds")
def funds(
    request: Request,
    site: Shared,
    asked: Annotated[Asked, Depends()],
    days: Annotated[int, Query(ge=2, le=3660)] = 30,
    cursor: Annotated[str | None, Query()] = None,
    tried: Annotated[bool, Query(description="Also what the settings of the address would give.")] = False,
    based_on: Annotated[Version | None, Query(description="The version that was looked at first.")] = None,
    reason: Annotated[str, Query(max_length=1000)] = "",
    saved: Annotated[Version | None, Query(description="The version that was just saved.")] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """The funds of one currency on a day: what each bot is given and why, what stays cash, and what if."""

    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        if latest_day(connection) is None:
            return render("empty.html", request, site, title="Funds", question=QUESTION)
        shown = _Shown(connection, asked)
        what_if = WhatIf(reason=reason, based_on=based_on)
        if tried:
            what_if = _tried(site, connection, shown, asked, request.query_params, what_if)
        if format and what_if.found:
            return export(what_if.found.rows[:ROWS], TRIED, format, "funds-tried", shown.currency, what_if.found.day)
        if format:
            rows, _ = part(shown.chosen, place, None if cursor is None else read_cursor(cursor, *[plain] * 5), ROWS)
            return export(rows, (*ALLOCATIONS, NAME, STRATEGY), format, "funds", shown.currency, shown.day)
        return _page(request, site, connection, shown, asked, days, cursor, what_if, decides=decides, saved=saved)

    return site.answer(request, read, viewer="admin" if decides else "")


class _Shown:
    """A day's funds of one currency, and what there is to choose among."""

    def __init__(self, connection: psycopg.Connection, asked: Asked) -> None:
        self.settings = {row["quote_currency"]: row for row in store.latest_settings(connection)}
        self.unfunded = store.unfunded(connection)
        self.found = read_allocation(connection, asked.day)
        self.there = {of["quote_currency"]: of for of in self.found.currencies} if self.found else {}
        # That of the most bots, unless one is named: amounts of different currencies stand on no page together.
        first = max(self.there, key=lambda currency: self.there[currency]["bots"], default=None)
        others = [*self.settings, *self.unfunded]
        self.currency = asked.currency or first or (others[0] if others else None)
        rows = self.found.rows if self.found else []
        self.own = [row for row in rows if row["quote_currency"] == self.currency]
        self.chosen = asked.chosen(self.own)
        self.day = self.found.day if self.found else None


def _tried(
    site: Site,
    connection: psycopg.Connection,
    shown: _Shown,
    asked: Asked,
    fields: Mapping[str, str],
    what_if: WhatIf,
) -> WhatIf:
    """What the settings among the fields of an address or a form come to, or what is wrong with them."""
    typed = _typed(fields)
    try:
        settings = _settings(connection, shown.currency, typed)
        day = asked.day or latest_day(connection)
        found = tried(site, settings, day) if day else None
    except (AmountError, ValidationError) as error:
        return WhatIf(typed, what_if.based_on, what_if.reason, trouble=_told(error))
    return WhatIf(typed, what_if.based_on, what_if.reason, found)


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name].strip() for name in SETTINGS if name in fields}


def _settings(connection: psycopg.Connection, currency: str | None, typed: Mapping[str, str]) -> FundSettings:
    """The settings that were typed, on top of what is known. Raises ValidationError, AmountError and Problem."""
    given: dict[str, str | None] = {name: text for name, text in typed.items() if text}
    if typed.get("caution") == "":  # a form sends what is not asked for as an empty text
        given["caution"] = None
    return FundsAsked.model_validate(given).on(known_settings(connection, currency or ""))


def _told(error: AmountError | ValidationError) -> str:
    if isinstance(error, AmountError):
        return f"{error}."
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())


def _page(
    request: Request,
    site: Site,
    connection: psycopg.Connection,
    shown: _Shown,
    asked: Asked,
    days: int,
    cursor: str | None,
    what_if: WhatIf,
    *,
    decides: bool,
    saved: int | None = None,
) -> Answer:
    found, currency = shown.found, shown.currency
    rows, last = part(shown.chosen, place, None if cursor is None else read_cursor(cursor, *[plain] * 5), ROWS)
    history = (
        store.allocation_days(connection, currency, found.day - timedelta(days=days - 1), found.day)
        if found and currency
        else []
    )
    latest = shown.settings.get(currency or "")
    return render(
        "funds.html", request, site,
        question=QUESTION, asked=asked, currency=currency, found=found, summary=shown.there.get(currency or ""),
        currencies=sorted({*shown.there, *shown.settings, *shown.unfunded}), settings=latest, rows=rows,
        chosen=shown.chosen, decisions=sums(shown.own, "decision"), tickers=sums(shown.own, "ticker"), history=history,
        days=days, windows=WINDOWS, unfunded=shown.unfunded, next=last and written(last), formats=FORMATS,
        first=shown.chosen.index(rows[0]) + 1 if rows else 0, what_if=what_if, form=_form(connection, shown, what_if),
        based_on=(latest["version"] if latest else 0) if what_if.based_on is None else what_if.based_on,
        methods=METHODS, news=saved if latest and saved == latest["version"] else None,
        tried_rows=ROWS, decides=decides,
    )  # fmt: skip


def _form(connection: psycopg.Connection, shown: _Shown, what_if: WhatIf) -> dict[str, Any]:
    """What the form holds: what was typed, else what is set, else what settings begin with."""
    if shown.currency is None:
        return {}
    known = store.settings_record(known_settings(connection, shown.currency))
    return {name: what_if.typed.get(name, "" if known[name] is None else known[name]) for name in SETTINGS}


@router.post("/funds")
def save(request: Request, site: Shared, form: Form) -> Response:
    """Save the settings of the form as a new version; what was typed stays on the page where that cannot be."""
    asked, typed = Asked(currency=form.get("currency") or None), _typed(form)
    reason, based_on = form.get("reason", "")[:1000], version_number(form.get("based_on", ""))
    conflict: list[Record] = []
    by, refused = may_not(request, "admin")  # before a connection is taken, as it takes one itself
    try:
        if refused:
            raise refused
        if not reason.strip():
            raise Problem(422, "Say why: the reason is kept with the settings.")
        if based_on is None:
            raise Problem(422, "based_on: the number of the version that the change builds on is missing.")
        with site.connection() as connection:
            settings = _settings(connection, asked.currency, typed)
            version = store.save_settings(connection, settings, by, reason.strip(), based_on=based_on)
        query = urlencode({"currency": settings.quote_currency, "saved": version})
        return RedirectResponse(f"/funds?{query}#saved", HTTPStatus.SEE_OTHER)  # not the form's #what-if
    except store.FundsChanged as error:
        status, trouble = HTTPStatus.PRECONDITION_FAILED, str(error)
        with site.connection() as connection:
            was = {row["version"]: row for row in store.settings_history(connection)}.get(error.based_on)
        conflict = differing(SETTINGS, was, error.latest, store.settings_record(settings))
        based_on = error.latest["version"] if error.latest else 0  # who saves now has seen it
    except (AmountError, ValidationError) as error:
        status, trouble = HTTPStatus.UNPROCESSABLE_ENTITY, _told(error)
    except Problem as error:
        status, trouble = error.status, str(error)
    what_if = WhatIf(typed, based_on, reason, trouble=trouble, conflict=conflict)
    decides = may(request, "admin")
    with first_of_all(refused), site.snapshot() as connection:
        shown = _Shown(connection, asked)
        answer = _page(request, site, connection, shown, asked, WINDOWS[0], None, what_if, decides=decides)
    return Response(answer.body, status, {**answer.headers, "Cache-Control": "no-store"}, media_type=answer.media_type)


def sums(rows: Iterable[Record], by: str) -> list[dict[str, Any]]:
    """Of the rows of one currency the amounts and the number of bots by a column, the largest first."""
    found: dict[str | None, tuple[int, Decimal]] = {}
    for row in rows:
        bots, amount = found.get(row[by], (0, Decimal(0)))
        found[row[by]] = bots + 1, amount + row["amount"]
    told = [{"name": name, "bots": bots, "amount": amount} for name, (bots, amount) in found.items()]
    return sorted(told, key=lambda of: (-of["amount"], -of["bots"], of["name"] or ""))
