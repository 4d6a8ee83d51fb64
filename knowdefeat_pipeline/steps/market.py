"""Market data: bars counted, `market_regimes` and `trade_scores`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cached_property, partial

import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.market.forecasts import FIRST_FIT, FORECASTS, model_forecasts
from knowdefeat_pipeline.core.market.labels import PROBABILITIES
from knowdefeat_pipeline.core.market.regimes import (
    RUN_IN,
    HeldLabelUnknown,
    average_true_ranges,
    bars_from,
    label_regimes,
)
from knowdefeat_pipeline.core.market.timeframes import bar_length
from knowdefeat_pipeline.core.market.trade_scores import BOOK_AGE, FORECAST_AGE, book_walls, ranges_at, trade_scores
from knowdefeat_pipeline.core.market.walk_forward import needed_from
from knowdefeat_pipeline.core.schema import BAR_DAY, TABLES
from knowdefeat_pipeline.core.units import each_day, span
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult
from knowdefeat_pipeline.store.market import Tail, read_tail
from knowdefeat_pipeline.store.reads import bar_series
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, current_snapshot, mark
from knowdefeat_pipeline.store.trade_scores import RANGE, SCORED, write_ranges, write_scores

INSTANT, NO_TIME = pd.Timedelta(microseconds=1), pd.Timedelta(0)
NO_FORECASTS = pd.DataFrame({"open_time": pd.DatetimeIndex([], tz="UTC"), **dict.fromkeys(FORECASTS, 0.0)})
REGIME_COLUMNS = [figure.name for figure in TABLES["market_regimes"]]
SHOWN_GAPS = 5
CHECKS = (
    CheckSpec(
        "price_bars",
        "no_gaps",
        "No bar is missing where the same time of the week before or after has one.",
        blocking=False,
    ),
    CheckSpec(
        "market_regimes",
        "probabilities_sum_to_one",
        "The probabilities of the three regimes sum to 1 at every bar.",
    ),
)


class CountedBars(StepResult):
    """A row per day and series with bars or gaps."""

    @cached_property
    def counts(self) -> Mapping[date, int]:
        """How many bars open on each day."""
        bars = self.rows.groupby("day")["bars"].sum()
        return dict(zip(bars.index.tolist(), bars.astype(int).tolist(), strict=True))


def count_bars(session: Session, first: date, last: date) -> CountedBars:
    """A row per day and series with bars or gaps; writes nothing."""
    series = bar_series(session.connection)
    tickers, timeframes = [ticker for ticker, _ in series], [timeframe for _, timeframe in series]
    rows = session.read("market/bar_days", *span(first, last), tickers, timeframes).to_pandas()
    rows = rows[[figure.name for figure in BAR_DAY]]
    gaps = int(rows["gaps"].sum())
    check = CheckResult(
        "no_gaps",
        gaps == 0,
        {"missing bars": gaps},
        severity="WARN",
        description=f"{counted(gaps, 'bar is', 'bars are')} missing. Load them; affected days are recomputed.",
        examples=rows[rows["gaps"] > 0].drop(columns="bars").head(SHOWN_GAPS),
    )
    return CountedBars("price_bars", first, last, rows, (check,))


def compute_regimes(session: Session, first: date, last: date, now: datetime) -> StepResult:
    """Replace the labels of the days first..last. They rest on a bounded past, and only that is read."""
    connection = session.connection
    since, until = span(first, last)
    seen = current_snapshot(connection)
    found = (_labels(session, series, since, until) for series in bar_series(connection))
    parts = [part for part in found if part is not None]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=REGIME_COLUMNS)
    with connection.transaction():
        replace_days(connection, "market_regimes", first, last, pa.Table.from_pandas(rows, preserve_index=False))
        mark(connection, "market_regimes", first, last, _marks(first, last, now, seen))
    wrong = int(((rows[[*PROBABILITIES]].sum(axis=1) - 1).abs() > 1e-9).sum())
    check = CheckResult("probabilities_sum_to_one", wrong == 0, {"wrong": wrong})
    return StepResult("market_regimes", first, last, rows, (check,))


def _marks(first: date, last: date, now: datetime, seen: str) -> list[Mark]:
    return [Mark(day, units.as_of(day, now), seen) for day in each_day(first, last)]


def _labels(session: Session, series: tuple[str, str], since: datetime, until: datetime) -> pd.DataFrame | None:
    """The labels of one series, from as many bars as it takes to know the label held before; None without bars."""
    run_in = RUN_IN
    while tail := _tail(session, series, since, until, partial(bars_from, run_in=run_in)):
        try:
            labels = label_regimes(tail.bars, position=tail.position, since=tail.since, run_in=run_in)
        except HeldLabelUnknown:
            run_in *= 4
            continue
        ticker, timeframe = series
        return labels.assign(day=labels["open_time"].dt.date, ticker=ticker, timeframe=timeframe)[REGIME_COLUMNS]
    return None


def _tail(
    session: Session, series: tuple[str, str], since: datetime, until: datetime, needed: Callable[[int], int]
) -> Tail | None:
    return read_tail(session.connection, session.url, series, since, until, needed)


def compute_scores(session: Session, first: date, last: date, now: datetime) -> StepResult:
    """Score the trades that closed on first..last, and note the average true range at their entries; their rows.

    Trades in tickers without market data are left alone.
    """
    connection = session.connection
    since, until = span(first, last)
    seen = current_snapshot(connection)
    timeframes = _timeframes(session)
    books = {ticker for (ticker,) in connection.execute(query("market/book_tickers")).fetchall()}
    entries = session.read("market/read_entries", since, until, sorted({*timeframes, *books})).to_pandas()
    parts = []
    for ticker, trades in entries.groupby("ticker"):
        walls = _walls(session, str(ticker), since, until) if ticker in books else None
        scores = _score(session, str(ticker), trades, timeframes.get(ticker, []), walls)
        parts.append(scores.assign(has_bars=ticker in timeframes, has_book=ticker in books))
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*SCORED, RANGE, "day"])
    with connection.transaction():
        if parts:
            write_scores(connection, rows)
            write_ranges(connection, rows)
        mark(connection, "trade_scores", first, last, _marks(first, last, now, seen))
    return StepResult("trade_scores", first, last, rows)


def _timeframes(session: Session) -> dict[str, list[str]]:
    """Of each ticker with bars its timeframes, the shortest first."""
    found: dict[str, list[str]] = {}
    for ticker, timeframe in sorted(bar_series(session.connection), key=lambda series: bar_length(series[1])):
        found.setdefault(ticker, []).append(timeframe)
    return found


def _walls(session: Session, ticker: str, since: datetime, until: datetime) -> pd.DataFrame:
    return book_walls(session.read("market/read_books", ticker, since, until, BOOK_AGE.to_pytimedelta()).to_pandas())


def _score(
    session: Session, ticker: str, trades: pd.DataFrame, timeframes: list[str], walls: pd.DataFrame | None
) -> pd.DataFrame:
    """The scores of one ticker's trades, and the average true range at their entries: of each the shortest timeframe's
    that has one."""
    scores = trade_scores(trades, NO_FORECASTS, NO_TIME, walls).assign(average_true_range=float("nan"))
    earliest, latest = trades["entry_time"].min(), trades["entry_time"].max()
    for timeframe in timeframes:
        length = bar_length(timeframe)
        since, until = earliest - length - FORECAST_AGE, latest - length + INSTANT
        tail = _tail(session, (ticker, timeframe), since, until, partial(needed_from, first=FIRST_FIT))
        if tail:
            forecasts = model_forecasts(tail.bars, position=tail.position, since=tail.since)
            known = trade_scores(trades, forecasts, length)
            ranges = average_true_ranges(tail.bars, position=tail.position, since=tail.since)
            known["average_true_range"] = ranges_at(tail.bars["open_time"], ranges, length, trades["entry_time"])
            scores = scores.combine_first(known)
    return trades[["trade_id", "day"]].join(scores)
