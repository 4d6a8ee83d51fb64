"""`allocate` and `funds`: what each bot would be given, and the settings by which it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import psycopg
import typer

from knowdefeat_pipeline.cli.database import current_url, database, day_or_latest
from knowdefeat_pipeline.cli.options import (
    Author,
    CommandError,
    Currency,
    Day,
    InForceFrom,
    Json,
    Reason,
    in_force_from,
    require_reason,
)
from knowdefeat_pipeline.cli.views.funds import show_allocation, show_explanation, show_settings
from knowdefeat_pipeline.cli.views.output import Record, out, print_json
from knowdefeat_pipeline.core.funds.daily import Division, FundInputs, divide_days
from knowdefeat_pipeline.core.funds.explanation import explain as explain_amount
from knowdefeat_pipeline.core.funds.settings import (
    METHODS,
    AllocationMethod,
    AllocationRules,
    FundSettings,
    RiskRules,
    beginning,
    settings_in_force,
)
from knowdefeat_pipeline.core.money import exact_units
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store import fund_division
from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.bots import bot_keys, bot_names, named
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.store.session import Session

app = typer.Typer(no_args_is_help=True, help="The funds that bots are given: set them, show them.")

MOST = Decimal(10) ** 12
EVER = datetime.max.replace(tzinfo=UTC)


def parse_amount(value: str) -> Decimal:
    """An amount of money: 0 or more; thousands may be set apart by commas. (`exact_units` knows the decimals.)"""
    try:
        amount = Decimal(value.replace(",", ""))
    except InvalidOperation:
        raise typer.BadParameter(f"{value!r} is not an amount; write it as 100000 or 99.95") from None
    if not (amount.is_finite() and 0 <= amount <= MOST):
        raise typer.BadParameter(f"{value}: an amount is from 0 to {MOST:,}")
    return amount


def parse_share(value: str) -> float:
    """A share above 0 and at most 1, written 0.1 or 10%."""
    try:
        share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a share; write it as 10% or 0.1") from None
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{value} is not a share above 0 and at most 1; write it as 10% or 0.1")
    return share


def parse_probability(value: str) -> float:
    """A probability from 0 to below 1, written 0.75 or 75%."""
    try:
        probability = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a probability; write it as 0.75 or 75%") from None
    if not 0 <= probability < 1:
        raise typer.BadParameter(f"{value} is not a probability from 0 to below 1; write it as 0.75 or 75%")
    return probability


def parse_method(value: str) -> AllocationMethod:
    """One of the methods."""
    for method in METHODS:
        if method == value.replace("-", "_"):
            return method
    raise typer.BadParameter(f"there is no method {value!r}; choose one of {', '.join(METHODS)}")


Funds = Annotated[Decimal | None, typer.Option("--funds", parser=parse_amount, metavar="AMOUNT", help="What there is.")]
Method = Annotated[
    AllocationMethod | None,
    typer.Option("--method", parser=parse_method, metavar="METHOD", help=f"One of {', '.join(METHODS)}."),
]
Cap = Annotated[
    float | None, typer.Option("--cap", parser=parse_share, metavar="SHARE", help="The most in one bot, as 10% or 0.1.")
]
TickerCap = Annotated[
    float | None,
    typer.Option("--ticker-cap", parser=parse_share, metavar="SHARE", help="The most in all bots of one main ticker."),
]
Minimum = Annotated[
    Decimal | None,
    typer.Option("--min-ticket", parser=parse_amount, metavar="AMOUNT", help="The least that a bot is given, if any."),
]
Drawdown = Annotated[
    float | None,
    typer.Option("--drawdown-limit", parser=parse_share, metavar="SHARE", help="Halt a bot further below its peak."),
]
DailyLoss = Annotated[
    float | None,
    typer.Option(
        "--daily-loss-limit", parser=parse_share, metavar="SHARE", help="Halt a bot that lost more of its capital."
    ),
]
Caution = Annotated[
    float | None,
    typer.Option(
        "--caution", parser=parse_probability, metavar="P", help="Only bots with P(edge > 0) above it: 0.5, 0.75."
    ),
]
SameEdgeLimit = Annotated[
    float | None,
    typer.Option(
        "--same-edge-limit",
        parser=parse_share,
        metavar="P",
        help="While all bots have one edge with more than this probability, P(edge > 0) has to be above 0.99.",
    ),
]
Ungated = Annotated[bool, typer.Option("--ungated", help="Whatever is known of the bots' skill.")]
CoolDown = Annotated[
    float | None, typer.Option("--cool-down", min=0, max=720, metavar="HOURS", help="How long it then stays halted.")
]


def allocate(
    funds: Funds = None,
    currency: Currency = None,
    method: Method = None,
    cap: Cap = None,
    ticker_cap: TickerCap = None,
    min_ticket: Minimum = None,
    drawdown_limit: Drawdown = None,
    daily_loss_limit: DailyLoss = None,
    cool_down: CoolDown = None,
    caution: Caution = None,
    same_edge_limit: SameEdgeLimit = None,
    ungated: Ungated = False,
    day: Day = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="BOT", help="How the amount of this bot comes about.")
    ] = None,
    json: Json = False,
) -> None:
    """Try an allocation over the last ranking, or a day's: a dry run that writes nothing.

    What is not said is as `funds set` recorded it, or by default.
    """
    skill = _skill(caution, ungated)
    options = (method, cap, ticker_cap, min_ticket, drawdown_limit, daily_loss_limit, cool_down, skill, same_edge_limit)
    url = current_url()
    with connect(url) as connection:
        day = day_or_latest(connection, day, "bot_rankings")
        tried = [_changed(known, funds, *options) for known in known_settings(connection, funds, currency)]
        inputs, _ = fund_division.fund_inputs(Session(url, connection), day, day, tried)
        strategies = {row["bot_id"]: row["strategy_id"] for row in store.bots_table(connection)}
        names = bot_names(connection)
        key = bot_keys(connection, [explain])[0] if explain else None
    if not inputs.days:
        raise CommandError(f"No ranking on {day}. Compute it: knowdefeat run --from {day} --to {day}")
    division = divide_days(inputs)
    if key is not None:
        _explain(division, inputs, key, names[key], json)
        return
    days = fund_division.as_records(division.days)
    rows = named(fund_division.as_records(division.rows), names)
    rows.sort(key=lambda row: (row["quote_currency"], -row["amount"], row["rank"] or len(rows) + 1, row["bot_id"]))
    rows = [row | {"strategy_id": strategies[row["bot_id"]]} for row in rows]
    if json:
        print_json({"dry_run": True, "day": day, "currencies": _nested(days, rows)})
        return
    show_allocation(days, rows)
    out.print(
        "A dry run: nothing was written. Next: knowdefeat funds set with the same options keeps the settings, and "
        "knowdefeat run allocates.",
        style="dim",
    )


@dataclass(frozen=True)
class SkillGate:
    """What was said of the skill that bots need; caution None: none."""

    caution: float | None


def _skill(caution: float | None, ungated: bool) -> SkillGate | None:
    """What the two options say together, None where neither is given. Raises CommandError where both are."""
    if ungated and caution is not None:
        raise CommandError("--ungated asks for no skill, --caution for some: give one of them.")
    return SkillGate(caution) if ungated or caution is not None else None


def known_settings(connection: psycopg.Connection, funds: Decimal | None, currency: str | None) -> list[FundSettings]:
    """The last settings of the currency, or of every one; new ones where there are none yet and funds are given."""
    saved = settings_in_force(store.fund_settings(connection), EVER)
    if currency is None and funds is None:
        if not saved:
            raise CommandError("No funds are set. Say how much there is: knowdefeat allocate --funds AMOUNT")
        return [replace(settings, in_force_from=None) for settings in saved]
    currency = currency_of(connection, currency)
    known = [replace(settings, in_force_from=None) for settings in saved if settings.quote_currency == currency]
    if not known and funds is None:
        raise CommandError(f"No funds are set in {currency}. Say how much there is: --funds AMOUNT")
    return known or [beginning(currency)]


def currency_of(connection: psycopg.Connection, currency: str | None) -> str:
    """The one that is named, or the only one. Raises CommandError where no bot accounts in it, or bots in several."""
    there = store.currencies(connection)
    if not there:
        raise CommandError("There are no bots yet. Next: knowdefeat run")
    if currency is None:
        if len(there) > 1:
            raise CommandError(f"Bots account in {', '.join(there)}, which are never mixed: say which by --currency.")
        return there[0]
    named = {name.upper(): name for name in there}.get(currency.upper())
    if named is None:
        raise CommandError(f"No bot accounts in {currency}; there are bots in {', '.join(there)}.")
    return named


def _changed(
    known: FundSettings,
    funds: Decimal | None,
    method: AllocationMethod | None,
    cap: float | None,
    ticker_cap: float | None,
    minimum: Decimal | None,
    drawdown: float | None,
    daily_loss: float | None,
    cool_down: float | None,
    skill: SkillGate | None,
    same_edge_limit: float | None,
) -> FundSettings:
    """The settings with what was given in place of what was known."""
    rules, risk = known.allocation, known.risk
    caution = known.caution if skill is None else skill.caution
    return replace(
        known,
        funds=known.funds if funds is None else exact_units(funds, known.quote_currency),
        method=method or known.method,
        allocation=AllocationRules(
            bot_cap=cap or rules.bot_cap,
            ticker_cap=ticker_cap or rules.ticker_cap,
            minimum=rules.minimum if minimum is None else exact_units(minimum, known.quote_currency),
        ),
        risk=RiskRules(
            drawdown=100 * drawdown if drawdown else risk.drawdown,
            daily_loss=100 * daily_loss if daily_loss else risk.daily_loss,
            cool_down=risk.cool_down if cool_down is None else timedelta(hours=cool_down),
        ),
        caution=caution,
        same_edge_limit=same_edge_limit or known.same_edge_limit,
    )


def _explain(division: Division, inputs: FundInputs, key: int, name: str, as_json: bool) -> None:
    """The chain from a bot's score to its amount. Raises CommandError for a bot that takes no part."""
    rows = inputs.bots[inputs.bots["bot_id"] == key]
    ruling = {settings.quote_currency: settings for settings in inputs.settings}
    if rows.empty or rows.iloc[0]["quote_currency"] not in ruling:
        where = "the ranking" if rows.empty else f"the funds: none are set in {rows.iloc[0]['quote_currency']}"
        raise CommandError(f"Bot {name} is not in {where} of {inputs.days[0][0]}. See: knowdefeat bots")
    sentences = explain_amount(division, inputs.bots, key, ruling[rows.iloc[0]["quote_currency"]])
    if as_json:
        (given,) = [row for row in fund_division.as_records(division.rows) if row["bot_id"] == key]
        print_json({"bot": name} | given | {"explanation": sentences})
    else:
        show_explanation(name, sentences)


def _nested(days: Sequence[Record], rows: Sequence[Record]) -> list[dict[str, Any]]:
    return [
        {**day, "allocations": [row for row in rows if row["quote_currency"] == day["quote_currency"]]} for day in days
    ]


@app.command("set")
def set_(
    funds: Funds = None,
    currency: Currency = None,
    method: Method = None,
    cap: Cap = None,
    ticker_cap: TickerCap = None,
    min_ticket: Minimum = None,
    drawdown_limit: Drawdown = None,
    daily_loss_limit: DailyLoss = None,
    cool_down: CoolDown = None,
    caution: Caution = None,
    same_edge_limit: SameEdgeLimit = None,
    ungated: Ungated = False,
    reason: Reason = "set by command",
    author: Author = "manual",
    from_: InForceFrom = None,
    json: Json = False,
) -> None:
    """Record settings for the next runs; what is not said stays as it was, or is by default."""
    skill = _skill(caution, ungated)
    options = (method, cap, ticker_cap, min_ticket, drawdown_limit, daily_loss_limit, cool_down, skill, same_edge_limit)
    with database() as connection:
        if funds is None and all(option is None for option in options):
            raise CommandError("Say what to set, for instance: knowdefeat funds set --funds 100000 --cap 10%")
        known = known_settings(connection, funds, currency_of(connection, currency))
        settings = _changed(known[0], funds, *options)
        version = store.save_settings(connection, settings, author, require_reason(reason), in_force_from(from_))
        (record,) = [row for row in store.settings_history(connection) if row["version"] == version]
    if json:
        print_json(record)
        return
    show_settings([record])
    out.print("Next: knowdefeat run (or knowdefeat allocate, which only tries)", style="dim")


@app.command()
def show(day: Day = None, json: Json = False) -> None:
    """The settings in force, and what was allocated on the last day or another."""
    with database() as connection:
        settings = store.latest_settings(connection)
        day = day or latest_day(connection, "fund_allocation_days")
        days, rows = store.allocation(connection, day) if day else ([], [])
        strategies = {row["bot_id"]: row["strategy_id"] for row in store.bots_table(connection)}
    rows = [row | {"strategy_id": strategies.get(row["bot_id"])} for row in rows]
    if json:
        print_json({"settings": settings, "day": day, "currencies": _nested(days, rows)})
        return
    if not settings:
        out.print("No funds are set. Next: knowdefeat funds set --funds AMOUNT")
        return
    show_settings(settings)
    if days:
        show_allocation(days, rows)
    else:
        out.print(f"Nothing is allocated{f' on {day}' if day else ''} yet. Next: knowdefeat run")
