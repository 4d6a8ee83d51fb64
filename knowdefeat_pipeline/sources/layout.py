"""Which column of a foreign table is which field, and how its cells are meant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.sources.canonical import FIELDS, SIZES
from knowdefeat_pipeline.sources.terms import Terms

KNOW_DEFEAT = "know_defeat"
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


class SourceError(KnowDefeatError):
    """A file that cannot be read at all. The message names file, row and column, and the remedy."""


@dataclass(frozen=True)
class Layout:
    """How the rows of one table are read; kept with every refused row so that it can be read the same way again.

    `columns`: field -> column. `timezone`: IANA zone of times without one. `currency`: of rows that name none.
    `confidence_scale`: what a full signal confidence is written as, 1 or 100. `terms`: what its amounts mean.
    `holds_duplicates`: whether a trade that is like another is the same in spite of its id.
    """

    format: str
    columns: Mapping[str, str]
    timezone: str = "UTC"
    currency: str = "USD"
    confidence_scale: float = 1
    terms: Terms = field(default_factory=Terms)
    holds_duplicates: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the layout again."""
        return asdict(self)

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


def recognise(seen: Sequence[str], mapping: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The format and field -> column for a table with the columns `seen`.

    A column is found by `mapping` (column -> field), by the field's name, or by one of its aliases, in this order.
    Raises SourceError for a mapping that does not fit and for required fields without a column.
    """
    _check_mapping(seen, mapping)
    chosen = {field: column for column, field in mapping.items()}
    columns = {**_by_name([column for column in seen if column not in mapping]), **chosen}
    format_ = KNOW_DEFEAT if set(seen) == KNOW_DEFEAT_COLUMNS else TABLE
    if format_ == KNOW_DEFEAT and "size" in columns:
        columns["notional"] = columns.pop("size")
    _check_required(seen, columns)
    return format_, columns


def _spelling(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _by_name(seen: Iterable[str]) -> dict[str, str]:
    spelled = {_spelling(column): column for column in reversed([*seen])}
    columns = {}
    for known in FIELDS.values():
        names = [name for name in (known.name, *known.aliases) if name in spelled]
        if names:
            columns[known.name] = spelled[names[0]]
    return columns


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


def _check_required(seen: Sequence[str], columns: Mapping[str, str]) -> None:
    missing = [field for field in FIELDS.values() if field.required and field.name not in columns]
    if not {*SIZES, "reported_pnl"} & set(columns):
        missing.append(FIELDS["notional"])
    if missing:
        wanted = ", ".join(f"{field.name} ({field.description})" for field in missing)
        maps = " ".join(f"--map COLUMN={field.name}" for field in missing)
        raise SourceError(f"no column for {wanted}; {_listed(seen)}; name the right ones with {maps}")


def _listed(seen: Sequence[str]) -> str:
    return f"the columns are {', '.join(seen)}"
