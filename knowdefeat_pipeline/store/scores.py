"""The scores of trades: written where they differ, and read for a window of exits."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.figures import SCORE_NAMES
from knowdefeat_pipeline.core.scores import Scores
from knowdefeat_pipeline.store.database import copy_arrow, query, read_arrow

SCORED = ("trade_id", *SCORE_NAMES, "has_bars", "has_book")


def write_scores(connection: psycopg.Connection, scores: pd.DataFrame) -> int:
    """Record scores (columns SCORED) inside the caller's transaction; how many rows changed.

    What is recorded just so is not touched: rows that change are news for every day that rests on them.
    """
    connection.execute(
        "CREATE TEMP TABLE scored ON COMMIT DROP AS "
        "SELECT trade_id, price_model_score, volume_model_score, price_wall_score, "
        "NULL::boolean AS has_bars, NULL::boolean AS has_book FROM trade_scores WITH NO DATA"
    )
    copy_arrow(connection, "scored", pa.Table.from_pandas(scores[[*SCORED]], preserve_index=False))
    connection.execute("ANALYZE scored")
    changed = connection.execute(query("scores_update")).rowcount
    return changed + connection.execute(query("scores_insert")).rowcount


def read_scores(connection: psycopg.Connection, url: str, since: datetime, until: datetime) -> Scores | None:
    """The scores of trades with since < exit_time <= until, with their bot and ticker; None where there are none."""
    ((some,),) = connection.execute("SELECT EXISTS (SELECT FROM trade_scores)").fetchall()
    return Scores.from_arrow(read_arrow(url, query("read_scores"), [since, until])) if some else None
