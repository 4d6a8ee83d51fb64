"""All commands in one place, and how their errors appear."""

from __future__ import annotations

import os
import signal
import sys

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
from knowdefeat_pipeline.cli.views.output import err
from knowdefeat_pipeline.errors import Interrupted, KnowDefeatError
from knowdefeat_pipeline.postgres.remedies import remedy_of

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Which trading bots are good, which were lucky, and where the money should go next.",
)
app.command()(run.run)
app.command()(up.up)
app.command()(live.live)
app.add_typer(serve.app, name="serve")
app.command()(backfill.backfill)
app.command()(plan.plan)
app.command()(days.days)
app.add_typer(backtest.app, name="backtest")
app.command()(trades.ingest)
app.command()(follow.follow)
app.command("ingest-bars")(market.ingest_bars)
app.command("ingest-books")(market.ingest_books)
app.command("simulate")(simulate.simulate_command)
app.command()(metrics.metrics)
app.command()(metrics.streaks)
app.command()(ranking.rankings)
app.command()(skill.skill)
app.command()(market.regimes)
app.command()(decisions.consensus)
app.command()(decisions.size)
app.command()(funds.allocate)
app.command()(export.export)
app.command()(report.report)
app.command()(doctor.doctor)
app.add_typer(weights.app, name="weights")
app.add_typer(beliefs.app, name="beliefs")
app.add_typer(funds.app, name="funds")
app.add_typer(bots.app, name="bots")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(imports.app, name="imports")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(tokens.app, name="token")
app.add_typer(webhook.app, name="webhook")
app.add_typer(database.app, name="db")

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
        _fail(str(error))
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(128 + (_last_of(signals) or signal.SIGINT))
    except Exception as error:
        told = _trouble_of_the_database(error)
        if told is None:
            raise
        _fail(told)


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


def _fail(message: str) -> None:
    err.print("Error: ", end="", style="bold red")
    err.print(message)
    sys.exit(1)
