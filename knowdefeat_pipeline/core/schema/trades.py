"""A trade as the API shows it."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import BOT, Figure, number, text

TRADES: tuple[Figure, ...] = (
    Figure("trade_id", "bigint", "", "The trade, in the order of recording.", nullable=False),
    text("source", "Where it came from."),
    text("source_trade_id", "Its id there."),
    BOT,
    text("ticker", "What was traded."),
    text("direction", "LONG or SHORT."),
    text("status", "open, pending_exit or closed."),
    Figure("entry_time", "timestamptz", "UTC", "When it was entered. NULL where the source does not say."),
    Figure("exit_time", "timestamptz", "UTC", "When it closed. NULL while it is open."),
    number("entry_price", "price", "The price at entry."),
    number("exit_price", "price", "The price at exit, the average over partial exits. NULL while it is open."),
    number("notional", "currency", "The size of the position at entry. NULL where only its pnl is known."),
    number("fees", "currency", "What it cost, which pnl has taken off."),
    number("funding", "currency", "Funding and swaps; received is positive."),
    number("pnl", "currency", "Net result: gross - fees + funding. NULL while it is open."),
    text("quote_currency", "The currency of its amounts."),
    Figure("exit_reason", "text", "", "Why it was closed, as the source says."),
)
"""The columns of a trade that the API shows."""
