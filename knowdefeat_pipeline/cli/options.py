"""Every option that several commands share, spelled once, and how its text is read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from knowdefeat_pipeline.core.market.labels import ANY_REGIME, NEUTRAL, REGIMES
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.settings import MOST_DAYS
from knowdefeat_pipeline.sources.options import Dates, Decimal


class CommandError(KnowDefeatError):
    """A command that cannot do what was asked; the message says why and what to do."""

    page = "reference/commands.md"


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


def parse_terms(
    size: str | None,
    fees: str | None,
    funding: str | None,
    side: str | None,
    multiplier: list[str] | None,
    contract: str | None,
    leverage: float | None,
    pnl: str | None,
) -> dict[str, Any]:
    """What the user says of the amounts in a file: fields of `sources.terms.Terms`."""
    words = {
        "size": (size, ("notional", "quantity", "margin")),
        "fees": (fees, ("cost", "signed")),
        "funding": (funding, ("received", "paid")),
        "side": (side, ("position", "closing")),
        "contract": (contract, ("linear", "inverse")),
        "pnl": (pnl, ("stated", "computed")),
    }
    for name, (value, choices) in words.items():
        if value not in (None, *choices):
            raise typer.BadParameter(f"--{name} {value}: {' or '.join(choices)}")
    terms: dict[str, Any] = {name: value for name, (value, _) in words.items() if value is not None}
    if multiplier:
        pairs = parse_pairs("--multiplier", "TICKER=NUMBER", multiplier)
        terms["multipliers"] = {ticker: _factor("--multiplier", text) for ticker, text in pairs.items()}
    if leverage is not None:
        terms["leverage"] = _factor("--leverage", str(leverage))
    return terms


def _factor(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e15:
        raise typer.BadParameter(f"{option} {text}: write a number above 0")
    return value


def require_reason(reason: str) -> str:
    """The reason without the space around it. Raises CommandError for an empty one."""
    if not reason.strip():
        raise CommandError("A reason is required: --reason TEXT")
    return reason.strip()


def require_days(first: date | None, all_: bool) -> None:
    """Raise CommandError where neither a first day nor all days are asked for."""
    if first is None and not all_:
        raise CommandError("Say which days: --from YYYY-MM-DD [--to YYYY-MM-DD], or --all.")


def check_order(first: date | None, last: date | None) -> None:
    """Raise CommandError where a first day comes after the last one."""
    if first and last and first > last:
        raise CommandError(f"--from {first} lies after --to {last}; exchange them.")


def _day(flag: str, text: str) -> Any:
    return typer.Option(flag, parser=parse_day, metavar="YYYY-MM-DD", help=text)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# Which days, bots and strategies
Day = Annotated[date | None, _day("--day", "UTC day; the last one computed by default.")]
From = Annotated[date | None, _day("--from", "First UTC day.")]
To = Annotated[date | None, _day("--to", "Last UTC day.")]
AllDays = Annotated[bool, typer.Option("--all", help="Every day since the first trade.")]
Chunk = Annotated[
    int | None,
    typer.Option("--chunk", min=1, max=MOST_DAYS, help="Days per run; KNOWDEFEAT_CHUNK_DAYS or 90 by default."),
]
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
_CLOCK = typer.Option(
    "--timezone",
    help="Clock of times that name no zone: an IANA name, UTC+2, or a broker's 'UTC+2 with New York DST'.",
)
Timezone = Annotated[str, _CLOCK]
TimezoneOfFile = Annotated[str | None, _CLOCK]
Source = Annotated[
    str | None, typer.Option("--source", help="Name of the source; by default its format and account or strategy.")
]
Account = Annotated[
    str | None, typer.Option("--account", help="Account that the file belongs to, where several use the same ids.")
]
CurrencyOfFile = Annotated[
    str | None,
    typer.Option("--currency", help="Quote currency of trades that name none; by default their pair's, else USD."),
]
ConfidenceScale = Annotated[
    int, typer.Option("--confidence-scale", help="What full confidence is written as: 1 or 100.")
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="What the size column holds: notional (quote currency), quantity (units) or margin."),
]
Fees = Annotated[
    str | None, typer.Option("--fees", help="Whose fees are costs: cost (the positive ones) or signed (the negative).")
]
FundingOfFile = Annotated[
    str | None, typer.Option("--funding", help="What positive funding was: received, or paid (as costs are).")
]
Side = Annotated[
    str | None, typer.Option("--side", help="Whose side the direction is: position, or closing (the closing order's).")
]
Multiplier = Annotated[
    list[str] | None, typer.Option("--multiplier", metavar="TICKER=N", help="Units a contract (repeat as needed).")
]
Contract = Annotated[str | None, typer.Option("--contract", help="linear, or inverse (settles in the asset).")]
Leverage = Annotated[
    float | None,
    typer.Option("--leverage", min=0, help="How many times its margin a position is, where no column says."),
]
Pnl = Annotated[
    str | None,
    typer.Option(
        "--pnl", help="stated: take the file's net pnl at its word; computed: compute it, whatever it states."
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Rows of known ids are corrections: they take the place of what was recorded.")
]
Duplicates = Annotated[
    str | None,
    typer.Option(
        "--duplicates", help="Rows that are alike but for their ids: keep, they are trades of their own; or hold."
    ),
]
CapitalOfFile = Annotated[
    float | None,
    typer.Option("--capital", min=1e-18, max=1e15, help="What each bot has to trade with, where no column says it."),
]
TickerOfFile = Annotated[str | None, typer.Option("--ticker", help="Ticker of files that have no column for it.")]
BotOfFile = Annotated[str | None, typer.Option("--bot", help="Bot of trades that name none.")]
DirectionOfFile = Annotated[
    str | None, typer.Option("--direction", help="Direction of trades that name none: LONG or SHORT.")
]
StatusOfFile = Annotated[
    str | None,
    typer.Option("--status", help="Status of trades that name none; by default it follows from the exit."),
]
DecimalOfFile = Annotated[
    Decimal | None, typer.Option("--decimal", help="How numbers are written, where the file leaves it open.")
]
DatesOfFile = Annotated[
    Dates | None, typer.Option("--dates", help="Order in dates such as 03/04/2026, where the file leaves it open.")
]
TableOfFile = Annotated[
    str | None, typer.Option("--table", metavar="NAME", help="Which table of a database, sheet of a workbook or array.")
]
FileFormat = Literal["csv", "parquet", "json"]
Format = Annotated[
    FileFormat | None,
    typer.Option("--format", help="How to write it: csv, parquet or json; by default as --out ends, else csv."),
]
OutputOrPipe = Annotated[Path | None, typer.Option("--out", help="The file to write; standard output by default.")]
Output = Annotated[Path, typer.Option("--out", help="The .csv or .parquet file to write.")]


def in_force_from(day: date | None) -> datetime | None:
    """Just after the midnight at which a day begins: what is true at that midnight is the day before's."""
    return None if day is None else datetime.combine(day, time(microsecond=1), UTC)
