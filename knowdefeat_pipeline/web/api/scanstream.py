"""Scanstream's eight endpoints under /api/learning, with their envelope, over what was really learned.

Accuracies are win rates. A weight is a share: those of all strategies sum to 1.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.market.labels import NEUTRAL, REGIMES
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.store.learning_ledger import record_reset
from knowdefeat_pipeline.store.outcomes import SOURCE, differing, recorded_outcome
from knowdefeat_pipeline.store.reads import Record, count_outcomes, strategy_history, strategy_outcomes
from knowdefeat_pipeline.web.access import requires
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api.trades import By, refusal
from knowdefeat_pipeline.web.intake import a_place
from knowdefeat_pipeline.web.learning import ALL, Learned, require_learned
from knowdefeat_pipeline.web.parameters import Instant, Spelled
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(prefix="/api/learning", tags=["Scanstream"])

RECENT = 10  # outcomes that a summary shows
OF_ROI = 100  # outcomes whose mean return a summary shows
SUMMARY_DAYS = 30
UNSTATED = "UNSTATED"  # the ticker of an outcome that names none
Name = Annotated[str, Path(description="The strategy's name."), Spelled]
Days = Annotated[int, Query(ge=1, le=3660, description="The trailing days.")]


def _told(**values: Any) -> Answer:
    return as_json({"success": True, **values})


def _belief(found: Learned, row: Record) -> Record:
    strategy = row["strategy_id"]
    stated = found.calibration.get(strategy, {})
    return {
        "prior_accuracy": row["prior_win_rate"],
        "posterior_accuracy": row["win_rate"],
        "win_rate": row["win_rate"],
        "accuracy_improvement": row["accuracy_improvement"],
        "confidence": row["confidence"],
        "samples": row["effective_samples"],
        "edge": row["edge"],
        "edge_low": row["edge_low"],
        "edge_high": row["edge_high"],
        "current_weight": row["weight"],
        "learning_velocity": stated.get("learning_velocity"),
    }


@router.get("/metrics")
def metrics(request: Request, site: Shared) -> Response:
    """What is believed of every strategy, and their weights, which sum to 1."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_learned(connection)
        column = found.weight_column(found.regime)
        stated = {name: row for name, row in found.calibration.items() if name != ALL}
        return _told(
            timestamp=found.as_of,
            metrics={
                "strategy_beliefs": {name: _belief(found, row) for name, row in found.now.items()},
                "adaptive_weights": {name: row["weight"] for name, row in found.weights.items()},
                "market_regime": found.regime,
                "regime_adjusted_weights": {name: row[column] for name, row in found.weights.items()},
                "regime_beliefs": _win_rates(found),
                "calibration": {
                    name: {
                        "error": row["calibration_error"],
                        "brier_score": row["brier_score"],
                        "trades": row["trades"],
                        "reliability": row["reliability"],
                    }
                    for name, row in stated.items()
                },
                "learning_velocity": found.calibration.get(ALL, {}).get("learning_velocity"),
                "accuracy_improvements": {name: row["accuracy_improvement"] for name, row in found.now.items()},
                "exposure": found.exposure,
            },
        )

    return site.answer(request, read)


def _win_rates(found: Learned) -> dict[str, dict[str, float]]:
    """The believed win rate of each strategy in each regime; NEUTRAL is as things stand."""
    return {
        name: {regime: rows[regime]["win_rate"] for regime in REGIMES if regime in rows}
        | {NEUTRAL: found.now[name]["win_rate"]}
        for name, rows in found.in_regime.items()
    }


@router.get("/strategy/{strategy:path}")
def strategy(request: Request, site: Shared, strategy: Name) -> Response:
    """What was learned of one strategy; 404 for one that never traded."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_learned(connection)
        row = found.require(strategy)
        outcomes = strategy_outcomes(connection, found.as_of - timedelta(days=SUMMARY_DAYS), strategy, OF_ROI)
        returns = [of["pnl_percent"] for of in outcomes if of["pnl_percent"] is not None]
        stated = found.calibration.get(strategy, {})
        return _told(
            summary={
                "strategy_id": strategy,
                **_belief(found, row),
                "samples_analyzed": row["effective_samples"],
                "trades_30d": stated.get("trades"),
                "avg_roi": sum(returns) / len(returns) if returns else None,
                "calibration_error": stated.get("calibration_error"),
                "recent_performance": [
                    {
                        "timestamp": of["exit_time"],
                        "pnl_percent": of["pnl_percent"],
                        "confidence": of["signal_confidence"],
                    }
                    for of in outcomes[:RECENT]
                ],
            }
        )

    return site.answer(request, read, results=False)


@router.get("/history")
def history(
    request: Request,
    site: Shared,
    days: Days = 7,
    strategy_id: Annotated[str | None, Query(description="Only of this strategy.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most outcomes.")] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="How many to leave out first.")] = 0,
) -> Response:
    """The outcomes of the days up to the last that was learned and since, the latest first."""

    def read(connection: psycopg.Connection) -> Answer:
        since = require_learned(connection).as_of - timedelta(days=days)
        rows = strategy_outcomes(connection, since, strategy_id, limit, offset)
        names = ("strategy_id", "pnl_percent", "signal_confidence", "direction", "exit_reason", "ticker", "pnl")
        return _told(
            total=count_outcomes(connection, since, strategy_id),
            count=len(rows),
            limit=limit,
            offset=offset,
            events=[
                {"timestamp": row["exit_time"], **{name: row[name] for name in (*names, "quote_currency")}}
                for row in rows
            ],
        )

    return site.answer(request, read, results=False)


@router.get("/weight-evolution/{strategy:path}")
def weight_evolution(request: Request, site: Shared, strategy: Name, days: Days = 7) -> Response:
    """A strategy's weight day after day, the latest last."""

    def read(connection: psycopg.Connection) -> Answer:
        require_learned(connection).require(strategy)
        rows = strategy_history(connection, [strategy], days)
        evolution = [
            {"timestamp": row["as_of"], "weight": row["weight"], "edge": row["edge"], "accuracy": row["win_rate"]}
            for row in rows
        ]
        return _told(strategy_id=strategy, data_points=len(evolution), evolution=evolution)

    return site.answer(request, read)


@router.get("/regime-analysis")
def regime_analysis(request: Request, site: Shared) -> Response:
    """Which regime the market is in, and how strategies do in each."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_learned(connection)
        best: dict[str, Record] = {}
        for row in found.rows:  # by edge
            best.setdefault(row["regime"], row)
        return _told(
            analysis={
                "current_regime": found.regime,
                "regime_detection_confidence": max(found.shares.values()),
                "regime_shares": found.shares,
                "strategies_by_regime": _win_rates(found),
                "recommendations": _recommendations(found),
                "historical_regime_performance": {
                    regime: {"best_strategy": row["strategy_id"], "performance": row["win_rate"], "edge": row["edge"]}
                    for regime, row in best.items()
                    if regime in REGIMES
                },
            }
        )

    return site.answer(request, read)


def _recommendations(found: Learned) -> list[str]:
    """What follows for the regime that holds, in words."""
    view = found.regime if found.regime != NEUTRAL else ALL
    rows = [rows[view] for rows in found.in_regime.values() if view in rows]
    sure = sorted((row for row in rows if row["edge_low"] > 0), key=lambda row: -row["edge"])
    if not sure:
        return ["No edge is above 0 with 95 % probability: the order of the strategies may be luck."]
    return [
        f"{row['strategy_id']}: edge {row['edge']:+.3f} R, from {row['edge_low']:+.3f} to {row['edge_high']:+.3f} with "
        f"90 % probability"
        for row in sure
    ]


class TradeOutcome(BaseModel):
    """A closed trade, as an outcome of a strategy's signal."""

    strategy_id: str = Field(description="The strategy.", min_length=1)
    entry_price: float = Field(description="In quote currency.", gt=0, allow_inf_nan=False)
    exit_price: float = Field(description="In quote currency.", gt=0, allow_inf_nan=False)
    direction: Literal["LONG", "SHORT"] = Field(description="LONG or SHORT.")
    entry_time: Instant = Field(description="With its offset from UTC.")
    exit_time: Instant | None = Field(None, description="With its offset from UTC; now by default.")
    signal_confidence: float | None = Field(
        None, description="How sure the signal was: 0 to 1, or to confidence_scale.", ge=0, allow_inf_nan=False
    )
    confidence_scale: Literal[1, 100] = Field(1, description="Of what signal_confidence is a part: 1 or 100.")
    entry_quality: float | None = Field(None, description="0 to 1.", ge=0, le=1)
    exit_reason: str | None = Field(None, description="Why it was closed.", max_length=1000)
    trade_id: str | None = Field(
        None, description="Its id at the sender; by default its content is its id.", min_length=1, max_length=200
    )
    bot: str | None = Field(None, description="The bot's name; that of the strategy by default.", min_length=1)
    ticker: str = Field(UNSTATED, description="What was traded.", min_length=1)
    notional: float = Field(
        1.0, description="The size at entry, in quote currency; by default one unit of it.", gt=0, allow_inf_nan=False
    )
    fees: float = Field(0.0, description="In quote currency.", allow_inf_nan=False)
    quote_currency: str = Field("USD", description="The currency of its amounts.", min_length=1)


@router.post("/trade-outcome", dependencies=[Depends(requires("ingest")), Depends(a_place)])
def trade_outcome(site: Shared, author: By, outcome: TradeOutcome) -> Response:
    """Record a closed trade, from which the pipeline learns. Needs a token of the scope ingest.

    It goes the way of POST /api/v1/trades: the same again changes nothing (`Idempotent-Replayed: true`), other values
    under a known id are 409, and what is refused is held, where it can be mended.
    """
    stated, scale = outcome.signal_confidence, outcome.confidence_scale
    if stated is not None and stated > scale:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"signal_confidence: {stated:g} does not lie in 0..{scale}. Correct it, or declare the scale: "
            f"confidence_scale={101 - scale}.",
        )
    with site.connection() as connection:
        exit_time: datetime = outcome.exit_time or clock.now(connection)
    given = outcome.model_dump(exclude={"confidence_scale", "trade_id", "bot"}) | {
        "signal_confidence": None if stated is None else stated / scale,
        "entry_time": outcome.entry_time,
        "exit_time": exit_time.astimezone(UTC),
    }
    bot = outcome.bot or outcome.strategy_id
    content = json.dumps(given | {"bot": bot}, sort_keys=True, default=str)
    hashed = hashlib.sha256(content.encode()).hexdigest()
    number = outcome.trade_id or hashed[:32]
    trade = {name: value for name, value in given.items() if value is not None}
    trade |= {name: trade[name].isoformat() for name in ("entry_time", "exit_time")}
    trade |= {"source_trade_id": number, "bot_id": bot, "status": "closed"}
    found = site.intake.ask("record_trade", trade=trade, source=SOURCE, content_hash=hashed, author=author)
    with site.connection() as connection:
        known = recorded_outcome(connection, number, bot)
    if found["refused"]:
        problem = refusal(found["refused"], 1)
        if known is not None and problem.status == HTTPStatus.CONFLICT:
            problem.more["differing"] = differing(known, given)
        raise problem
    is_new = bool(found["inserted"])
    told = "Trade recorded; it is learned with the next refresh." if is_new else "This trade was recorded before."
    shown = {name: (known or {})[name] for name in ("trade_id", "source_trade_id", "pnl")}
    answer = _told(message=told, trade=outcome.model_dump() | {"exit_time": exit_time, **shown})
    headers = {} if is_new else {"Idempotent-Replayed": "true"}
    return Response(answer.body, media_type=answer.media_type, headers=headers)


class Reset(BaseModel):
    """What is to be forgotten, and why."""

    reason: str = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")
    strategy_id: str | None = Field(None, description="Of this strategy alone; of all by default.")


@router.post("/reset", dependencies=[Depends(requires("admin"))])
def reset(site: Shared, asked: Reset) -> Response:
    """Forget what was learned, as an entry of the ledger; history stays. Needs a token of the scope admin."""
    with site.connection() as connection:
        if asked.strategy_id is not None:
            require_learned(connection).require(asked.strategy_id)
        record_reset(connection, asked.strategy_id, asked.reason.strip())
        answer = _told(
            message=f"{asked.strategy_id or 'The learning system'} is reset to its priors with the next refresh.",
            timestamp=clock.now(connection),
        )
    return Response(answer.body, media_type=answer.media_type)


@router.post("/update-metrics", status_code=410)
def update_metrics() -> None:
    """Gone: metrics are computed from trades, and cannot be set from outside. 410 says what to do instead."""
    raise Problem(
        HTTPStatus.GONE,
        "Metrics are computed from trades, and cannot be set. Send closed trades to POST /api/learning/trade-outcome.",
    )
