"""Risk rules: which bots get no funds for now, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import DAY, WINDOW_DAYS, day_of, last_day, micros


@dataclass(frozen=True)
class RiskRules:
    """drawdown: halt beyond so many percent below the peak. daily_loss: halt when the day has lost more than so many
    percent of capital. cool_down: how long a halted bot stays halted once neither limit is broken."""

    drawdown: float = 25.0
    daily_loss: float = 5.0
    cool_down: timedelta = timedelta(days=1)


def risk_figures(
    trades: Trades, capital: Mapping[int, float], resumed: Mapping[int, datetime], at: datetime, rules: RiskRules
) -> pd.DataFrame:
    """What `risk_decisions` judges: a row for each bot of `capital`, in its order.

    Looks at the trades closed in the trailing 30 days, of a bot that a person let go on (`resumed`) only at those from
    then on. Realised equity starts at the bot's capital, its first peak. Drawdown and the loss since the UTC day began
    are taken after every trade: `broken_at` is the exit of the last one that left a limit broken. The day is the last
    that began before `at`.
    """
    bots = np.fromiter(capital, np.int64, len(capital))
    stakes = np.fromiter(capital.values(), np.float64, len(capital))
    (now,) = micros([at])
    restart = dict(zip(resumed, micros(list(resumed.values())), strict=True))
    oldest = now - WINDOW_DAYS * DAY
    since = np.array([max(oldest, restart.get(bot, oldest)) for bot in capital], dtype=np.int64)
    place = pd.Index(bots).get_indexer(pd.Index(trades.bot))
    kept = np.flatnonzero((place >= 0) & (trades.exit < now))
    kept = kept[trades.exit[kept] >= since[place[kept]]]
    place, exit_, pnl = place[kept], trades.exit[kept], pd.Series(trades.pnl[kept])
    gain = pnl.groupby(place).cumsum()
    peak = gain.groupby(place).cummax().clip(lower=0.0)
    drawdown = 100 * (peak - gain) / (peak + stakes[place])
    day = day_of(exit_)
    day_gain = pnl.groupby([place, day]).cumsum()
    broken = (drawdown > rules.drawdown) | (-100 * day_gain / stakes[place] > rules.daily_loss)
    today = day == last_day(now)
    by_place = pd.DataFrame(
        {
            "drawdown": drawdown.groupby(place).last(),
            "day_pnl": day_gain[today].groupby(place[today]).last(),
            "broken_at": pd.Series(exit_)[broken].groupby(place[broken]).last(),
        }
    ).reindex(range(len(bots)))
    broken_at = pd.to_datetime(by_place["broken_at"].astype("Int64"), unit="us", utc=True)
    return by_place.assign(broken_at=broken_at, bot_id=bots, capital=stakes)


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
            reason = (
                f"halted: lost {lost:.1f} % of its capital within the day, beyond the limit of {rules.daily_loss:g} %"
            )
        elif at < end:
            reason = f"halted: cooling down until {end:%Y-%m-%d %H:%M} UTC"
        else:
            reason = "within its limits"
        rows.append((bot, reason.startswith("halted"), broken, reason))
    return pd.DataFrame(rows, columns=["bot_id", "halted", "broken", "reason"])
