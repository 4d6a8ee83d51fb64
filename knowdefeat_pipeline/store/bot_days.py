"""What bots did day by day, as pages and the API read it; `bot_days_rows` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import psycopg

from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records


def bot_days(
    connection: psycopg.Connection, bot_id: int, limit: int, *, before: date | None = None, by_ticker: bool = False
) -> list[Record]:
    """A bot's last computed days (before `before`) on which it closed or held something, the latest first."""
    asked = {"bot": bot_id, "limit": limit, "before": before, "by_ticker": by_ticker}
    return records(connection, query("metrics/bot_days"), asked)


def bot_equity(connection: psycopg.Connection, bot_id: int, first: date, last: date) -> list[Record]:
    """A bot's equity at the end of each computed day first..last, on the capital of the last of them."""
    return records(connection, query("metrics/bot_equity"), {"bot": bot_id, "first": first, "last": last})


def daily_pnl(
    connection: psycopg.Connection, day: date, days: int, bots: Sequence[int] | None = None
) -> tuple[list[int], Floats, Bools]:
    """The bots that closed something, or those asked for; their net pnl per UTC day (days, N), 0 without a trade; and
    on which days each closed one. The `days` days up to `day`."""
    asked = {"day": day, "days": days, "bots": None if bots is None else [*bots]}
    rows = connection.execute(query("metrics/daily_pnl"), asked).fetchall()
    names = [*dict.fromkeys(bot for bot, _, _ in rows)] if bots is None else [*bots]
    place = {bot: number for number, bot in enumerate(names)}
    pnl, traded = np.zeros((days, len(names))), np.zeros((days, len(names)), bool)
    if rows:
        at = np.array([days - 1 - (day - of).days for _, of, _ in rows]), np.array([place[bot] for bot, _, _ in rows])
        pnl[at], traded[at] = [amount for _, _, amount in rows], True
    return names, pnl, traded
