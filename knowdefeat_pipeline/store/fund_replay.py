"""What a replay of allocation rests on besides the days' inputs: what each bot then earned, marked to market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.trades.marking import STILL_OPEN, HeldTrades, MarkedPnl, marked_pnl
from knowdefeat_pipeline.core.units import Floats, micros
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.session import Session


def read_results(session: Session, instants: Sequence[datetime], bots: Sequence[int]) -> MarkedPnl:
    """What each of `bots` gained from each of the ascending instants to the next, in its quote currency.

    Trades that were open at an instant are marked by the last bar of their ticker; where there is none, what they
    gained counts when they closed.
    """
    table = session.read("funds/held_trades", instants[0], instants[-1])
    rows = table.to_pandas()
    rows = rows.assign(
        entry=arrow_micros(table["entry_time"]),
        exit=arrow_micros(table["exit_time"].fill_null(pd.Timestamp.max.floor("s").tz_localize("UTC")))
        if len(table)
        else [],
        place=pd.Index(list(bots)).get_indexer(pd.Index(rows["bot_id"])),
    )
    rows = rows[rows["place"] >= 0]
    code, tickers = pd.factorize(rows["ticker"].astype(object))
    at = micros(list(instants))
    held = HeldTrades(
        bot=rows["place"].to_numpy(np.int64),
        ticker=code.astype(np.int64),
        entry=rows["entry"].to_numpy(np.int64),
        exit=np.where(rows["exit_time"].isna(), STILL_OPEN, rows["exit"].to_numpy(np.int64)),
        long=rows["long"].to_numpy(bool),
        inverse=rows["inverse"].to_numpy(bool),
        **{
            name: rows[column].to_numpy(np.float64)
            for name, column in (
                ("notional", "notional"),
                ("quantity", "quantity"),
                ("multiplier", "contract_multiplier"),
                ("entry_price", "entry_price"),
                ("entry_fee", "entry_fee"),
                ("pnl", "pnl"),
            )
        },
    )
    return marked_pnl(held, at, _closes(session, instants, [str(name) for name in tickers]), len(bots))


def _closes(session: Session, instants: Sequence[datetime], tickers: Sequence[str]) -> Floats:
    """The last close of each ticker at each instant (instants, tickers); NaN where no bar had closed."""
    closes = np.full((len(instants), len(tickers)), np.nan)
    asked = {"instants": list(instants), "tickers": list(tickers)}
    place = {name: number for number, name in enumerate(tickers)}
    for at, ticker, close in session.connection.execute(query("funds/closes"), asked).fetchall():
        closes[at, place[ticker]] = close
    return closes
