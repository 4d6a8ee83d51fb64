"""What may be allocated to the bots of a currency and how, and which settings are in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

AllocationMethod = Literal["rank_score", "equal", "inverse_variance", "hrp", "belief_edge"]

METHODS: tuple[AllocationMethod, ...] = get_args(AllocationMethod)

DEFAULT_CAUTION, DEFAULT_SAME_EDGE_LIMIT = 0.8, 0.05
"""What settings begin with that people make: money goes to bots that are likely good.

Bots that have one edge share their luck: in a fleet without any edge P(edge > 0) of all of them together is as often
high as low. So it counts only once bots can be told apart.
"""
SURE = 0.99
"""P(edge > 0) above which a bot is given funds even while bots cannot be told apart."""


@dataclass(frozen=True)
class AllocationRules:
    """bot_cap, ticker_cap: the largest share of the funds in one bot, and in all bots of one ticker. minimum: the least
    amount worth allocating, in cents; a smaller one goes to the others."""

    bot_cap: float = 0.10
    ticker_cap: float = 1.0
    minimum: int = 0


@dataclass(frozen=True)
class RiskRules:
    """drawdown: halt beyond so many percent below the peak. daily_loss: halt when the day has lost more than so many
    percent of capital. cool_down: how long a halted bot stays halted once neither limit is broken."""

    drawdown: float = 25.0
    daily_loss: float = 5.0
    cool_down: timedelta = timedelta(days=1)


class SkillBar(NamedTuple):
    """What a bot's P(edge > 0) has to be above, and why it is more than the settings' caution ("": it is not)."""

    least: float
    because: str = ""


@dataclass(frozen=True)
class FundSettings:
    """What may be allocated to the bots of one currency (`funds` in its smallest units), and how.

    `caution`: only bots with P(edge > 0) above it are funded; None: ungated. `same_edge_limit`: while all bots have one
    edge with more than this probability, P(edge > 0) has to be above SURE; 1: never. `in_force_from`: None = always.
    """

    quote_currency: str
    funds: int
    method: AllocationMethod = "rank_score"
    allocation: AllocationRules = field(default_factory=AllocationRules)
    risk: RiskRules = field(default_factory=RiskRules)
    caution: float | None = None
    same_edge_limit: float = 1.0
    version: int = 0
    in_force_from: datetime | None = None

    def bar(self, p_same_edge: float) -> SkillBar | None:
        """What P(edge > 0) has to be above, None for no skill, where all bots have one edge with this probability (NaN:
        not computed).

        >>> rules = FundSettings("USD", 1, caution=0.75, same_edge_limit=0.05)
        >>> rules.bar(0.05)
        SkillBar(least=0.75, because='')
        >>> rules.bar(0.2)
        SkillBar(least=0.99, because=' while bots cannot be told apart (all have one edge with probability 0.200)')
        """
        if self.caution is None:
            return None
        if self.same_edge_limit >= 1 or p_same_edge <= self.same_edge_limit:
            return SkillBar(self.caution)
        why = f"all have one edge with probability {p_same_edge:.3f}"
        if p_same_edge != p_same_edge:
            why = "their skill is not computed"
        return SkillBar(max(self.caution, SURE), f" while bots cannot be told apart ({why})")


def beginning(currency: str) -> FundSettings:
    """What settings begin with that people make in a currency; there is nothing to divide yet."""
    return FundSettings(currency, 0, caution=DEFAULT_CAUTION, same_edge_limit=DEFAULT_SAME_EDGE_LIMIT)


def settings_in_force(settings: Sequence[FundSettings], as_of: datetime) -> list[FundSettings]:
    """Of each currency the last recorded of those in force at as_of, by currency."""
    latest = {s.quote_currency: s for s in settings if s.in_force_from is None or s.in_force_from <= as_of}
    return [latest[currency] for currency in sorted(latest)]
