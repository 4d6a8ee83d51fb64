"""The scores of trades as figures of bots: means over a window, of the trades whose entries the market data tell of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from knowdefeat_pipeline.core.metrics.figures import ratio
from knowdefeat_pipeline.core.schema.variables import SCORE_NAMES
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.trades.reductions import reduce_windows
from knowdefeat_pipeline.core.trades.series import Series, positions
from knowdefeat_pipeline.core.units import Bools, Floats, Ints


@dataclass(frozen=True)
class TradeScores:
    """Scored trades as columns, sorted by (bot, exit, entry, trade id), as the trades of a series are.

    `exit` in µs; `ticker` codes into `tickers`; `value` of shape (scores, trades) in the order of SCORE_NAMES, 0 to
    100, NaN where the market data do not tell.
    """

    bot: Ints
    ticker: Ints
    exit: Ints
    value: Floats
    tickers: tuple[str, ...]

    @classmethod
    def from_arrow(cls, table: pa.Table) -> TradeScores:
        """From columns trade_id, bot_id, ticker, entry_time, exit_time and SCORE_NAMES, rows in any order."""
        bot, trade_id = (table[name].to_numpy().astype(np.int64) for name in ("bot_id", "trade_id"))
        entry, exit_ = (arrow_micros(table[name]) for name in ("entry_time", "exit_time"))
        ticker = table["ticker"].combine_chunks().dictionary_encode()
        order = np.lexsort((trade_id, entry, exit_, bot))
        value = np.array([table[name].to_numpy() for name in SCORE_NAMES], dtype=np.float64)
        return cls(
            bot[order],
            ticker.indices.to_numpy().astype(np.int64)[order],
            exit_[order],
            value[:, order],
            tuple(ticker.dictionary.to_pylist()),
        )

    def of_bots(self, above: int, up_to: int) -> TradeScores:
        """The part of the bots above < bot <= up_to."""
        first, stop = np.searchsorted(self.bot, [above, up_to], "right")
        part = slice(first, stop)
        return TradeScores(self.bot[part], self.ticker[part], self.exit[part], self.value[:, part], self.tickers)

    def means(self, series: Series, tickers: tuple[str, ...], since: Ints, as_of: Ints) -> dict[str, Floats]:
        """Per score and window the mean over the trades with since <= exit < as_of, NaN where none has that score.

        Windows are those of each of `series` (ticker codes into `tickers`) at each as_of, as_of running fastest; each
        is summed by itself, so that a mean depends neither on other windows nor on other bots.
        """
        number, rows = self._dealt(series, tickers)
        start, stop = (np.searchsorted(number, np.arange(len(series)), side) for side in ("left", "right"))
        cuts = np.unique(np.concatenate([since, as_of]))
        places = positions(self.exit[rows], start, stop, cuts)
        low, high = (places[:, np.searchsorted(cuts, cut)].ravel() for cut in (since, as_of))
        return {name: _means(value[rows], low, high) for name, value in zip(SCORE_NAMES, self.value, strict=True)}

    def _dealt(self, series: Series, tickers: tuple[str, ...]) -> tuple[Ints, Ints]:
        """Scored trades by series: each to its bot's, and to that of its ticker where the bot has one. Number, row."""
        bots, width = int((series.ticker < 0).sum()), len(tickers) + 1
        code = {name: at for at, name in enumerate(tickers)}
        ticker = np.array([code.get(name, len(tickers)) for name in self.tickers], np.int64)[self.ticker]
        of_bot, known_bot = _look_up(series.bot[:bots], self.bot)
        own = series.bot[bots:] * width + series.ticker[bots:]
        of_ticker, known_ticker = _look_up(own, self.bot * width + ticker)
        rows = np.concatenate([np.flatnonzero(known_bot), np.flatnonzero(known_ticker)])
        number = np.concatenate([of_bot[known_bot], bots + of_ticker[known_ticker]])
        order = np.argsort(number, kind="stable")
        return number[order], rows[order]


def _look_up(known: Ints, asked: Ints) -> tuple[Ints, Bools]:
    """Where each of `asked` stands in `known` (ascending), and whether it is there."""
    place = np.searchsorted(known, asked)
    there = place < len(known)
    there[there] = known[place[there]] == asked[there]
    return place, there


def _means(value: Floats, low: Ints, high: Ints) -> Floats:
    known = ~np.isnan(value)
    total = reduce_windows(np.add, np.where(known, value, 0.0), low, high, 0.0)
    return ratio(total, reduce_windows(np.add, known.astype(np.int64), low, high, 0))
