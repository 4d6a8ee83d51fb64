"""`export`: trades, and what was computed of them, as files for other programs."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.files import replacing, write_batches
from knowdefeat_pipeline.cli.options import Bot, CommandError, FileFormat, Format, From, OutputOrPipe, To, check_order
from knowdefeat_pipeline.cli.views.output import out, strong
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.exports import Exported, exported

ENDINGS: dict[str, FileFormat] = {".csv": "csv", ".parquet": "parquet", ".json": "json"}


def export(
    what: Annotated[Exported, typer.Argument(help="What to write.")],
    format_: Format = None,
    from_: From = None,
    to: To = None,
    bot: Bot = None,
    out_: OutputOrPipe = None,
) -> None:
    """Write trades, rankings, metrics, weights or allocations, by default of all days and bots.

    Trades are of the day of their exit, open ones of their entry; `ingest` reads them back as they are.
    """
    form = format_ or ENDINGS.get(out_.suffix if out_ else "", "csv")
    if bot is not None and what == "weights":
        raise CommandError("Weights are those of all bots: leave out --bot")
    check_order(from_, to)
    if out_ is None and form == "parquet":
        raise CommandError("Parquet is no text: name a file with --out FILE")
    url = current_url()
    with connect(url) as connection:
        key = None if bot is None else bot_keys(connection, [bot])[0]
    try:
        with (
            exported(url, what, from_, to, key) as batches,
            replacing(out_) if out_ else nullcontext(sys.stdout.buffer) as file,
        ):
            rows = write_batches(batches, file, form)
            file.flush()
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if out_:
        out.print(strong(str(out_)), _told(what, rows))


def _told(what: Exported, rows: int) -> str:
    return counted(rows, "trade" if what == "trades" else "row")
