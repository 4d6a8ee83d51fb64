"""Learning centre: which strategies can be trusted, and why did a weight change?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.decisions.consensus import THRESHOLD
from knowdefeat_pipeline.core.market.labels import REGIMES
from knowdefeat_pipeline.core.schema import AS_OF, BELIEFS, PARTITION, STRATEGY_WEIGHTS
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.store.learning_ledger import ledger_rows, record_reset, record_withdrawal
from knowdefeat_pipeline.store.reads import Record, strategy_history
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.models import named
from knowdefeat_pipeline.web.api.strategies import Signals, SizeAsked, consensus_of_signals, size_asked
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Form
from knowdefeat_pipeline.web.learning import ALL, Learned, read_learned
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Which strategies can be trusted, and why did a weight change?"
WINDOWS = (30, 60, 180)
LINES = 8  # strategies whose weights are drawn: those of the largest
LAST_DAYS = 10
MOST = 40
EXPORTED = (PARTITION, AS_OF, *BELIEFS, *named(STRATEGY_WEIGHTS, "weight", "exposure"))


@router.get("/learning")
def learning_page(
    request: Request,
    site: Shared,
    strategy: Annotated[str | None, Query(description="The strategy that is looked into.")] = None,
    days: Annotated[int, Query(ge=7, le=3660)] = 60,
    signals: Annotated[str, Query(max_length=20_000, description="A line each: strategy, direction, confidence.")] = "",
    threshold: Annotated[float, Query(ge=0.5, le=1)] = THRESHOLD,
    base: Annotated[str, Query(max_length=40)] = "",
    confidence: Annotated[str, Query(max_length=40)] = "",
    cap: Annotated[str, Query(max_length=40)] = "",
    most: Annotated[int, Query(ge=1, le=100_000, description="The most strategies, those of the largest edge.")] = MOST,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """What is believed of every strategy, of one more closely, and what follows for signals."""

    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        found = read_learned(connection)
        if found is None:
            return render("empty.html", request, site, title="Learning centre", question=QUESTION)
        rows = [*found.now.values()]
        if format:
            return export(rows[:most], EXPORTED, format, "learning", found.day)
        chosen = strategy or max(rows, key=lambda row: row["weight"])["strategy_id"]
        found.require(chosen)
        size = {"base": base, "confidence": confidence, "cap": cap}
        return render(
            "learning.html", request, site,
            question=QUESTION, found=found, rows=rows, most=most, chosen=chosen, days=days, windows=WINDOWS,
            formats=FORMATS, regimes=REGIMES, all=ALL, ledger=_ledger(connection),
            **_over_time(connection, found, chosen, days),
            signals=signals, threshold=threshold, size=size, agreement=_agreement(connection, signals, threshold),
            sized=_sized(connection, chosen, size), bound=_bound(found), decides=decides,
        )  # fmt: skip

    return site.answer(request, read, viewer="admin" if decides else "")


def _bound(found: Learned) -> float:
    """The bound of the pictures of edges, on one scale for all of them."""
    return max((max(abs(row["edge_low"]), abs(row["edge_high"])) for row in found.rows), default=0.0) or 1.0


def _over_time(connection: psycopg.Connection, found: Learned, chosen: str, days: int) -> dict[str, Any]:
    """The weights of the largest strategies day by day; of the chosen one its days, and the last of them backwards."""
    largest = sorted(found.weights, key=lambda name: -found.weights[name]["weight"])[:LINES]
    history = strategy_history(connection, {chosen, *largest}, days)
    by_strategy: dict[str, dict[Any, Record]] = {}
    for row in history:
        by_strategy.setdefault(row["strategy_id"], {})[row["day"]] = row
    dates = sorted({row["day"] for row in history})
    shown = [dates[0] + timedelta(days=n) for n in range((dates[-1] - dates[0]).days + 1)]
    weights = [(name, [_percent(by_strategy[name].get(day)) for day in shown]) for name in largest]
    own = [by_strategy[chosen][day] for day in dates if day in by_strategy[chosen]]
    return {"dates": shown, "weights": weights, "own": own, "last": _changes(own)[::-1][:LAST_DAYS]}


def _percent(row: Record | None) -> float | None:
    return None if row is None else 100 * row["weight"]


def _changes(own: list[Record]) -> list[Record]:
    """Each day with what changed since the one before."""
    befores: list[Record | None] = [None, *own[:-1]]
    return [
        row
        | {
            "weight_change": None if before is None else row["weight"] - before["weight"],
            "edge_change": None if before is None else row["edge"] - before["edge"],
        }
        for row, before in zip(own, befores, strict=True)
    ]


def _ledger(connection: psycopg.Connection) -> list[Record]:
    """The ledger; a backtest that still counts can be withdrawn."""
    rows = ledger_rows(connection)
    withdrawn = {row["source"] for row in rows if row["kind"] == "withdrawal"}
    return [row | {"counts": row["kind"] == "backtest" and row["source"] not in withdrawn} for row in rows]


def _agreement(connection: psycopg.Connection, text: str, threshold: float) -> Mapping[str, Any] | None:
    """What the signals of the form say together, or why that cannot be told."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    try:
        asked = [
            {"strategy_id": " ".join(words[:-2]), "direction": words[-2].upper(), "confidence": words[-1]}
            for words in (line if len(line) > 2 else ["", *line, ""] for line in lines)
        ]
        return consensus_of_signals(connection, Signals.model_validate({"signals": asked, "threshold": threshold}))
    except ValidationError as error:
        return {"trouble": _first(error, "Write a line per signal: STRATEGY LONG 80.")}
    except KnowDefeatError as error:
        return {"trouble": str(error)}


def _sized(connection: psycopg.Connection, strategy: str, size: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The sizes that the form asks for, or why they cannot be told."""
    given = {name: text for name, text in size.items() if text.strip()}
    if not given:
        return None
    try:
        return size_asked(connection, SizeAsked.model_validate({"strategy_id": strategy, **given}))
    except ValidationError as error:
        return {"trouble": _first(error, "Write a usual size, and a confidence from 0 to 100.")}
    except KnowDefeatError as error:
        return {"trouble": str(error)}


def _first(error: ValidationError, remedy: str) -> str:
    fault = error.errors()[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"])
    return f"{place}: {fault['msg']}. {remedy}"


@router.post("/learning/reset")
def reset(request: Request, site: Shared, form: Form) -> Response:
    """Forget what was learned of a strategy, or of all."""
    strategy = form.get("strategy") or None

    def record(connection: psycopg.Connection, reason: str) -> None:
        found = read_learned(connection)
        if strategy is not None and found is not None:
            found.require(strategy)
        record_reset(connection, strategy, reason)

    return _recorded(request, site, form, record)


@router.post("/learning/withdraw")
def withdraw(request: Request, site: Shared, form: Form) -> Response:
    """Let a backtest count no more."""
    source = form.get("source", "")
    return _recorded(request, site, form, lambda connection, reason: record_withdrawal(connection, source, reason))


def _recorded(request: Request, site: Shared, form: Mapping[str, str], record: Any) -> Response:
    requires("admin")(request)
    reason = form.get("reason", "").strip()[:1000]
    if not reason:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Say why: the reason is kept.")
    with site.connection() as connection:
        record(connection, reason)
    return RedirectResponse("/learning#ledger", HTTPStatus.SEE_OTHER)
