"""All commands in one place, and how their errors appear."""

from __future__ import annotations

import inspect
import os
import re
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import psycopg
import typer

from knowdefeat_pipeline.cli.commands import (
    backfill,
    backtest,
    beliefs,
    bots,
    database,
    days,
    decisions,
    demo,
    doctor,
    evaluate,
    export,
    follow,
    funds,
    imports,
    live,
    market,
    metrics,
    plan,
    quarantine,
    ranking,
    report,
    run,
    serve,
    simulate,
    skill,
    tokens,
    trades,
    up,
    webhook,
    weights,
)
from knowdefeat_pipeline.cli.commands.state import show_state
from knowdefeat_pipeline.cli.views.output import err, make_plain, out
from knowdefeat_pipeline.errors import Interrupted, KnowDefeatError
from knowdefeat_pipeline.postgres.remedies import remedy_of

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    """What was installed: of a clone, the version of the commit that `make install` found."""
    if asked:
        out.print(f"knowdefeat {metadata.version('knowdefeat-pipeline')}")
        raise typer.Exit


def _print_plainly(asked: bool) -> None:
    if asked:
        make_plain()


@app.callback()
def knowdefeat(
    context: typer.Context,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Print as into a file: no colour, nothing that moves. Before the command.",
            callback=_print_plainly,
            is_eager=True,  # so that --help after it is plain too
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version, and nothing else.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Which trading bots are good, which were lucky, and where the money should go next.

    Without a command: how things stand, and the next step.
    """
    if context.invoked_subcommand is None:
        show_state()


def _commands(wanted: str, *commands: tuple[Callable[..., Any] | typer.Typer, str]) -> None:
    """Commands, and groups of them, under the heading of what one wants."""
    for command, name in commands:
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=wanted)
        else:
            app.command(name, rich_help_panel=wanted)(command)


_commands(
    "Start, and see where you are",
    (run.run, "run"),
    (demo.demo, "demo"),
    (up.up, "up"),
    (doctor.doctor, "doctor"),
)
_commands(
    "Bring trades and market data",
    (trades.ingest, "ingest"),
    (follow.follow, "follow"),
    (market.ingest_bars, "ingest-bars"),
    (market.ingest_books, "ingest-books"),
    (simulate.simulate_command, "simulate"),
    (quarantine.app, "quarantine"),
    (imports.app, "imports"),
)
_commands(
    "Judge bots",
    (ranking.rankings, "rankings"),
    (skill.skill, "skill"),
    (metrics.metrics, "metrics"),
    (metrics.streaks, "streaks"),
    (report.report, "report"),
    (export.export, "export"),
)
_commands(
    "Divide money over bots",
    (funds.app, "funds"),
    (funds.allocate, "allocate"),
    (bots.app, "bots"),
    (backtest.app, "backtest"),
)
_commands("Weigh what counts", (weights.app, "weights"), (evaluate.app, "evaluate"))
_commands(
    "Markets and strategies",
    (market.regimes, "regimes"),
    (beliefs.app, "beliefs"),
    (decisions.consensus, "consensus"),
    (decisions.size, "size"),
)
_commands(
    "Run it day and night",
    (days.days, "days"),
    (plan.plan, "plan"),
    (backfill.backfill, "backfill"),
    (live.live, "live"),
    (serve.app, "serve"),
    (tokens.app, "token"),
    (webhook.app, "webhook"),
    (database.app, "db"),
)


def _let_help_flow(of: typer.Typer) -> None:
    """Lines of a docstring end where its file is full; in a terminal of another width they would break sentences."""
    for command in of.registered_commands:
        command.help = re.sub(r"(?<=\S)\n(?=\S)", " ", command.help or inspect.getdoc(command.callback) or "")
    for group in of.registered_groups:
        if group.typer_instance:
            _let_help_flow(group.typer_instance)


_let_help_flow(app)

DATABASE_TROUBLE = "operations.md#what-failures-look-like"
UNDONE = "What was under way is undone or will be done again."


def main() -> None:
    """Run a command; an error that a person can mend is a message and exit status 1, not a traceback."""
    signals = _noted_signals()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except Interrupted as stopped:
        err.print(str(stopped))
        sys.exit(128 + (_last_of(signals) or signal.SIGINT))
    except KnowDefeatError as error:
        _fail(str(error), error.page)
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(128 + (_last_of(signals) or signal.SIGINT))
    except Exception as error:
        told = _trouble_of_the_database(error)
        if told is None:
            raise
        _fail(told, DATABASE_TROUBLE)


def _noted_signals() -> int:
    """A descriptor from which the signals that arrive from now on can be read, whoever handles them.

    Within a run Dagster does, and does not say which it was.
    """
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _last_of(signals: int) -> int | None:
    try:
        return os.read(signals, 65_536)[-1]
    except BlockingIOError:
        return None


def _trouble_of_the_database(error: BaseException | None) -> str | None:
    """What to tell where a connection broke, or the server refused what can be mended, also below what SQLAlchemy or
    Dagster made of it."""
    import adbc_driver_manager as adbc
    from sqlalchemy import exc  # 0.1 s that only a failure should pay

    while error is not None:
        found = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
        said = " ".join(str(found).split())
        if isinstance(error, (psycopg.Error, adbc.Error, exc.DBAPIError)) and (advice := remedy_of(found)):
            return f"The database refused: {said}\n{UNDONE} {advice}"
        if isinstance(
            error, (psycopg.OperationalError, psycopg.InterfaceError, exc.OperationalError, exc.InterfaceError)
        ):
            return (
                f"Lost the connection to the database: {said}\n"
                f"{UNDONE} See: knowdefeat db status. Then run the command again."
            )
        error = error.__cause__
    return None


def _fail(message: str, page: str | None) -> None:
    err.print("Error: ", end="", style="bold red")
    err.print(message)
    if page:
        err.print(f"More: docs/{page}", style="dim")
    sys.exit(1)
