"""`db roles`, `db rotate` and `db role`: who may do what in the database, and with which password."""

from __future__ import annotations

from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import current_administrator, current_url, passwords
from knowdefeat_pipeline.cli.options import Json
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.tables import NOTHING, table
from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable
from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Roles of single bots.")

RoleName = Annotated[
    str, typer.Argument(metavar="ROLE", help="owner, pipeline, web, bot, reader, or a bot's role by its name.")
]


def full_name(role: str) -> str:
    """The role's name in the server; the five go by short names."""
    return roles.ROLES[role].name if role in roles.ROLES else role


def role_url(settings: Settings, role: str) -> str:
    """The database's URL for a role."""
    return roles.login_url(current_administrator(settings), full_name(role), passwords(settings))


def program_url(settings: Settings, role: str) -> str:
    """The same for a program of ours, which goes on by the next password when this one is changed."""
    return roles.url_by_file(role_url(settings, role), full_name(role), passwords(settings))


def list_roles(json: Json = False) -> None:
    """The roles of the database: what each may do, and which can log in."""
    with connect(current_url()) as connection:
        found = {state.name: state for state in roles.states(connection)}
        missing = roles.lacking(connection)
    fixed = {role.name: role for role in roles.ROLES.values()}
    records = [
        {
            "role": role.short if (role := fixed.get(state.name)) else state.name,
            "name": state.name,
            "may": role.may if role else _bots_of(state.bots),
            "logs_in": state.logs_in,
        }
        for state in found.values()
    ]
    if json:
        print_json({"roles": records, "missing": missing})
        return
    rows = [(str(r["role"]), str(r["may"]), "yes" if r["logs_in"] else NOTHING) for r in records]
    table("Roles", (("role", "left"), ("may", "left"), ("logs in", "left")), rows)
    if missing:
        out.print(printable(missing), soft_wrap=True)


def _bots_of(bots: list[str] | None) -> str:
    whose = f"bots {', '.join(bots)}" if bots else "any bot"
    return f"adds, closes and reads trades of {whose}"


def rotate(role: RoleName) -> None:
    """Give a role a new password and the settings it was made with, and print its URL; open sessions stay."""
    settings = Settings.from_environment()
    typer.echo(roles.rotate(current_administrator(settings), full_name(role), passwords(settings)))


@app.command("bot")
def bot_role(
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits and underscores.")],
    bots: Annotated[
        str | None,
        typer.Option("--bots", metavar="BOT,…", help="The bots that it may write, by their names; any by default."),
    ] = None,
) -> None:
    """Make a role for one bot or some, or bind one anew, and print its URL."""
    settings = Settings.from_environment()
    typer.echo(roles.make_bot(current_administrator(settings), name, _names(bots), passwords(settings)))


@app.command("remove")
def remove_role(name: Annotated[str, typer.Argument(help="A role that db role bot made.")]) -> None:
    """Remove a bot's role; its trades stay."""
    settings = Settings.from_environment()
    roles.remove_bot(current_administrator(settings), name, passwords(settings))
    err.print(f"Removed {name}.")


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not (name and is_plain_name(name)):
            raise typer.BadParameter(f"{text!r} are no bots; write their names as 1,2,grid-eth-01; {PLAIN_NAME}")
    return names
