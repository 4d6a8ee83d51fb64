"""`evaluate`: the learners replayed on any history, so that they can be judged from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from knowdefeat_pipeline.cli.files import check_writable, plain_numbers, read_panel, write_table
from knowdefeat_pipeline.cli.options import CommandError, Json, Output
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.core.beliefs.state import Rules, WeighingMethod
from knowdefeat_pipeline.core.learning.evidence import Evidence, evidence
from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.market.bars import PRICES
from knowdefeat_pipeline.core.market.labels import NEUTRAL, REGIMES
from knowdefeat_pipeline.core.market.regimes import label_regimes
from knowdefeat_pipeline.core.market.timeframes import BarError
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.core.skill.verdicts import false_share
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources.replay import Column, read_table

app = typer.Typer(no_args_is_help=True, help="Replay a learner on a file and write what it knew at each time.")

SERIES: dict[str, Column] = {"ticker": "text", "timeframe": "text"}
BARS: dict[str, Column] = {"open_time": "clock", **dict.fromkeys((*PRICES, "volume"), "amount")}


@app.command()
def weights(
    panel: Annotated[
        Path, typer.Option(help="CSV or Parquet: as_of, bot_id, group, volatility, 17 variables, label (money).")
    ],
    output: Output,
    scores: Annotated[Path | None, typer.Option(help="Also the score per as_of and bot, as .csv or .parquet.")] = None,
    json: Json = False,
) -> None:
    """The daily weight learner: the weights in force at each as_of, learned from labels that had ended by then.

    as_of: ISO timestamps, or plain numbers of days. label: money that the bot earned in the day after as_of, open
    trades marked to market; empty where it was flat. volatility: money per √day, known at as_of, by which money is
    divided. group: the bot's main market; bots of a group are compared among themselves first. The 17 variables are
    those of Know-Defeat. Optional: avg_drawdown_amount (money), read in place of avg_drawdown (percent);
    quarter_result and lifetime_result, which follow from the labels before as_of where the file has none; carried, the
    |pnl| of what closed with the label but had been earned before as_of and could not be marked, and absolute_pnl,
    that of all that closed with it: where more than 40 % of 60 days was carried, the weights stay.
    """
    for path in filter(None, (output, scores)):
        check_writable(path)
    history = read_panel(panel)
    learned = learn_weights(history)
    as_of = history.frame["given_as_of"].iloc[history.start[:-1]]
    in_force = pd.DataFrame(learned.weights, columns=list(VARIABLE_NAMES))
    in_force.insert(0, "as_of", as_of.array)
    write_table(in_force, output)
    if scores:
        rows = history.frame[["given_as_of", "bot_id"]].rename(columns={"given_as_of": "as_of"})
        write_table(rows.assign(score=history.rank_scores(learned.weights)), scores)
    facts = evidence(learned)
    if json:
        ic = {name: {"mean": of.mean, "standard_error": of.standard_error} for name, of in facts.ic.items()}
        money = {name: {"mean": of.mean, "standard_error": of.standard_error} for name, of in facts.money.items()}
        found = {"as_ofs": len(as_of), "days": facts.days, "rank_ic": ic, "money": money, "carried": facts.carried}
        print_json(found | {"frozen": learned.reason[-1], "statement": facts.statement})
        return
    out.print(f"{output}: weights of {counted(len(as_of), 'as_of')}.")
    if facts.days:
        _show_figures(facts)
    out.print(facts.statement)
    if learned.reason[-1]:
        out.print(f"The weights stay as they are: {learned.reason[-1]}.")


def _show_figures(facts: Evidence) -> None:
    out.print(
        f"Over {counted(facts.days, 'settled day')} the mean rank IC, and what the best quarter of the bots earned "
        "more than the worst, in a day's volatility:"
    )
    for name, of in facts.ic.items():
        earned = facts.money[name]
        out.print(
            f"  {name.ljust(len('persistence'))}  {of.mean:+.4f} ± {of.standard_error:.4f}"
            f"   {earned.mean:+.4f} ± {earned.standard_error:.4f}"
        )


@app.command()
def beliefs(
    outcomes: Annotated[
        Path, typer.Option(help="CSV or Parquet with columns time, strategy_id, result and, if known, regime.")
    ],
    output: Output,
    method: Annotated[
        WeighingMethod, typer.Option(help="Weigh by the edge, or by the probability of being best.")
    ] = "edge",
    unit: Annotated[
        str | None,
        typer.Option(help="A unit of time: a number, or 1h, 1d, … for timestamps. By default each time is one more."),
    ] = None,
    json: Json = False,
) -> None:
    """Weights and beliefs of strategies before each time of a history of outcomes, learned from earlier rows alone.

    Times are ISO timestamps or plain numbers; rows of one time are one batch. Results are in any unit, for each
    strategy its own. The answer has the columns time, strategy_id, weight, p_win, edge and exposure: the share of the
    whole book to hold at all, the same in every row of a time. Weights move by at most 0.2 in all in a unit of time.
    """
    from knowdefeat_pipeline.core.beliefs.replay import replay_beliefs  # scipy, which other commands can do without

    check_writable(output)
    history = read_table(outcomes, {"time": "clock", "strategy_id": "text", "result": "amount"}, {"regime": "text"})
    table = replay_beliefs(history, Rules(), method, _unit(unit, history["time"]))
    write_table(table, output)
    count = history["time"].nunique()
    if json:
        print_json({"times": count, "strategies": history["strategy_id"].nunique(), "rows": len(table)})
        return
    out.print(f"{output}: what was held before each of {counted(count, 'time')}, {counted(len(table), 'row')}")


@app.command()
def skill(
    trades: Annotated[
        Path, typer.Option(help="CSV or Parquet with columns exit_time, bot_id, pnl and, if known, strategy_id.")
    ],
    output: Output,
    json: Json = False,
) -> None:
    """Good, or lucky: what the closed trades of a fleet say of each bot's edge.

    exit_time are ISO timestamps or plain numbers of days; pnl is a net result in the bot's own currency. A bot belongs
    to the strategy of its last trade, and without one is a strategy of its own. The answer has the columns bot_id,
    p_skill, edge, edge_low, edge_high, verdict: P(edge > 0), and the edge in R with its 90 % interval.
    """
    from knowdefeat_pipeline.core.skill.replay import judge_trades  # scipy, which other commands can do without

    check_writable(output)
    history = read_table(trades, {"exit_time": "clock", "bot_id": "text", "pnl": "amount"}, {"strategy_id": "text"})
    table = judge_trades(history.assign(bot_id=plain_numbers(history["bot_id"])))
    write_table(table, output)
    words = table["verdict"].str.partition(":")[0].value_counts().to_dict()
    share = false_share(table["p_skill"][table["verdict"] == "good"].tolist())
    if json:
        print_json({"bots": len(table), "trades": len(history), "verdicts": words, "expected_false_share": share})
        return
    said = ", ".join(f"{count:,} {word}" for word, count in words.items())
    judged = f"{counted(len(table), 'bot')} by {counted(len(history), 'trade')}"
    out.print(f"{output}: {judged}{f': {said}' if said else ''}")
    if share is not None:
        out.print(f"Expected share of false ones among the good: {share:.1%}")


def _unit(text: str | None, time: pd.Series) -> float | None:
    """The unit as a number of the clock's own, or of seconds."""
    if text is None:
        return None
    try:
        timestamps = isinstance(time.dtype, pd.DatetimeTZDtype)
        unit = pd.Timedelta(text).total_seconds() if timestamps else float(text)
    except ValueError:
        unit = float("nan")
    if not 0 < unit < float("inf"):
        raise typer.BadParameter(f"--unit {text}: write a number above 0, or for timestamps a length such as 1h or 1d")
    return unit


@app.command()
def regimes(
    bars: Annotated[Path, typer.Option(help="CSV or Parquet: open_time, open, high, low, close, volume.")],
    output: Output,
    json: Json = False,
) -> None:
    """The market regimes: each bar's label, from the bars up to it alone.

    open_time are ISO timestamps or plain numbers. Where there are columns ticker or timeframe, each series of bars is
    labelled by itself. Rows may be in any order and keep it. The answer has the columns open_time, label, p_trending,
    p_ranging, p_volatile and average_true_range (Wilder, 14 bars, in the unit of the prices; empty before the 14th).
    """
    check_writable(output)
    frame = read_table(bars, BARS, SERIES, gaps=("volume",))
    frame.index += 1  # errors name the rows of the file
    keys = [name for name in SERIES if name in frame]
    parts = [part for _, part in frame.groupby(keys, sort=False, dropna=False)] if keys else [frame]
    try:
        labels = pd.concat([label_regimes(part.sort_values("open_time", kind="stable")) for part in parts])
    except BarError as error:
        raise CommandError(f"{bars}: {error}") from error
    write_table(frame[keys].join(labels), output)
    shares = labels["label"].value_counts(normalize=True).reindex([*REGIMES, NEUTRAL], fill_value=0.0)
    if json:
        print_json({"bars": len(labels), "shares": shares.to_dict()})
        return
    out.print(
        f"{output}: {counted(len(labels), 'bar')}, "
        + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    )
