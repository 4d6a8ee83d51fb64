"""What may be allocated to the bots of a currency and how, and which settings are in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from knowdefeat_pipeline.core.funds.projection import AllocationRules
from knowdefeat_pipeline.core.funds.risk import RiskRules

AllocationMethod = Literal["rank_score", "equal", "inverse_variance", "hrp", "belief_edge"]

METHODS: tuple[AllocationMethod, ...] = get_args(AllocationMethod)

DEFAULT_CAUTION = 0.5
"""What settings begin with that people make: money goes where more speaks for an edge than against one."""


@dataclass(frozen=True)
class FundSettings:
    """What may be allocated to the bots of one currency (`funds` in its smallest units), and how.

    `caution`: only bots with P(edge > 0) above it are funded; None: ungated. `in_force_from`: None = always.
    """

    quote_currency: str
    funds: int
    method: AllocationMethod = "rank_score"
    allocation: AllocationRules = field(default_factory=AllocationRules)
    risk: RiskRules = field(default_factory=RiskRules)
    caution: float | None = None
    version: int = 0
    in_force_from: datetime | None = None


def settings_in_force(settings: Sequence[FundSettings], as_of: datetime) -> list[FundSettings]:
    """Of each currency the last recorded of those in force at as_of, by currency."""
    latest = {s.quote_currency: s for s in settings if s.in_force_from is None or s.in_force_from <= as_of}
    return [latest[currency] for currency in sorted(latest)]
