"""Which column of a foreign table is which field, and how its cells are meant."""

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.sources import guess, names, sides
from knowdefeat_pipeline.sources.fields import FIELDS, SIZES, Field
from knowdefeat_pipeline.sources.options import Dates, Decimal
from knowdefeat_pipeline.sources.terms import Terms

KNOW_DEFEAT = "know_defeat"
EXPORT = "export"
TABLE = "table"
KNOW_DEFEAT_COLUMNS = frozenset(
    {
        "trade_id",
        "bot_id",
        "algo_id",
        "ticker",
        "entry_price",
        "exit_price",
        "entry_time",
        "exit_time",
        "entry_trigger_price",
        "exit_trigger_price",
        "entry_trigger_time",
        "exit_trigger_time",
        "trade_size",
        "trade_direction",
        "trade_pnl",
        "trade_status",
    }
)

CONSTANTS: Mapping[str, str] = {
    "bot_id": "--bot NAME",
    "ticker": "--ticker NAME",
    "direction": "--direction LONG",
    "status": "--status closed",
}
"""Fields that may be said of a whole file, and how."""


class SourceError(KnowDefeatError):
    """A file that cannot be read at all. The message names file, row and column, and the remedy."""


@dataclass(frozen=True)
class Layout:
    """How the rows of one table are read; kept with every refused row so that it can be read the same way again.

    `columns`: field -> column. `timezone`: clock of times that name no zone (see `clocks`). `currency`: of rows that
    name none. `confidence_scale`: what a full signal confidence is written as, 1 or 100. `constants`: field -> text,
    of rows that name none. `decimals`: column -> notation of its numbers; columns that are not there hold numbers as
    programs write them. `dates`: the order of day and month in dates that end with the year. `terms`: what its amounts
    mean. `holds_duplicates`: whether a trade that is like another is the same in spite of its id. `by_pair`: whether
    pairs such as BTC-EUR say their currency, before `currency`. `capital`: what each bot has to trade with of which no
    row says it, None: nobody does.
    """

    format: str
    columns: Mapping[str, str]
    timezone: str = "UTC"
    currency: str = "USD"
    confidence_scale: float = 1
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    decimals: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    dates: Dates | None = None
    terms: Terms = dataclasses.field(default_factory=Terms)
    holds_duplicates: bool = False
    by_pair: bool = False
    capital: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the layout again."""
        known = asdict(self)
        if self.capital is None:  # as layouts are that were kept before there was one: the same file is known by it
            del known["capital"]
        return known

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The layout that `as_json` wrote."""
        return cls(**{**value, "terms": Terms.from_json(value.get("terms", {}))})

    def column_of(self, field: str, row: Mapping[str, str | None]) -> str:
        """The column of a row to name when a field is to blame: its own, or the filled one that the field was made
        from; without a column the field itself."""
        made_from = {"notional": self.terms.for_columns(self.columns).size_field or "", "mark_price": "exit_price"}
        columns = [self.columns[name] for name in (field, made_from.get(field, "")) if name in self.columns]
        return next((column for column in columns if row.get(column)), columns[0] if columns else field)


def recognise(
    seen: Sequence[str],
    mapping: Mapping[str, str],
    constants: Collection[str] = (),
    table: pa.Table | None = None,
) -> tuple[str, dict[str, str]]:
    """The format and field -> column for a table with the columns `seen`.

    A column is found by `mapping` (column -> field), by the field's name, or by one of its aliases, in this order.
    `constants`: fields that are said of the whole file. `table`: whose cells help to guess a mapping for the error.
    Raises SourceError for a mapping that does not fit and for required fields without a column.
    """
    _check_mapping(seen, mapping)
    chosen = {field: column for column, field in mapping.items()}
    format_ = KNOW_DEFEAT if set(seen) == KNOW_DEFEAT_COLUMNS else TABLE
    columns = {**names.by_name([column for column in seen if column not in mapping]), **chosen}
    in_money = "size" in columns and "size" not in chosen and not names.is_unitless(columns["size"])
    if in_money or format_ == KNOW_DEFEAT:
        columns["notional"] = columns.pop("size")
    missing = missing_fields(columns, constants)
    if FIELDS["direction"] in missing and table is not None:
        sizes = [table[columns[name]] for name in SIZES if name in columns]
        if any(map(sides.has_negative, sizes)):  # its sign is the side
            missing.remove(FIELDS["direction"])
    if missing:
        raise SourceError(_wanted(seen, columns, missing, constants, table))
    return format_, columns


def missing_fields(columns: Collection[str], constants: Collection[str] = ()) -> list[Field]:
    """What a trade needs and a table does not have. The status follows from an exit; a size may from a stated pnl."""
    given = {*columns, *constants}
    if {"exit_time", "exit_price"} <= given:
        given.add("status")
    missing = [field for field in FIELDS.values() if field.required and field.name not in given]
    if not {*SIZES, "reported_pnl"} & given:
        missing.append(FIELDS["notional"])
    return missing


def _check_mapping(seen: Sequence[str], mapping: Mapping[str, str]) -> None:
    for column, name in mapping.items():
        if column not in seen:
            raise SourceError(f"--map names the column '{column}', which is not there; {_listed(seen)}")
        if name not in FIELDS:
            raise SourceError(f"--map {column}={name}: no field is called '{name}'; the fields are {', '.join(FIELDS)}")
    twice = {name for name in mapping.values() if list(mapping.values()).count(name) > 1}
    for name in sorted(twice):
        columns = ", ".join(column for column, named in mapping.items() if named == name)
        raise SourceError(f"--map gives the field {name} to more than one column ({columns}); keep one")


def _wanted(
    seen: Sequence[str],
    columns: Mapping[str, str],
    missing: Sequence[Field],
    constants: Collection[str],
    table: pa.Table | None,
) -> str:
    """The message for missing columns: all that a closed trade lacks, and options to paste."""
    exits = [FIELDS[name] for name in ("exit_time", "exit_price") if name not in {*columns, *constants}]
    fields = [*missing, *exits]
    found = {} if table is None else guess.columns_for([field.name for field in fields], seen, columns, table)
    wanted = ", ".join(f"{field.name} ({field.description})" for field in missing)
    if exits:
        wanted += f"; nor, which a closed trade needs, for {' and '.join(field.name for field in exits)}"
    maps = " ".join(
        f"--map {shlex.quote(f'{found[field.name]}={field.name}')}" if field.name in found
        else f"--map COLUMN={field.name}" for field in fields
    )  # fmt: skip
    whole = [CONSTANTS[field.name] for field in missing if field.name in CONSTANTS]
    said = f"; what is the same in all rows needs no column: {' '.join(whole)}" if whole else ""
    return f"no column for {wanted}; {_listed(seen)}; name the right ones with {maps}{said}"


def _listed(seen: Sequence[str]) -> str:
    return f"the columns are {', '.join(seen)}"
