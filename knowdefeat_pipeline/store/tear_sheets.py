"""What is known of one bot at the end of a day, in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import psycopg

from knowdefeat_pipeline.core.schema import ALL_TICKERS
from knowdefeat_pipeline.core.skill.verdicts import WINDOWS
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.units import Floats, Ints
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.store.reads import Record, day_rows, ranking, records, skill_rows


@dataclass(frozen=True)
class TearSheet:
    """A bot as of the end of a day.

    ranking: its row of the ranking, with what stands beside; ranked: how many bots are. metrics: its figures over all
    tickers. exit, pnl: of its closed trades in order, microseconds since 1970 UTC and quote currency. streaks: a row
    each length; skill: a row each window; held: its open trades.
    """

    day: date
    ranking: Record
    ranked: int
    metrics: Record
    exit: Ints
    pnl: Floats
    streaks: list[Record]
    skill: list[Record]
    held: list[Record]


def read_tear_sheet(connection: psycopg.Connection, url: str, bot_id: int, day: date) -> TearSheet | None:
    """The tear sheet of a bot; None on a day that has no figures of it."""
    rows = ranking(connection, day)
    of_bot = next((row for row in rows if row["bot_id"] == bot_id), None)
    metrics = day_rows(connection, "bot_metrics", day, bot_id=bot_id, ticker=ALL_TICKERS)
    if of_bot is None or not metrics:
        return None
    about: dict[str, Any] = {"bot_id": bot_id, "as_of": metrics[0]["as_of"]}
    closed = read_arrow(url, query("bots/closed_trades"), (bot_id, about["as_of"]))
    streaks = day_rows(connection, "win_streaks", day, bot_id=bot_id)
    return TearSheet(
        day=day,
        ranking=of_bot,
        ranked=sum(row["eligible"] for row in rows),
        metrics=metrics[0],
        exit=arrow_micros(closed["exit_time"]),
        pnl=np.asarray(closed["pnl"].to_numpy(), np.float64),
        streaks=sorted(streaks, key=lambda row: int(row["streak_length"])),
        skill=[row for window in WINDOWS for row in skill_rows(connection, day, window, bot_id=bot_id)],
        held=records(connection, query("bots/open_trades"), about),
    )
