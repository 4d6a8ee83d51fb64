"""Which series of bars is asked for. One rule for the page and the API."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from knowdefeat_pipeline.core.market.timeframes import bar_length
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.web.problems import Problem


def require_series(series: Sequence[Record], ticker: str | None, timeframe: str | None) -> Record:
    """The series that is meant, among regimes as of now: that of the shortest bars of the ticker where no timeframe is
    named, of the first ticker where none is. Raises Problem where there is none."""
    found = [row for row in series if ticker in (None, row["ticker"]) and timeframe in (None, row["timeframe"])]
    if not found:
        what = " of ".join(name for name in (ticker, timeframe) if name)
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no regime of {what}. See: knowdefeat regimes")
    return min(found, key=lambda row: (row["ticker"], bar_length(row["timeframe"])))
