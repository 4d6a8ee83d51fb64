"""Every option that several commands share, spelled once, and how its text is read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.core.market.regimes import NEUTRAL, REGIMES
from knowdefeat_pipeline.errors import KnowDefeatError

ANY_REGIME = "*"


class CommandError(KnowDefeatError):
    """A command that cannot do what was asked; the message says why and what to do."""


def parse_day(value: str) -> date:
    """A day written YYYY-MM-DD."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a day; write it as YYYY-MM-DD") from None


def parse_regime(value: str) -> str:
    """A regime by name, in any case; NEUTRAL and * mean the regimes that hold."""
    name = value.upper()
    if name not in (*REGIMES, NEUTRAL, ANY_REGIME):
        raise typer.BadParameter(f"{value!r} is no regime; choose one of {', '.join(REGIMES)}")
    return ANY_REGIME if name == NEUTRAL else name


def parse_pairs(option: str, form: str, pairs: list[str] | None) -> dict[str, str]:
    """What was given to a repeated option as NAME=VALUE; `form` says how to write it."""
    for pair in pairs or []:
        if "=" not in pair:
            raise typer.BadParameter(f"{option} {pair}: write {form}")
    return dict(pair.split("=", 1) for pair in pairs or [])


def require_reason(reason: str) -> str:
    """The reason without the space around it. Raises CommandError for an empty one."""
    if not reason.strip():
        raise CommandError("A reason is required: --reason TEXT")
    return reason.strip()


def _day(flag: str, text: str) -> Any:
    return typer.Option(flag, parser=parse_day, metavar="YYYY-MM-DD", help=text)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# Which days, bots and strategies
Day = Annotated[date | None, _day("--day", "UTC day; the last one computed by default.")]
From = Annotated[date | None, _day("--from", "First UTC day.")]
To = Annotated[date | None, _day("--to", "Last UTC day.")]
AllDays = Annotated[bool, typer.Option("--all", help="Every day since the first trade.")]
Bot = Annotated[str | None, typer.Option("--bot", help="Only this bot, by its name.")]
Ticker = Annotated[str | None, typer.Option("--ticker", help="Only this ticker.")]
Strategy = Annotated[str | None, typer.Option("--strategy", help="Only this strategy.")]
Regime = Annotated[
    str | None,
    typer.Option("--regime", parser=parse_regime, metavar="NAME", help=f"As under this regime: {', '.join(REGIMES)}."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="The most rows to show.")]

# Decisions, which stay on record
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]
Author = Annotated[str, typer.Option("--author", help="Who decides.")]
InForceFrom = Annotated[
    date | None,
    _day("--from", "The first UTC day that it counts for; that of the last ranking by default."),
]
Currency = Annotated[
    str | None, typer.Option("--currency", help="The bots' quote currency; needed where bots account in several.")
]

# Files: what their columns are called, and what is true of all their rows
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Read COLUMN of the file as FIELD (repeat as needed)."),
]
Timezone = Annotated[str, typer.Option("--timezone", help="Zone of times that name none (IANA name).")]
Source = Annotated[
    str | None, typer.Option("--source", help="Name of the source; by default its format and account or strategy.")
]
Account = Annotated[
    str | None, typer.Option("--account", help="Account that the file belongs to, where several use the same ids.")
]
CurrencyOfFile = Annotated[str, typer.Option("--currency", help="Quote currency of trades that name none.")]
ConfidenceScale = Annotated[
    int, typer.Option("--confidence-scale", help="What full confidence is written as: 1 or 100.")
]
Size = Annotated[
    str | None, typer.Option("--size", help="What a size column holds: notional (quote currency) or quantity (units).")
]
CapitalOfFile = Annotated[
    float | None,
    typer.Option("--capital", min=1e-18, max=1e15, help="What each bot has to trade with, where no column says it."),
]
TickerOfFile = Annotated[str | None, typer.Option("--ticker", help="Ticker of files that have no column for it.")]
Output = Annotated[Path, typer.Option("--out", help="The .csv or .parquet file to write.")]


def in_force_from(day: date | None) -> datetime | None:
    """Just after the midnight at which a day begins: what is true at that midnight is the day before's."""
    return None if day is None else datetime.combine(day, time(microsecond=1), UTC)
