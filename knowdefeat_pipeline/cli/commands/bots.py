"""`bots`: which there are, which may receive funds, and who decided that."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import database
from knowdefeat_pipeline.cli.options import (
    Author,
    Bot,
    CommandError,
    InForceFrom,
    Json,
    Limit,
    Reason,
    in_force_from,
    require_reason,
)
from knowdefeat_pipeline.cli.views.bots import show_bot, show_bots, show_decisions, status, why
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.sources.reading import LEAST_CAPITAL, MOST_CAPITAL
from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.bots import set_bot

app = typer.Typer(
    help="List bots; say what they are; activate, deactivate and resume them; the history of such decisions."
)

Bots = Annotated[list[str], typer.Argument(metavar="BOT…", help="One or more bots, by their names.")]


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


def _switch(bots: list[str], active: bool, reason: str, author: str, from_: InForceFrom, json: bool) -> None:
    bots = [*dict.fromkeys(bots)]
    with database() as connection:
        changed = store.set_active(connection, bots, active, author, require_reason(reason), in_force_from(from_))
    kind = "activated" if active else "deactivated"
    unchanged = [bot for bot in bots if bot not in changed]
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
    bots = [*dict.fromkeys(bots)]
    with database() as connection:
        store.resume(connection, bots, author, require_reason(reason), in_force_from(from_))
    if json:
        print_json({"kind": "resumed", "changed": bots})
        return
    for bot in bots:
        out.print(f"Bot {bot} was resumed.")
    out.print("Next: knowdefeat run allocates accordingly", style="dim")


@app.command("set")
def set_(
    bot: Annotated[str, typer.Argument(metavar="BOT", help="The bot, by its name.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called from now on; it answers to its old names.")
    ] = None,
    capital: Annotated[
        str | None,
        typer.Option("--capital", metavar="AMOUNT|estimated", help="What it has to trade with, in its currency."),
    ] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="The quote currency of its trades.")] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="The strategy of its trades that name none.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="The account that it trades on.")] = None,
    json: Json = False,
) -> None:
    """Say what a bot is called, and what it trades with: capital, currency, strategy, account."""
    if all(option is None for option in (name, capital, currency, strategy, account)):
        raise CommandError(f"Say what to set, for instance: knowdefeat bots set {quote(bot)} --capital 5000")
    estimated = capital == "estimated"
    amount = None if capital is None or estimated else parse_capital(capital)
    with database() as connection:
        row = set_bot(
            connection, bot, name=name, capital=amount, estimated=estimated, currency=currency, strategy=strategy,
            account=account,
        )  # fmt: skip
    if json:
        print_json(row)
        return
    show_bot(row)
    out.print("Next: knowdefeat run computes what rests on it", style="dim")


def parse_capital(value: str) -> float:
    """An amount that a bot may have: above 0."""
    try:
        amount = float(value.replace(",", ""))
    except ValueError:
        amount = 0.0
    if not LEAST_CAPITAL <= amount < MOST_CAPITAL:
        raise CommandError(f"--capital {value}: write an amount above 0, such as 5000, or: estimated")
    return amount


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
