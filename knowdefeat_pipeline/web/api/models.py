"""What the API answers, from the table of definitions: names, types, units and meaning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field, create_model

from knowdefeat_pipeline.core.schema import (
    AS_OF,
    BELIEFS,
    BOT,
    BOT_DAYS,
    BOT_EVENTS,
    CALIBRATION,
    LEARNING_LEDGER,
    METRICS,
    OPEN_POSITIONS,
    PARTITION,
    RANKING,
    REGIME_BAR,
    REGIME_NOW,
    SKILL,
    STRATEGY_WEIGHTS,
    STREAK_SUMMARY,
    TABLES,
    TRADES,
    VARIABLES,
    WEIGHT_ADJUSTMENTS,
    WEIGHT_SETTINGS,
    WEIGHT_VERSIONS,
    Figure,
)
from knowdefeat_pipeline.core.schema.figure import number, text

TYPES: dict[str, Any] = {
    "integer": int,
    "bigint": int,
    "double precision": float,
    "numeric": float,
    "text": str,
    "date": date,
    "timestamptz": datetime,
    "boolean": bool,
    "jsonb": Any,
}
NAME = text("bot", "The name of the bot.")
CURRENCY = text("quote_currency", "The currency of the bot's amounts; money of different currencies is never added.")
STRATEGY = text("strategy", "The bot's strategy; its own where it names none.")
POINTS = {f"{variable.name}_points" for variable in VARIABLES}


def named(figures: Iterable[Figure], *names: str, **renamed: str) -> tuple[Figure, ...]:
    """The figures of these names, in this order; `renamed`: those that go by another name here."""
    known = {figure.name: figure for figure in figures}
    others = (
        Figure(name, known[of].type, known[of].unit, known[of].description, known[of].nullable)
        for name, of in renamed.items()
    )
    return (*(known[name] for name in names), *others)


def model(name: str, figures: Iterable[Figure], optional: Iterable[str] = ()) -> type[BaseModel]:
    """A model with a field per figure; `optional`: those that an answer may leave out."""
    fields: dict[str, Any] = {}
    for figure in figures:
        kind = TYPES[figure.type]
        more: dict[str, Any] = {"unit": figure.unit} if figure.unit else {}
        may_miss = figure.name in optional
        described = Field(*((None,) if may_miss else ()), description=figure.description, json_schema_extra=more)
        fields[figure.name] = (kind | None if figure.nullable or may_miss else kind, described)
    return create_model(name, **fields)


RANKED: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    BOT,
    NAME,
    *named(SKILL, "p_skill", "edge", "edge_low", "edge_high", "verdict"),
    *RANKING,
    STRATEGY,
    CURRENCY,
    Figure("rank_1d", "integer", "", "The rank a day before. NULL where there was none."),
    Figure("rank_7d", "integer", "", "The rank a week before. NULL where there was none."),
    Figure("moved_1d", "integer", "places", "Places gained in a day. NULL where a rank is not known."),
    Figure("moved_7d", "integer", "places", "Places gained in a week. NULL where a rank is not known."),
    *named(METRICS, pnl_1d="one_day_performance", pnl_7d="one_week_performance", pnl="total_pnl"),
    *named(METRICS, "trades", "wins", "losses"),
    *named(STREAK_SUMMARY, "win_rate"),
    *named(METRICS, "profit_factor", "max_drawdown", "max_drawdown_amount", "capital", "capital_is_estimated"),
    *named(METRICS, "main_ticker", "main_direction", "lifetime_trades", "lifetime_pnl"),
    *named(OPEN_POSITIONS, "open_trades", "open_pnl", "unmarked_open", "max_drawdown_with_open"),
    *named(STREAK_SUMMARY, "longest_win_streak", "longest_loss_streak", "current_streak", "streakiness_p_value"),
    *named(STREAK_SUMMARY, "order_p_value"),
    *named(TABLES["fund_allocations"], "decision", funds="amount"),
)
"""What a row of the ranking shows: the ranking's own columns, and figures of the same bot and day beside them."""
# Of a bot that was not judged, or on a day without allocation, there is none.
_MAY_BE_NULL = {
    *("p_skill", "edge", "edge_low", "edge_high", "verdict", "decision", "funds"),
    *("current_streak", "longest_win_streak", "longest_loss_streak"),
}
RANKED = tuple(
    Figure(f.name, f.type, f.unit, f.description, f.nullable or f.name in _MAY_BE_NULL) for f in RANKED
)  # fmt: skip
RANKED_NAMES = tuple(figure.name for figure in RANKED)

EQUITY: tuple[Figure, ...] = (
    PARTITION,
    AS_OF,
    number("equity", "currency", "Capital and net pnl since the first trade; without a capital it begins at 0."),
    number("equity_with_open", "currency", "Equity, and what is open added. NULL where nothing could be marked."),
    *named(METRICS, "capital", "capital_is_estimated", "lifetime_pnl"),
    *named(OPEN_POSITIONS, "open_pnl"),
)

RankedBot = model("RankedBot", RANKED, POINTS)
Metrics = model("Metrics", (*TABLES["bot_metrics"], NAME, CURRENCY))
Equity = model("Equity", EQUITY)
BotDay = model("BotDay", [figure for figure in BOT_DAYS if figure.name != "bot_id"])
Streak = model("Streak", (*TABLES["win_streaks"], NAME))
StreakSummary = model("StreakSummary", (*TABLES["win_streak_summary"], NAME))
Skill = model("Skill", (*TABLES["bot_skill"], NAME))
FundSettings = model("FundSettings", TABLES["fund_settings"], ("in_force_from",))
Allocation = model("Allocation", (*TABLES["fund_allocations"], NAME, STRATEGY))
TRIED: tuple[Figure, ...] = (
    *(figure for figure in TABLES["fund_allocations"] if figure.name != "settings_version"),
    NAME,
    STRATEGY,
    Figure("amount_before", "numeric", "currency", "What it was allocated that day. NULL where it was not."),
    Figure("change", "numeric", "currency", "amount less amount_before.", nullable=False),
)
TriedAllocation = model("TriedAllocation", TRIED)
AllocationDay = model("AllocationDay", TABLES["fund_allocation_days"])
Regime = model("Regime", REGIME_NOW)
RegimeBar = model("RegimeBar", REGIME_BAR)
Trade = model("Trade", (*TRADES, NAME))
BotEvent = model("BotEvent", (*BOT_EVENTS, NAME), ("in_force_from",))


class Page(BaseModel):
    """Part of a list."""

    next: str | None = Field(description="The address of the part that follows; null at the end. Also in Link.")


def page_of(row: type[BaseModel]) -> type[Page]:
    """A model of a list of such rows."""
    return create_model(f"{row.__name__}s", __base__=Page, data=(list[row], Field(description="The rows.")))  # type: ignore[valid-type]


RankedBots, BotDays, Trades, Allocations, RegimeBars = map(page_of, (RankedBot, BotDay, Trade, Allocation, RegimeBar))


class Rankings(RankedBots):  # type: ignore[valid-type, misc]
    """One day's ranking, or a part of it."""

    day: date = Field(description=PARTITION.description)
    as_of: datetime | None = Field(description=AS_OF.description)
    count: int = Field(description="How many bots there are in all parts.")


Strategy = model("Strategy", (PARTITION, AS_OF, *BELIEFS, *named(STRATEGY_WEIGHTS, "weight", "exposure")))
StrategyDay = model(
    "StrategyDay",
    (
        PARTITION,
        AS_OF,
        *named(BELIEFS, "strategy_id", "win_rate", "win_rate_low", "win_rate_high", "edge", "edge_low", "edge_high"),
        *named(BELIEFS, "confidence", "effective_samples"),
        *named(STRATEGY_WEIGHTS, "weight", "exposure"),
    ),
)
Calibration = model("Calibration", (PARTITION, AS_OF, *CALIBRATION))
LedgerEntry = model(
    "LedgerEntry", (*LEARNING_LEDGER, Figure("outcomes", "bigint", "", "The outcomes of a backtest.", nullable=False))
)

MOVED = number("moved", "points", "Σ |weight - weight before|: how far the version moved. NULL for the first.")
PREVIEWED: tuple[Figure, ...] = (
    BOT,
    NAME,
    Figure("strategy", "text", "", "The bot's strategy; its own where it names none.", nullable=False),
    *named(RANKING, "rank", "rank_score", rank_before="rank", rank_score_before="rank_score"),
    Figure("moved", "integer", "places", "Places that the bot would gain. NULL where a rank is not known."),
)
LearnerSetting = model("LearnerSetting", WEIGHT_SETTINGS)
WeightAdjustment = model("WeightAdjustment", WEIGHT_ADJUSTMENTS)
PreviewedBot = model("PreviewedBot", PREVIEWED)
_WeightVersion = model("_WeightVersion", (*WEIGHT_VERSIONS, MOVED))


class Weights(_WeightVersion):  # type: ignore[valid-type, misc]
    """A version of the weights."""

    weights: dict[str, float] = Field(description="By variable, signed; the absolute weights sum to 100.0.")


class WeightVersions(Page):
    """Versions of the weights, the latest first."""

    data: list[Weights] = Field(description="The rows.")
