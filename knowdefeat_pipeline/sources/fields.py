"""The fields of a trade, and why a row of them is refused: what readers, pages and programs call them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Kind = Literal["text", "bot", "integer", "count", "time", "price", "size", "units", "factor", "amount", "fraction"]


@dataclass(frozen=True)
class Field:
    """One field of a trade: `kind` says how a cell is read, `aliases` under which names a file may carry it."""

    name: str
    kind: Kind
    description: str
    required: bool = False
    aliases: tuple[str, ...] = ()


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("source_trade_id", "text", "the id of the trade in its source", True, ("trade_id", "id")),
        Field("bot_id", "bot", "the bot that traded, by its number or any other name", True, ("bot", "bot_name")),
        Field(
            "strategy_id",
            "text",
            "the algorithm that the bot runs",
            aliases=("strategy", "algo_id", "algorithm_id", "algorithm"),
        ),
        Field("ticker", "text", "what was traded", True, ("symbol", "instrument", "pair")),
        Field("direction", "text", "LONG or SHORT", True, ("trade_direction", "side")),
        Field("status", "text", "open, pending_exit or closed", True, ("trade_status",)),
        Field("entry_time", "time", "when the position was entered", True, ("opened_at", "open_time")),
        Field("exit_time", "time", "when the position was left", aliases=("closed_at", "close_time")),
        Field("entry_price", "price", "the price at entry, in quote currency", True, ("open_price",)),
        Field("exit_price", "price", "the price at exit, in quote currency", aliases=("close_price",)),
        Field("mark_price", "price", "the latest price of an open position", aliases=("current_price",)),
        Field("notional", "size", "the position's size at entry, in quote currency", aliases=("position_value",)),
        Field(
            "quantity",
            "units",
            "the position's size in units of the asset or contracts",
            aliases=("qty", "shares", "units"),
        ),
        Field(
            "size",
            "units",
            "the position's size, in a unit that the terms name",
            aliases=("trade_size", "position_size", "amount", "volume", "lots"),
        ),
        Field("margin", "size", "what of the bot's own money is in the position", aliases=("stake", "initial_margin")),
        Field("leverage", "factor", "how many times its margin the position is", aliases=("lev",)),
        Field(
            "contract_multiplier", "factor", "units of the asset a contract", aliases=("multiplier", "contract_size")
        ),
        Field("contract_type", "text", "linear, or inverse (settles in the asset)"),
        Field("exits", "count", "how many exits closed the position"),
        Field("entry_fee", "amount", "the costs of the entry", aliases=("entry_commission", "open_fee")),
        Field("exit_fee", "amount", "the costs of the exit", aliases=("exit_commission", "close_fee")),
        Field("fees", "amount", "all costs of the trade, in quote currency", aliases=("fee", "commission")),
        Field(
            "fee_currency", "text", "what the fees were paid in", aliases=("fee_asset", "fee_coin", "commission_asset")
        ),
        Field("fee_rate", "factor", "quote currency for one of the fees' currency"),
        Field(
            "funding",
            "amount",
            "funding and swaps; received is positive",
            aliases=("funding_fee", "funding_fees", "swap"),
        ),
        Field(
            "reported_pnl",
            "amount",
            "the net pnl that the source states; where it states it before costs, with these taken off",
            aliases=("trade_pnl", "net_pnl", "pnl"),
        ),
        Field("pnl_basis", "text", "computed, or stated: the source's net pnl is taken at its word"),
        Field("quote_currency", "text", "the currency of prices, size, fees and pnl", aliases=("currency",)),
        Field("signal_confidence", "fraction", "the signal's confidence, 0 to 1", aliases=("confidence",)),
        Field("entry_quality", "fraction", "the quality of the entry, 0 to 1"),
        Field("exit_reason", "text", "why the position was left"),
        Field("entry_trigger_price", "price", "the price that triggered the entry"),
        Field("entry_trigger_time", "time", "when the entry was triggered"),
        Field("exit_trigger_price", "price", "the price that triggered the exit"),
        Field("exit_trigger_time", "time", "when the exit was triggered"),
        Field("capital", "size", "what the bot has to trade with, in quote currency"),
    )
}
"""Every field that a file may give; `capital` belongs to the bot."""

COLUMNS = tuple(name for name in FIELDS if name not in ("size", "fee_rate", "capital"))
"""The fields that a validated trade carries, in order, all of them columns of `trades`."""

NAMES = ("source_trade_id", "bot_id", "strategy_id", "ticker", "quote_currency", "fee_currency")
"""The fields that name something."""

TIMES = tuple(name for name, field in FIELDS.items() if field.kind == "time")

FEES = ("fees", "entry_fee", "exit_fee")

SIZES = ("notional", "quantity", "size", "margin")
"""The fields that tell how large a position is; the first of them that a file has does."""


NO_TRADE: Mapping[str, str] = {
    "closes what the file does not open": "load an export that begins earlier, which settles this row",
    "realised another pnl than its fills give": (
        "load an export that begins earlier and has every fill (both sides of a hedge are not told apart), which "
        "settles this row"
    ),
    "paid in another coin for a fill that turned it around": (
        "state its fee in quote currency, load the file again and discard this row"
    ),
    "has no market, time, quantity or price above 0 that can be read": (
        "correct it in the file, load that and discard this row"
    ),
}
"""What is said in the place of the direction of fills that make no trade, and what would make one of them."""


class Reason(StrEnum):
    """Why a row is refused."""

    UNREADABLE_VALUE = "unreadable_value"
    BAD_NAME = "bad_name"
    BAD_TEXT = "bad_text"
    FOREIGN_UNIT = "foreign_unit"
    UNKNOWN_DIRECTION = "unknown_direction"
    FILLS_MISSING = "fills_missing"
    UNKNOWN_STATUS = "unknown_status"
    BAD_PRICE = "bad_price"
    BAD_NOTIONAL = "bad_notional"
    CONFIDENCE_OUT_OF_RANGE = "confidence_out_of_range"
    UNKNOWN_TERM = "unknown_term"
    FEE_WITHOUT_RATE = "fee_without_rate"
    FEES_DISAGREE = "fees_disagree"
    SIZES_DISAGREE = "sizes_disagree"
    SIDES_DISAGREE = "sides_disagree"
    CLOSED_WITHOUT_EXIT = "closed_without_exit"
    OPEN_WITH_EXIT = "open_with_exit"
    EXIT_BEFORE_ENTRY = "exit_before_entry"
    FUTURE_TIME = "future_time"
    IMPOSSIBLE_TIME = "impossible_time"
    POISON = "poison"
    CURRENCY_MISMATCH = "currency_mismatch"
    CONFLICTING_TRADE = "conflicting_trade"
    ANOTHER_BOT = "another_bot"
    OVERLAPPING_TRADE = "overlapping_trade"
    DUPLICATE_TRADE = "duplicate_trade"
