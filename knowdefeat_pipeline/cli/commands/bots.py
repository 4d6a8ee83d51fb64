"""`bots`: which there are, which may receive funds, and who decided that."""

from __future__ import annotations

from typing import Annotated

import typer

from knowdefeat_pipeline.cli.commands.funds import Author, Since, beginning
from knowdefeat_pipeline.cli.options import Bot, Json, database
from knowdefeat_pipeline.cli.views.output import Record, instant, number, out, print_json, table, text
from knowdefeat_pipeline.store import funds as store

app = typer.Typer(help="List bots; activate, deactivate and resume them; the history of such decisions.")

Bots = Annotated[list[int], typer.Argument(metavar="BOT…", help="One or more bots.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is kept with the decision.")]


@app.callback(invoke_without_command=True)
def bots(context: typer.Context, json: Json = False) -> None:
    """Every bot with its state and last allocation."""
    if context.invoked_subcommand is not None:
        return
    with database() as connection:
        rows = [row | {"status": status(row), "why": why(row)} for row in store.bots_table(connection)]
    if json:
        print_json(rows)
    elif not rows:
        out.print("No bots yet: they appear with their first trade. Next: knowdefeat run, or knowdefeat ingest FILE")
    else:
        table(
            "Bots",
            (
                ("bot", "right"),
                ("strategy", "left"),
                ("capital", "right"),
                ("", "left"),
                ("active", "left"),
                ("status", "left"),
                ("rank", "right"),
                ("funds", "right"),
                ("why", "left"),
            ),
            [
                (
                    str(row["bot_id"]),
                    text(row["strategy_id"]),
                    number(row["capital"]),
                    row["quote_currency"],
                    "yes" if row["is_active"] else "no",
                    row["status"],
                    number(row["rank"]),
                    number(row["amount"]),
                    row["why"],
                )
                for row in rows
            ],
        )


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


@app.command()
def activate(bots: Bots, reason: Reason, author: Author = "manual", from_: Since = None, json: Json = False) -> None:
    """Let bots receive funds."""
    _switch(bots, True, reason, author, from_, json)


@app.command()
def deactivate(bots: Bots, reason: Reason, author: Author = "manual", from_: Since = None, json: Json = False) -> None:
    """Keep funds from bots until they are activated again."""
    _switch(bots, False, reason, author, from_, json)


def _switch(bots: list[int], active: bool, reason: str, author: str, from_: Since, json: bool) -> None:
    with database() as connection:
        changed = store.set_active(connection, bots, active, author, reason, beginning(from_))
    kind = "activated" if active else "deactivated"
    unchanged = sorted(set(bots) - set(changed))
    if json:
        print_json({"kind": kind, "changed": changed, "unchanged": unchanged})
        return
    for bot in changed:
        out.print(f"Bot {bot} was {kind}.")
    for bot in unchanged:
        out.print(f"Bot {bot} was {'active' if active else 'inactive'} already.", style="dim")
    out.print("Next: knowdefeat run allocates accordingly", style="dim")


@app.command()
def resume(bots: Bots, reason: Reason, author: Author = "manual", from_: Since = None, json: Json = False) -> None:
    """Let halted bots go on: their drawdown and loss count from here."""
    with database() as connection:
        store.resume(connection, bots, author, reason, beginning(from_))
    if json:
        print_json({"kind": "resumed", "changed": sorted(set(bots))})
        return
    for bot in sorted(set(bots)):
        out.print(f"Bot {bot} was resumed.")
    out.print("Next: knowdefeat run allocates accordingly", style="dim")


@app.command()
def history(bot: Bot = None, limit: Annotated[int, typer.Option(min=1)] = 50, json: Json = False) -> None:
    """Who activated, deactivated, halted and resumed bots, when and why; the latest first."""
    with database() as connection:
        rows = store.history(connection, bot, limit)
    if json:
        print_json(rows)
    elif not rows:
        out.print("No decisions yet. Next: knowdefeat bots deactivate BOT --reason TEXT, or knowdefeat run")
    else:
        table(
            "Decisions about bots",
            (("bot", "right"), ("what", "left"), ("in force from", "left"), ("by", "left"), ("why", "left")),
            [
                (
                    str(row["bot_id"]),
                    row["kind"],
                    instant(row["in_force_from"]) if row["in_force_from"] else "always",
                    row["author"],
                    row["reason"],
                )
                for row in rows
            ],
        )
