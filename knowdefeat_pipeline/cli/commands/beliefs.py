"""`beliefs`: what is believed of strategies, how it came about, and what is decided about learning."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.database import database, day_or_latest
from knowdefeat_pipeline.cli.options import (
    CommandError,
    Day,
    Json,
    Reason,
    Regime,
    Strategy,
    parse_regime,
    require_reason,
)
from knowdefeat_pipeline.cli.runs import materialise
from knowdefeat_pipeline.cli.views.beliefs import (
    exposure_of,
    show_beliefs,
    show_calibration,
    show_exposure,
    show_history,
    show_ledger,
)
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.tables import instant
from knowdefeat_pipeline.core.market.labels import ANY_REGIME, NEUTRAL, REGIMES
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources.replay import read_table
from knowdefeat_pipeline.store.learning_ledger import (
    last_learned,
    ledger_rows,
    record_backtest,
    record_reset,
    record_withdrawal,
)
from knowdefeat_pipeline.store.reads import Record, regime_was_seen, strategies, strategy_day, strategy_history

app = typer.Typer(help="What is believed of strategies: their win rate, edge and weight; reset, backtests, history.")


@app.callback(invoke_without_command=True)
def beliefs(
    context: typer.Context, strategy: Strategy = None, regime: Regime = None, day: Day = None, json: Json = False
) -> None:
    """What is believed of every strategy as things stand; with --strategy also under each regime, and calibration."""
    if context.invoked_subcommand:
        return
    with database() as connection:
        day = day_or_latest(connection, day, "strategy_beliefs")
        view = regime or (None if strategy else ANY_REGIME)
        rows = strategies(connection, day, strategy=strategy, regime=view)
        weights = strategy_day(connection, "strategy_weights", day)
        calibration = strategy_day(connection, "strategy_calibration", day, strategy or "*")
    _require(rows, day, strategy)
    if json:
        shown = {"day": day, "regimes": _regime_shares(weights), "exposure": exposure_of(weights)}
        print_json({**shown, "beliefs": rows, "calibration": calibration})
        return
    show_beliefs(f"Beliefs as of {instant(rows[0]['as_of'])}", rows)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in _regime_shares(weights).items() if share)
    out.print(f"Regimes that hold, by trades: {shares or 'not known (no market data)'}.", style="dim")
    show_exposure(weights)
    if strategy:
        show_calibration(calibration)


def _require(rows: list[Record], day: date, strategy: str | None) -> None:
    if not rows:
        about = f" for {strategy!r}" if strategy else ""
        raise CommandError(
            f"No beliefs{about} on {day}. List strategies: knowdefeat beliefs. See which days are computed: "
            f"knowdefeat db status. Compute this one: knowdefeat run --from {day} --to {day}"
        )


def _regime_shares(weights: list[Record]) -> dict[str, float]:
    """The share of each regime that holds now, by the trades of the trailing 30 days."""
    return {name: weights[0][f"p_{name.lower()}"] for name in REGIMES} if weights else {}


@app.command()
def recommend(
    regime: Annotated[
        str, typer.Option("--regime", parser=parse_regime, metavar="NAME", help=f"{', '.join(REGIMES)}.")
    ],
    day: Day = None,
    json: Json = False,
) -> None:
    """The strategies that suit a regime, the largest believed edge in it first."""
    with database() as connection:
        day = day_or_latest(connection, day, "strategy_beliefs")
        rows = strategies(connection, day, regime=regime)
        seen = regime == ANY_REGIME or regime_was_seen(connection, regime)
    _require(rows, day, None)
    if json:
        print_json(rows)
        return
    show_beliefs(
        f"Strategies for {'the regimes that hold' if regime == ANY_REGIME else regime}, "
        f"as of {instant(rows[0]['as_of'])}",
        rows,
    )
    show_exposure(rows)
    if not seen:
        out.print(f"No bar of the market data was {regime}, so this is the order over all regimes.", style="yellow")
    sure = [row["strategy_id"] for row in rows if row["edge_low"] > 0]
    out.print(
        f"Their edge is above 0 with 95 % probability: {', '.join(sure)}."
        if sure
        else "No edge is above 0 with 95 % probability yet: the order may be luck.",
        style="dim",
    )


@app.command()
def history(
    strategy: Strategy = None,
    days: Annotated[int, typer.Option(min=1, help="How many days back.")] = 30,
    json: Json = False,
) -> None:
    """What was believed day after day, as things stood."""
    with database() as connection:
        last = day_or_latest(connection, None, "strategy_beliefs")
        rows = strategy_history(connection, [strategy] if strategy else None, days)
    _require(rows, last, strategy)
    if json:
        print_json(rows)
        return
    show_history(rows)


@app.command()
def ledger(json: Json = False) -> None:
    """The backtests learned, their withdrawals, and the resets: what was decided about learning."""
    with database() as connection:
        rows = ledger_rows(connection)
    if json:
        print_json(rows)
    elif not rows:
        out.print("No decisions yet: beliefs rest on the trades alone.")
    else:
        show_ledger(rows)


@app.command()
def reset(reason: Reason, strategy: Strategy = None, json: Json = False) -> None:
    """Forget what was learned of a strategy, or of all: it is believed to be like one that never traded."""
    with database() as connection:
        record_reset(connection, strategy, require_reason(reason))
    _learn_again(f"Reset {strategy or 'all strategies'}.", json)


@app.command("learn-backtest")
def learn_backtest(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: time, strategy_id, result and, if known, regime.")],
    source: Annotated[str, typer.Option(help="The name under which its outcomes stand.")],
    discount: Annotated[float, typer.Option(help="What each outcome counts beside a real one, above 0 and at most 1.")],
    json: Json = False,
) -> None:
    """Learn the outcomes of a backtest, discounted, under a name of their own; the same file twice changes nothing.

    Results are in any unit, for each strategy its own: they are measured by what it usually makes or loses.
    """
    if not 0 < discount <= 1:
        raise typer.BadParameter(f"--discount {discount:g}: above 0 and at most 1, for instance 0.3")
    if not source.strip():
        raise typer.BadParameter("--source is empty; give the backtest a name")
    rows = _backtest(file)
    with database() as connection:
        is_new = record_backtest(connection, rows, source, discount)
    strategies = counted(rows["strategy_id"].nunique(), "strategy", "strategies")
    report = f"{source}: {counted(len(rows), 'outcome')} of {strategies}, each counting {discount:g}."
    if is_new:
        _learn_again(report, json)
    else:
        _tell(f"{report} They had been learned before; nothing changed.", None, json)


def _backtest(file: Path) -> pd.DataFrame:
    """Its outcomes in the order of time, measured."""
    from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility, standardise

    frame = read_table(file, {"time": "time", "strategy_id": "text", "result": "amount"}, {"regime": "text"})
    frame = frame.rename(columns={"time": "exit_time"})
    regime = frame["regime"].str.upper() if "regime" in frame else pd.Series(None, index=frame.index, dtype="str")
    bad = regime.notna() & ~regime.isin([*REGIMES, NEUTRAL])
    if bad.any():
        raise CommandError(
            f"{file}: row {int(bad.to_numpy().argmax()) + 1}: {frame['regime'][bad].iloc[0]!r} is no regime; write "
            f"{', '.join(REGIMES)}, or leave the cell empty"
        )
    frame = frame.assign(regime=regime.where(regime != NEUTRAL)).sort_values(
        "exit_time", kind="stable", ignore_index=True
    )
    result, _ = standardise(frame["result"].to_numpy(float), frame["strategy_id"].to_numpy(str), Volatility.unknown())
    return frame.assign(result=result)[["exit_time", "strategy_id", "regime", "result"]]


@app.command()
def withdraw(
    name: Annotated[str, typer.Argument(help="The backtest's name.")], reason: Reason, json: Json = False
) -> None:
    """Withdraw a backtest, as if it had never been learned; it stays on record."""
    with database() as connection:
        record_withdrawal(connection, name, require_reason(reason))
    _learn_again(f"Withdrew {name}.", json)


def _learn_again(done: str, json: bool) -> None:
    """Learn the last day anew, so that what was decided shows at once."""
    with database() as connection:
        learned = last_learned(connection)
    if learned is None:
        _tell(f"{done} It takes effect once trades have been learned. Next: knowdefeat run", None, json)
        return
    outcome = materialise(learned[0], learned[0], quiet=json, beliefs_only=True)
    _tell(f"{done} The beliefs of {learned[0]} were recomputed. Next: knowdefeat beliefs", outcome.run_id, json)


def _tell(message: str, run_id: str | None, json: bool) -> None:
    if json:
        print_json({"message": message, "run_id": run_id})
    else:
        out.print(message)
