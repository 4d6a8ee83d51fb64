"""`follow`: trades from files as they are written."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from knowdefeat_pipeline.automation.follow import Follower
from knowdefeat_pipeline.automation.freqtrade_api import TOKEN, FreqtradeApi
from knowdefeat_pipeline.cli.database import url_for_input
from knowdefeat_pipeline.cli.options import CommandError
from knowdefeat_pipeline.cli.trade_files import FileOptions, with_file_options
from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.layout import SourceError


@with_file_options
def follow(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Databases of running bots, logs that grow, or files that are written anew."),
    ],
    how: FileOptions,
    url: Annotated[
        list[str] | None,
        typer.Option(help=f"Address of a freqtrade's REST API; {TOKEN} has user:password, or a token. Repeatable."),
    ] = None,
    author: Annotated[str, typer.Option("--author", help="In whose name trades are recorded.")] = "follow",
) -> None:
    """Record the trades of files within seconds of their being written, as ingest does; Ctrl-C stops.

    The files are only read, without a lock that their writer would notice. They may be moved away, cut off or written
    anew, and need not be there yet.
    """
    settings = Settings.from_environment()
    apis = [FreqtradeApi.at(address, settings.freqtrade_token, settings.home) for address in url or ()]
    paths = list(dict.fromkeys([*(path.absolute() for path in files or ()), *(api.path for api in apis)]))
    if not paths:
        raise CommandError("Name files to follow, or --url ADDRESS.")
    for path in paths:
        if path.is_dir():
            raise SourceError(f"{path}: this is a folder; name the files in it, as in {path}/*/tradesv3.sqlite")
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    try:
        refresh = {api.path: api.refresh for api in apis}
        Follower(url_for_input(settings), paths, how.read_growing, out.print, author, refresh).run()
    except KeyboardInterrupt:
        out.print("Stopped.")
