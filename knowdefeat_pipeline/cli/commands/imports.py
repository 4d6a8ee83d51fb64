"""`imports`: the files and batches that were taken in, and undoing one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from knowdefeat_pipeline.cli.database import current_time, current_url
from knowdefeat_pipeline.cli.options import Author, Json, Limit
from knowdefeat_pipeline.cli.views.output import out, print_json, strong
from knowdefeat_pipeline.cli.views.tables import number, table
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.store import imports as store

app = typer.Typer(no_args_is_help=True, help="What was taken in: list, show, undo.")
Number = Annotated[int, typer.Argument(help="The import's number in `imports list`.")]


@app.command("list")
def list_(limit: Limit = 50, json: Json = False) -> None:
    """The last imports, the latest first."""
    rows = store.list_imports(current_url(), limit)
    if json:
        print_json([asdict(row) for row in rows])
    elif not rows:
        out.print("No imports yet. Next: knowdefeat ingest FILE")
    else:
        table(
            "Imports",
            (
                ("no.", "right"),
                ("at (UTC)", "left"),
                ("file", "left"),
                ("new", "right"),
                ("updated", "right"),
                ("replaced", "right"),
                ("held", "right"),
                ("", "left"),
            ),
            [
                (
                    str(row.import_id),
                    f"{row.imported_at:%Y-%m-%d %H:%M}",
                    row.file_name,
                    number(row.inserted),
                    number(row.updated),
                    number(row.replaced),
                    number(row.held),
                    "undone" if row.undone_at else "",
                )
                for row in rows
            ],
        )
        out.print("Next: knowdefeat imports show NO., or undo NO.", style="dim")


@app.command()
def show(import_id: Number, json: Json = False) -> None:
    """One import: where it came from, how it was read, and what became of its rows."""
    row = store.show_import(current_url(), import_id)
    if json:
        print_json(asdict(row))
        return
    out.print(
        Text.assemble(
            strong(f"Import {row.import_id}: {printable(row.file_name)}"),
            f" ({printable(row.source)}), {row.imported_at:%Y-%m-%d %H:%M:%S} UTC by {printable(row.author)}",
        )
    )
    if row.undone_at:
        out.print(
            f"Undone at {row.undone_at:%Y-%m-%d %H:%M:%S} UTC by {printable(row.undone_by or '')}", style="yellow"
        )
    out.print(
        f"{number(row.rows_read)} rows: {number(row.inserted)} new, {number(row.updated)} updated, "
        f"{number(row.replaced)} replaced, {number(row.unchanged)} known, {number(row.quarantined)} quarantined "
        f"({number(row.held)} held still)"
    )
    for note in row.notes:
        out.print(f"  {printable(note)}", style="dim")
    columns = [(field, column) for field, column in row.layout["columns"].items()]
    table("Read as", (("field", "left"), ("column", "left")), columns)
    if row.content_hash:
        out.print(f"SHA-256 {row.content_hash}", style="dim", soft_wrap=True)


@app.command()
def undo(import_id: Number, author: Author = "manual", json: Json = False) -> None:
    """Take an import back: its trades go, and what it had replaced is what it was before."""
    url = current_url()
    undone = store.undo_import(url, import_id, author, current_time(url))
    if json:
        print_json(asdict(undone))
        return
    out.print(f"Import {import_id} was undone: {number(undone.removed)} trades removed.")
    if undone.restored:
        out.print(f"  {number(undone.restored)} trades are again what was recorded before.")
    if undone.kept:
        out.print(f"  {number(undone.kept)} trades stay, as a later import has them too (knowdefeat imports list).")
    if undone.discarded:
        out.print(f"  {number(undone.discarded)} rows in quarantine were discarded with it.")
    if undone.released:
        out.print(f"  {number(undone.released)} held rows that had stood against its trades were recorded.")
    out.print("Next: knowdefeat run recomputes the days that it touched", style="dim")
