"""From a raw table of any origin to a `Reading`: the trades that may be recorded, and the rows that are refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime
from itertools import zip_longest

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable, shortened
from knowdefeat_pipeline.core.units import Floats, Ints
from knowdefeat_pipeline.sources import cells
from knowdefeat_pipeline.sources.canonical import (
    DIRECTIONS,
    FIELDS,
    KINDS,
    MISSHAPEN,
    Field,
    Reason,
    explain,
    is_marked,
    net_pnl,
    validate,
)
from knowdefeat_pipeline.sources.layout import TABLE, Layout, SourceError

NEEDED_NUMBERS = ("entry_price", "exit_price", "notional", "quantity")
SIZE_EVIDENCE = 0.99
SIZE_TOLERANCE = 0.01
LEAST_CAPITAL, MOST_CAPITAL = 1e-18, 1e15


@dataclass(frozen=True)
class RawTable:
    """A foreign table, untouched. `row_number`: of each row of `table`, from 1. `misshapen`: the rows that do not fit
    the header, as (row number, fields)."""

    table: pa.Table
    row_number: Ints
    misshapen: Sequence[tuple[int, list[str]]] = ()

    @property
    def rows(self) -> int:
        """All rows of the file."""
        return len(self.row_number) + len(self.misshapen)

    def originals(self, row_numbers: Ints) -> list[dict[str, str | None]]:
        """The untouched text of rows of `table`, column -> cell; None is a null of the file."""
        rows = self.table.take(np.searchsorted(self.row_number, row_numbers))
        columns = [[_as_text(value) for value in column.to_pylist()] for column in rows.columns]
        return [dict(zip(rows.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


Finding = tuple[int, Reason, str, Mapping[str, object]]
"""A row number, why the row is refused, the field to blame, and what the reason's message says besides."""


@dataclass(frozen=True)
class Reading:
    """What was read from one file.

    `valid`: `row_number`, the canonical columns and `pnl`, in file order. `refused`: `row_number`, `reason`,
    `column_name`, `message`, `original` (JSON). `notes`: decisions that the user should know. `capital`: what bots have
    to trade with, by name, of those of which it is stated.
    """

    source: str
    layout: Layout
    raw: RawTable
    valid: pd.DataFrame
    refused: pd.DataFrame
    notes: tuple[str, ...]
    capital: Mapping[str, float] = dataclass_field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        """All rows of the file, whatever became of them."""
        return self.raw.rows

    def refuse(self, findings: Sequence[Finding]) -> pd.DataFrame:
        """Rows that were valid by themselves and are refused for other reasons: a frame like `refused`."""
        return _explain(findings, self.raw, self.layout)


def read_table(
    raw: RawTable,
    layout: Layout,
    now: datetime,
    *,
    source: str | None = None,
    account: str | None = None,
    size_open: bool = False,
    capital: float | None = None,
) -> Reading:
    """Read every cell of a raw table, validate the rows and explain the refusals.

    `size_open`: the unit of the column read as `notional` is not known; the pnl that the rows state decides. The
    reading's `layout` then says how. `source`: the key under which the trades are recorded; None derives it from the
    format and `account`, or the only strategy of a generic table. `capital`: what each bot has to trade with, of which
    the table does not say it.
    Raises SourceError for a column that cannot hold its field, or in which no cell can be read.
    """
    frame, naive = _parse(raw, layout)
    notes = []
    if size_open:
        quantity, note = _weigh_size(frame, layout.columns["notional"])
        notes.append(note)
        if quantity:
            layout = layout.with_quantity()
            frame["quantity"] = frame["notional"]
    if "quantity" in layout.columns:
        with np.errstate(over="ignore", under="ignore"):
            frame["notional"] = frame["quantity"] * frame["entry_price"]
    notes += _notes(frame, raw, layout, naive)
    name = source or _source(layout.format, account, frame["strategy_id"])
    if not is_plain_name(name):
        raise SourceError(f"the source '{shortened(printable(name))}' is no plain name; {PLAIN_NAME}: --source NAME")
    valid, refused = validate(frame, now)
    facts = {"now": f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"}
    findings = [(number, reason, field, facts) for number, reason, field in refused.itertuples(index=False)]
    explained = [_explain(findings, raw, layout), misshapen_rows(raw)]
    return Reading(
        source=name,
        layout=layout,
        raw=raw,
        valid=valid,
        refused=pd.concat(explained, ignore_index=True).sort_values("row_number", ignore_index=True),
        notes=tuple(notes),
        capital=_capital(frame[~frame["row_number"].isin(refused["row_number"])], layout, capital),
    )


def _capital(trades: pd.DataFrame, layout: Layout, stated: float | None) -> Mapping[str, float]:
    """The capital that is stated of each bot. Raises SourceError where that is none, or rows differ."""
    if "capital" not in layout.columns and stated is None:
        return {}
    known = trades[["row_number", "bot_id", "capital"]].fillna({"capital": np.nan if stated is None else stated})
    known = known.dropna(subset="capital").drop_duplicates(["bot_id", "capital"])
    column = layout.columns.get("capital", "--capital")
    for number, _, capital in known[~known["capital"].between(LEAST_CAPITAL, MOST_CAPITAL)].itertuples(index=False):
        raise SourceError(f"row {number}, column '{column}': {capital:g} is no capital; write a number above 0")
    twice = known[known["bot_id"].duplicated(keep=False)].sort_values("bot_id", kind="stable").head(2)
    if len(twice):
        (row, bot, one), (other, _, another) = twice.itertuples(index=False)
        raise SourceError(
            f"column '{column}': bot {bot} has {one:,.10g} in row {row} and {another:,.10g} in row {other}, and a bot "
            "has one capital; correct the column, or name another one with --map COLUMN=capital"
        )
    return dict(zip(known["bot_id"], known["capital"], strict=True))


def _as_text(value: object) -> str | None:
    """A cell as text that PostgreSQL can hold: it knows no NUL."""
    return None if value is None else str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _parse(raw: RawTable, layout: Layout) -> tuple[pd.DataFrame, bool]:
    """The frame that `validate` takes, and whether any time came without a zone."""
    rows = len(raw.row_number)
    read = {field: _read_column(raw, field, layout) for field in layout.columns}
    frame = pd.DataFrame({"row_number": raw.row_number})
    for name, field in FIELDS.items():
        frame[name] = read[name].values if name in read else _absent(field, rows)
    frame["unreadable"] = _first_unreadable(read, rows)
    needed = frame["status"].str.lower() == "closed"
    for name in NEEDED_NUMBERS:
        if name in read:
            frame[name] = frame[name].mask((needed | FIELDS[name].required) & read[name].nan, np.inf)
    frame["signal_confidence"] /= layout.confidence_scale
    frame["quote_currency"] = frame["quote_currency"].fillna(layout.currency)
    return frame, any(column.naive for column in read.values())


def _read_column(raw: RawTable, field: str, layout: Layout) -> cells.Cells:
    name, kind = layout.columns[field], FIELDS[field].kind
    column = raw.table.column(name)
    remedy = f"correct the column, or name another one with --map COLUMN={field}"
    if not cells.accepts(kind, column.type):
        value = next((cell for cell in column.to_pylist() if cell is not None), None)
        raise SourceError(f"row 1, column '{name}': type {column.type} ('{value}') cannot hold {KINDS[kind]}; {remedy}")
    read = cells.read(kind, column, layout.timezone)
    if read.unreadable.sum() > 1 and not read.values.notna().any():
        first = int(read.unreadable.argmax())
        raise SourceError(
            f"row {raw.row_number[first]}, column '{name}': '{column[first]}' and all other values "
            f"cannot be read as {KINDS[kind]}; {remedy}"
        )
    return read


def _absent(field: Field, rows: int) -> pd.Series:
    """A field of which the file has no column."""
    if field.kind in ("text", "bot"):
        return pd.Series([None] * rows, dtype="str")
    return pd.Series(np.full(rows, np.nan)).astype("datetime64[us, UTC]" if field.kind == "time" else "float64")


def _first_unreadable(read: dict[str, cells.Cells], rows: int) -> pd.Series:
    names = pd.Series([None] * rows, dtype="str")
    for name in reversed([*read]):
        names = names.mask(read[name].unreadable, name)
    return names


def _weigh_size(frame: pd.DataFrame, column: str) -> tuple[bool, str]:
    """Whether the size column counts units of the asset, judged by the pnl that the closed rows state; and a note.

    A stated pnl may be net or gross of fees, and rounded.
    """
    inputs = ["notional", "entry_price", "exit_price", "reported_pnl", "direction", "exit_time"]
    known = frame.loc[frame["status"].str.lower() == "closed", [*inputs, "fees"]].dropna(subset=inputs)
    direction = known["direction"].str.upper().map(DIRECTIONS).to_numpy()
    size, entry, leave, stated = (known[name].to_numpy() for name in inputs[:4])
    fees = known["fees"].fillna(0.0).to_numpy()

    def agreeing(notional: Floats) -> int:
        pnl = net_pnl(notional, direction, entry, leave, fees)
        distance = np.minimum(np.abs(pnl - stated), np.abs(pnl + fees - stated))
        rounding = np.minimum(0.005, np.abs(notional) / 1000)
        return int((distance <= rounding + SIZE_TOLERANCE * np.abs(stated)).sum())

    with np.errstate(over="ignore", invalid="ignore"):
        quantity, notional = agreeing(size * entry), agreeing(size)
    if known.empty or quantity < SIZE_EVIDENCE * len(known) or quantity <= notional:
        return False, f"{column} is read as a notional in quote currency; say --size quantity if it counts units"
    return True, (
        f"{column} is read as a quantity (notional = {column} * entry price): the pnl stated in the file agrees with "
        f"that in {quantity:,} of {len(known):,} closed trades, with a notional in {notional:,}; "
        "say --size notional if this is wrong"
    )


def _notes(frame: pd.DataFrame, raw: RawTable, layout: Layout, naive: bool) -> list[str]:
    notes = []
    marked = int(is_marked(frame).sum())
    if marked:
        notes.append(
            f"{marked:,} trades that are not closed have an exit price and no exit time: they stay open, "
            "and the price is their mark price"
        )
    unsized = int((frame["notional"].isna() & (frame["status"].str.lower() == "closed")).sum())
    if unsized:
        notes.append(f"{unsized:,} closed trades have no size: the net pnl that the file states is taken at its word")
    if naive:
        notes.append(f"times without a zone are read as {layout.timezone}")
    if "quote_currency" not in layout.columns:
        notes.append(f"no currency column: all figures are in {layout.currency}")
    unused = [name for name in raw.table.column_names if name not in layout.columns.values()]
    if unused:
        notes.append(f"columns not used: {', '.join(unused)}")
    return notes


def _source(format_: str, account: str | None, strategies: pd.Series) -> str:
    if account:
        return f"{format_}:{account}"
    only = strategies.unique()
    if format_ == TABLE and len(only) == 1 and isinstance(only[0], str) and is_plain_name(f"{format_}:{only[0]}"):
        return f"{format_}:{only[0]}"
    return format_


def _explain(findings: Sequence[Finding], raw: RawTable, layout: Layout) -> pd.DataFrame:
    originals = raw.originals(np.array([number for number, *_ in findings], dtype="int64"))
    entry_time = layout.columns["entry_time"]
    rows = []
    for (number, reason, field, facts), original in zip(findings, originals, strict=True):
        column = layout.column_of(field, original)
        message = explain(reason, field, column, original.get(column), entry=original.get(entry_time), **facts)
        rows.append((number, reason, column, message, original))
    return refusals(rows)


def misshapen_rows(raw: RawTable) -> pd.DataFrame:
    """Rows with another number of fields than the header: their fields in order, those beyond the header numbered."""
    names = raw.table.column_names
    rows = []
    for number, fields in raw.misshapen:
        beyond = [f"field {position}" for position in range(len(names) + 1, len(fields) + 1)]
        original = dict(zip_longest([*names, *beyond], fields))
        message = MISSHAPEN.format(found=len(fields), expected=len(names))
        rows.append((number, Reason.UNREADABLE_VALUE, None, message, original))
    return refusals(rows)


def refusals(rows: Sequence[tuple[int, str, str | None, str, dict[str, str | None]]]) -> pd.DataFrame:
    """Refused rows as a frame, from (row number, reason, column, message, original row)."""
    numbers, reasons, columns, messages, originals = zip(*rows, strict=True) if rows else ((),) * 5
    return pd.DataFrame(
        {
            "row_number": np.array(numbers, dtype="int64"),
            "reason": pd.Series([str(reason) for reason in reasons], dtype="str"),
            "column_name": pd.Series(columns, dtype="str"),
            "message": pd.Series(messages, dtype="str"),
            "original": pd.Series([json.dumps(row, ensure_ascii=False) for row in originals], dtype="str"),
        }
    )
