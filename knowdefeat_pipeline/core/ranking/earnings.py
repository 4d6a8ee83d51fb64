"""What bots earned on each day, marked to market: the label of the weight learner, and what of it cannot be marked.

A bot that holds a position over midnight has earned part of it before. Its pnl of a day is what its trades gained on
that day alone: what closed, and the change of what its open trades are worth, each less the fees that fell by then. The
days of a trade sum to its net pnl.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Floats, Ints


@dataclass(frozen=True)
class Earned:
    """Per bot and UTC day with anything to tell, sorted by both; money in the bots' currencies.

    pnl: marked to market where that could be; NaN where nothing closed and nothing could be marked. carried: |pnl| of
    the trades that closed on the day, had been entered before it and could not be marked when it began. absolute:
    |pnl| of all trades that closed on the day.
    """

    bot: Ints
    day: Ints
    pnl: Floats
    carried: Floats
    absolute: Floats


@dataclass(frozen=True)
class ClosedDays:
    """Closed trades summed up per bot and the UTC day on which they closed; one row each. `absolute`: Σ |pnl|."""

    bot: Ints
    day: Ints
    pnl: Floats
    absolute: Floats


@dataclass(frozen=True)
class HeldNights:
    """A row per trade and UTC day at whose end it was open: every such day of the trade up to the last one known.

    entry_day, exit_day: of its entry and of its close, any later day for a trade that is open. worth: what it had
    gained by the day's end at the mark of that instant (mark price, else the ticker's last close), less its entry fee;
    NaN without a mark. pnl: net, once it closes; NaN for an open trade.
    """

    trade: Ints
    bot: Ints
    day: Ints
    entry_day: Ints
    exit_day: Ints
    worth: Floats
    pnl: Floats


def earned(closed: ClosedDays, held: HeldNights) -> Earned:
    """What each bot earned on each day.

    Of a trade that cannot be marked at both ends of its part of a day, only what it closes with counts, on the day on
    which it closes: all of its pnl where it could not be marked when that day began, which is then `carried`.

    A LONG of one unit, bought at 100, marked at 110 when the day ends and sold on the next day at 105, without fees:

    >>> closed = ClosedDays(np.array([1]), np.array([11]), np.array([5.0]), np.array([5.0]))
    >>> night = HeldNights(*(np.array([x]) for x in (7, 1, 10, 10, 11, 10.0, 5.0)))
    >>> earned(closed, night).pnl
    array([10., -5.])
    """
    order = np.lexsort((held.day, held.trade))
    trade, bot, day, worth = held.trade[order], held.bot[order], held.day[order], held.worth[order]
    night_before = np.append(np.nan, worth)[:-1]
    follows = (np.diff(trade, prepend=-1) == 0) & (np.diff(day, prepend=-1) == 1)
    begun = np.where(held.entry_day[order] == day, 0.0, np.where(follows, night_before, np.nan))
    closes, marked = held.exit_day[order] == day + 1, ~np.isnan(worth)
    gained, left = marked & ~np.isnan(begun), closes & marked
    lost = closes & ~marked
    # A day on which a trade gained adds that; the day on which it closes, all of its pnl less what was counted before.
    return _summed(
        closed,
        np.concatenate([closed.bot, bot[gained], bot[left]]),
        np.concatenate([closed.day, day[gained], day[left] + 1]),
        np.concatenate([closed.pnl, (worth - begun)[gained], -worth[left]]),
        (bot[lost], day[lost] + 1, np.abs(held.pnl[order][lost])),
    )


def labelled(history: pd.DataFrame, held: HeldNights) -> pd.DataFrame:
    """A panel's rows with label, carried and absolute_pnl, from what closed on the day after each.

    history: `day` (its number, the row being true at its end), bot_id; closed_pnl and absolute_pnl of the day after,
    NaN where nothing closed; `label_ended`: whether that day is complete, without which nothing is known of it.
    """
    day, bot = history["day"].to_numpy(np.int64) + 1, history["bot_id"].to_numpy(np.int64)
    pnl, absolute = (history[name].to_numpy(np.float64) for name in ("closed_pnl", "absolute_pnl"))
    closed = ~np.isnan(pnl)
    found = earned(ClosedDays(bot[closed], day[closed], pnl[closed], absolute[closed]), held)
    figures = pd.DataFrame(
        {
            "day": found.day - 1,
            "bot_id": found.bot,
            "label": found.pnl,
            "carried": found.carried,
            "absolute_pnl": found.absolute,
        }
    )
    rows = history.drop(columns=["closed_pnl", "absolute_pnl", "label_ended"])
    joined = rows.assign(bot_id=bot).merge(figures, "left", ["day", "bot_id"], validate="one_to_one")
    ended = history["label_ended"].to_numpy(bool)
    known = {name: np.where(ended, joined[name], np.nan) for name in ("label", "carried", "absolute_pnl")}
    return rows.assign(**known)


def _summed(closed: ClosedDays, bot: Ints, day: Ints, pnl: Floats, carried: tuple[Ints, Ints, Floats]) -> Earned:
    """The amounts by bot and day. What was carried into a day of which `closed` has no row is left out with it."""
    first = day.min(initial=0)
    length = day.max(initial=0) - first + 2
    keys, place = np.unique(bot * length + day - first, return_inverse=True)

    def total(of_bot: Ints, of_day: Ints, amounts: Floats) -> Floats:
        at = pd.Index(keys).get_indexer(of_bot * length + of_day - first)
        out: Floats = np.bincount(at[at >= 0], amounts[at >= 0], minlength=len(keys)).astype(np.float64)
        return out

    return Earned(
        bot=keys // length,
        day=keys % length + first,
        pnl=np.bincount(place, pnl, minlength=len(keys)).astype(np.float64),
        carried=total(*carried),
        absolute=total(closed.bot, closed.day, closed.absolute),
    )
