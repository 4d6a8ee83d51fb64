"""The reference: commands, settings, tables and the API, each as the code itself describes it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import httpx
from psycopg_pool import ConnectionPool
from typer.main import get_command

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.settings import described
from knowdefeat_pipeline.sources.canonical import FIELDS
from knowdefeat_pipeline.web.app import make_app
from knowdefeat_pipeline.web.intake import Intake
from knowdefeat_pipeline.web.live import LiveResults
from knowdefeat_pipeline.web.site import Site
from scripts.docs import example
from scripts.docs.definitions import FIGURES, TITLES
from scripts.docs.markdown import anchor, code, table, text


def parts(found: example.Example) -> dict[str, str]:
    """What the pages of the reference leave to be filled in."""
    return {"commands": _commands(), "settings": _settings(), "tables": _tables(found), "api": _api()}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words, those that only lead to others left out."""
    yield from _below("", get_command(app))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    if words and command.invoke_without_command:
        yield words, command
    for name, below in command.commands.items():
        yield from _below(f"{words} {name}".strip(), below)


def _commands() -> str:
    lines = []
    for words, command in commands():
        lines += [f"## `knowdefeat {words}` {{ #{words.replace(' ', '-')} }}\n", _help(command)]
        arguments = [(_name(p), text(getattr(p, "help", "")), _default(p)) for p in command.params if _is_shown(p)]
        if arguments:
            lines.append(table(("option", "what", "default"), arguments))
    return "\n".join(lines)


def _help(command: Any) -> str:
    return text(inspect.cleandoc(command.help or "")) + "\n"


def _is_shown(parameter: Any) -> bool:
    return parameter.name != "help" and not getattr(parameter, "hidden", False)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        return code(names) + (" (required)" if parameter.required else "")
    shown = (parameter.metavar or parameter.name or "").upper()
    return code(shown if parameter.required else f"[{shown}]")


def _default(parameter: Any) -> str:
    default = parameter.default
    if default is None or callable(default) or default in (False, ()) or repr(default).startswith("Sentinel"):
        return ""
    return code(str(default))


def _settings() -> str:
    rows = [
        (anchor(v.name) + ("<br>" + anchor(v.name + "_FILE") if v.is_secret else ""), text(v.meaning),
         code(v.default) if v.default else "", text(v.remedy))
        for v in described()
    ]  # fmt: skip
    return table(("variable", "what", "default", "how it is written"), rows)


def _tables(found: example.Example) -> str:
    lines = []
    for name, columns in found.columns.items():
        lines += [f"## `{name}` {{ #{name.replace('.', '-')} }}\n", f"{text(what(name, found))}\n"]
        if name in FIGURES:
            lines.append(f"Each figure: [definitions](../definitions/{name}.md).\n")
        rows = [
            (code(c.name), text(c.type), "" if c.nullable else "not NULL", text(_meaning(name, c))) for c in columns
        ]
        lines.append(table(("column", "type", "", "what"), rows))
    return "\n".join(lines)


def what(name: str, found: example.Example) -> str:
    """What a table holds: as the database says, or as is said here of those that it says nothing of."""
    view = name.removesuffix("_rows")
    of_rows = f"The rows of `{view}`, without the instant at which they are true."
    return found.comments[name] or (of_rows if view != name else WHAT.get(name) or TITLES.get(name, ""))


def _meaning(table: str, column: example.Column) -> str:
    """As the database says, else as the definitions or the fields of trades do under the same name."""
    figures = {figure.name: figure.description for figure in FIGURES.get(table.removesuffix("_rows"), ())}
    fields = {name: f"{field.description[0].upper()}{field.description[1:]}." for name, field in FIELDS.items()}
    shared = EVERYWHERE | (fields if table in ("trades", "report.trades", "closed_trades") else {})
    return column.comment or figures.get(column.name) or shared.get(column.name, "")


def openapi() -> dict[str, Any]:
    """The API's document, of an app that is never started."""

    async def ask() -> dict[str, Any]:
        app = make_app(Site(ConnectionPool("", open=False), LiveResults(""), Intake("")))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found

    return asyncio.run(ask())


def endpoints(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and what the document says of it."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _api() -> str:
    document = openapi()
    lines = []
    for method, path, operation in endpoints(document):
        lines += [f"## `{method} {path}` {{ #{place(method, path)} }}\n", f"{text(_said(operation))}\n"]
        parameters = [
            (code(p["name"]), text(p["in"]), "required" if p.get("required") else "", text(p.get("description", "")))
            for p in operation.get("parameters", ())
        ]
        if parameters:
            lines.append(table(("parameter", "in", "", "what"), parameters))
        lines += _fields("Body", document, operation.get("requestBody", {}))
        lines += _fields("Answer", document, operation["responses"].get("200") or operation["responses"].get("201", {}))
    return "\n".join(lines)


def place(method: str, path: str) -> str:
    """The anchor of a route."""
    return f"{method} {path}".lower().replace("/", "-").replace("{", "").replace("}", "").replace(" ", "")


def _said(operation: dict[str, Any]) -> str:
    return str(operation.get("description") or operation.get("summary", ""))


def _fields(title: str, document: dict[str, Any], of: dict[str, Any]) -> list[str]:
    content = of.get("content", {}).get("application/json", {})
    schema = _resolved(document, content.get("schema", {}))
    if "data" in schema.get("properties", {}):
        schema = _resolved(document, schema["properties"]["data"])
    schema = _resolved(document, schema.get("items", schema))
    properties = schema.get("properties", {})
    if not properties:
        return []
    rows = [(code(name), text(_type(field)), text(field.get("description", ""))) for name, field in properties.items()]
    return [table((title, "type", "what"), rows)]


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][reference] if reference else schema


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    return str(field.get("type") or field.get("$ref", "").rpartition("/")[2] or "any")


WHAT: dict[str, str] = {
    "arriving_bots": "Bots that a transaction under way has named first; they enter `bots` when it commits.",
    "arriving_names": "Which key the first transaction that commits gives a new bot's name.",
    "backtest_outcomes": "Outcomes of backtests that beliefs were told to learn from.",
    "belief_checkpoints": "Where the learning of beliefs stood at the end of days, so that it can go on from there.",
    "belief_checkpoints_state": "Up to which checkpoint they hold.",
    "belief_ledger": "What was decided about learning: backtests, withdrawals, resets. Entries are only ever added.",
    "bot_capitals": "Capitals that were stated, and from when they count.",
    "bot_days": "What each bot did on each computed day, by ticker.",
    "bot_events": "What people and risk rules decided about bots.",
    "bot_exposures": "The steps of the largest notional that a bot had open, by which capital is estimated.",
    "bot_exposures_state": "Up to which trade the exposures are computed.",
    "bot_metrics": "The figures of each bot on each computed day, by ticker and over all (`*`).",
    "bot_months_state": "Up to which month `bot_months` is folded.",
    "bot_rankings": "The ranking of each computed day, with what moved each bot.",
    "bot_skill": "Whether each bot is good or lucky, by day and window.",
    "bot_strategies": "The strategy of each bot.",
    "bots": "Every bot by its key, with name, state, currency, strategy and account.",
    "changes": "Everything that results rest on, a row a change.",
    "closed_trades": "Closed trades with what follows by rule: day, strategy, side, whether it won, slippage.",
    "fund_allocation_days": "What was allocated on each day in each currency, and what stayed cash.",
    "fund_allocations": "What each bot was given on each day, and why.",
    "fund_settings": "Versions of the settings of funds.",
    "input_changes": "Changes of inputs that leave no row of their own, such as deletions.",
    "knowdefeat_migrations": "The migrations that ran, with their checksums.",
    "knowdefeat_version": "The last migration that ran, as Alembic keeps it.",
    "market_regimes": "The label and the probabilities of each bar.",
    "open_positions": "What was open on each computed day, which `bot_metrics` joins.",
    "order_book_levels": "Order books that were loaded, a row a level.",
    "price_bars": "Bars that were loaded.",
    "refreshed_days": "Of each computed day of an asset: when it is true, what had been seen, what it rests on.",
    "regime_series": "The bars of which regimes are told, by ticker and timeframe.",
    "settled_changes": "Up to which snapshot every change was followed.",
    "slow_results": "The sums from which the two slow variables go on day by day.",
    "strategy_beliefs": "What was believed of each strategy on each day, under each regime.",
    "strategy_calibration": "Whether stated confidences came true.",
    "strategy_weights": "How much each strategy counted on each day.",
    "trade_quarantine": "Rows that were refused, whole, with the reason and what became of them.",
    "trade_scores": "Scores of closed trades.",
    "trades": "Every trade, open and closed.",
    "variable_weights": "The weights in force on each day.",
    "weight_adjustments": "What became of each day on which the learner was asked.",
    "weight_settings": "Whether the learner adjusts the weights.",
    "weight_versions": "Every version of the weights, with author, reason and evidence.",
    "win_streak_summary": "The streaks of each bot on each computed day.",
    "win_streaks": "Runs of wins of each bot on each computed day, by least length.",
}
"""Of tables of which the database says nothing."""

EVERYWHERE = {
    "recorded_xid": "The transaction that wrote the row.",
    "recorded_at": "When it was recorded.",
    "created_at": "When it was recorded.",
    "bot_id": "The bot, by the key of its name in the table bots.",
    "bot": "The name of the bot.",
    "ticker": "What is traded.",
    "day": "The UTC day.",
    "as_of": "The instant at which the row is true.",
    "strategy_id": "The strategy.",
    "timeframe": "The length of a bar.",
    "quote_currency": "The currency of the amounts.",
    "trade_id": "The trade, in the order of recording.",
    "time": "See above.",
}
"""Of columns that mean the same in every table."""
