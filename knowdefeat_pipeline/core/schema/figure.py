"""What one figure is: its name, SQL type, unit and meaning; and the columns that several tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["integer", "bigint", "double precision", "numeric", "text", "date", "timestamptz", "boolean", "jsonb"]

ALL_TICKERS = "*"


@dataclass(frozen=True)
class Figure:
    """One column of a result table: its SQL type, its unit and what it means, in a sentence."""

    name: str
    type: ColumnType
    unit: str
    description: str
    nullable: bool = True


def count(name: str, description: str) -> Figure:
    """A number of trades."""
    return Figure(name, "bigint", "trades", description, nullable=False)


def number(name: str, unit: str, description: str) -> Figure:
    """A figure that may be NULL."""
    return Figure(name, "double precision", unit, description)


def known(name: str, unit: str, description: str) -> Figure:
    """A figure that is always there."""
    return Figure(name, "double precision", unit, description, nullable=False)


def money(name: str, description: str) -> Figure:
    """An amount in whole smallest units of its currency."""
    return Figure(name, "numeric", "currency", description, nullable=False)


def text(name: str, description: str) -> Figure:
    """A word or a sentence that is always there."""
    return Figure(name, "text", "", description, nullable=False)


PARTITION = Figure("day", "date", "UTC day", "The partition: one UTC day.", nullable=False)
AS_OF = Figure(
    "as_of", "timestamptz", "UTC",
    "The instant at which the figures are true: the day's end, or the time of the run for the running day. Trades that closed before it count.", nullable=False,
)
BOT = Figure("bot_id", "integer", "", "The bot, by the key of its name in the table bots.", nullable=False)
TICKER = Figure("ticker", "text", "", "One of the bot's tickers, or '*' for all of them together.", nullable=False)
IN_FORCE_FROM = Figure("in_force_from", "timestamptz", "UTC", "The first as_of that it counts for; -infinity: every one.", nullable=False)
RECORDED_AT = Figure("recorded_at", "timestamptz", "UTC", "When it was recorded.", nullable=False)
AUTHOR = text("author", "Who decided.")
REASON = text("reason", "Why.")
