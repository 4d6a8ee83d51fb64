"""Funds: settings, and who was given how much and why."""

from __future__ import annotations

from collections.abc import Sequence

from knowdefeat_pipeline.cli.views.output import Record, out, strong
from knowdefeat_pipeline.cli.views.tables import Justify, explain_estimates, instant, money, number, table, text

ALLOCATION_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("bot", "left"),
    ("strategy", "left"),
    ("ticker", "left"),
    ("rank", "right"),
    ("amount", "right"),
    ("share %", "right"),
    ("why", "left"),
)


def show_allocation(days: Sequence[Record], rows: Sequence[Record]) -> None:
    """Each currency's bots with their amounts, and below them what stays cash and why."""
    for day in days:
        currency = day["quote_currency"]
        own = [row for row in rows if row["quote_currency"] == currency]
        table(
            f"Funds as of {instant(day['as_of'])}: {money(day['funds'], currency)} {currency} by {day['method']}",
            ALLOCATION_COLUMNS,
            [
                (
                    row["bot"],
                    text(row.get("strategy_id")),
                    text(row["ticker"]),
                    number(row["rank"]),
                    money(row["amount"], row["quote_currency"]),
                    number(100 * row["amount"] / day["funds"] if day["funds"] else None, 1),
                    row["reason"],
                )
                for row in own
            ],
        )
        explain_estimates(own)
        out.print(
            f"{money(day['allocated'], currency)} {currency} to {number(day['funded'])} of {number(day['bots'])} "
            f"bots; cash {money(day['cash'], currency)}: {day['cash_reason']}.\n"
        )


def show_explanation(bot: str, sentences: Sequence[str]) -> None:
    """One sentence a step."""
    out.print(strong(f"How the amount of {bot} comes about"))
    for number_, sentence in enumerate(sentences, 1):
        out.print(f"{number_}. {sentence}")


def show_settings(settings: Sequence[Record]) -> None:
    """The settings of each currency, a column."""
    figures: tuple[tuple[str, str, int], ...] = (
        ("funds", "currency", 2),
        ("method", "", 0),
        ("bot_cap", "%", 1),
        ("ticker_cap", "%", 1),
        ("minimum_ticket", "currency", 2),
        ("caution", "P(edge > 0)", 2),
        ("same_edge_limit", "P(same edge)", 2),
        ("drawdown_limit", "%", 1),
        ("daily_loss_limit", "%", 1),
        ("cool_down_hours", "h", 1),
    )
    columns: list[tuple[str, Justify]] = [("setting", "left"), ("unit", "left")]
    columns += [(row["quote_currency"], "right") for row in settings]
    lines = [
        (name.replace("_", " "), unit, *(_setting(row, name, unit, decimals) for row in settings))
        for name, unit, decimals in figures
    ]
    since = [instant(row["in_force_from"]) if row["in_force_from"] else "always" for row in settings]
    lines += [("in force from", "", *since)]
    lines += [("set by", "", *(f"{row['author']}: {row['reason']}" for row in settings))]
    table("Fund settings", columns, lines)


def _setting(row: Record, name: str, unit: str, decimals: int) -> str:
    value = row[name]
    if name == "caution" and value is None:
        return "ungated"
    if unit == "currency":
        return money(value, row["quote_currency"])
    return str(value) if not unit else number(100 * value if name.endswith("_cap") else value, decimals)
