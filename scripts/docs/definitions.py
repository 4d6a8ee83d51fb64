"""The definitions: every figure of the one table of them, with its unit, its rule of NULL and a worked example."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from knowdefeat_pipeline.core.schema import (
    DECISIONS,
    TABLES,
    VARIABLES,
    Figure,
)
from scripts.docs import contributions, example, workings
from scripts.docs.markdown import anchor, code, table, text, value
from scripts.docs.peers import PEERS

TITLES = {
    "bot_metrics": "Figures of bots",
    "win_streaks": "Runs of wins",
    "win_streak_summary": "Streaks of a bot",
    "bot_rankings": "Ranking",
    "bot_skill": "Skill",
    "variable_weights": "Weights in force",
    "strategy_beliefs": "Beliefs",
    "strategy_weights": "Weights of strategies",
    "strategy_calibration": "Calibration of signals",
    "fund_settings": "Settings of funds",
    "bot_events": "Events of bots",
    "fund_allocations": "Allocations",
    "fund_allocation_days": "Days of allocation",
    "market_regimes": "Market regimes",
    "weight_versions": "Versions of the weights",
    "weight_settings": "The learner's switch",
    "weight_adjustments": "Adjustments of the weights",
    "belief_ledger": "Ledger of learning",
}
FIGURES: dict[str, tuple[Figure, ...]] = {**TABLES, **DECISIONS}
WORKED_LENGTH = 3
"""The length of the runs that the example of win_streaks shows."""
METHODS = {
    "bot_rankings": "ranking",
    "variable_weights": "weights",
    "weight_versions": "weights",
    "weight_settings": "weights",
    "weight_adjustments": "weights",
    "bot_skill": "skill",
    "strategy_beliefs": "beliefs",
    "strategy_weights": "beliefs",
    "strategy_calibration": "beliefs",
    "belief_ledger": "beliefs",
    "market_regimes": "regimes",
    "fund_settings": "allocation",
    "bot_events": "allocation",
    "fund_allocations": "allocation",
    "fund_allocation_days": "allocation",
}
"""Of a table that more than arithmetic on trades makes: the page of the methodology that says how."""
_SENTENCE = re.compile(r"(?<=[.;]) (?=NULL)")


class Disagreement(Exception):
    """A worked example that comes to something else than the product."""


def pages(found: example.Example) -> dict[str, str]:
    """A page a table, by its path. Raises Disagreement."""
    worked = worked_examples(found)
    made = {f"definitions/{name}.md": _page(name, found, worked.get(name, {})) for name in FIGURES}
    made["definitions/bot_rankings.md"] += _contributions(found)
    return made


def parts() -> dict[str, str]:
    """What pages that are written by hand leave to be filled in."""
    return {
        "definitions": table(
            ("table", "what a row is about"), [(f"[{code(name)}]({name}.md)", TITLES[name]) for name in FIGURES]
        ),
        "variables": _variables(),
        "example-commands": f"```sh\n{example.COMMANDS}\n```\n",
        "example-trades": _trades(),
    }


def worked_examples(found: example.Example) -> dict[str, dict[str, tuple[str | None, Any]]]:
    """Of each table the workings by figure, each with what it comes to. Raises Disagreement."""
    trades = workings.trades_of(example.BOT, example.files()["trades.csv"])
    known = workings.quantities(trades, 1000.0)
    out: dict[str, dict[str, tuple[str | None, Any]]] = {}
    from_trades = {
        "bot_metrics": workings.METRICS,
        "win_streak_summary": workings.SUMMARY,
        "win_streaks": workings.streaks(WORKED_LENGTH),
    }
    for name, lines in (from_trades | workings.OF_THE_ROW).items():
        row = chosen_row(name, found)
        names = known if name in from_trades else workings.of_row(row)
        out[name] = {figure: (line, workings.evaluated(line, names)) for figure, line in lines.items()}
        wrong = {
            figure: (came_to, row[figure])
            for figure, (_, came_to) in out[name].items()
            if not workings.agrees(came_to, row[figure])
        }
        if wrong:
            raise Disagreement(f"{name}: worked, computed: {wrong}")
    return out


def _contributions(found: example.Example) -> str:
    """The points of the row that is shown, worked through. Raises Disagreement."""
    row = chosen_row("bot_rankings", found)
    eligible = [r["bot_id"] for r in found.rows["bot_rankings"] if r["day"] == row["day"] and r["eligible"]]
    metrics = [
        r
        for r in found.rows["bot_metrics"]
        if r["day"] == row["day"] and r["ticker"] == "*" and r["bot_id"] in eligible
    ]
    metrics.sort(key=lambda r: -r["bot_id"])
    weights = {r["variable"]: r["weight"] for r in found.rows["variable_weights"] if r["day"] == row["day"]}
    worked = contributions.contributions(metrics, weights, row["bot_id"])
    wrong = {
        of.variable: (of.points, row[f"{of.variable}_points"])
        for of in worked
        if not workings.agrees(of.points, row[f"{of.variable}_points"])
    }
    if wrong:
        raise Disagreement(f"bot_rankings: worked, computed: {wrong}")
    names = {r["bot_id"]: r["name"] for r in found.rows["bots"]}
    return contributions.section(worked, metrics, names, row["bot_id"])


def chosen_row(name: str, found: example.Example) -> dict[str, Any]:
    """The row that is shown: of the worked day, the example's bot or strategy and all tickers, where a table has those.

    Of several left, the last; {} for a table without rows.
    """
    rows: Sequence[dict[str, Any]] = found.rows[name]
    bot = next(row["bot_id"] for row in found.rows["bots"] if row["name"] == example.BOT)
    wanted: Mapping[str, Any] = {
        "day": example.DAY,
        "bot_id": bot,
        "ticker": "*" if name == "bot_metrics" else example.TICKER,
        "strategy_id": example.STRATEGY,
        "regime": "*",
        "streak_length": WORKED_LENGTH,
        "time_window": "lifetime",
        "variable": "avg_win_rate",
    }
    for column, want in wanted.items():
        fitting = [row for row in rows if column in row and row[column] == want]
        rows = fitting or rows
    return dict(rows[-1]) if rows else {}


def rule_of_null(figure: Figure) -> tuple[str, str]:
    """The description without, and the sentences about, NULL."""
    parts = _SENTENCE.split(figure.description)
    said = " ".join(part for part in parts if part.startswith("NULL"))
    meaning = " ".join(part for part in parts if not part.startswith("NULL"))
    if not said:
        said = "No rule of ours leaves it NULL." if figure.nullable else "Never NULL."
    return meaning, said


def _trades() -> str:
    written = example.files()["trades.csv"]
    pnl = {trade.name: value(trade.pnl) for trade in workings.trades_of(example.BOT, written)}
    rows = [
        (
            row["source_trade_id"], row["ticker"], row["direction"], row["entry_time"], row["exit_time"] or "open",
            row["entry_price"], row["exit_price"] or f"marked {row['mark_price']}", row["notional"], row["fees"] or "0",
            pnl.get(row["source_trade_id"], ""),
        )
        for row in csv.DictReader(StringIO(written))
        if row["bot_id"] == example.BOT
    ]  # fmt: skip
    heads = "trade, ticker, direction, entered (UTC), left (UTC), entry, exit, notional, fees, net pnl"
    return table(heads.split(", "), rows)


def _page(name: str, found: example.Example, worked: Mapping[str, tuple[str | None, Any]]) -> str:
    row = chosen_row(name, found)
    lines = [f"# {TITLES[name]}: `{name}`\n", _note(name, found, row)]
    if name not in workings.OF_THE_ROW and worked:
        lines += [part for figure in FIGURES[name] for part in _section(figure, row, worked)]
    else:
        heads = ("figure", "meaning", "unit", "NULL", "example")
        lines.append(table(heads, [_cells(figure, row, worked) for figure in FIGURES[name]]))
    return "\n".join(lines)


def _note(name: str, found: example.Example, row: Mapping[str, Any]) -> str:
    said = text(found.comments.get(name))
    if name in METHODS:
        said = f"{said}\n\nHow these figures are made: [methodology](../methodology/{METHODS[name]}.md).".lstrip()
    if not row:
        return f"{said}\n\nThe [example](index.md#the-example) has no row of this table.\n"
    of = {"day": "day", "bot_id": "bot", "ticker": "ticker", "strategy_id": "strategy", "regime": "regime"}
    names = {row["bot_id"]: row["name"] for row in found.rows["bots"]}
    parts = [
        f"{word} {code(names.get(row[column], value(row[column])) if column == 'bot_id' else value(row[column]))}"
        for column, word in of.items()
        if row.get(column) is not None
    ]
    shown = f" ({', '.join(parts)})" if parts else ""
    return f"{said}\n\nExamples are of one row of the [example fleet](index.md#the-example){shown}.\n".lstrip()


def _cells(figure: Figure, row: Mapping[str, Any], worked: Mapping[str, tuple[str | None, Any]]) -> tuple[str, ...]:
    meaning, rule = rule_of_null(figure)
    line, _ = worked.get(figure.name, (None, None))
    how = f" = {code(line)}" if line else ""
    return anchor(figure.name), text(meaning), text(figure.unit), text(rule), _shown(figure, row) + how


def _shown(figure: Figure, row: Mapping[str, Any]) -> str:
    if figure.type == "timestamptz" and figure.name in ("recorded_at", "changed_at", "created_at"):
        return "when it was written"
    return code(value(row.get(figure.name))) if row else ""


def _section(figure: Figure, row: Mapping[str, Any], worked: Mapping[str, tuple[str | None, Any]]) -> Iterator[str]:
    meaning, rule = rule_of_null(figure)
    yield f"## `{figure.name}` {{ #{figure.name} }}\n"
    yield f"{text(meaning)}\n"
    yield table(("unit", "NULL", "in the example"), [(text(figure.unit) or "–", text(rule), _shown(figure, row))])
    line, came_to = worked.get(figure.name, (None, None))
    if line:
        yield f"```python\n{line}  # {value(came_to)}\n```\n"
    if figure.name in PEERS:
        of = PEERS[figure.name]
        yield table(
            ("", f"`{figure.name}`"),
            [(name, text(said) or "has no such figure") for name, said in zip(of._fields, of, strict=True)],
        )


def _variables() -> str:
    rows = [
        (
            f"[{code(v.name)}](bot_metrics.md#{v.name})",
            text(v.label),
            f"{v.default_weight:g}",
            {"none": "as it is", "performance": f"volatility · √{v.window_days:.4g}",
             "drawdown": f"volatility · √{v.window_days:g}", "per_second": "volatility"}[v.scaling],
            "lower" if v.orientation < 0 else "higher",
        )
        for v in VARIABLES
    ]  # fmt: skip
    heads = ("variable", "in tables", "default weight", "divided by", "is better")
    return table(heads, rows)


def documented() -> set[tuple[str, str]]:
    """(table, figure) of every figure that has a place on these pages."""
    return {(name, figure.name) for name, figures in FIGURES.items() for figure in figures}
