"""`token`: who may do what over HTTP."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.commands.up import running_at
from knowdefeat_pipeline.cli.database import database, owned_database
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.tables import NOTHING, instant, table
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store import tokens as store
from knowdefeat_pipeline.store.tokens import SCOPES, TokenError

app = typer.Typer(help="Tokens of programs that ask the API: list, show the first one, make and revoke them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the token is called, for instance the program's name.")]


@app.callback(invoke_without_command=True)
def tokens(context: typer.Context, json: Json = False) -> None:
    """Every token, what it lets do and whether it counts."""
    if context.invoked_subcommand is not None:
        return
    with database() as connection:
        rows = store.tokens(connection)
    if json:
        print_json(rows)
        return
    if not rows:
        out.print("No tokens yet. The first one is made by: knowdefeat up, or knowdefeat token show")
        return
    table(
        "Tokens",
        (("name", "left"), ("scope", "left"), ("made", "left"), ("expires", "left"), ("state", "left")),
        [
            (
                row["name"],
                row["scope"],
                instant(row["made_at"]),
                instant(row["expires_at"]) if row["expires_at"] else NOTHING,
                row["state"],
            )
            for row in rows
        ],
    )


@app.command()
def show() -> None:
    """Print the first token, which lets do everything; it is made where there is none."""
    with owned_database() as connection:
        typer.echo(store.ensure_first(connection, store.kept_tokens(Settings.from_environment())))


@app.command()
def login() -> None:
    """Print where a browser logs in to the pages, once and for an hour; one printed before counts no more.

    Where no `knowdefeat up` runs over this home, only the path is known.
    """
    code = secrets.token_urlsafe(32)
    with owned_database() as connection:
        store.offer_login(connection, code)
    running = running_at(Settings.from_environment().home)
    typer.echo(f"{running.pages if running else ''}/login?code={code}")
    if running is None:
        err.print("Open it on the pages, behind the address that knowdefeat up printed.", style="dim")


@app.command()
def new(
    name: Name,
    scope: Annotated[str, typer.Option("--scope", help="read; ingest: also bring trades; admin: everything.")] = "read",
    days: Annotated[int | None, typer.Option("--days", min=1, help="After how many days it expires; never.")] = None,
) -> None:
    """Make a token and print it. It cannot be shown again."""
    if scope not in SCOPES:
        raise TokenError(f"--scope {scope}: write {', '.join(SCOPES[:-1])} or {SCOPES[-1]}")
    with owned_database() as connection:
        typer.echo(store.new_token(connection, name, scope, timedelta(days=days) if days else None))
    err.print("It is shown this once. A program sends it as: Authorization: Bearer TOKEN", style="dim")


@app.command()
def revoke(name: Name) -> None:
    """Let a token count no more, from its next request on."""
    with owned_database() as connection:
        store.revoke(connection, name)
    out.print(f"Token {name} was revoked.")
