"""`bots`: which there are, which may receive funds, and who decided that."""

from __future__ import annotations

from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import database
from knowdefeat_pipeline.cli.options import Author, Bot, InForceFrom, Json, Limit, Reason, in_force_from, require_reason
from knowdefeat_pipeline.cli.views.bots import show_bots, show_decisions, status, why
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.store import funds as store

app = typer.Typer(help="List bots; activate, deactivate and resume them; the history of such decisions.")

Bots = Annotated[list[int], typer.Argument(metavar="BOT…", help="One or more bots.")]


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
        show_bots(rows)


@app.command()
def activate(
    bots: Bots, reason: Reason, author: Author = "manual", from_: InForceFrom = None, json: Json = False
) -> None:
    """Let bots receive funds."""
    _switch(bots, True, reason, author, from_, json)


@app.command()
def deactivate(
    bots: Bots, reason: Reason, author: Author = "manual", from_: InForceFrom = None, json: Json = False
) -> None:
    """Keep funds from bots until they are activated again."""
    _switch(bots, False, reason, author, from_, json)


def _switch(bots: list[int], active: bool, reason: str, author: str, from_: InForceFrom, json: bool) -> None:
    with database() as connection:
        changed = store.set_active(connection, bots, active, author, require_reason(reason), in_force_from(from_))
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
def resume(
    bots: Bots, reason: Reason, author: Author = "manual", from_: InForceFrom = None, json: Json = False
) -> None:
    """Let halted bots go on: their drawdown and loss count from here."""
    with database() as connection:
        store.resume(connection, bots, author, require_reason(reason), in_force_from(from_))
    if json:
        print_json({"kind": "resumed", "changed": sorted(set(bots))})
        return
    for bot in sorted(set(bots)):
        out.print(f"Bot {bot} was resumed.")
    out.print("Next: knowdefeat run allocates accordingly", style="dim")


@app.command()
def history(bot: Bot = None, limit: Limit = 50, json: Json = False) -> None:
    """Who activated, deactivated, halted and resumed bots, when and why; the latest first."""
    with database() as connection:
        rows = store.history(connection, bot, limit)
    if json:
        print_json(rows)
    elif not rows:
        out.print("No decisions yet. Next: knowdefeat bots deactivate BOT --reason TEXT, or knowdefeat run")
    else:
        show_decisions(rows)
