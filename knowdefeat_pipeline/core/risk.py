"""Risk rules: which bots get no funds for now, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd


@dataclass(frozen=True)
class RiskRules:
    """drawdown: halt beyond so many percent below the peak. daily_loss: halt when the day has lost more than so many
    percent of capital. cool_down: how long a halted bot stays halted once neither limit is broken."""

    drawdown: float = 25.0
    daily_loss: float = 5.0
    cool_down: timedelta = timedelta(days=1)


def risk_decisions(bots: pd.DataFrame, at: datetime, rules: RiskRules) -> pd.DataFrame:
    """One decision for each bot: columns bot_id, halted, broken (a limit is broken now) and reason, in their order.

    `bots`: columns bot_id, drawdown (percent below the peak now; NULL without trades), day_pnl, capital, and broken_at
    (when a limit was last broken before `at`; NULL for never). Raises ValueError for a capital that is not above 0.
    """
    if not (bots["capital"] > 0).all():
        bot = bots.loc[~(bots["capital"] > 0), "bot_id"].iloc[0]
        raise ValueError(f"bot {bot} has no capital above 0 to measure its daily loss by")
    loss = -100 * bots["day_pnl"].fillna(0.0) / bots["capital"]
    drawdown = bots["drawdown"].fillna(0.0)
    until = pd.to_datetime(bots["broken_at"], utc=True) + rules.cool_down
    rows = []
    for bot, fallen, lost, end in zip(bots["bot_id"], drawdown, loss, until, strict=True):
        broken = fallen > rules.drawdown or lost > rules.daily_loss
        if fallen > rules.drawdown:
            reason = f"halted: {fallen:.1f} % below its peak, beyond the limit of {rules.drawdown:g} %"
        elif lost > rules.daily_loss:
            reason = f"halted: lost {lost:.1f} % of its capital today, beyond the limit of {rules.daily_loss:g} %"
        elif at < end:
            reason = f"halted: cooling down until {end:%Y-%m-%d %H:%M} UTC"
        else:
            reason = "within its limits"
        rows.append((bot, reason.startswith("halted"), broken, reason))
    return pd.DataFrame(rows, columns=["bot_id", "halted", "broken", "reason"])
