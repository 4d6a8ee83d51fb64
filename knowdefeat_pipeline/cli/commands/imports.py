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
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.store import imported
from knowdefeat_pipeline.store import imports as store

app = typer.Typer(no_args_is_help=True, help="What was taken in: list, show, undo.")
Number = Annotated[int, typer.Argument(help="The import's number in `imports list`.")]


@app.command("list")
def list_(limit: Limit = 50, json: Json = False) -> None:
    """The last imports, the latest first."""
    rows = imported.list_imports(current_url(), limit)
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
                ("known", "right"),
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
                    number(row.unchanged),
                    number(row.held),
                    "undone" if row.undone_at else "",
                )
                for row in rows
            ],
            spare=("replaced", "updated", "known"),
        )
        out.print("Next: knowdefeat imports show NO., or undo NO.", style="dim")


@app.command()
def show(import_id: Number, json: Json = False) -> None:
    """One import: where it came from, how it was read, and what became of its rows."""
    row = imported.show_import(current_url(), import_id)
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
        f"{counted(row.rows_read, 'row')}: {number(row.inserted)} new, {number(row.updated)} updated, "
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
    out.print(f"Import {import_id} was undone: {counted(undone.removed, 'trade')} removed.")
    if undone.restored:
        out.print(f"  {counted(undone.restored, 'trade is', 'trades are')} again what was recorded before.")
    for heir, trades in undone.heirs.items():
        out.print(f"  {counted(trades, 'trade stays', 'trades stay')}, as import {heir} has the same.")
    if undone.discarded:
        out.print(
            f"  {counted(undone.discarded, 'row in quarantine was', 'rows in quarantine were')} discarded with it."
        )
    if undone.released:
        was = counted(
            undone.released,
            "held row that had stood against its trades was",
            "held rows that had stood against its trades were",
        )
        out.print(f"  {was} recorded.")
    if undone.refused:
        rows = counted(undone.refused, "row of other imports is", "rows of other imports are")
        out.print(f"  {rows} held now, as without it they contradict an earlier one: knowdefeat quarantine list")
    out.print("Next: knowdefeat run recomputes the days that it touched", style="dim")
