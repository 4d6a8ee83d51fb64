"""The scores of trades, and the average true range at their entries: written where they differ."""

from __future__ import annotations

import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.schema import SCORE_NAMES
from knowdefeat_pipeline.postgres.connection import copy_arrow, query

SCORED = ("trade_id", *SCORE_NAMES, "has_bars", "has_book")
RANGE = "average_true_range"


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
    changed = connection.execute(query("market/scores_update")).rowcount
    return changed + connection.execute(query("market/scores_insert")).rowcount


def write_ranges(connection: psycopg.Connection, scores: pd.DataFrame) -> None:
    """Record the average true range at trades' entries (columns trade_id and RANGE, NaN for none), inside the caller's
    transaction. No ranking rests on it, so that it is no news to any."""
    connection.execute(
        "CREATE TEMP TABLE ranged ON COMMIT DROP AS SELECT trade_id, average_true_range FROM trade_ranges WITH NO DATA"
    )
    rows = scores[["trade_id", RANGE]]
    copy_arrow(connection, "ranged", pa.Table.from_pandas(rows, preserve_index=False))
    connection.execute("ANALYZE ranged")
    connection.execute(query("market/record_ranges"))


def any_scores(connection: psycopg.Connection) -> bool:
    """Whether any trade has scores."""
    ((found,),) = connection.execute("SELECT EXISTS (SELECT FROM trade_scores)").fetchall()
    return bool(found)
