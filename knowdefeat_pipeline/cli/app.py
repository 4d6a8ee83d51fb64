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
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(database.app, name="db")


def main() -> None:
    """Run a command; an error that a person can mend is a message and exit status 1, not a traceback."""
    try:
        app()
    except KnowDefeatError as error:
        _fail(str(error))
    except psycopg.OperationalError as error:
        _fail(f"Lost the connection to the database: {error}\nSee: knowdefeat db status")
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> None:
    err.print("Error: ", end="", style="bold red")
    err.print(message)
    sys.exit(1)
