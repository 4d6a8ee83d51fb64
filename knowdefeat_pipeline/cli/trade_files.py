"""How a file of trades is read: the options that `ingest` and `run` share, and the reading."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, get_type_hints

import typer

from knowdefeat_pipeline.cli.options import (
    Account,
    BotOfFile,
    CapitalOfFile,
    ConfidenceScale,
    Contract,
    CurrencyOfFile,
    DatesOfFile,
    DecimalOfFile,
    DirectionOfFile,
    Duplicates,
    Fees,
    FundingOfFile,
    Leverage,
    Map,
    Multiplier,
    Pnl,
    Side,
    Size,
    Source,
    StatusOfFile,
    TableOfFile,
    TickerOfFile,
    TimezoneOfFile,
    parse_pairs,
    parse_terms,
)
from knowdefeat_pipeline.sources.files import every_source, read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading


@dataclass(frozen=True)
class FileOptions:
    """What the command line says of a file of trades; a field is an option."""

    map_: Map = None
    timezone: TimezoneOfFile = None
    source: Source = None
    account: Account = None
    currency: CurrencyOfFile = None
    confidence_scale: ConfidenceScale = 1
    size: Size = None
    fees: Fees = None
    funding: FundingOfFile = None
    side: Side = None
    multiplier: Multiplier = None
    contract: Contract = None
    leverage: Leverage = None
    pnl: Pnl = None
    duplicates: Duplicates = None
    capital: CapitalOfFile = None
    bot: BotOfFile = None
    ticker: TickerOfFile = None
    direction: DirectionOfFile = None
    status: StatusOfFile = None
    decimal: DecimalOfFile = None
    dates: DatesOfFile = None
    table: TableOfFile = None

    def read(self, path: Path, now: datetime) -> list[Reading]:
        """The file as a reading, an export of several sources as one of each; a trade later than `now` is refused.

        Raises SourceError and typer.BadParameter.
        """
        return every_source(partial(self._read, path, now))

    def read_growing(self, path: Path, content: Path, source: str | None, now: datetime) -> Reading:
        """The file, which somebody is writing and which is at `content` now, as far as it goes; `source`: what it was
        recorded as before. Raises SourceError, also for an export of several sources, and typer.BadParameter."""
        how = replace(self, source=self.source or source)
        reading = how._read(path, now, content=content, grows=True)
        if reading.other_sources:
            raise SourceError(f"{path}: this is an export of several sources, which nobody trades into; ingest it")
        return reading

    def _read(
        self,
        path: Path,
        now: datetime,
        of_source: str | None = None,
        content: Path | None = None,
        grows: bool = False,
    ) -> Reading:
        return read_trades(
            path,
            now=now,
            mapping=parse_pairs("--map", "COLUMN=FIELD", self.map_),
            timezone=self.timezone,
            source=self.source,
            account=self.account,
            currency=self.currency,
            confidence_scale=self.confidence_scale,
            terms=parse_terms(
                self.size, self.fees, self.funding, self.side, self.multiplier, self.contract, self.leverage, self.pnl
            ),
            holds_duplicates=_holds(self.duplicates),
            capital=self.capital,
            constants={
                "bot_id": self.bot,
                "ticker": self.ticker,
                "direction": self.direction,
                "status": self.status,
            },
            decimal=self.decimal,
            dates=self.dates,
            table=self.table,
            of_source=of_source,
            content=content,
            grows=grows,
        )


def _holds(duplicates: str | None) -> bool | None:
    if duplicates not in (None, "keep", "hold"):
        raise typer.BadParameter(f"--duplicates {duplicates}: keep or hold")
    return None if duplicates is None else duplicates == "hold"


def with_file_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `how: FileOptions` is given by an option for each of its fields."""
    hints, options = get_type_hints(command, include_extras=True), get_type_hints(FileOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name]
        )
        for field in fields(FileOptions)
    ]
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "how"
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        how = FileOptions(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        command(**given, how=how)

    vars(with_options)["__signature__"] = inspect.Signature([*own[:1], *shared, *own[1:]])
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
    return with_options
