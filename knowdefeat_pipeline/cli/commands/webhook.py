"""`webhook`: what others are told of, and what became of it."""

from __future__ import annotations

import typer

from knowdefeat_pipeline.automation.webhooks import secret_of
from knowdefeat_pipeline.cli.database import database
from knowdefeat_pipeline.cli.options import Json, Limit
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.tables import Justify, instant, number, table, text
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store import outbox

app = typer.Typer(
    help="Events for the address of KNOWDEFEAT_WEBHOOK_URL: list them, the secret that signs them, retry."
)

COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("occurred (UTC)", "left"),
    ("event", "left"),
    ("state", "left"),
    ("tries", "right"),
    ("why", "left"),
)


@app.callback(invoke_without_command=True)
def events(context: typer.Context, limit: Limit = 50, json: Json = False) -> None:
    """The last events and whether they were taken, the latest first."""
    if context.invoked_subcommand is not None:
        return
    with database() as connection:
        rows = outbox.last_events(connection, limit)
    if json:
        print_json(rows)
    elif not rows:
        out.print("No events yet: failed runs, halted bots, published weights, held rows and stale results are some.")
    else:
        table(
            "Events for the webhook",
            COLUMNS,
            [
                (
                    instant(row["occurred_at"]),
                    f"{row['kind']}: {row['told']}",
                    row["state"],
                    number(row["attempts"]),
                    text(row["last_error"]),
                )
                for row in rows
            ],
        )


@app.command()
def secret() -> None:
    """Print the secret by which a receiver knows that events are ours; it is made where there is none."""
    typer.echo(secret_of(Settings.from_environment()))


@app.command()
def retry() -> None:
    """Let events that were given up be sent once more."""
    with database() as connection:
        count = outbox.retry_given_up(connection)
    out.print(f"{counted(count, 'event is', 'events are')} sent once more by: knowdefeat up")
