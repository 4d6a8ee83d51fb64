"""Every figure of a bot in one table: name, type, unit, formula, and how the ranking reads it.

SQL columns and their comments, column descriptions in the catalogue, the command line and the pages all follow from
this table; a test holds the SQL to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scaling = Literal["none", "performance", "drawdown", "per_second"]
ColumnType = Literal["integer", "bigint", "double precision", "numeric", "text", "date", "timestamptz", "boolean", "jsonb"]

STREAK_LENGTHS = (2, 3, 4, 5, 6, 7)
ALL_TICKERS = "*"
DEFAULT_CAPITAL = 10_000.0


@dataclass(frozen=True)
class Figure:
    """One column of a result table: its SQL type, its unit and what it means, in a sentence."""

    name: str
    type: ColumnType
    unit: str
    description: str
    nullable: bool = True


@dataclass(frozen=True)
class Variable(Figure):
    """One of the 17 figures that the ranking weighs.

    `label` is its short name in tables. `measure` names the column that the ranking reads (a drawdown is read as an amount, so that capital plays no part);
    `scaling` says which power of the bot's own volatility it is divided by, `window_days` over how many days;
    `orientation` is -1 where lower is better.
    """

    label: str = ""
    default_weight: float = 0.0
    measure: str = ""
    scaling: Scaling = "none"
    window_days: float = 0.0
    orientation: int = 1


def _variable(
    name: str, label: str, weight: float, unit: str, description: str, scaling: Scaling = "none",
    window_days: float = 0.0, measure: str = "", orientation: int = 1,
) -> Variable:
    return Variable(
        name, "double precision", unit, description, label=label, default_weight=weight, measure=measure or name, scaling=scaling,
        window_days=window_days, orientation=orientation,
    )


def _performance(name: str, label: str, weight: float, window: str, days: float) -> Variable:
    text = f"Sum of net pnl of trades closed in the trailing {window}. NULL when none closed in it."
    return _variable(name, label, weight, "currency", text, "performance", days)


def _streak(length: int, weight: float) -> Variable:
    text = (
        f"100 · (trades at which the current run of wins is at least {length}) / trades, trailing 30 days: "
        f"a run of length L adds max(0, L-{length - 1})."
    )
    return _variable(f"win_streak_{length}", f"streak {length}", weight, "percent", text)


VARIABLES: tuple[Variable, ...] = (
    _performance("one_hour_performance", "1h", 15.0, "hour", 1 / 24),
    _performance("two_hour_performance", "2h", 12.5, "2 hours", 2 / 24),
    _performance("one_day_performance", "1d", 10.0, "24 hours", 1.0),
    _performance("one_week_performance", "1w", 7.5, "7 days", 7.0),
    _performance("one_month_performance", "1m", 5.0, "30 days", 30.0),
    _variable("avg_win_rate", "win rate", 10.0, "percent", "100 · wins / trades, trailing 30 days. Breakeven trades are no wins."),
    _variable(
        "avg_drawdown", "drawdown", 8.0, "percent",
        "Mean depth of the drawdown episodes of the trailing 30 days, in percent of the peak of realised equity, which "
        "starts at the bot's capital; 0 when equity never fell below its peak. Lower is better.",
        "drawdown", 30.0, "avg_drawdown_amount", -1,
    ),
    _variable(
        "profit_per_second", "pnl/s", 12.0, "currency/s",
        "Sum of net pnl / seconds in position, trailing 30 days. NULL without time in position.", "per_second",
    ),
    _variable(
        "price_model_score", "price model", 5.0, "0..100",
        "How well entries agreed with the price model's forecast of direction, trailing 30 days. NULL without market data.",
    ),
    _variable(
        "volume_model_score", "volume model", 5.0, "0..100",
        "Mean percentile of the volume forecast at the bot's entries, trailing 30 days. NULL without market data.",
    ),
    _variable(
        "price_wall_score", "price walls", 3.0, "0..100",
        "How well entries agreed with the largest resting orders near the price, trailing 30 days. NULL without an "
        "order book.",
    ),
    _streak(2, 2.0),
    _streak(3, 1.5),
    _streak(4, 1.5),
    _streak(5, 1.0),
    _streak(6, 0.5),
    _streak(7, 0.5),
)
VARIABLE_NAMES: tuple[str, ...] = tuple(variable.name for variable in VARIABLES)
VARIABLE: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}
DEFAULT_WEIGHTS: dict[str, float] = {variable.name: variable.default_weight for variable in VARIABLES}


def _count(name: str, description: str) -> Figure:
    return Figure(name, "bigint", "trades", description, nullable=False)


def _number(name: str, unit: str, description: str) -> Figure:
    return Figure(name, "double precision", unit, description)


PARTITION = Figure("day", "date", "UTC day", "The partition: one UTC day.", nullable=False)
AS_OF = Figure(
    "as_of", "timestamptz", "UTC",
    "The instant at which the figures are true: the day's end, or the time of the run for the running day.", nullable=False,
)
BOT = Figure("bot_id", "integer", "", "The bot.", nullable=False)
TICKER = Figure("ticker", "text", "", "One of the bot's tickers, or '*' for all of them together.", nullable=False)

METRICS: tuple[Figure, ...] = (
    *VARIABLES,
    _count("trades", "Closed trades in the trailing 30 days."),
    _count("wins", "Trades with pnl > 0, trailing 30 days."),
    _count("losses", "Trades with pnl < 0, trailing 30 days."),
    _number("total_pnl", "currency", "Sum of net pnl, trailing 30 days. NULL without trades."),
    _number("avg_pnl", "currency", "Mean net pnl per trade, trailing 30 days. NULL without trades."),
    _number("gross_profit", "currency", "Sum of the winning trades' pnl, trailing 30 days. NULL without trades."),
    _number("gross_loss", "currency", "Sum of the losing trades' pnl as a positive amount, trailing 30 days. NULL without trades."),
    _number("profit_factor", "ratio", "Gross profit / gross loss, trailing 30 days. NULL without losses."),
    _number("expectancy", "currency", "Expected net pnl of a trade: the mean, trailing 30 days. NULL without trades."),
    _number("payoff_ratio", "ratio", "Mean win / mean loss, trailing 30 days. NULL without wins or without losses."),
    _number("sqn", "ratio", "System quality number √n · mean / sd (ddof 1), trailing 30 days. NULL under 2 trades or without spread."),
    _number("sharpe", "ratio a year", "Mean / sd (ddof 1) of daily pnl / capital, annualised by √365, trade-free days counting 0. NULL under 2 days or without spread."),
    _number("sortino", "ratio a year", "Mean / downside deviation of daily pnl / capital, annualised by √365. NULL without a losing day."),
    _number("calmar", "ratio", "Compound annual return of daily pnl / capital over their maximum drawdown. NULL without drawdown."),
    _number("max_drawdown", "percent", "Deepest fall of realised equity below its peak in percent of that peak, trailing 30 days; equity starts at the bot's capital."),
    _number("max_drawdown_amount", "currency", "Deepest fall of realised equity below its peak, trailing 30 days."),
    _number("avg_drawdown_amount", "currency", "Mean depth of the drawdown episodes, trailing 30 days; 0 when there was none."),
    _number("volatility", "currency/√day", "Sd (ddof 1) of the trades' pnl · √(trades per day), days counted since the bot's first trade, 1 to 30. NULL under 2 trades."),
    _number("time_in_drawdown", "percent", "Share of the time since the window's first exit during which realised equity was below its peak. NULL when no time has passed."),
    _number("trade_frequency", "trades/day", "Closed trades per day, days counted since the first trade, 1 to 30. NULL without trades."),
    _number("avg_trade_duration", "s", "Mean time in position, trailing 30 days. NULL without trades."),
    _number("best_trade", "currency", "Largest net pnl of a trade, trailing 30 days. NULL without trades."),
    _number("worst_trade", "currency", "Smallest net pnl of a trade, trailing 30 days. NULL without trades."),
    _number("price_slippage", "basis points", "Mean of (exit price - exit trigger price) / exit trigger price against the trade (a cost is positive), trailing 30 days. NULL without trigger prices."),
    Figure("main_ticker", "text", "", "The ticker of the most traded ticker × direction, trailing 30 days. NULL without trades."),
    Figure("main_direction", "text", "", "The direction of the most traded ticker × direction, trailing 30 days. NULL without trades."),
    Figure("first_exit", "timestamptz", "UTC", "When the first trade closed.", nullable=False),
    Figure("last_exit", "timestamptz", "UTC", "When the last trade closed.", nullable=False),
    _count("lifetime_trades", "Closed trades since the first."),
    _number("lifetime_pnl", "currency", "Sum of net pnl since the first trade."),
    _number("lifetime_max_drawdown", "percent", "Deepest fall of realised equity below its peak in percent of that peak since the first trade; equity starts at the bot's capital."),
    _number("lifetime_win_rate", "percent", "100 · wins / trades since the first trade."),
    _number("lifetime_profit_factor", "ratio", "Gross profit / gross loss since the first trade. NULL without losses."),
)

STREAKS: tuple[Figure, ...] = (
    Figure("streak_length", "integer", "trades", "k: the least length of a run of wins, 2 to 7.", nullable=False),
    _count("hits", "Trades at which the current run of wins is at least k, trailing 30 days."),
    _number("frequency", "percent", "100 · hits / trades. NULL without trades."),
    _count("runs", "Maximal runs of at least k wins, trailing 30 days."),
    _number("expected_frequency", "percent", "Expected frequency for independent trades with the same win rate: 100 · (n-k+1)/n · p^k. NULL without trades."),
)

STREAK_SUMMARY: tuple[Figure, ...] = (
    _count("trades", "Closed trades in the trailing 30 days."),
    _number("win_rate", "percent", "100 · wins / trades, trailing 30 days. NULL without trades."),
    _count("longest_win_streak", "Longest run of wins, trailing 30 days."),
    _count("longest_loss_streak", "Longest run of losses, trailing 30 days."),
    Figure("current_streak", "bigint", "trades", "The run that is under way: positive for wins, negative for losses, 0 after a breakeven trade.", nullable=False),
    _number("streakiness_p_value", "probability", "Two-sided Wald–Wolfowitz runs test over wins and losses: small when the order is not luck. NULL under 20 trades or when all went one way."),
)

RANKING: tuple[Figure, ...] = (
    Figure("rank", "integer", "", "Place by score, then by bot_id. NULL for a bot that is not eligible."),
    _number("rank_score", "points", "50 + 100 · Σ w·r / Σ|w|: 0..100, 50 is the middle. NULL for a bot that is not eligible."),
    Figure("eligible", "boolean", "", "Whether the bot closed enough trades in the trailing 30 days to be ranked.", nullable=False),
    Figure("reason", "text", "", "Why a bot is not ranked."),
    Figure("is_active", "boolean", "", "Whether the bot may receive funds: set by a person or a rule and kept across runs.", nullable=False),
    Figure("weight_version", "integer", "", "The version of the weights that was in force.", nullable=False),
    *(
        _number(f"{v.name}_points", "points", f"What {v.name} adds to the score; the 17 contributions sum to rank_score - 50.")
        for v in VARIABLES
    ),
)

TRADE_DAY: tuple[Figure, ...] = (
    PARTITION,
    _count("closed", "Trades that closed on the day."),
    _count("reported", "Closed trades whose source stated a pnl."),
    _count("disagreeing", "Stated pnl values that differ from the net pnl beyond rounding; the computed figure is used."),
)

MARKET_TICKER = Figure("ticker", "text", "", "What is traded.", nullable=False)
TIMEFRAME = Figure("timeframe", "text", "", "The length of a bar, such as 15m, 1h or 1d.", nullable=False)

BAR_DAY: tuple[Figure, ...] = (
    PARTITION,
    MARKET_TICKER,
    TIMEFRAME,
    Figure("bars", "bigint", "bars", "Bars that open on the day.", nullable=False),
    Figure("gaps", "bigint", "bars", "Bars that are missing where the week before or after has one.", nullable=False),
)

REGIMES: tuple[Figure, ...] = (
    PARTITION,
    MARKET_TICKER,
    TIMEFRAME,
    Figure("open_time", "timestamptz", "UTC", "When the bar opens; its label holds from its close on.", nullable=False),
    Figure("label", "text", "", "TRENDING, RANGING, VOLATILE, or NEUTRAL while no regime has half of the probability.", nullable=False),
    _number("p_trending", "probability", "Probability of TRENDING, told from the bars up to this one."),
    _number("p_ranging", "probability", "Probability of RANGING, told from the bars up to this one."),
    _number("p_volatile", "probability", "Probability of VOLATILE, told from the bars up to this one."),
)

SCORE_NAMES = ("price_model_score", "volume_model_score", "price_wall_score")
"""The variables that are means of scores of trades."""

TRADE_SCORES: tuple[Figure, ...] = (
    Figure("trade_id", "bigint", "", "The closed trade.", nullable=False),
    _number("price_model_score", "0..100", "50 + 50 · side · (2p - 1), p the forecast probability at entry that the next bar rises. NULL without bars."),
    _number("volume_model_score", "0..100", "Percentile of the forecast volume of the bar after the entry among earlier forecasts. NULL without bars."),
    _number("price_wall_score", "0..100", "50 + 50 · side · (bid - ask)/(bid + ask), sizes of the largest resting orders within 1 % at entry. NULL without an order book."),
)

WEIGHTS_IN_FORCE: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    Figure("variable", "text", "", "One of the 17 variables.", nullable=False),
    Figure("weight", "double precision", "points", "Signed weight; the absolute weights sum to 100.0.", nullable=False),
    Figure("version", "integer", "", "The weight version it belongs to.", nullable=False),
)

STRATEGY = Figure("strategy_id", "text", "", "The strategy: the trade's own, else its bot's, else 'bot' and the bot's number.", nullable=False)


def _belief(name: str, unit: str, description: str) -> Figure:
    return Figure(name, "double precision", unit, description, nullable=False)


BELIEFS: tuple[Figure, ...] = (
    STRATEGY,
    Figure("regime", "text", "", "TRENDING, RANGING or VOLATILE, or '*' for the regimes that hold at as_of; without market data '*' is over all.", nullable=False),
    _belief("prior_win_rate", "probability", "Win rate of a strategy of which nothing is known but the others."),
    _belief("prior_win_rate_low", "probability", "Lower end of the prior win rate's 90 % interval."),
    _belief("prior_win_rate_high", "probability", "Upper end of the prior win rate's 90 % interval."),
    _belief("win_rate", "probability", "Posterior probability that the next trade wins. A win never lowers it and a loss never raises it."),
    _belief("win_rate_low", "probability", "Lower end of the win rate's 90 % credible interval."),
    _belief("win_rate_high", "probability", "Upper end of the win rate's 90 % credible interval."),
    _belief("accuracy_improvement", "probability", "win_rate - prior_win_rate: what the strategy's own trades have shown."),
    _belief("edge", "R", "Posterior mean result of the next trade, in units of what its bot's trades usually make or lose."),
    _belief("edge_low", "R", "Lower end of the edge's 90 % credible interval."),
    _belief("edge_high", "R", "Upper end of the edge's 90 % credible interval."),
    _belief("edge_sd", "R", "Posterior standard deviation of the edge."),
    _belief("confidence", "share", "1 - posterior sd / prior sd of the edge: 0 without evidence, towards 1 with it; falls while evidence fades."),
    _belief("effective_samples", "trades", "Trades that have not faded from memory."),
)

STRATEGY_WEIGHTS: tuple[Figure, ...] = (
    STRATEGY,
    _belief("weight", "share", "How much the strategy counts at as_of, under the regimes that hold. The weights of a day sum to exactly 1."),
    _belief("weight_trending", "share", "Its weight if every market were TRENDING; these sum to exactly 1."),
    _belief("weight_ranging", "share", "Its weight if every market were RANGING; these sum to exactly 1."),
    _belief("weight_volatile", "share", "Its weight if every market were VOLATILE; these sum to exactly 1."),
    _belief("p_trending", "share", "Share of the trailing 30 days' trades whose ticker is TRENDING at as_of; 0 without market data."),
    _belief("p_ranging", "share", "Share of the trailing 30 days' trades whose ticker is RANGING at as_of; 0 without market data."),
    _belief("p_volatile", "share", "Share of the trailing 30 days' trades whose ticker is VOLATILE at as_of; 0 without market data."),
)

CALIBRATION: tuple[Figure, ...] = (
    Figure("strategy_id", "text", "", "The strategy, or '*' for all of them together.", nullable=False),
    _count("trades", "Closed trades in the trailing 30 days."),
    _count("stated_trades", "Those of them whose signal stated a confidence."),
    _number("brier_score", "probability²", "Mean of (stated confidence - outcome)², trailing 30 days; wins count 1, losses 0. NULL without stated confidence."),
    _number("calibration_error", "probability", "Expected calibration error: Σ share of bin · |stated - realised|, trailing 30 days. NULL without stated confidence."),
    Figure("reliability", "jsonb", "", "One entry per bin of stated confidence that holds trades: low, high, trades, stated, realised and the 95 % Wilson interval realised_low, realised_high.", nullable=False),
    _belief("learning_velocity", "trades/day", "Trades learned per day, trailing 7 days."),
)


def _money(name: str, description: str) -> Figure:
    return Figure(name, "numeric", "currency", description, nullable=False)


def _text(name: str, description: str) -> Figure:
    return Figure(name, "text", "", description, nullable=False)


CURRENCY = _text("quote_currency", "The currency of the amounts; money of different currencies is never added.")
METHOD = _text("method", "What funds are divided by: rank_score (points above 50), equal, inverse_variance, hrp (hierarchical risk parity) or belief_edge.")
SETTINGS_VERSION = Figure("settings_version", "integer", "", "The version of the fund settings that was in force.", nullable=False)
IN_FORCE_FROM = Figure("in_force_from", "timestamptz", "UTC", "The first as_of that it counts for; -infinity: every one.", nullable=False)
RECORDED_AT = Figure("recorded_at", "timestamptz", "UTC", "When it was recorded.", nullable=False)
AUTHOR = _text("author", "Who decided.")
REASON = _text("reason", "Why.")


def _limit(name: str, unit: str, description: str) -> Figure:
    return Figure(name, "double precision", unit, description, nullable=False)


FUND_SETTINGS: tuple[Figure, ...] = (
    Figure("version", "integer", "", "The version: the last one recorded of those in force counts.", nullable=False),
    CURRENCY,
    IN_FORCE_FROM,
    _money("funds", "What may be allocated to the bots of this currency."),
    METHOD,
    _limit("bot_cap", "share", "The largest share of the funds in one bot."),
    _limit("ticker_cap", "share", "The largest share of the funds in all bots of one main ticker."),
    _money("minimum_ticket", "The least amount that a bot is given, if any."),
    _limit("drawdown_limit", "percent", "A bot further below its peak is halted."),
    _limit("daily_loss_limit", "percent", "A bot that lost more of its capital on a UTC day is halted."),
    _limit("cool_down_hours", "h", "How long a bot stays halted after the last trade that left it beyond a limit."),
    AUTHOR,
    REASON,
    RECORDED_AT,
)

BOT_EVENTS: tuple[Figure, ...] = (
    Figure("event_id", "bigint", "", "The event, in the order of recording.", nullable=False),
    BOT,
    _text("kind", "activated or deactivated, halted or released by the risk rules, or resumed: a person let a halted bot go on, and its risk counts from there."),
    IN_FORCE_FROM,
    AUTHOR,
    REASON,
    Figure("figures", "jsonb", "", "What a halt rests on: drawdown and daily loss in percent, and the limits.", nullable=False),
    RECORDED_AT,
)

ALLOCATIONS: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    BOT,
    CURRENCY,
    SETTINGS_VERSION,
    Figure("ticker", "text", "", "The main ticker, which the cap per ticker counts the bot for. NULL without trades in the trailing 30 days."),
    Figure("rank", "integer", "", "The bot's place in the ranking. NULL for a bot that is not ranked."),
    _number("target", "share", "The share of the funds aimed at, before caps. NULL for a bot that gets no funds for another reason."),
    _money("amount", "What the bot is given, to the cent."),
    _text("decision", "funded, capped, below_minimum, no_share, inactive, halted, unranked or unmeasured."),
    REASON,
    _number("drawdown", "percent", "How far realised equity is below its peak of the trailing 30 days (or since the bot was resumed), in percent of that peak; equity starts at the bot's capital. NULL without trades."),
    _number("daily_loss", "percent", "What the bot lost since the day began (or since it was resumed), in percent of its capital; negative for a gain. NULL without trades."),
)

ALLOCATION_DAYS: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    CURRENCY,
    SETTINGS_VERSION,
    METHOD,
    _money("funds", "What was to be allocated."),
    _money("allocated", "The sum of the bots' amounts."),
    _money("cash", "What is left: funds - allocated."),
    _text("cash_reason", "Why it is left."),
    Figure("bots", "bigint", "bots", "Bots of this currency in the ranking, ranked or not.", nullable=False),
    Figure("funded", "bigint", "bots", "Bots that are given something.", nullable=False),
)

TABLES: dict[str, tuple[Figure, ...]] = {
    "bot_metrics": (PARTITION, AS_OF, BOT, TICKER, *METRICS),
    "win_streaks": (PARTITION, AS_OF, BOT, *STREAKS),
    "win_streak_summary": (PARTITION, AS_OF, BOT, *STREAK_SUMMARY),
    "bot_rankings": (PARTITION, AS_OF, BOT, *RANKING),
    "variable_weights": WEIGHTS_IN_FORCE,
    "strategy_beliefs": (PARTITION, AS_OF, *BELIEFS),
    "strategy_weights": (PARTITION, AS_OF, *STRATEGY_WEIGHTS),
    "strategy_calibration": (PARTITION, AS_OF, *CALIBRATION),
    "fund_settings": FUND_SETTINGS,
    "bot_events": BOT_EVENTS,
    "fund_allocations": ALLOCATIONS,
    "fund_allocation_days": ALLOCATION_DAYS,
    "market_regimes": REGIMES,
}
"""The columns of every result table."""
