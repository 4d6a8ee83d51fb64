"""Bots with their state, and the decisions about them."""

from __future__ import annotations

from collections.abc import Sequence

from knowdefeat_pipeline.cli.views.output import Record
from knowdefeat_pipeline.cli.views.skill import chance, verdict
from knowdefeat_pipeline.cli.views.tables import ESTIMATED, explain_estimates, instant, money, number, table, text


def status(row: Record) -> str:
    """A bot's state in a word: inactive, halted, unranked or active."""
    if not row["is_active"]:
        return "inactive"
    if row["halted"]:
        return "halted"
    return "unranked" if row["rank"] is None else "active"


def why(row: Record) -> str:
    """What its state or its last allocation rests on."""
    state = status(row)
    if state == "inactive":
        return f"deactivated by {row['switched_by']}: {row['switched_because']}"
    if state == "halted":
        return str(row["halted"])
    if state == "unranked":
        return f"not ranked: {row['unranked']}" if row["unranked"] else "not in the last ranking"
    if row["decision"] in ("inactive", "halted"):
        return "the next run allocates again"
    return str(row["reason"] or "nothing was allocated yet")


def show_bots(rows: Sequence[Record]) -> None:
    """Every bot with its state, its allocation, and why."""
    table(
        "Bots",
        (
            ("bot", "left"),
            ("strategy", "left"),
            ("capital", "right"),
            ("", "left"),
            ("active", "left"),
            ("status", "left"),
            ("rank", "right"),
            ("P(edge > 0)", "right"),
            ("good, or lucky", "left"),
            ("funds", "right"),
            ("why", "left"),
        ),
        [
            (
                row["bot"],
                text(row["strategy_id"]),
                capital(row),
                row["quote_currency"],
                "yes" if row["is_active"] else "no",
                row["status"],
                number(row["rank"]),
                chance(row["p_skill"]),
                verdict(row),
                money(row["amount"], row["quote_currency"]),
                row["why"],
            )
            for row in rows
        ],
        spare=("strategy", "active", "P(edge > 0)", "why", "good, or lucky", "rank"),
    )
    explain_estimates(row for row in rows if row["capital"] is not None)


def capital(row: Record) -> str:
    """What a bot has to trade with, marked where it is estimated; a dash where there is nothing to estimate it by."""
    shown = money(row["capital"], row["quote_currency"])
    return f"{ESTIMATED}{shown}" if row["capital_is_estimated"] and row["capital"] is not None else shown


def show_bot(row: Record) -> None:
    """What is said of one bot."""
    said = (
        ("bot", row["bot"]),
        ("strategy", text(row["strategy_id"])),
        ("account", text(row["account"])),
        ("currency", row["quote_currency"]),
        ("capital", capital(row)),
        ("active", "yes" if row["is_active"] else "no"),
    )
    table(f"Bot {row['bot']}", (("", "left"), ("value", "left")), said)
    explain_estimates([row] if row["capital"] is not None else [])


def show_decisions(rows: Sequence[Record]) -> None:
    """Who decided what about which bot, and why."""
    table(
        "Decisions about bots",
        (("bot", "left"), ("what", "left"), ("in force from", "left"), ("by", "left"), ("why", "left")),
        [
            (
                row["bot"],
                row["kind"],
                instant(row["in_force_from"]) if row["in_force_from"] else "always",
                row["author"],
                row["reason"],
            )
            for row in rows
        ],
    )
