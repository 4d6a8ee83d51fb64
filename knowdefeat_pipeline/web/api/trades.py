"""What brings trades: `POST /trades`, `POST /trades/bulk`, `PATCH /trades/{source}/{trade}`.

They go the way of `knowdefeat ingest`: read, validated, and held where they are refused. The key of a trade (source,
bot, id) makes each request idempotent; each is an import that can be undone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, create_model

from knowdefeat_pipeline.core.escaping import LONGEST
from knowdefeat_pipeline.sources.fields import FIELDS, Reason
from knowdefeat_pipeline.sources.options import Basis, Contract, Dates, Decimal, Side, Sign, Size
from knowdefeat_pipeline.web.access import requires
from knowdefeat_pipeline.web.answers import as_json
from knowdefeat_pipeline.web.bodies import FILES, received, takes
from knowdefeat_pipeline.web.intake import a_place
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["trades"])

JSON_TYPE = "application/json"
LONGEST_TEXT = 10_000
TEXTS = ("text", "bot", "time")  # kinds that are written as text
CHANGES = (
    "status", "exit_time", "exit_price", "mark_price", "fees", "exit_fee", "funding", "reported_pnl", "exit_reason",
    "exit_trigger_price", "exit_trigger_time", "exits",
)  # fmt: skip
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)] | int
Name = Annotated[str, Query(min_length=1, max_length=LONGEST, description="What it is called.")]
By = Annotated[str, Depends(requires("ingest"))]
WRITES = [Depends(requires("ingest")), Depends(a_place)]


def _model(name: str, fields: Sequence[str], required: bool) -> type[BaseModel]:
    """A trade, or changes of one, by field; what else is sent is refused, as it would be lost."""
    made: dict[str, Any] = {}
    for field in (FIELDS[known] for known in fields):
        kind: Any = Annotated[float, Field(strict=True, allow_inf_nan=False)]
        if field.kind in TEXTS:
            kind = Id if field.name in ("source_trade_id", "bot_id") else Text
        elif field.kind == "count":
            kind = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
        needed = required and field.required
        described = f"{field.description[0].upper()}{field.description[1:]}."
        if field.kind == "time":
            described += " ISO 8601; UTC where it names no offset."
        made[field.name] = (kind if needed else kind | None, Field(... if needed else None, description=described))
    return create_model(name, __config__=ConfigDict(extra="forbid"), **made)


NewTrade = _model("NewTrade", [name for name in FIELDS if name not in ("size", "fee_rate")], required=True)
TradeChanges = _model("TradeChanges", CHANGES, required=False)


class RefusedRow(BaseModel):
    """A row that was refused and is held."""

    quarantine_id: int = Field(description="Its number in quarantine.")
    row: int = Field(description="Which row of the file or body it is, from 1.")
    column: str | None = Field(description="The column to blame; null where it is the row as a whole.")
    reason: str = Field(description=f"Why: one of {', '.join(Reason)}.")
    message: str = Field(description="What is wrong, and the remedy.")
    status: str = Field(description="held, released or discarded.")


class TakenIn(BaseModel):
    """What became of the rows of an import; `rows_read` is their sum."""

    import_id: int = Field(description="The import, by which it can be undone.")
    is_new: bool = Field(description="False where the same content was taken in before.")
    source: str = Field(description="The source under which trades were recorded.")
    file_name: str = Field(description="What it is called.")
    rows_read: int = Field(description="Rows of it.")
    inserted: int = Field(description="New trades.")
    updated: int = Field(description="Trades that moved on: open, pending_exit, closed.")
    replaced: int = Field(description="Trades that it corrects.")
    unchanged: int = Field(description="Rows that change nothing, as they were recorded.")
    joined: int = Field(description="Further exits of the trade of another row.")
    quarantined: dict[str, int] = Field(description="Refused rows, which are held, by reason.")
    already_quarantined: int = Field(description="Of these those that were held before.")
    settled: int = Field(description="Refused rows that had been held before, and were released or discarded.")
    explained: int = Field(description="Fills that had been held, and belong to its trades.")
    removed: int = Field(description="Trades of the simulated fleet that made room.")
    pnl_disagreements: int = Field(description="Closed trades whose stated pnl is not the one that is computed.")
    first_exit_day: date | None = Field(description="The first UTC day on which one closed.")
    last_exit_day: date | None = Field(description="The last UTC day on which one closed.")
    notes: list[str] = Field(description="How it was read, and what to know of it.")
    refused: list[RefusedRow] = Field(description="The first 100 rows that were refused.")


class BulkTakenIn(BaseModel):
    """What became of a file, by source: one but for our own exports of several."""

    data: list[TakenIn] = Field(description="Of each source.")


@router.post(
    "/trades",
    response_model=TakenIn,
    status_code=201,
    responses={200: {"model": TakenIn, "description": "It was recorded just so, or moved a known trade on."}},
    dependencies=[*WRITES, Depends(takes(JSON_TYPE))],
)
def record_trade(
    site: Shared,
    author: By,
    trade: NewTrade,  # type: ignore[valid-type]
    source: Annotated[
        str, Query(min_length=1, max_length=LONGEST, description="Whose ids they are: a bot's program.")
    ] = "api",
) -> Response:
    """Record one trade, or move it on: open, pending_exit, closed. Needs a token of the scope ingest.

    The same again changes nothing (200, `Idempotent-Replayed: true`); other values under a known id are 409. What is
    refused is held, where it can be mended.
    """
    given = trade.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
    plain = {
        name: str(value) if isinstance(value, int) and name.endswith("_id") else value for name, value in given.items()
    }
    content = json.dumps(plain, sort_keys=True).encode()
    found = site.intake.ask(
        "record_trade",
        trade=plain,
        source=source,
        content_hash=hashlib.sha256(content).hexdigest(),
        author=author,
    )
    return _told(found)


@router.patch(
    "/trades/{source}/{trade}",
    response_model=TakenIn,
    dependencies=[*WRITES, Depends(takes(JSON_TYPE))],
)
def change_trade(
    site: Shared,
    author: By,
    source: str,
    trade: str,
    changes: TradeChanges,  # type: ignore[valid-type]
    bot: Annotated[str | None, Query(description="Whose trade, where several bots have one of this id.")] = None,
) -> Response:
    """Close a trade, or mark it. Needs a token of the scope ingest.

    What is not given stays. A closed trade stays as it is: other values are 409.
    """
    given = changes.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
    found = site.intake.ask("change_trade", source=source, trade=trade, bot=bot, changes=given, author=author)
    return _told(found)


class How:
    """How a file is read, where its content does not say it: the options of `knowdefeat ingest`."""

    def __init__(
        self,
        source: Annotated[str | None, Query(max_length=LONGEST, description="The source to record under.")] = None,
        account: Annotated[
            str | None, Query(max_length=LONGEST, description="The account; part of the source.")
        ] = None,
        map: Annotated[list[str] | None, Query(description="COLUMN=FIELD; repeat it.")] = None,
        timezone: Annotated[str | None, Query(description="The clock of times that name no zone.")] = None,
        currency: Annotated[str | None, Query(description="Of what names none.")] = None,
        confidence_scale: Annotated[Literal[1, 100], Query(description="What a full confidence is written as.")] = 1,
        size: Annotated[Size | None, Query(description="What the size means.")] = None,
        fees: Annotated[Sign | None, Query(description="cost: a cost is positive; signed: it is negative.")] = None,
        side: Annotated[Side | None, Query(description="Of the position, or of the order that closed it.")] = None,
        contract: Annotated[Contract | None, Query(description="What the contracts are.")] = None,
        pnl: Annotated[Basis | None, Query(description="Computed, or taken as it is stated.")] = None,
        bot: Annotated[str | None, Query(description="The bot of trades that name none.")] = None,
        ticker: Annotated[str | None, Query(description="The ticker of trades that name none.")] = None,
        direction: Annotated[str | None, Query(description="The direction of trades that name none.")] = None,
        status: Annotated[str | None, Query(description="The status of trades that name none.")] = None,
        decimal: Annotated[Decimal | None, Query(description="How decimals are written.")] = None,
        dates: Annotated[Dates | None, Query(description="The order of day and month.")] = None,
        table: Annotated[str | None, Query(description="Which of several tables.")] = None,
    ) -> None:
        terms = {"size": size, "fees": fees, "side": side, "contract": contract, "pnl": pnl}
        self.options = how_to_read(
            source=source,
            account=account,
            map=map or [],
            timezone=timezone,
            currency=currency,
            confidence_scale=confidence_scale,
            bot=bot,
            ticker=ticker,
            direction=direction,
            status=status,
            decimal=decimal,
            dates=dates,
            table=table,
            **terms,
        )


def how_to_read(
    *,
    source: str | None = None,
    account: str | None = None,
    map: Sequence[str] = (),
    timezone: str | None = None,
    currency: str | None = None,
    confidence_scale: int = 1,
    bot: str | None = None,
    ticker: str | None = None,
    direction: str | None = None,
    status: str | None = None,
    decimal: str | None = None,
    dates: str | None = None,
    table: str | None = None,
    **terms: str | None,
) -> dict[str, Any]:
    """What is said of a file, under the names of `sources.files.read_trades`. Raises Problem for a map that is none."""
    return {
        "mapping": _pairs(map),
        "timezone": timezone,
        "source": source,
        "account": account,
        "currency": currency,
        "confidence_scale": confidence_scale,
        "terms": {name: value for name, value in terms.items() if value is not None},
        "constants": {"bot_id": bot, "ticker": ticker, "direction": direction, "status": status},
        "decimal": decimal,
        "dates": dates,
        "table": table,
    }


def _pairs(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"map: {pair}: write COLUMN=FIELD")
    return dict(pair.split("=", 1) for pair in pairs)


def corrects(
    request: Request,
    replace: Annotated[bool, Query(description="Whether it corrects trades that were recorded: scope admin.")] = False,
) -> bool:
    """A dependency of a route that takes in a file: whether it replaces what was recorded. Raises Problem."""
    if replace:  # who brings trades adds to what is known; to change it is to decide
        requires("admin")(request)
    return replace


@router.post(
    "/trades/bulk",
    response_model=BulkTakenIn,
    status_code=201,
    responses={200: {"model": BulkTakenIn, "description": "Nothing of it was new."}},
    dependencies=[*WRITES, Depends(takes(*FILES))],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FILES},
        }
    },
)
async def record_file(
    request: Request,
    site: Shared,
    author: By,
    how: Annotated[How, Depends()],
    replaces: Annotated[bool, Depends(corrects)],
    name: Name = "upload",
) -> Response:
    """Record a file of trades: CSV, NDJSON, JSON, Arrow stream or Parquet, gzipped or not. Needs the scope ingest, and
    admin where it replaces what was recorded.

    All of it is one import, or nothing is written. Rows that are refused are held; where all are, it is 422.
    """
    about = {"name": name, "how": how.options, "author": author, "replaces": replaces}
    async with received(request) as path:
        found = await run_in_threadpool(site.intake.ask, "record_file", path=str(path), **about)
    return told_of_file(found)


def told_of_file(found: Sequence[Mapping[str, Any]]) -> Response:
    """What became of a file. Raises Problem where every row was refused."""
    refused = [row for source in found for row in source["refused"]]
    if refused and all(sum(source["quarantined"].values()) == source["rows_read"] for source in found):
        raise refusal(refused, sum(source["rows_read"] for source in found))
    wrote = any(source[kind] for source in found for kind in ("inserted", "updated", "replaced"))
    return Response(
        as_json({"data": found}).body,
        201 if wrote else 200,
        {} if wrote else {"Idempotent-Replayed": "true"},
        media_type=JSON_TYPE,
    )


def _told(found: Mapping[str, Any]) -> Response:
    """What became of one trade. Raises Problem where it was refused."""
    if found["refused"]:
        raise refusal(found["refused"], 1)
    is_known = not (found["inserted"] or found["updated"])
    headers = {"Idempotent-Replayed": "true"} if is_known else {}
    return Response(as_json(found).body, 201 if found["inserted"] else 200, headers, media_type=JSON_TYPE)


def refusal(refused: Sequence[Mapping[str, Any]], rows: int) -> Problem:
    """The rows that were refused, with what is wrong with the first; 409 where an id is that of another trade."""
    first = refused[0]
    is_known = rows == 1 and first["reason"] in (Reason.CONFLICTING_TRADE, Reason.DUPLICATE_TRADE)
    where = "" if rows == 1 else f"All {rows:,} rows were refused. Row {first['row']}: "
    return Problem(
        HTTPStatus.CONFLICT if is_known else HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{where}{first['message']} It is held as row {first['quarantine_id']} of the quarantine.",
        errors=[{**row} for row in refused],
    )
