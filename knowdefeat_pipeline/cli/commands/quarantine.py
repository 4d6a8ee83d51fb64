"""`quarantine`: the rows that were refused, and what becomes of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from knowdefeat_pipeline.cli.database import current_time, current_url
from knowdefeat_pipeline.cli.options import Json, Limit, parse_pairs
from knowdefeat_pipeline.cli.views.output import out, print_json, strong
from knowdefeat_pipeline.cli.views.tables import number, table, text
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.store import quarantine, quarantined

app = typer.Typer(no_args_is_help=True, help="Refused rows: list, show, release corrected, discard.")
Number = Annotated[int, typer.Argument(help="The row's number in `quarantine list`.")]


@app.command("list")
def list_(
    status: Annotated[str, typer.Option(help="held, released, discarded or any.")] = "held",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """The refused rows, with reasons."""
    if status not in ("held", "released", "discarded", "any"):
        raise typer.BadParameter(f"--status {status}: held, released, discarded or any")
    rows = quarantined.list_rows(current_url(), None if status == "any" else status, limit)
    if json:
        print_json([asdict(row) for row in rows])
    elif not rows:
        out.print("No rows in quarantine." if status == "held" else f"No rows: {status}.")
    else:
        table(
            f"Quarantine ({status})",
            (("no.", "right"), ("file", "left"), ("row", "right"), ("reason", "left"), ("message", "left")),
            [(str(r.quarantine_id), r.file_name, number(r.row_number), r.reason, r.message) for r in rows],
        )
        out.print(
            "Next: knowdefeat quarantine show NO., release NO. --set COLUMN=VALUE, or discard NO. --note TEXT",
            style="dim",
        )


@app.command()
def show(quarantine_id: Number, json: Json = False) -> None:
    """One row whole, as the file had it."""
    row = quarantined.show(current_url(), quarantine_id)
    if json:
        print_json(asdict(row))
        return
    out.print(
        Text.assemble(strong(f"Row {row.row_number} of {row.file_name}"), f" ({printable(row.source)}): {row.status}")
    )
    out.print(row.message, style="yellow")
    table("", (("column", "left"), ("value", "left")), [(name, text(value)) for name, value in row.original.items()])


@app.command()
def release(
    quarantine_id: Number,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=VALUE", help="Correct a column first (repeat as needed)."),
    ] = None,
    json: Json = False,
) -> None:
    """Correct a row and record its trade."""
    corrections = parse_pairs("--set", "COLUMN=VALUE", set_)
    url = current_url()
    recorded = quarantine.release(url, quarantine_id, corrections, current_time(url))
    if json:
        print_json({"inserted": recorded.inserted, "updated": recorded.updated, "unchanged": recorded.unchanged})
    else:
        out.print(f"Row {quarantine_id} was released. Next: knowdefeat run")


@app.command()
def discard(
    quarantine_id: Number, note: Annotated[str | None, typer.Option(help="Why.")] = None, json: Json = False
) -> None:
    """Settle a row as not wanted; it stays on record."""
    url = current_url()
    quarantine.discard(url, quarantine_id, note, current_time(url))
    if json:
        print_json({"quarantine_id": quarantine_id, "status": "discarded"})
    else:
        out.print(f"Row {quarantine_id} was discarded; it stays on record.")
