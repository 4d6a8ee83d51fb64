"""The figures of a bot: what is computed of its trades at an as_of, and its streaks."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import BOT, PARTITION, Figure, count, number
from knowdefeat_pipeline.core.schema.variables import SLOW_NAMES, VARIABLE, VARIABLES

METRICS: tuple[Figure, ...] = (
    *(variable for variable in VARIABLES if variable.name not in SLOW_NAMES),
    count("trades", "Closed trades in the trailing 30 days."),
    count("wins", "Trades with pnl > 0, trailing 30 days."),
    count("losses", "Trades with pnl < 0, trailing 30 days."),
    number("total_pnl", "currency", "Sum of net pnl, trailing 30 days. NULL without trades."),
    number("avg_pnl", "currency", "Mean net pnl per trade, trailing 30 days; the same number as expectancy. NULL without trades."),
    number("gross_profit", "currency", "Sum of the winning trades' pnl, trailing 30 days. NULL without trades."),
    number("gross_loss", "currency", "Sum of the losing trades' pnl as a positive amount, trailing 30 days. NULL without trades."),
    number("profit_factor", "ratio", "Gross profit / gross loss, trailing 30 days. NULL without losses."),
    number("expectancy", "currency", "Expected net pnl of a trade: the same number as avg_pnl, under the name that traders use. NULL without trades."),
    number("payoff_ratio", "ratio", "Mean win / mean loss, trailing 30 days. NULL without wins or without losses."),
    number("sqn", "ratio", "System quality number √n · mean / sd (ddof 1), trailing 30 days. NULL under 2 trades or without spread."),
    number("sharpe", "ratio a year", "Mean / sd (ddof 1) of daily pnl, annualised by √365, over the days of the trailing 30 since the bot's first exit, trade-free ones counting 0. NULL under 10 days on which a trade closed, or without spread."),
    number("sortino", "ratio a year", "Mean / downside deviation (√ of the mean square of losing days, others counting 0) of daily pnl, annualised by √365, over the days of sharpe. NULL under 10 days on which a trade closed, or without a losing day."),
    number("calmar", "ratio", "Compound annual return (365 days) of daily pnl / capital over their maximum drawdown, over the days of sharpe. NULL under 10 days on which a trade closed, or without drawdown."),
    number("max_drawdown", "percent", "Deepest fall of realised equity below its peak in percent of that peak, trailing 30 days; equity starts at the bot's capital. NULL without trades or a known capital."),
    number("max_drawdown_amount", "currency", "Deepest fall of realised equity below its peak, trailing 30 days. NULL without trades."),
    number("avg_drawdown_amount", "currency", "Mean depth of the drawdown episodes, trailing 30 days; 0 when there was none. NULL without trades."),
    number("volatility", "currency/√day", "Sd (ddof 1; at least 1 % of the mean absolute pnl) of the trades' pnl · √(trades per day), days counted since the bot's first exit ever, 1 to 30. NULL under 2 trades."),
    number("time_in_drawdown", "percent", "Share of the time since the window's first exit during which realised equity was below its peak. NULL when no time has passed."),
    number("trade_frequency", "trades/day", "Closed trades per day, days counted since the bot's first exit ever, 1 to 30. NULL without trades."),
    number("avg_trade_duration", "s", "Mean time in position, trailing 30 days. NULL without trades."),
    number("best_trade", "currency", "Largest net pnl of a trade, trailing 30 days. NULL without trades."),
    number("worst_trade", "currency", "Smallest net pnl of a trade, trailing 30 days. NULL without trades."),
    number("price_slippage", "basis points", "Mean of (exit price - exit trigger price) / exit trigger price against the trade (a cost is positive), trailing 30 days. NULL without trigger prices."),
    Figure("main_ticker", "text", "", "The ticker of the most traded ticker × direction, trailing 30 days; of equally many the first by the alphabet. NULL without trades."),
    Figure("main_direction", "text", "", "The direction of the most traded ticker × direction, trailing 30 days; of equally many as main_ticker. NULL without trades."),
    Figure("first_exit", "timestamptz", "UTC", "When the bot's first trade ever closed.", nullable=False),
    Figure("last_exit", "timestamptz", "UTC", "When the bot's last trade before as_of closed.", nullable=False),
    count("lifetime_trades", "Closed trades since the first."),
    number("lifetime_pnl", "currency", "Sum of net pnl since the first trade."),
    number("lifetime_max_drawdown", "percent", "Deepest fall of realised equity below its peak in percent of that peak since the first trade; equity starts at the bot's capital. NULL without a known capital."),
    number("lifetime_win_rate", "percent", "100 · wins / trades since the first trade."),
    number("lifetime_profit_factor", "ratio", "Gross profit / gross loss since the first trade. NULL without losses."),
    number("capital", "currency", "What the bot has to trade with: stated, else the largest notional that it had open at once before as_of. NULL where neither is known."),
    Figure("capital_is_estimated", "boolean", "", "Whether nobody stated the capital; what is in percent of it rests on the estimate."),
    number("sharpe_low", "ratio a year", "Lower bound of the sharpe with 90 % confidence (Lo 2002, with skewness and kurtosis after Mertens). NULL where sharpe is."),
    number("sharpe_high", "ratio a year", "Upper bound of the sharpe with 90 % confidence. NULL where sharpe is."),
)
OF_CAPITAL = ("avg_drawdown", "max_drawdown", "lifetime_max_drawdown", "calmar")
"""The figures that rest on the bot's capital; NULL where that is not known."""

OPEN_POSITIONS: tuple[Figure, ...] = (
    count("open_trades", "Trades that are open: recorded as open, entered before as_of, and not closed before it."),
    number("open_pnl", "currency", "What the open trades that could be marked have gained before fees, at their mark price, else at the close of their ticker's last bar. NULL where none could be marked."),
    count("unmarked_open", "Open trades whose worth is not known: neither a mark price nor a bar, or no size."),
    Figure("oldest_open", "timestamptz", "UTC", "When the oldest open trade was entered. NULL without open trades."),
    number("max_drawdown_with_open", "percent", "As max_drawdown, where equity ends with open_pnl added to it. NULL without closed trades in the trailing 30 days and without marked open ones."),
)
"""Figures of the same rows that stand beside those of closed trades, and are no part of the variables."""

SLOW_RESULTS: tuple[Figure, ...] = tuple(VARIABLE[name] for name in SLOW_NAMES)
"""The slow variables, in the rows over all tickers alone."""

STREAKS: tuple[Figure, ...] = (
    Figure("streak_length", "integer", "trades", "k: the least length of a run of wins, 2 to 7.", nullable=False),
    count("hits", "Trades at which the current run of wins is at least k, trailing 30 days."),
    number("frequency", "percent", "100 · hits / trades. NULL without trades."),
    count("runs", "Maximal runs of at least k wins, trailing 30 days."),
    number("expected_frequency", "percent", "Expected frequency for independent trades with the same win rate: 100 · max(0, n-k+1)/n · p^k. NULL without trades."),
)

STREAK_SUMMARY: tuple[Figure, ...] = (
    count("trades", "Closed trades in the trailing 30 days."),
    number("win_rate", "percent", "100 · wins / trades, trailing 30 days. NULL without trades."),
    count("longest_win_streak", "Longest run of wins, trailing 30 days; 0 without one."),
    count("longest_loss_streak", "Longest run of losses, trailing 30 days; 0 without one."),
    Figure("current_streak", "bigint", "trades", "The run that is under way: positive for wins, negative for losses, 0 after a breakeven trade.", nullable=False),
    number("streakiness_p_value", "probability", "Two-sided Wald–Wolfowitz runs test over wins and losses: small when the order is not luck. NULL under 20 trades or when all went one way."),
    number("order_p_value", "probability", "Two-sided p of the number of runs of wins and losses when whole UTC days are put in another order, by its exact mean and variance over all orders and a normal curve: small when the order of the days is not luck; it is no test of skill. NULL under 20 trades, under 10 days with a win or a loss, or where every order has as many runs."),
)

BOT_DAYS: tuple[Figure, ...] = (
    PARTITION,
    BOT,
    Figure("ticker", "text", "", "One of the bot's tickers.", nullable=False),
    count("trades", "Trades that closed on the day, up to the day's as_of."),
    count("wins", "Those of them with pnl > 0."),
    number("pnl", "currency", "Sum of their net pnl, in the bot's quote currency; 0 without trades."),
    number("fees", "currency", "Sum of their fees, which pnl has taken off; 0 without trades."),
    number("open_pnl", "currency", "What the trades that were open at as_of had gained before fees. NULL where none was that could be marked."),
)
"""What each bot did on each computed day, by ticker; of days without trades and open ones there is no row."""

TRADE_DAY: tuple[Figure, ...] = (
    PARTITION,
    count("closed", "Trades that closed on the day."),
    count("reported", "Closed trades whose source stated a pnl."),
    count("disagreeing", "Stated pnl values that differ from the net pnl beyond rounding; the computed figure is used."),
)
