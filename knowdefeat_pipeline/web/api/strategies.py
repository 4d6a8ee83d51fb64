"""`/strategies`, `/ledger`, `/consensus`, `/sizes`: what was learned of strategies, and what follows for signals."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.amounts import BOUND, LEAST_SIZE
from knowdefeat_pipeline.core.decisions.consensus import THRESHOLD
from knowdefeat_pipeline.core.market.labels import ANY_REGIME, NEUTRAL
from knowdefeat_pipeline.store.decisions import agreed, size_of
from knowdefeat_pipeline.store.learning_ledger import ledger_rows, record_reset, record_withdrawal
from knowdefeat_pipeline.store.reads import strategy_history
from knowdefeat_pipeline.web.access import requires
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.learning import require_learned
from knowdefeat_pipeline.web.parameters import DayAsked, Spelled
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["strategies"])

Name = Annotated[str, Path(description="The strategy's name."), Spelled]
Source = Annotated[str, Path(description="The name under which the backtest was learned."), Spelled]
Regime = Literal["TRENDING", "RANGING", "VOLATILE", "NEUTRAL", "*"]
Amount = Annotated[float, Field(ge=0, lt=BOUND)]
ADMIN = [Depends(requires("admin"))]
MOST_SIGNALS = 1000


class Strategies(BaseModel):
    """What is believed of every strategy, the largest edge first."""

    day: date = Field(description="UTC day.")
    as_of: datetime = Field(description="When that is true.")
    regime: str = Field(description="The regime of at least half of the trailing 30 days' trades, else NEUTRAL.")
    regime_shares: dict[str, float] = Field(description="The share of those trades whose ticker is in each regime.")
    exposure: float | None = Field(description="The share of the whole book to hold at all; the rest is cash.")
    data: list[models.Strategy] = Field(description="By edge.")  # type: ignore[valid-type]


@router.get("/strategies", response_model=Strategies)
def strategies(
    request: Request,
    site: Shared,
    day: DayAsked = None,
    regime: Annotated[Regime, Query(description="Under one regime; * and NEUTRAL: those that hold.")] = "*",
) -> Response:
    """The edge, win rate and weight of every strategy; the weights sum to 1."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_learned(connection, day)
        about = {"day": found.day, "as_of": found.as_of, "regime": found.regime, "regime_shares": found.shares}
        rows = [row for row in found.rows if row["regime"] == _view(regime)]
        return as_json(about | {"exposure": found.exposure, "data": rows})

    return site.answer(request, read)


@router.get("/strategies/{strategy:path}/history", response_model=list[models.StrategyDay])  # type: ignore[valid-type]
def history(
    request: Request,
    site: Shared,
    strategy: Name,
    days: Annotated[int, Query(ge=1, le=3660, description="The trailing UTC days.")] = 90,
) -> Response:
    """What was believed of a strategy day after day, as things stood."""

    def read(connection: psycopg.Connection) -> Answer:
        require_learned(connection).require(strategy)
        return as_json(strategy_history(connection, [strategy], days))

    return site.answer(request, read)


class OneStrategy(BaseModel):
    """What is believed of one strategy."""

    strategy_id: str = Field(description="The strategy.")
    beliefs: list[models.Strategy] = Field(description="As things stand (regime *), and under each regime.")  # type: ignore[valid-type]
    weights: dict[str, Any] = Field(description="Its row of strategy_weights: as things stand, and under each regime.")
    calibration: models.Calibration | None = Field(description="Whether stated confidence came true.")  # type: ignore[valid-type]


@router.get("/strategies/{strategy:path}", response_model=OneStrategy)
def strategy(request: Request, site: Shared, strategy: Name, day: DayAsked = None) -> Response:
    """One strategy: its beliefs under each regime, its weights, and whether stated confidence came true."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_learned(connection, day)
        found.require(strategy)
        rows = [*found.in_regime[strategy].values()]
        about = {"strategy_id": strategy, "beliefs": rows, "weights": found.weights[strategy]}
        return as_json(about | {"calibration": found.calibration.get(strategy)})

    return site.answer(request, read)


class Why(BaseModel):
    """Why something is decided."""

    reason: str = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")


@router.post("/strategies/reset", response_model=list[models.LedgerEntry], dependencies=ADMIN)  # type: ignore[valid-type]
def reset_all(site: Shared, why: Why) -> Response:
    """Forget what was learned of all strategies, as an entry of the ledger. Needs a token of the scope admin."""
    return _recorded(site, lambda connection: record_reset(connection, None, why.reason.strip()))


@router.post("/strategies/{strategy:path}/reset", response_model=list[models.LedgerEntry], dependencies=ADMIN)  # type: ignore[valid-type]
def reset(site: Shared, strategy: Name, why: Why) -> Response:
    """Forget what was learned of a strategy, as an entry of the ledger. Needs a token of the scope admin."""

    def record(connection: psycopg.Connection) -> None:
        require_learned(connection).require(strategy)
        record_reset(connection, strategy, why.reason.strip())

    return _recorded(site, record)


@router.post("/backtests/{source:path}/withdraw", response_model=list[models.LedgerEntry], dependencies=ADMIN)  # type: ignore[valid-type]
def withdraw(site: Shared, source: Source, why: Why) -> Response:
    """Let a backtest that was learned count no more. Needs a token of the scope admin."""
    return _recorded(site, lambda connection: record_withdrawal(connection, source, why.reason.strip()))


def _recorded(site: Shared, record: Any) -> Response:
    """The ledger with the new entry first."""
    with site.connection() as connection:
        record(connection)
        return Response(as_json(ledger_rows(connection)).body, media_type="application/json")


@router.get("/ledger", response_model=list[models.LedgerEntry])  # type: ignore[valid-type]
def ledger(request: Request, site: Shared) -> Response:
    """What was decided about learning, the latest first: backtests, their withdrawals, resets."""
    return site.answer(request, lambda connection: as_json(ledger_rows(connection)))


class Signal(BaseModel):
    """What one strategy says."""

    strategy_id: str = Field(description="The strategy.")
    direction: Literal["LONG", "SHORT"] = Field(description="LONG or SHORT.")
    confidence: float = Field(description="How sure it is, 0 to 100.", ge=0, le=100)
    timeframe: str | None = Field(None, description="Which bars it rests on, where timeframes are weighed.")


class Signals(BaseModel):
    """Signals of the moment."""

    signals: list[Signal] = Field(description="One or more.", min_length=1, max_length=MOST_SIGNALS)
    threshold: float = Field(THRESHOLD, description="The share of both scores that decides.", ge=0.5, le=1)
    regime: Regime = Field("*", description="Weights under one regime; * and NEUTRAL: those that hold.")
    timeframe_weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] | None = Field(
        None, description="What each timeframe counts; all alike by default."
    )


class Contribution(Signal):
    """A signal, and what it adds to its side."""

    contribution: float = Field(description="confidence / 100 · weight of the strategy · weight of the timeframe.")


class Consensus(BaseModel):
    """What signals say together."""

    direction: Literal["LONG", "SHORT", "NEUTRAL"] = Field(description="The side that reaches the threshold.")
    agreement: float = Field(description="The larger score's share of both.")
    threshold: float = Field(description="The share that decides.")
    long_score: float = Field(description="The sum of the contributions of LONG.")
    short_score: float = Field(description="The sum of the contributions of SHORT.")
    as_of: datetime = Field(description="Of when the weights are.")
    exposure: float | None = Field(description="The share of the whole book to hold at all.")
    contributions: list[Contribution] = Field(description="In the order given.")


@router.post("/consensus", response_model=Consensus)
def consensus(site: Shared, asked: Signals) -> Response:
    """What signals say together, each counting its confidence times the weight of its strategy. Nothing is saved."""
    with site.snapshot() as connection:
        found = consensus_of_signals(connection, asked)
    return Response(as_json(found).body, media_type="application/json")


def consensus_of_signals(connection: psycopg.Connection, asked: Signals) -> dict[str, Any]:
    """What signals say together, as it is shown. Raises DecisionError."""
    signals = [signal.model_dump() for signal in asked.signals]
    columns = {name: [signal[name] for signal in signals] for name in Signal.model_fields}
    found = agreed(
        connection, columns, threshold=asked.threshold, regime=_view(asked.regime), timeframes=asked.timeframe_weights
    )
    outcome = found.outcome
    shown = {name: getattr(outcome, name) for name in ("direction", "agreement", "long_score", "short_score")}
    shown |= {"threshold": asked.threshold, "as_of": found.rows[0]["as_of"], "exposure": found.rows[0]["exposure"]}
    added = zip(signals, outcome.contributions.tolist(), strict=True)
    return shown | {"contributions": [signal | {"contribution": points} for signal, points in added]}


def _view(regime: str) -> str:
    return ANY_REGIME if regime == NEUTRAL else regime


class SizeAsked(BaseModel):
    """A signal whose position is to be sized."""

    strategy_id: str = Field(description="The strategy that trades.")
    base: Amount = Field(description="The usual size, in quote currency.")
    confidence: float = Field(description="How sure the signal is, 0 to 100.", ge=0, le=100)
    cap: Amount | None = Field(None, description="The largest size; by default a tenth of the capital.")
    capital: Amount | None = Field(None, description="By default that of the strategy's largest bot.")
    regime: Regime = Field("*", description="Beliefs under one regime; * and NEUTRAL: those that hold.")


class Size(BaseModel):
    """How large a position may be, and what that rests on."""

    strategy_id: str = Field(description="The strategy.")
    size: float = Field(description="base · win_rate / prior_win_rate · confidence / 100, at most the cap.")
    kelly_size: float | None = Field(
        description="Half Kelly on the lower quartile of the edge, at most the cap; null without a trade of known size."
    )
    cap: float = Field(description="The largest size.")
    capital: float | None = Field(description="The capital; null where only a cap is given.")
    capital_is_estimated: bool = Field(description="Whether nobody stated the capital.")
    win_rate: float = Field(description="The believed win rate.")
    prior_win_rate: float = Field(description="That of a strategy of which nothing is known but the others.")
    edge: float = Field(description="The believed mean result of the next trade, in R.")
    edge_sd: float = Field(description="Its standard deviation.")
    volatility: float | None = Field(description="Of the returns of the last 100 trades; null without any.")
    as_of: datetime = Field(description="Of when the beliefs are.")


@router.post("/sizes", response_model=Size)
def sizes(site: Shared, asked: SizeAsked) -> Response:
    """How large a position may be: by Scanstream's rule, and by half Kelly. Nothing is saved."""
    with site.snapshot() as connection:
        found = size_asked(connection, asked)
    return Response(as_json(found).body, media_type="application/json")


def size_asked(connection: psycopg.Connection, asked: SizeAsked) -> dict[str, Any]:
    """How large a position may be. Raises Problem, DecisionError."""
    for name in ("base", "cap", "capital"):
        if 0 < (getattr(asked, name) or 0) < LEAST_SIZE:
            raise Problem(422, f"{name}: write 0, or an amount from {LEAST_SIZE:g} on")
    about = {"cap": asked.cap, "capital": asked.capital, "regime": _view(asked.regime)}
    return size_of(connection, asked.strategy_id, asked.base, asked.confidence, **about)  # type: ignore[arg-type]
