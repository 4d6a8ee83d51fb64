"""What follows from the beliefs of the last day for signals: their consensus, and the size of a position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from knowdefeat_pipeline.core.decisions.consensus import THRESHOLD, Consensus, consensus
from knowdefeat_pipeline.core.decisions.position_size import base_size, kelly_size
from knowdefeat_pipeline.core.market.labels import ANY_REGIME
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.store.reads import Record, latest_day, strategies, strategy_means

CAP_SHARE = 0.10


class DecisionError(KnowDefeatError):
    """A decision that cannot be derived; the message says why and what to do."""

    page = "guides/beliefs.md"


@dataclass(frozen=True)
class Agreed:
    """A consensus, and what it rests on: the strategies' beliefs with their weights."""

    outcome: Consensus
    rows: list[Record]

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each strategy."""
        return {row["strategy_id"]: row["weight"] for row in self.rows}


def agreed(
    connection: psycopg.Connection,
    signals: Mapping[str, Sequence[Any]],
    *,
    threshold: float = THRESHOLD,
    regime: str = ANY_REGIME,
    timeframes: Mapping[str, float] | None = None,
) -> Agreed:
    """What signals (see `core.decisions.consensus`) say together by the weights as they stand. Raises DecisionError."""
    rows = _beliefs(connection, regime)
    try:
        outcome = consensus(signals, {row["strategy_id"]: row["weight"] for row in rows}, timeframes, threshold)
    except ValueError as error:
        known = ", ".join(sorted(row["strategy_id"] for row in rows))
        raise DecisionError(f"{error}. Strategies with a weight: {known}") from error
    return Agreed(outcome, rows)


def size_of(
    connection: psycopg.Connection,
    strategy: str,
    base: float,
    confidence: float,
    *,
    cap: float | None = None,
    capital: float | None = None,
    regime: str = ANY_REGIME,
) -> Record:
    """How large a position a strategy may take at a confidence (0..100), by both rules, and what they rest on.

    `capital`: by default that of the strategy's largest bot; `cap`: by default a tenth of it. `kelly_size` is None
    where no trade of the strategy has a notional. Raises DecisionError.
    """
    found = [row for row in _beliefs(connection, regime) if row["strategy_id"] == strategy]
    if not found:
        day = latest_day(connection, "strategy_beliefs")
        raise DecisionError(f"No beliefs for {strategy!r} on {day}. List strategies: knowdefeat beliefs")
    (belief,) = found
    means = strategy_means(connection, strategy)
    estimated = capital is None and bool(means["capital_is_estimated"])
    capital = means["capital"] if capital is None else capital
    if cap is None and capital is None:
        raise DecisionError(f"The capital of a bot that runs {strategy} is not known: give the capital or the cap")
    cap = CAP_SHARE * capital if cap is None else cap
    volatility = means["volatility"]
    kelly = kelly_size(capital, belief["edge"], belief["edge_sd"], volatility, cap) if volatility and capital else None
    return {
        "strategy_id": strategy,
        "size": base_size(base, belief["win_rate"], belief["prior_win_rate"], confidence, cap),
        "kelly_size": kelly,
        "cap": cap,
        "capital": capital,
        "capital_is_estimated": estimated,
        **{name: belief[name] for name in ("win_rate", "prior_win_rate", "edge", "edge_sd")},
        "volatility": volatility,
        "as_of": belief["as_of"],
    }


def _beliefs(connection: psycopg.Connection, regime: str) -> list[Record]:
    """What is believed of the strategies on the last day. Raises DecisionError while nothing is."""
    day = latest_day(connection, "strategy_weights")
    if day is None:
        raise DecisionError("Nothing has been computed yet. Run: knowdefeat run")
    return strategies(connection, day, regime=regime)
