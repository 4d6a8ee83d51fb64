"""How freqtrade, vectorbt, quantstats and empyrical define the words that they share with us.

Read from their sources: freqtrade `data/metrics.py`, vectorbt `portfolio/trades.py` and `returns/nb.py`, quantstats
`stats.py`, empyrical (empyrical-reloaded) `stats.py`. tests/docs/test_peers.py computes those that can be installed
beside the product on the worked example. None: the library has no such figure.
"""

from __future__ import annotations

from typing import NamedTuple


class Peers(NamedTuple):
    """What each library says of a word, and what ours does otherwise."""

    ours: str
    freqtrade: str | None
    vectorbt: str | None
    quantstats: str | None
    empyrical: str | None


PEERS: dict[str, Peers] = {
    "avg_win_rate": Peers(
        "100 · wins / closed trades; breakeven trades stay in the denominator",
        "wins / closed trades, as a share; the same denominator",
        "wins / all records, open ones included unless `closed` is asked for",
        "share of the periods with a return above 0 among those that are not 0: days, not trades",
        None,
    ),
    "profit_factor": Peers(
        "gross profit / gross loss; NULL without losses",
        "the same; 0 without losses",
        "the same; infinity without losses",
        "sum of gains / sum of losses of periods; infinity without losses",
        None,
    ),
    "expectancy": Peers(
        "mean net pnl per trade, in currency",
        "win rate · mean win - loss rate · mean loss: the same number. `expectancy_ratio` is another figure "
        "(100 without losses)",
        "win rate · mean win - (1 - win rate) · mean loss: smaller than ours where trades break even, as these count "
        "as losses",
        "`expected_return`: the geometric mean return of a period",
        None,
    ),
    "payoff_ratio": Peers(
        "mean win / mean loss of trades; NULL without either",
        None,
        None,
        "mean gain / mean loss of periods",
        None,
    ),
    "sqn": Peers(
        "√n · mean / sd of the trades' net pnl (ddof 1); n is not capped",
        "the same of pnl / starting balance; -100 without spread",
        "the same",
        None,
        None,
    ),
    "sharpe": Peers(
        "mean / sd (ddof 1) of daily pnl / capital, days without trades counting 0, · √365; NULL under 10 trading days",
        "(sum of pnl / starting balance / days) / sd (ddof 0) of the trades' returns · √365; -100 without spread",
        "mean / sd (ddof 1) of the returns of bars · √(bars a year); infinity without spread",
        "mean / sd (ddof 1) of periods · √252 by default",
        "mean / sd (ddof 1) of periods · √252 by default; ours with `annualization=365`",
    ),
    "sortino": Peers(
        "mean / √(mean of squared losing days over all days) · √365; NULL without a losing day",
        "mean a day / sd (ddof 0) of the losing trades' returns · √365; -100 without losses",
        "mean / √(mean of squared losses over all bars), annualised; infinity without losses",
        "as ours, · √252 by default",
        "as ours, · √252 by default",
    ),
    "calmar": Peers(
        "compound annual return (365 days) / maximum drawdown of compounded daily returns",
        "mean profit a day in percent / maximum drawdown as an amount · √365; -100 without drawdown",
        "annualised return / maximum drawdown of compounded returns of bars",
        "CAGR (252 periods by default) / maximum drawdown",
        "as ours, with 252 periods by default",
    ),
    "max_drawdown": Peers(
        "percent of the peak of realised equity, which begins at the capital and is not compounded; positive",
        "of the cumulated closed profits as an amount, and beside it relative to starting balance + peak",
        "of the portfolio's value or compounded returns, open positions included; negative share",
        "of compounded returns, from a starting value of 1; negative share",
        "of compounded returns; negative share",
    ),
    "volatility": Peers(
        "sd of the trades' pnl (at least 1 % of mean |pnl|) · √(trades a day): currency per √day, not annualised",
        None,
        "sd (ddof 1) of the returns of bars, annualised",
        "sd (ddof 1) of periods · √252",
        "sd (ddof 1) of periods · √252",
    ),
    "avg_trade_duration": Peers(
        "mean seconds from entry to exit",
        "mean time from entry to exit, wins and losses also apart",
        "mean duration of records in bars",
        None,
        None,
    ),
    "price_slippage": Peers(
        "basis points by which exits missed their trigger prices",
        None,
        "an input of the simulation, not a figure",
        None,
        None,
    ),
    "longest_win_streak": Peers(
        "most wins in a row by exit, trailing 30 days",
        "most wins in a row in the order of the file, which is not that of the exits",
        "most wins in a row, by records",
        "most gaining periods in a row",
        None,
    ),
}
