"""`report`: all that is known of one bot as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import current_url, day_or_latest
from knowdefeat_pipeline.cli.files import replacing
from knowdefeat_pipeline.cli.options import CommandError, Day
from knowdefeat_pipeline.cli.views.output import out, strong
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.bots import bot_keys
from knowdefeat_pipeline.store.tear_sheets import read_tear_sheet


def report(
    bot: Annotated[str, typer.Argument(help="The bot, by its name.")],
    out_: Annotated[Path, typer.Option("--out", help="The .html file to write.")],
    day: Day = None,
) -> None:
    """A tear sheet of one bot: one page with its pictures, for any browser and without a network."""
    from knowdefeat_pipeline.cli.views.tear_sheet import tear_sheet_page  # with Dagster, which few commands need

    if out_.suffix != ".html":
        raise CommandError(f"{out_}: write an .html file")
    url = current_url()
    with connect(url) as connection:
        key = bot_keys(connection, [bot])[0]
        day = day_or_latest(connection, day, "bot_rankings")
        sheet = read_tear_sheet(connection, url, key, day)
    if sheet is None:
        raise CommandError(
            f"Nothing was computed of bot {printable(bot)} on {day}. Compute more: knowdefeat run --from DAY --to DAY"
        )
    with replacing(out_) as file:
        file.write(tear_sheet_page(sheet).encode())
    out.print(strong(str(out_)), f"bot {printable(bot)} as of {sheet.metrics['as_of']:%Y-%m-%d %H:%M} UTC")
