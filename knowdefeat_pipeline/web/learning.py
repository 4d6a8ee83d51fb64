"""What was learned of strategies, as the pages, the API and Scanstream's endpoints show it: one reading for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from http import HTTPStatus

import psycopg

from knowdefeat_pipeline.core.market.labels import ANY_REGIME, NEUTRAL, REGIMES
from knowdefeat_pipeline.store.reads import Record, latest_day, strategies, strategy_day
from knowdefeat_pipeline.web.problems import Problem

ALL = "*"  # all strategies together
HOLDS = 0.5  # the share of trades from which on a regime is that of the market
NOTHING = "No trade has been learned yet. Run: knowdefeat run"


@dataclass(frozen=True)
class Learned:
    """One day: `rows`, what is believed of each strategy in each regime, the largest edge first; `weights` by strategy;
    `calibration` by strategy, of all together under `*`."""

    day: date
    rows: list[Record]
    weights: dict[str, Record]
    calibration: dict[str, Record]

    @property
    def as_of(self) -> datetime:
        """When that is true."""
        as_of: datetime = self.rows[0]["as_of"]
        return as_of

    @cached_property
    def now(self) -> dict[str, Record]:
        """What is believed of each strategy as things stand, the largest edge first."""
        return {row["strategy_id"]: row for row in self.rows if row["regime"] == ANY_REGIME}

    @cached_property
    def in_regime(self) -> dict[str, dict[str, Record]]:
        """By strategy and regime."""
        found: dict[str, dict[str, Record]] = {strategy: {} for strategy in self.now}
        for row in self.rows:
            found[row["strategy_id"]][row["regime"]] = row
        return found

    @property
    def shares(self) -> dict[str, float]:
        """The share of each regime that holds, by the trades of the trailing 30 days; 0 without market data."""
        any_row = next(iter(self.weights.values()))
        return {regime: any_row[f"p_{regime.lower()}"] for regime in REGIMES}

    @property
    def regime(self) -> str:
        """The regime of most of the market, else NEUTRAL."""
        regime, share = max(self.shares.items(), key=lambda item: item[1])
        return regime if share >= HOLDS else NEUTRAL

    @property
    def exposure(self) -> float | None:
        """The share of the book to hold at all."""
        exposure: float | None = next(iter(self.weights.values()))["exposure"]
        return exposure

    def weight_column(self, regime: str) -> str:
        """Which column of `weights` holds those under a regime."""
        return "weight" if regime in (NEUTRAL, ANY_REGIME) else f"weight_{regime.lower()}"

    def require(self, strategy: str) -> Record:
        """What is believed of a strategy as things stand. Raises Problem for one that nothing was learned of."""
        if strategy not in self.now:
            known = ", ".join(sorted(self.now)[:20])
            raise Problem(HTTPStatus.NOT_FOUND, f"Nothing was learned of a strategy of that name. There are: {known}.")
        return self.now[strategy]


def read_learned(
    connection: psycopg.Connection, day: date | None = None, *, regime: str | None = None
) -> Learned | None:
    """What was learned by the end of a day, or of the last one, in every regime or in one; None where nothing was."""
    chosen = day or latest_day(connection, "strategy_weights")
    if chosen is None:
        return None
    rows = strategies(connection, chosen, regime=regime)
    if not rows:
        return None
    weights = {row["strategy_id"]: row for row in strategy_day(connection, "strategy_weights", chosen)}
    calibration = {row["strategy_id"]: row for row in strategy_day(connection, "strategy_calibration", chosen)}
    return Learned(chosen, rows, weights, calibration)


def require_learned(connection: psycopg.Connection, day: date | None = None) -> Learned:
    """The same. Raises Problem where nothing was learned."""
    found = read_learned(connection, day)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, NOTHING)
    return found
