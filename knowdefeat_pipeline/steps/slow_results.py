"""The slow variables of the days whose metrics are written: they rest on the results of all bots of a group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.ranking.slow_results import follow_days
from knowdefeat_pipeline.core.schema import ALL_TICKERS, SLOW_NAMES
from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark

STORED = ("day", "bot_id", "net_result", "quarter_result", "lifetime_total", "lifetime_days")


def write_slow_results(session: Session, rows: pd.DataFrame, own: Sequence[Mark]) -> pd.DataFrame:
    """Replace the slow results of these days, and return their metrics (`rows`) with them, in rows over all tickers.

    Call it in the transaction that writes the metrics, whose marks will be `own`. A day that still runs has the figures
    of the end of the day before it.
    """
    found = _carried(session, own) if len(own) == 1 and own[0].as_of < day_end(own[0].day) else None
    if found is None:
        found = _followed(session, rows, own)
    keyed = rows[["day", "bot_id"]].assign(bot_id=rows["bot_id"].where(rows["ticker"] == ALL_TICKERS, -1))
    slow = keyed.merge(found[["day", "bot_id", *SLOW_NAMES]], "left", ["day", "bot_id"])
    return rows.assign(**{name: slow[name].to_numpy(np.float64) for name in SLOW_NAMES})


def _carried(session: Session, own: Sequence[Mark]) -> pd.DataFrame | None:
    """Those of a running day, from the day before it, None where that has none."""
    known = session.connection.execute(query("metrics/carry_slow_results"), {"day": own[0].day}).fetchall()
    return pd.DataFrame(known, columns=["bot_id", *SLOW_NAMES]).assign(day=own[0].day) if known else None


def _followed(session: Session, rows: pd.DataFrame, own: Sequence[Mark]) -> pd.DataFrame:
    connection, first = session.connection, own[0].day
    figures = rows[rows["ticker"] == ALL_TICKERS]
    ended = [of.day for of in own if of.as_of == day_end(of.day)]
    connection.execute(query("metrics/note_completed_days"), {"days": ended})
    connection.execute("DELETE FROM slow_results WHERE day BETWEEN %s AND %s", (first, own[-1].day))
    if figures.empty:
        return figures.assign(**dict.fromkeys(SLOW_NAMES, np.nan))
    opening = session.read("metrics/opening_volatility", first - timedelta(days=1)).to_pandas()
    past = session.read("metrics/slow_results_before", first).to_pandas()
    found = follow_days(opening, _numbered(figures.assign(ended=figures["day"].isin(ended))), _numbered(past))
    found = found.assign(day=figures["day"].array)
    stored = found[[*STORED]].assign(
        bot_id=found["bot_id"].astype("int32"), lifetime_days=found["lifetime_days"].astype("int32")
    )
    copy_arrow(connection, "slow_results", pa.Table.from_pandas(stored, preserve_index=False, nthreads=1))
    return found


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its days as numbers."""
    return frame.assign(day=frame["day"].to_numpy("datetime64[D]").astype(np.int64))
