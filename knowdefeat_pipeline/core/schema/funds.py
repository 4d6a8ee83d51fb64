"""Settings, decisions and amounts of allocation."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import (
    AS_OF,
    AUTHOR,
    BOT,
    IN_FORCE_FROM,
    PARTITION,
    REASON,
    RECORDED_AT,
    Figure,
    known,
    money,
    number,
    text,
)

CURRENCY = text("quote_currency", "The currency of the amounts; money of different currencies is never added.")
METHOD = text("method", "What funds are divided by: rank_score (points above 50), equal, inverse_variance, hrp (hierarchical risk parity) or belief_edge.")
SETTINGS_VERSION = Figure("settings_version", "integer", "", "The version of the fund settings that was in force.", nullable=False)

FUND_SETTINGS: tuple[Figure, ...] = (
    Figure("version", "integer", "", "The version: the last one recorded of those in force counts.", nullable=False),
    CURRENCY,
    IN_FORCE_FROM,
    money("funds", "What may be allocated to the bots of this currency."),
    METHOD,
    known("bot_cap", "share", "The largest share of the funds in one bot."),
    known("ticker_cap", "share", "The largest share of the funds in all bots of one main ticker."),
    money("minimum_ticket", "The least amount that a bot is given, if any."),
    known("drawdown_limit", "percent", "A bot further below its peak is halted."),
    known("daily_loss_limit", "percent", "A bot that lost more of its capital on a UTC day is halted."),
    known("cool_down_hours", "h", "How long a bot stays halted after the last trade that left it beyond a limit."),
    AUTHOR,
    REASON,
    RECORDED_AT,
    number("caution", "probability", "Only bots with P(edge > 0) above it are given funds. NULL: no skill is asked for."),
    known("same_edge_limit", "probability", "While bots cannot be told apart (p_same_edge of bot_skill is above it), only those with P(edge > 0) above .99 are given funds. 1: caution always suffices."),
)

BOT_EVENTS: tuple[Figure, ...] = (
    Figure("event_id", "bigint", "", "The event, in the order of recording.", nullable=False),
    BOT,
    text("kind", "activated or deactivated, halted or released by the risk rules, or resumed: a person let a halted bot go on, and its risk counts from there; a halt for an open loss lasts until then. corrected: an upgrade replaced a capital that cannot be computed with."),
    IN_FORCE_FROM,
    AUTHOR,
    REASON,
    Figure("figures", "jsonb", "", "What a halt rests on: drawdown and daily loss in percent, and the limits; of an open loss (open_loss) also the gain of 30 days (gain), in currency.", nullable=False),
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
    number("target", "share", "The share of the funds aimed at, before caps. NULL for a bot that gets no funds for another reason."),
    money("amount", "What the bot is given, to the cent."),
    text("decision", "funded, capped, below_minimum, no_share (its target is 0), inactive, halted, unranked, unmeasured, unjudged (its skill is not computed) or doubtful (P(edge > 0) is too low)."),
    REASON,
    number("drawdown", "percent", "How far equity, open positions included, is below its realised peak of the trailing 30 days (or since the bot was resumed), in percent of that peak; equity starts at the bot's capital. NULL without trades and open positions."),
    number("daily_loss", "percent", "What the bot's trades lost that closed since the day began (or since it was resumed), in percent of its capital; negative for a gain. NULL without trades."),
    Figure("capital_is_estimated", "boolean", "", "Whether drawdown and daily loss rest on an estimate of the bot's capital."),
    number("p_skill", "probability", "P(edge > 0) of the bot as it was known. NULL where it was not computed."),
)

ALLOCATION_DAYS: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    CURRENCY,
    SETTINGS_VERSION,
    METHOD,
    money("funds", "What was to be allocated."),
    money("allocated", "The sum of the bots' amounts."),
    money("cash", "What is left: funds - allocated."),
    text("cash_reason", "Why it is left."),
    Figure("bots", "bigint", "bots", "Bots of this currency in the ranking, ranked or not.", nullable=False),
    Figure("funded", "bigint", "bots", "Bots that are given something.", nullable=False),
)
