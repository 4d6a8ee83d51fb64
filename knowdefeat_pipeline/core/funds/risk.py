"""Risk rules: which bots get no funds, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds.settings import RiskRules
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import DAY, NEVER, WINDOW_DAYS, Bools, Floats, Ints, day_of, last_day, micros

RiskVerdict = Literal["drawdown", "daily_loss", "cooling_down", "within_limits"]
"""Which limit is broken, or that it was; all but the last halt a bot."""


POSITION_COLUMNS = ("bot_id", "entry_time", "pnl")


def risk_figures(
    trades: Trades,
    capital: Mapping[int, float],
    resumed: Mapping[int, datetime],
    as_of: datetime,
    rules: RiskRules,
    positions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What `risk_decisions` judges: a row for each bot of `capital`, in its order.

    Looks at the trades closed in the trailing 30 days, of a bot that a person let go on (`resumed`) only at those from
    then on. Realised equity starts at the bot's capital, its first peak. Drawdown and the loss since the UTC day began
    are taken after every trade: `broken_at` is the exit of the last one that left a limit broken. The day is the last
    that began before `as_of`.

    `positions`: those open at `as_of` (POSITION_COLUMNS), which equity ends with: of a bot that was resumed, those that
    were entered from then on, as whoever resumed it knew the others. `open_pnl` is their sum, NULL without any, and
    `gain` what was realised in the 30 days, whether or not the bot was resumed.
    """
    bots = np.fromiter(capital, np.int64, len(capital))
    stakes = np.fromiter(capital.values(), np.float64, len(capital))
    (end,) = micros([as_of])
    restart = dict(zip(resumed, micros(list(resumed.values())), strict=True))
    oldest = end - WINDOW_DAYS * DAY
    since = np.array([max(oldest, restart.get(bot, oldest)) for bot in capital], dtype=np.int64)
    place = pd.Index(bots).get_indexer(pd.Index(trades.bot))
    rows = np.flatnonzero((place >= 0) & (trades.exit < end))
    recent = rows[trades.exit[rows] >= oldest]
    realised = np.bincount(place[recent], trades.pnl[recent], minlength=len(bots))
    rows = rows[trades.exit[rows] >= since[place[rows]]]
    place, exit_, pnl = place[rows], trades.exit[rows], pd.Series(trades.pnl[rows])
    gain = pnl.groupby(place).cumsum()
    peak = gain.groupby(place).cummax().clip(lower=0.0)
    drawdown = 100 * (peak - gain) / (peak + stakes[place])
    day = day_of(exit_)
    day_gain = pnl.groupby([place, day]).cumsum()
    broken = (drawdown > rules.drawdown) | (-100 * day_gain / stakes[place] > rules.daily_loss)
    today = day == last_day(end)
    by_place = pd.DataFrame(
        {
            "gained": gain.groupby(place).last(),
            "peak": peak.groupby(place).last(),
            "day_pnl": day_gain[today].groupby(place[today]).last(),
            "broken_at": pd.Series(exit_)[broken].groupby(place[broken]).last(),
        }
    ).reindex(range(len(bots)))
    broken_at = pd.to_datetime(by_place["broken_at"].astype("Int64"), unit="us", utc=True)
    unrealised = _open_pnl(positions, bots, restart)
    peak, gained = by_place["peak"], by_place["gained"]
    known = gained.notna() | unrealised.notna()
    fall = peak.fillna(0.0) - gained.fillna(0.0) - unrealised.fillna(0.0)
    return by_place.assign(
        drawdown=(100 * fall.clip(lower=0.0) / (peak.fillna(0.0) + stakes)).where(known),
        broken_at=broken_at,
        bot_id=bots,
        capital=stakes,
        open_pnl=unrealised,
        gain=realised,
    )


def _open_pnl(positions: pd.DataFrame | None, bots: Ints, resumed: Mapping[int, int]) -> pd.Series:
    """The sum of each bot's positions that were entered once it was resumed, if it was; NULL without any."""
    if positions is None or positions.empty:
        return pd.Series(np.nan, range(len(bots)))
    bot = positions["bot_id"].to_numpy(np.int64)
    place = pd.Index(bots).get_indexer(pd.Index(bot))
    since = np.array([resumed.get(number, NEVER) for number in bot.tolist()])
    counted = (place >= 0) & (micros(positions["entry_time"]) >= since)
    place, pnl = place[counted], positions["pnl"].to_numpy(np.float64)[counted]
    some = np.bincount(place, minlength=len(bots)) > 0
    return pd.Series(np.where(some, np.bincount(place, pnl, minlength=len(bots)), np.nan))


def open_loss_exceeds_gain(open_pnl: Floats, gain: Floats) -> Bools:
    """Whether open positions have lost more than was realised: then nothing new is risked.

    The database's function of this name is the same.

    Parameters
    ----------
    open_pnl : ndarray
        What open positions have gained, in currency; NaN without any.
    gain : ndarray
        Sum of net pnl of the trades closed in the trailing 30 days, in currency; NaN without any.

    Returns
    -------
    ndarray of bool
        False without a loss; true for every loss of a bot that has realised no gain.

    Examples
    --------
    >>> open_loss_exceeds_gain(np.array([-200.0, -20.0, -1.0, np.nan]), np.array([22.75, 22.75, -5.0, -5.0])).tolist()
    [True, False, True, False]
    """
    lost = np.nan_to_num(-open_pnl)
    return (lost > 0) & (lost > np.nan_to_num(gain))


def risk_decisions(figures: pd.DataFrame, as_of: datetime, rules: RiskRules) -> pd.DataFrame:
    """One decision for each bot: columns bot_id, verdict (see RiskVerdict), halted, broken (a limit is broken at as_of)
    and reason, in their order.

    `figures`: columns bot_id, drawdown (percent below the peak; NULL without trades), day_pnl, capital, and broken_at
    (when a limit was last broken before as_of; NULL for never). Raises ValueError for a capital that is not above 0.
    """
    if not (figures["capital"] > 0).all():
        bot = figures.loc[~(figures["capital"] > 0), "bot_id"].iloc[0]
        raise ValueError(f"bot {bot} has no capital above 0 to measure its daily loss by")
    losses = -100 * figures["day_pnl"].fillna(0.0) / figures["capital"]
    drawdowns = figures["drawdown"].fillna(0.0)
    ends = pd.to_datetime(figures["broken_at"], utc=True) + rules.cool_down
    rows = []
    for bot, drawdown, loss, end in zip(figures["bot_id"], drawdowns, losses, ends, strict=True):
        verdict = _verdict(drawdown, loss, cooling=as_of < end, rules=rules)
        broken = verdict in ("drawdown", "daily_loss")
        rows.append((bot, verdict, verdict != "within_limits", broken, _sentence(verdict, drawdown, loss, end, rules)))
    return pd.DataFrame(rows, columns=["bot_id", "verdict", "halted", "broken", "reason"])


def _verdict(drawdown: float, loss: float, cooling: bool, rules: RiskRules) -> RiskVerdict:
    if drawdown > rules.drawdown:
        return "drawdown"
    if loss > rules.daily_loss:
        return "daily_loss"
    return "cooling_down" if cooling else "within_limits"


def _sentence(verdict: RiskVerdict, drawdown: float, loss: float, end: datetime, rules: RiskRules) -> str:
    if verdict == "drawdown":
        return f"halted: {drawdown:.1f} % below its peak, beyond the limit of {rules.drawdown:g} %"
    if verdict == "daily_loss":
        return f"halted: lost {loss:.1f} % of its capital within the day, beyond the limit of {rules.daily_loss:g} %"
    if verdict == "cooling_down":
        return f"halted: cooling down until {end:%Y-%m-%d %H:%M} UTC"
    return "within its limits"
