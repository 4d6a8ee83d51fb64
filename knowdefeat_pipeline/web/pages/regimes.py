"""Regimes: what market is it, since when, and how sure?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated

import psycopg
from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from knowdefeat_pipeline.core.schema import REGIME_BAR
from knowdefeat_pipeline.store import reads
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.regimes import require_series
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "What kind of market is each ticker in, since when, and how sure is that?"
WINDOWS = (7, 30, 90, 365)
MOST_BARS, DRAWN = 10_000, 1_000
RUNS, STRATEGIES = 12, 8  # that are listed
_EMPTY = BeforeValidator(lambda given: given or None)  # a form sends what was not chosen as an empty text


@router.get("/regimes")
def regimes(
    request: Request,
    site: Shared,
    ticker: Annotated[str | None, _EMPTY, Query()] = None,
    timeframe: Annotated[str | None, _EMPTY, Query()] = None,
    days: Annotated[int, Query(ge=1, le=3660)] = 30,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """The regime of every series now, and of one of them its price, its runs and what suits it."""

    def read(connection: psycopg.Connection) -> Answer:
        series = reads.regimes(connection, None, None)
        if not series:
            return render("regimes_empty.html", request, site, question=QUESTION)
        now = require_series(series, ticker, timeframe)
        first = now["as_of"] - timedelta(days=days)
        latest = reads.regime_bars(connection, now["ticker"], now["timeframe"], MOST_BARS, first=first)
        bars = latest[::-1]
        if format:
            return export(bars, REGIME_BAR, format, "regimes")
        runs = runs_of(bars)
        day = reads.latest_day(connection, "strategy_beliefs")
        believed = reads.strategies(connection, day, regime=now["label"]) if day and now["label"] != "NEUTRAL" else []
        suits = [of for of in believed if round(of["effective_samples"], 1) > 0]  # of the rest there is only the prior
        drawn = bars[:: -(-len(bars) // DRAWN)] if bars else []
        return render(
            "regimes.html", request, site,
            question=QUESTION, series=series, now=now, days=days, windows=WINDOWS, bars=bars, drawn=drawn, runs=runs,
            listed=runs[::-1][:RUNS], suits=suits[:STRATEGIES], day=day, formats=FORMATS,
            is_cut=len(bars) == MOST_BARS, bands=[run[:3] for run in runs],
        )  # fmt: skip

    return site.answer(request, read)


def runs_of(bars: Sequence[Record]) -> list[tuple[str, datetime, datetime, int]]:
    """The runs of one label in bars that are in order: the label, from when to when it held, and of how many bars. A
    label holds from the close of its first bar to that of the next run's, the last one to the last bar's close."""
    found = [(label, [row["as_of"] for row in run]) for label, run in groupby(bars, key=lambda row: row["label"])]
    ends = [run[0] for _, run in found[1:]] + ([found[-1][1][-1]] if found else [])
    return [(label, run[0], until, len(run)) for (label, run), until in zip(found, ends, strict=True)]
