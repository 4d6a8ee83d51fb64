"""The ranking as pages and the API show it: places, what moved them, and what stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import psycopg
from psycopg.rows import dict_row

from knowdefeat_pipeline.core.ranking.ranking import RANKED_BY
from knowdefeat_pipeline.core.rows import TEXTS, Columns
from knowdefeat_pipeline.postgres.connection import query, quoted
from knowdefeat_pipeline.store.reads import Record, records


def ranked_bots(connection: psycopg.Connection, day: date, bots: Sequence[int] | None = None) -> list[Record]:
    """The day's bots, or some of them, in order of rank, unranked ones last: as `reads.ranking`, with `strategy` (its
    own where it has none), places of a day and a week ago and how far it moved since, shorter windows, and funds."""
    asked = {"day": day, "bots": None if bots is None else [*bots]}
    return records(connection, query("ranking/ranked_bots"), asked, binary=True)


def bot_history(connection: psycopg.Connection, bot_id: int, first: date, last: date) -> list[Record]:
    """A bot's rank, score and skill on each day first..last."""
    return records(connection, query("ranking/bot_history"), {"bot": bot_id, "first": first, "last": last})


def ranking_as_it_is(connection: psycopg.Connection, day: date) -> list[Record]:
    """Of each bot of a day its name, strategy, and recorded place and score, as rank_before and rank_score_before."""
    return records(connection, query("ranking/ranking_as_it_is"), {"day": day})


def ranked_by(connection: psycopg.Connection, day: date) -> Columns:
    """What the ranking of a day reads of each bot, by bot, as `ranking.ranking_rows` takes it; `as_of` is 0."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(quoted(query("ranking/ranking_metrics"), (day, day)).encode()).fetchall()
    kinds = {"bot_id": np.int64, "trades": np.int64} | dict.fromkeys(TEXTS, object)
    columns = {name: np.array([row[name] for row in rows], kinds.get(name, np.float64)) for name in RANKED_BY}
    return columns | {"as_of": np.zeros(len(rows), np.int64)}
