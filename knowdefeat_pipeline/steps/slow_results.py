"""The slow variables of the days whose metrics are written: they rest on the results of all bots of a group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.ranking.slow_results import follow_days
from knowdefeat_pipeline.core.rows import Columns, as_frame, chosen
from knowdefeat_pipeline.core.schema import ALL_TICKERS, SLOW_NAMES
from knowdefeat_pipeline.core.units import Ints, day_end, micros
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark

FOLLOWED = ("as_of", "bot_id", "volatility", "main_ticker", "main_direction", "one_day_performance")
_LOCK = int.from_bytes(b"kdfollow", "big")  # the advisory lock of whoever writes those of ended days
STORED = ("bot_id", "net_result", "quarter_result", "lifetime_total", "lifetime_days")


def with_slow_results(session: Session, rows: Columns, own: Sequence[Mark]) -> Columns:
    """Replace the slow results of these days, and return their metrics (`rows`) with them, in rows over all tickers.

    Call it in the transaction that writes the metrics, whose marks will be `own`. A day that still runs has the figures
    of the end of the day before it.
    """
    whole = rows["ticker"] == ALL_TICKERS
    found = write_slow_results(session, chosen({name: rows[name] for name in FOLLOWED}, whole), own)
    slow = {name: np.full(len(whole), np.nan) for name in SLOW_NAMES}
    for name, values in slow.items():
        values[whole] = found[name]
    return rows | slow


def write_slow_results(session: Session, rows: Columns, own: Sequence[Mark]) -> Columns:
    """Replace the slow results of these days by those of `rows` (columns FOLLOWED), which are over all tickers, and
    return them, a value per row; see `with_slow_results`."""
    found = _carried(session, own, rows["bot_id"])
    return _followed(session, rows, own) if found is None else found


def _carried(session: Session, own: Sequence[Mark], bots: Ints) -> Columns | None:
    """Those of these bots on a running day, from the day before it; None where that has none or the day has ended."""
    if len(own) > 1 or own[0].as_of == day_end(own[0].day):
        return None
    carry = session.connection.execute(query("metrics/carry_slow_results"), {"day": own[0].day}, binary=True)
    ((known, *figures),) = carry.fetchall()
    if not known:
        return None
    place = np.searchsorted(known, bots).clip(max=len(known) - 1)
    is_known = np.array(known)[place] == bots
    found = zip(SLOW_NAMES, (np.array(values, np.float64) for values in figures), strict=True)
    return {name: np.where(is_known, values[place], np.nan) for name, values in found}


def _followed(session: Session, rows: Columns, own: Sequence[Mark]) -> Columns:
    """Those of these rows, which are over all tickers.

    Days move on from one another, so that one session at a time does this: who comes second sees what the first wrote.
    """
    connection, first = session.connection, own[0].day
    advisory.take(connection, _LOCK, "the slow results of other days")
    ended = np.array([of.as_of == day_end(of.day) for of in own])
    completed = [of.day for of, is_over in zip(own, ended, strict=True) if is_over]
    connection.execute(query("metrics/note_completed_days"), {"days": completed})
    connection.execute("DELETE FROM slow_results WHERE day BETWEEN %s AND %s", (first, own[-1].day))
    if not len(rows["as_of"]):
        return dict.fromkeys(SLOW_NAMES, np.empty(0))
    opening = session.read("metrics/opening_volatility", first - timedelta(days=1)).to_pandas()
    past = _numbered(session.read("metrics/slow_results_before", first))
    at = np.searchsorted(micros([of.as_of for of in own]), rows["as_of"])
    days = np.array([of.day for of in own], "datetime64[D]")
    figures = as_frame(rows).assign(day=days.astype(np.int64)[at], ended=ended[at])
    found = follow_days(opening, figures, past)
    stored = pa.table({name: pa.array(found[name], from_pandas=True) for name in STORED} | {"day": pa.array(days[at])})
    copy_arrow(connection, "slow_results", stored)
    return {name: found[name].to_numpy(np.float64) for name in SLOW_NAMES}


def _numbered(table: pa.Table) -> pd.DataFrame:
    """A frame of the rows, with their days as numbers."""
    at = table.column_names.index("day")
    rows: pd.DataFrame = table.set_column(at, "day", table["day"].cast(pa.int32()).cast(pa.int64())).to_pandas()
    return rows
