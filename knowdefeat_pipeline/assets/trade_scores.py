"""`trade_scores`: how the entries of the trades that closed stood to the market."""

from collections.abc import Iterator
from datetime import date, datetime

import dagster as dg
import pandas as pd
import psycopg

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import as_of, covered_days, each_day, span
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.core.market.bars import bar_length
from knowdefeat_pipeline.core.market.forecasts import FIRST_FIT, FORECASTS, model_forecasts
from knowdefeat_pipeline.core.market.trade_scores import BOOK_AGE, FORECAST_AGE, book_walls
from knowdefeat_pipeline.core.market.trade_scores import trade_scores as scores_of
from knowdefeat_pipeline.core.schema import SCORE_NAMES, TRADE_SCORES
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.market import bar_series, read_tail
from knowdefeat_pipeline.store.staleness import current_snapshot, mark
from knowdefeat_pipeline.store.trade_scores import SCORED, write_scores

LINEAGE = {name: [("trades", "closed"), ("price_bars", "bars")] for name in SCORE_NAMES[:2]} | {
    SCORE_NAMES[2]: [("trades", "closed")]
}
PREVIEW = tuple(figure.name for figure in TRADE_SCORES)
INSTANT, NO_TIME = pd.Timedelta(microseconds=1), pd.Timedelta(0)
NO_FORECASTS = pd.DataFrame({"open_time": pd.DatetimeIndex([], tz="UTC"), **dict.fromkeys(FORECASTS, 0.0)})


@catalogue.market_asset(
    deps=["price_bars", "trades"],
    kinds={"postgres", "scikitlearn"},
    metadata=catalogue.table("trade_scores", TRADE_SCORES, LINEAGE),
    description="How the entry of each closed trade stood to two models of its ticker's bars and to its order book.",
)
def trade_scores(context: dg.AssetExecutionContext, database: Database, clock: Clock) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    rows = compute(database, first, last, clock.now())
    catalogue.describe(context, rows, each_day(first, last), PREVIEW)
    yield dg.MaterializeResult()


def compute(database: Database, first: date, last: date, now: datetime) -> pd.DataFrame:
    """Score the trades that closed on first..last (an exit at midnight belongs to the day that ends); their rows.

    Trades in tickers without any market data are left alone.
    """
    since, until = span(first, last)
    with database.connect() as connection:
        seen = current_snapshot(connection)
        timeframes = _timeframes(connection)
        books = {ticker for (ticker,) in connection.execute(query("market/book_tickers")).fetchall()}
        trades = database.read("market/read_entries", since, until, sorted({*timeframes, *books})).to_pandas()
        parts = []
        for ticker, entries in trades.groupby("ticker"):
            walls = _walls(database, ticker, since, until) if ticker in books else None
            scores = _score(connection, database.address(), ticker, entries, timeframes.get(ticker, []), walls)
            parts.append(scores.assign(has_bars=ticker in timeframes, has_book=ticker in books))
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*SCORED, "day"])
        with connection.transaction():
            if parts:
                write_scores(connection, rows)
            mark(connection, "trade_scores", [(day, as_of(day, now), seen) for day in each_day(first, last)])
    return rows


def _timeframes(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Of each ticker with bars its timeframes, the shortest first."""
    found: dict[str, list[str]] = {}
    for ticker, timeframe in sorted(bar_series(connection), key=lambda series: bar_length(series[1])):
        found.setdefault(ticker, []).append(timeframe)
    return found


def _walls(database: Database, ticker: object, since: datetime, until: datetime) -> pd.DataFrame:
    return book_walls(database.read("market/read_books", ticker, since, until, BOOK_AGE.to_pytimedelta()).to_pandas())


def _score(
    connection: psycopg.Connection,
    url: str,
    ticker: object,
    trades: pd.DataFrame,
    timeframes: list[str],
    walls: pd.DataFrame | None,
) -> pd.DataFrame:
    """The scores of one ticker's trades: of each timeframe's forecasts at entry the shortest that has one."""
    scores = scores_of(trades, NO_FORECASTS, NO_TIME, walls)
    earliest, latest = trades["entry_time"].min(), trades["entry_time"].max()
    for timeframe in timeframes:
        length = bar_length(timeframe)
        since, until = earliest - length - FORECAST_AGE, latest - length + INSTANT
        tail = read_tail(connection, url, (str(ticker), timeframe), since, until, FIRST_FIT)
        if tail:
            forecasts = model_forecasts(tail.bars, position=tail.position, since=tail.since)
            scores = scores.combine_first(scores_of(trades, forecasts, length))
    return trades[["trade_id", "day"]].join(scores)
