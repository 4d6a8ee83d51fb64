"""Figures and streaks of bots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from knowdefeat_pipeline.cli.views.output import Record, out
from knowdefeat_pipeline.cli.views.tables import (
    ESTIMATED,
    NOTHING,
    Justify,
    explain_estimates,
    instant,
    number,
    percent,
    pnl,
    table,
    text,
)
from knowdefeat_pipeline.core.money import digits
from knowdefeat_pipeline.core.schema import METRICS, OF_CAPITAL, OPEN_POSITIONS, Figure
from knowdefeat_pipeline.core.wording import counted

METRIC_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "left"),
    ("ticker", "left"),
    ("trades", "right"),
    ("win %", "right"),
    ("pnl", "right"),
    ("factor", "right"),
    ("sharpe", "right"),
    ("dd %", "right"),
    ("open pnl", "right"),
    ("lifetime", "right"),
)


SIGNIFICANT = 0.05

STREAK_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "left"),
    ("trades", "right"),
    ("win %", "right"),
    ("longest win", "right"),
    ("longest loss", "right"),
    ("current", "right"),
    ("streaks 2..7 (% of trades)", "left"),
    ("order p", "right"),
)


def show_bot(rows: Sequence[Record]) -> None:
    """All figures of one bot, a column per ticker."""
    columns: list[tuple[str, Justify]] = [("figure", "left"), ("unit", "left")]
    columns += [(row["ticker"], "right") for row in rows]
    table(
        f"Bot {rows[0]['bot']} as of {instant(rows[0]['as_of'])}",
        columns,
        [(f.name, f.unit, *(_figure(row, f) for row in rows)) for f in (*METRICS, *OPEN_POSITIONS)],
    )
    explain_estimates(rows)


def _figure(row: Record, figure: Figure) -> str:
    shown = _cell(row[figure.name], digits(row["quote_currency"]) if "currency" in figure.unit else 2)
    estimated = figure.name in (*OF_CAPITAL, "capital") and row["capital_is_estimated"] and shown != NOTHING
    return f"{ESTIMATED}{shown}" if estimated else shown


def _cell(value: object, decimals: int) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value != 0 and abs(value) < 10.0**-decimals:
        return f"{value:.3g}"
    return number(value, decimals) if isinstance(value, int | float) else text(value)


def show_metrics(rows: Sequence[Record]) -> None:
    """The main figures, a bot a row."""
    table(
        f"Metrics as of {instant(rows[0]['as_of'])} (trailing 30 days)",
        METRIC_COLUMNS,
        [
            (
                row["bot"],
                row["ticker"],
                number(row["trades"]),
                number(row["avg_win_rate"], 1),
                pnl(row, "total_pnl"),
                number(row["profit_factor"]),
                number(row["sharpe"]),
                percent(row, "max_drawdown"),
                pnl(row, "open_pnl"),
                pnl(row, "lifetime_pnl"),
            )
            for row in rows
        ],
    )
    if unmarked := sum(row["unmarked_open"] for row in rows):
        out.print(
            f"Without a mark price, a bar of the ticker or a size, and so in no open pnl: {number(unmarked)} open "
            f"{'trade' if unmarked == 1 else 'trades'}.",
            style="dim",
        )
    explain_estimates(rows)


def show_streaks(rows: Sequence[Record], of_bot: Mapping[int, Sequence[Record]]) -> None:
    """Each bot's streaks; `of_bot`: by bot, how often each length came."""
    table(
        f"Win streaks as of {instant(rows[0]['as_of'])} (trailing 30 days)",
        STREAK_COLUMNS,
        [
            (
                row["bot"],
                number(row["trades"]),
                number(row["win_rate"], 1),
                number(row["longest_win_streak"]),
                number(row["longest_loss_streak"]),
                number(row["current_streak"], sign=True),
                "  ".join(number(length["frequency"], 1) for length in of_bot[row["bot_id"]]),
                number(row["order_p_value"], 3),
            )
            for row in rows
        ],
    )
    p_values = [row["order_p_value"] for row in rows if row["order_p_value"] is not None]
    if p_values:
        low = sum(p < SIGNIFICANT for p in p_values)
        out.print(
            "order p: how often chance puts the same days into so uneven an order; it tests the order of wins, not "
            f"skill. Under {SIGNIFICANT:.0%}: {low / len(p_values):.1%} of {counted(len(p_values), 'bot')}; chance "
            f"alone gives {SIGNIFICANT:.0%}.",
            style="dim",
        )
