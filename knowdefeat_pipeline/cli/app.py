"""All commands in one place, and how their errors appear."""

from __future__ import annotations

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
    funds,
    imports,
    live,
    market,
    metrics,
    quarantine,
    ranking,
    run,
    simulate,
    trades,
    up,
    weights,
)
from knowdefeat_pipeline.cli.views.output import err
from knowdefeat_pipeline.errors import KnowDefeatError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Which trading bots are good, which were lucky, and where the money should go next.",
)
app.command()(run.run)
app.command()(up.up)
app.command()(live.live)
app.command()(backfill.backfill)
app.command()(days.days)
app.command()(backtest.backtest)
app.command()(trades.ingest)
app.command("ingest-bars")(market.ingest_bars)
app.command("ingest-books")(market.ingest_books)
app.command("simulate")(simulate.simulate_command)
app.command()(metrics.metrics)
app.command()(metrics.streaks)
app.command()(ranking.rankings)
app.command()(market.regimes)
app.command()(decisions.consensus)
app.command()(decisions.size)
app.command()(funds.allocate)
app.command()(doctor.doctor)
app.add_typer(weights.app, name="weights")
app.add_typer(beliefs.app, name="beliefs")
app.add_typer(funds.app, name="funds")
app.add_typer(bots.app, name="bots")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(imports.app, name="imports")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(database.app, name="db")


def main() -> None:
    """Run a command; an error that a person can mend is a message and exit status 1, not a traceback."""
    try:
        app()
    except KnowDefeatError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        lost = _lost_connection(error)
        if lost is None:
            raise
        _fail(
            f"Lost the connection to the database: {' '.join(str(lost).split())}\n"
            "What was under way is undone or will be done again. See: knowdefeat db status. Then run the command again."
        )


def _lost_connection(error: BaseException | None) -> BaseException | None:
    """The driver's error where a connection broke, also below what SQLAlchemy or Dagster made of it."""
    from sqlalchemy import exc  # 0.1 s that only a failure should pay

    while error is not None:
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            return error
        if isinstance(error, (exc.OperationalError, exc.InterfaceError)):
            return error.orig
        error = error.__cause__
    return None


def _fail(message: str) -> None:
    err.print("Error: ", end="", style="bold red")
    err.print(message)
    sys.exit(1)
