"""Which bots move together: one reading for the page Compare and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import psycopg

from knowdefeat_pipeline.core.funds.correlation import cluster_order, correlation, effective_bets
from knowdefeat_pipeline.core.units import Floats
from knowdefeat_pipeline.store.bot_days import daily_pnl
from knowdefeat_pipeline.store.bots import bot_keys, bot_names

MOST_BOTS = 60


@dataclass(frozen=True)
class Correlations:
    """Bots in cluster order: keys, names, correlation of daily net pnl (N, N; NaN where not known), as how many bets
    they count, and their net pnl per day (days, N)."""

    day: date
    bot_ids: list[int]
    bots: list[str]
    correlation: Floats
    effective_bets: float
    pnl: Floats


def read_correlations(
    connection: psycopg.Connection, bots: Sequence[str], day: date, days: int, *, clustered: bool = True
) -> Correlations:
    """The correlations of these bots (by names) over the `days` days up to `day`. Raises BotError."""
    keys = [*dict.fromkeys(bot_keys(connection, bots))]
    names = bot_names(connection)
    _, pnl, traded = daily_pnl(connection, day, days, keys)
    found = correlation(pnl, traded)
    order = cluster_order(found) if clustered else np.arange(len(keys))
    keys = [keys[place] for place in order]
    return Correlations(
        day, keys, [names[key] for key in keys], found[np.ix_(order, order)], effective_bets(found), pnl[:, order]
    )
