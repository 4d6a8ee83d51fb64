"""`serve`: one part of `up` by itself, in the foreground, for whoever watches it: systemd, Compose, Kubernetes.

The command becomes the part's own program, so that signals reach it and its exit status is told to whoever started it.
The live listener is `knowdefeat live`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NoReturn

import typer

from knowdefeat_pipeline.automation.loopback import require_loopback
from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.settings import Settings, workspace

app = typer.Typer(
    no_args_is_help=True, help="One part of up by itself: the pages, the Dagster UI, its daemon, or the code server."
)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Trusted = Annotated[
    bool,
    typer.Option(
        "--trusted-network",
        help="Let --host be no loopback address: nobody reaches it but through a proxy that asks for a login.",
    ),
]
AllowHost = Annotated[
    list[str] | None, typer.Option(help="A further name under which browsers may ask: that of the proxy. Repeatable.")
]


@app.command()
def pages(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    host: Host = "127.0.0.1",
    trusted_network: Trusted = False,
    allow_host: AllowHost = None,
    dagster: Annotated[str | None, typer.Option(help="The address of the Dagster UI, to which pages lead.")] = None,
) -> None:
    """Serve the pages and the API. They need the rights of the role web alone: knowdefeat db url --role web"""
    require_loopback(host, trusted_network)
    current_url(Settings.from_environment())
    more = [f"--dagster={dagster}"] if dagster else []
    _become_web("serve", host, port, trusted_network, [*more, *_names(allow_host)])


@app.command("dagster")
def dagster_ui(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3001,
    host: Host = "127.0.0.1",
    trusted_network: Trusted = False,
    allow_host: AllowHost = None,
) -> None:
    """Serve the Dagster UI, behind the guard."""
    require_loopback(host, trusted_network)
    _prepare()
    _become_web("dagster_ui", host, port, trusted_network, _names(allow_host))


@app.command()
def daemon() -> None:
    """Run Dagster's daemon: schedules, sensors, the queue of runs. One over a database, wherever it runs."""
    settings = _prepare()
    file, named = workspace(settings)
    _become([str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(file)], named)


@app.command()
def code(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 4000,
    host: Host = "127.0.0.1",
    trusted_network: Annotated[
        bool,
        typer.Option(
            "--trusted-network",
            help="Let --host be no loopback address: nobody reaches it but the daemon and the Dagster UI.",
        ),
    ] = False,
) -> None:
    """Serve the definitions to the daemon and the Dagster UI of other hosts, and execute their runs here.

    Whoever reaches it can start runs without a login: let nobody but those two. They find it by KNOWDEFEAT_CODE_SERVER.
    """
    require_loopback(host, trusted_network)
    settings = _prepare()
    module = "knowdefeat_pipeline.definitions"
    server = [sys.executable, "-m", "knowdefeat_pipeline.automation.code_server"]
    _become([*server, "-m", module, "-h", host, "-p", str(port), "--location-name", settings.code_location])


def _prepare() -> Settings:
    """The settings, where the database has the schema that the code needs; else it is refused here, in a sentence."""
    settings = Settings.from_environment()
    current_url(settings)
    return settings


def _names(allowed: list[str] | None) -> list[str]:
    return [f"--allow-host={name}" for name in allowed or []]


def _become_web(module: str, host: str, port: int, trusted: bool, more: list[str]) -> NoReturn:
    where = [f"--host={host}", f"--port={port}", *(["--trusted-network"] if trusted else [])]
    _become([sys.executable, "-m", f"knowdefeat_pipeline.web.{module}", *where, *more])


def _become(command: list[str], named: Mapping[str, str] = MappingProxyType({})) -> NoReturn:
    own = {
        "DAGSTER_HOME": str(Settings.from_environment().dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    # A shell starts what it leaves in the background with SIGINT ignored, and Dagster then ignores SIGTERM too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(command[0], command, {**os.environ, **own, **named})  # noqa: S606 (no shell is meant)
