"""Bars and order books from foreign tables: their fields, what makes a row acceptable, and why one is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.amounts import UNITS_BOUND
from knowdefeat_pipeline.core.escaping import PLAIN_NAME, printable, shortened
from knowdefeat_pipeline.core.market.timeframes import BarError, bar_length
from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources import cells, clocks
from knowdefeat_pipeline.sources.canonical import ALL_TICKERS, CLOCK_SKEW, KINDS, is_no_plain_name
from knowdefeat_pipeline.sources.fields import Field
from knowdefeat_pipeline.sources.files import read_raw
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.reading import misshapen_rows, refusals

TIMES = ("timestamp", "time", "datetime", "date")
TICKER = Field("ticker", "text", "what is traded", True, ("symbol", "instrument", "pair"))


@dataclass(frozen=True)
class Form:
    """A kind of market data: its fields, which of them name a row, and the table that holds the rows."""

    name: str
    table: str
    fields: Mapping[str, Field]
    key: tuple[str, ...]

    @property
    def time(self) -> str:
        """The field that says when."""
        return next(field.name for field in self.fields.values() if field.kind == "time")


def _form(name: str, table: str, key: tuple[str, ...], *fields: Field) -> Form:
    return Form(name, table, {field.name: field for field in fields}, key)


BARS = _form(
    "bars",
    "price_bars",
    ("ticker", "timeframe", "open_time"),
    TICKER,
    Field("timeframe", "text", "the length of a bar, such as 15m, 1h or 1d", True, ("interval", "resolution")),
    Field("open_time", "time", "when the bar begins", True, TIMES),
    Field("open", "price", "the first price", True, ("open_price",)),
    Field("high", "price", "the highest price", True, ("high_price",)),
    Field("low", "price", "the lowest price", True, ("low_price",)),
    Field("close", "price", "the last price", True, ("close_price",)),
    Field("volume", "amount", "what was traded, in units of the ticker", False, ("vol", "base_volume")),
)
BOOKS = _form(
    "order books",
    "order_book_levels",
    ("ticker", "observed_at", "side", "price"),
    TICKER,
    Field("observed_at", "time", "when the order book was seen", True, TIMES),
    Field("side", "text", "BID or ASK", True),
    Field("price", "price", "the price of the level", True),
    Field("size", "amount", "what rests at that price, in units of the ticker", True, ("quantity", "qty", "amount")),
)
CONSTANT = ("ticker", "timeframe")
"""What may be said of a whole file instead of in a column."""
FORMS: Mapping[str, Form] = {form.name: form for form in (BARS, BOOKS)}

SIDES = {"BID": "BID", "BIDS": "BID", "BUY": "BID", "ASK": "ASK", "ASKS": "ASK", "SELL": "ASK"}
FILE_NAME = re.compile(r"(?P<ticker>[^_]+)_(?P<timeframe>[1-9]\d*[mhdw])(?=[._-]|$)")


class Reason(StrEnum):
    """Why a row is refused."""

    UNREADABLE_VALUE = "unreadable_value"
    BAD_NAME = "bad_name"
    BAD_TIMEFRAME = "bad_timeframe"
    BAD_PRICE = "bad_price"
    BAD_RANGE = "bad_range"
    BAD_AMOUNT = "bad_amount"
    POISON = "poison"
    UNKNOWN_SIDE = "unknown_side"
    FUTURE_TIME = "future_time"
    CONFLICT = "conflicting_values"


MESSAGES: Mapping[Reason, str] = {
    Reason.UNREADABLE_VALUE: "{column} '{value}' cannot be read as {kind}; correct the value.",
    Reason.BAD_NAME: f"{{column}} '{{value}}' is no plain name; {PLAIN_NAME}.",
    Reason.BAD_TIMEFRAME: "{column} '{value}' is not a timeframe; write a number and m, h, d or w, such as 15m or 1h.",
    Reason.BAD_PRICE: "{column} '{value}' is not a price; write a finite number above 0.",
    Reason.BAD_RANGE: "{column} '{value}' contradicts the bar's other prices: low is the lowest of the four, high the "
    "highest; correct the bar.",
    Reason.BAD_AMOUNT: "{column} '{value}' is negative or not finite; correct it, or leave a volume empty.",
    Reason.POISON: f"{{column}} '{{value}}' is beyond what can be computed with: volumes and sizes stay below "
    f"{UNITS_BOUND:g}; correct it.",
    Reason.UNKNOWN_SIDE: "{column} '{value}' is not a side; write BID or ASK (buy and sell are read too).",
    Reason.FUTURE_TIME: "{column} '{value}' lies in the future (now is {now}); check the clock and the time zone.",
    Reason.CONFLICT: "{column} '{value}' is there already with other values ({other}); correct the row, or load the "
    "file with --replace to take its values instead of the recorded ones.",
}
MISSING = "{column} is empty, and {description} is needed; fill it in."

Finding = tuple[int, Reason, str, Mapping[str, object]]
"""A row number, why the row is refused, the field to blame, and what the reason's message says besides."""


@dataclass(frozen=True)
class MarketLayout:
    """How the rows of a table are read; kept with every refused row so that it can be read the same way again.

    `format`: the form's name. `columns`: field -> column. `constants`: fields that are the same in every row.
    """

    format: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    timezone: str = "UTC"

    @property
    def form(self) -> Form:
        """What kind of market data it is."""
        return FORMS[self.format]

    @property
    def source(self) -> str:
        """Under which name rows are held in quarantine: the same row of another series is another row."""
        return ":".join([self.format, *self.constants.values()])

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the layout again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The layout that `as_json` wrote."""
        return cls(**value)


@dataclass(frozen=True)
class MarketReading:
    """What was read from one file.

    `valid`: `row_number` and the form's fields, the first of several equal rows each. `repeated` rows say what an
    earlier row says; `unfinished` bars were still open. `refused` and `raw`: as in `sources.reading.Reading`.
    """

    layout: MarketLayout
    raw: RawTable
    valid: pd.DataFrame
    refused: pd.DataFrame
    repeated: int
    unfinished: int
    notes: tuple[str, ...] = ()

    def refuse(self, findings: Sequence[Finding]) -> pd.DataFrame:
        """Rows that were valid by themselves and are refused for other reasons: a frame like `refused`."""
        return _explain(findings, self.raw, self.layout)


def read_market(
    path: Path,
    form: Form,
    *,
    now: datetime,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    timezone: str = "UTC",
) -> MarketReading:
    """Read a file of bars or order books, of any kind that `read_raw` knows.

    Columns are found by `mapping` (column -> field), by the field's name, or by an alias. `constants` name the ticker
    and the timeframe of a file that has no column for them; failing that, the file's name does: BTCUSDT_1h.csv. Times
    are ISO 8601 (`timezone` where they name none) or numbers since 1970: seconds, ms, µs or ns by their size.

    Raises SourceError, naming the file, where it cannot be read as a whole.
    """
    try:
        if not clocks.is_clock(timezone):
            raise SourceError(f"there is no time zone '{timezone}'; {clocks.REMEDY}")
        raw = replace(read_raw(path), file=printable(path.name))
        given = {name: text for name, text in (constants or {}).items() if text}
        columns = _columns(form, raw.table.column_names, mapping or {}, given)
        named = _from_name(path, form, {*columns, *given})
        _check_required(form, raw.table.column_names, {*columns, *given, *named})
        reading = read_rows(raw, MarketLayout(form.name, columns, given | named, timezone), now)
        if form is BARS:
            _check_spacing(reading.valid)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    origin = " and ".join(f"{name} {text}" for name, text in named.items())
    return replace(reading, notes=(f"{origin}: from the file's name", *reading.notes) if origin else reading.notes)


def read_rows(raw: RawTable, layout: MarketLayout, now: datetime) -> MarketReading:
    """Read every cell of a raw table, validate the rows and explain the refusals."""
    form = layout.form
    frame, blame, naive = _parse(raw, layout)
    frame = _normalised(form, frame)
    checks = [*_reading_checks(form, frame, blame), *_value_checks(form, frame, now)]
    failed = np.array([mask for _, _, mask in checks])
    bad = np.asarray(failed.any(axis=0))
    facts = {"now": f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"}
    findings: list[Finding] = [
        (int(number), checks[first][0], checks[first][1], facts)
        for number, first in zip(raw.row_number[bad], failed[:, bad].argmax(axis=0), strict=True)
    ]
    valid = frame.loc[~bad]
    closed = _closed(valid, now) if form is BARS else np.ones(len(valid), bool)
    kept, conflicts, repeated = _distinct(form, valid.loc[closed])
    refused = pd.concat([_explain([*findings, *conflicts], raw, layout), misshapen_rows(raw)], ignore_index=True)
    notes = [*raw.notes, *([f"times without a zone are read as {layout.timezone}"] if naive else [])]
    return MarketReading(
        layout=layout,
        raw=raw,
        valid=kept.reset_index(drop=True),
        refused=refused.sort_values("row_number", ignore_index=True),
        repeated=repeated,
        unfinished=int((~closed).sum()),
        notes=tuple(notes),
    )


def _columns(
    form: Form, seen: Sequence[str], mapping: Mapping[str, str], constants: Mapping[str, str]
) -> dict[str, str]:
    for column, name in mapping.items():
        if column not in seen:
            raise SourceError(f"--map names the column '{column}', which is not there; it has {', '.join(seen)}")
        if name not in form.fields:
            raise SourceError(f"--map {column}={name}: the fields of {form.name} are {', '.join(form.fields)}")
    spelled = {column.strip().lower().replace(" ", "_"): column for column in reversed(seen) if column not in mapping}
    columns = {name: column for column, name in mapping.items()}
    for field in form.fields.values():
        found = next((spelled[name] for name in (field.name, *field.aliases) if name in spelled), None)
        if found and field.name not in columns:
            columns[field.name] = found
    return {name: column for name, column in columns.items() if name not in constants}


def _from_name(path: Path, form: Form, known: set[str]) -> dict[str, str]:
    found = FILE_NAME.match(path.name)
    if not found or form is not BARS:
        return {}
    return {name: text for name, text in found.groupdict().items() if name not in known}


def _check_required(form: Form, seen: Sequence[str], known: set[str]) -> None:
    missing = [field for field in form.fields.values() if field.required and field.name not in known]
    if missing:
        wanted = ", ".join(f"{field.name} ({field.description})" for field in missing)
        options = [f"--{f.name} VALUE" if f.name in CONSTANT else f"--map COLUMN={f.name}" for f in missing]
        raise SourceError(f"no column for {wanted}; it has {', '.join(seen)}; say {' '.join(options)}")


def _parse(raw: RawTable, layout: MarketLayout) -> tuple[pd.DataFrame, pd.Series, bool]:
    """The fields as values; the first field of each row whose cell is none; whether any time came without a zone."""
    rows, form = len(raw.row_number), layout.form
    frame = pd.DataFrame({"row_number": raw.row_number})
    blame = pd.Series([None] * rows, dtype="str")
    naive = False
    for name, field in form.fields.items():
        if name in layout.constants:
            frame[name] = pd.Series([layout.constants[name]] * rows, dtype="str")
        elif name not in layout.columns:
            frame[name] = np.full(rows, np.nan)
        else:
            read = _read(raw, field, layout)
            frame[name] = read.values
            blame = blame.where(blame.notna() | ~read.unreadable, name)
            naive |= read.naive
    return frame, blame, naive


def _read(raw: RawTable, field: Field, layout: MarketLayout) -> cells.Cells:
    name = layout.columns[field.name]
    column = raw.table.column(name)
    if not cells.accepts(field.kind, column.type):
        raise SourceError(f"column '{name}': type {column.type} cannot hold {KINDS[field.kind]}; correct the column")
    read = cells.read(field.kind, column, layout.timezone)
    if read.unreadable.sum() > 1 and not read.values.notna().any():
        first = int(read.unreadable.argmax())
        raise SourceError(
            f"row {raw.row_number[first]}, column '{name}': '{column[first]}' and all other values cannot be read as "
            f"{KINDS[field.kind]}; correct the column, or name another one with --map COLUMN={field.name}"
        )
    return read


def _normalised(form: Form, frame: pd.DataFrame) -> pd.DataFrame:
    if form is BOOKS:
        return frame.assign(side=frame["side"].str.upper().map(SIDES))
    spelled = {name: _timeframe(name) for name in frame["timeframe"].dropna().unique()}
    return frame.assign(timeframe=frame["timeframe"].map(spelled).astype("str"))


def _timeframe(name: str) -> str | None:
    """As the house writes it. A capital M is a month for some, and stays what nobody knows."""
    spelled = name if name.endswith("M") else name.lower()
    try:
        bar_length(spelled)
    except BarError:
        return None
    return spelled


Check = tuple[Reason, str, Bools]
"""A reason, the field to blame, and which rows fail (bool per row)."""


def _reading_checks(form: Form, frame: pd.DataFrame, blame: pd.Series) -> Iterator[Check]:
    """Cells that could not be read, are missing, or say what no one knows."""
    for name in blame.dropna().unique():
        yield Reason.UNREADABLE_VALUE, name, (blame == name).to_numpy(bool)
    unknown = {"timeframe": Reason.BAD_TIMEFRAME, "side": Reason.UNKNOWN_SIDE}
    for field in form.fields.values():
        if field.required:
            yield unknown.get(field.name, Reason.UNREADABLE_VALUE), field.name, frame[field.name].isna().to_numpy()
    yield Reason.UNREADABLE_VALUE, "ticker", (frame["ticker"] == ALL_TICKERS).to_numpy(bool)
    yield Reason.BAD_NAME, "ticker", is_no_plain_name(frame["ticker"])


def _value_checks(form: Form, frame: pd.DataFrame, now: datetime) -> Iterator[Check]:
    for field in form.fields.values():
        if field.kind not in ("price", "amount"):
            continue
        value = frame[field.name].to_numpy(float)
        if field.kind == "price":
            yield Reason.BAD_PRICE, field.name, (value <= 0) | np.isinf(value)
        else:
            yield Reason.BAD_AMOUNT, field.name, (value < 0) | np.isinf(value)
            yield Reason.POISON, field.name, value >= UNITS_BOUND
    if form is BARS:
        ends = frame[["open", "close"]].to_numpy(float)
        yield Reason.BAD_RANGE, "low", frame["low"].to_numpy(float) > ends.min(axis=1)
        yield Reason.BAD_RANGE, "high", frame["high"].to_numpy(float) < ends.max(axis=1)
    yield Reason.FUTURE_TIME, form.time, (frame[form.time] > pd.Timestamp(now) + CLOCK_SKEW).to_numpy()


def _closed(bars: pd.DataFrame, now: datetime) -> Bools:
    """Bars that had closed: what an open one says would be another bar a minute later."""
    length = bars["timeframe"].map({name: bar_length(name) for name in bars["timeframe"].unique()})
    return (bars["open_time"] + pd.to_timedelta(length) <= pd.Timestamp(now)).to_numpy()


def _distinct(form: Form, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding], int]:
    """The first row of each key, later rows that say otherwise, and how many say the same."""
    key, values = [*form.key], [name for name in form.fields if name not in form.key]
    again = rows.duplicated(key)
    if not again.any():
        return rows, [], 0
    first = rows[~again].set_index(key)
    later = rows[again]
    held = first.loc[pd.MultiIndex.from_frame(later[key])].reset_index()
    mine, theirs = later[values].to_numpy(float), held[values].to_numpy(float)
    differs = ~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs))).all(axis=1)
    findings: list[Finding] = [
        (int(number), Reason.CONFLICT, form.time, {"other": f"row {other}"})
        for number, other in zip(later["row_number"][differs], held["row_number"][differs], strict=True)
    ]
    return rows[~again], findings, int((~differs).sum())


def _check_spacing(bars: pd.DataFrame) -> None:
    """Bars that follow one another faster than they last have another timeframe than was said."""
    for (ticker, timeframe), series in bars.groupby(["ticker", "timeframe"]):
        minutes = series["open_time"].sort_values().diff().dt.total_seconds().median() / 60
        if len(series) > 2 and minutes < bar_length(str(timeframe)).total_seconds() / 60:
            raise SourceError(
                f"the bars of {ticker} open every {minutes:g} minutes, and their timeframe is said to be {timeframe}; "
                "say which it is with --timeframe"
            )


def _explain(findings: Sequence[Finding], raw: RawTable, layout: MarketLayout) -> pd.DataFrame:
    originals = raw.originals(np.array([number for number, *_ in findings], dtype="int64"))
    rows = []
    for (number, reason, name, facts), original in zip(findings, originals, strict=True):
        field, column = layout.form.fields[name], layout.columns.get(name, name)
        value = original.get(column, layout.constants.get(name))
        template = MESSAGES[reason] if value else MISSING
        shown = shortened(printable(value or ""))
        words = {"kind": KINDS[field.kind], "description": field.description, **facts}
        rows.append((number, reason, column, template.format(column=column, value=shown, **words), original))
    return refusals(rows)
