"""How the cells of one file are written: decimal point or comma, day or month first, and in which currency.

A column is read in one way, chosen from all its cells. Where they leave two readings, the file's other columns decide,
since one program wrote them all; where these do not either, the user is asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from knowdefeat_pipeline.core.escaping import printable, shortened
from knowdefeat_pipeline.sources import cells, moments, names, numerals, units
from knowdefeat_pipeline.sources.fields import FIELDS
from knowdefeat_pipeline.sources.layout import Layout, SourceError
from knowdefeat_pipeline.sources.numerals import Evidence
from knowdefeat_pipeline.sources.options import Dates, Decimal
from knowdefeat_pipeline.sources.raw import RawTable

NUMBERS = ("price", "size", "units", "factor", "amount", "fraction")
PRICED: tuple[tuple[str, ...], ...] = (("entry_price", "exit_price", "mark_price"), ("notional", "reported_pnl"))
"""The fields whose unit is the currency of the trades, the most telling first; fees may be paid in another."""


def decide(
    raw: RawTable, layout: Layout, decimal: Decimal | None, dates: Dates | None, currency: str | None
) -> tuple[Layout, list[str]]:
    """The layout with the notation of its cells, and notes on what was decided.

    `decimal`, `dates`, `currency`: what the user says; None leaves it to the cells.
    Raises SourceError with every question that the cells leave open, and the options that answer them.
    """
    evidence = {name: weigh(column) for name, column in _texts(raw, layout, NUMBERS)}
    decimals, open_numbers = _decimals(evidence, decimal, raw.origin.separator)
    order, open_dates = _order(_texts(raw, layout, ("time",)), dates)
    questions = [question for question in (_ask_decimal(open_numbers, evidence), open_dates) if question]
    if questions:
        raise SourceError("; ".join(questions))
    layout = replace(layout, decimals=decimals, dates=order)
    commas = [column for column, name in decimals.items() if name == "comma"]
    notes = [f"numbers of {', '.join(commas)} are read with a decimal comma"] if commas else []
    if order:
        notes.append(f"dates are read {order.replace('-', ' ')}")
    named = _currency(raw, layout, currency)
    return replace(layout, currency=named or layout.currency, by_pair=named is None), notes


def weigh(column: pa.ChunkedArray) -> Evidence:
    """What a text column says about its notation. Most are as programs write them, which is seen without a copy."""
    words = None if cells.is_plain(column) else cells.words(column)
    return numerals.weigh_plain(column) if words is None else numerals.weigh(words)


def _texts(raw: RawTable, layout: Layout, kinds: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """The text columns that are read as fields of these kinds."""
    for field, name in layout.columns.items():
        column = raw.table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if FIELDS[field].kind in kinds and cells.is_text(column.type):
            yield name, column


def _decimals(
    evidence: dict[str, Evidence], said: Decimal | None, separator: str | None
) -> tuple[dict[str, Decimal], list[str]]:
    """The notation of each column that is not as programs write it, and the columns that leave it open."""
    found: dict[str, Decimal] = {}
    undecided = []
    for column, seen in evidence.items():
        notation = _said(seen, said) or seen.proves or _elsewhere(column, evidence) or _usual(seen, separator)
        if notation is None and seen.either is not None:
            undecided.append(column)
        elif not seen.plain or notation == "comma":
            found[column] = notation or "point"
    return found, undecided


def _said(seen: Evidence, said: Decimal | None) -> Decimal | None:
    """What the user says, unless no cell of the column can be read that way, or a program wrote them all."""
    reads = {"point": seen.point, "comma": seen.comma, None: 0}[said]
    return said if reads or (seen.either is not None and not (seen.plain and seen.point)) else None


def _elsewhere(column: str, evidence: dict[str, Evidence]) -> Decimal | None:
    """The one notation that the other columns prove."""
    proved = {seen.proves for name, seen in evidence.items() if name != column} - {None}
    return proved.pop() if len(proved) == 1 else None


def _usual(seen: Evidence, separator: str | None) -> Decimal | None:
    """Numbers like 1.234 alone are as programs write them, unless the file is of a kind that decimal commas need."""
    return "point" if seen.plain and separator != ";" else None


def _ask_decimal(columns: Sequence[str], evidence: dict[str, Evidence]) -> str | None:
    if not columns:
        return None
    example = evidence[columns[0]].either or ""
    return (
        f"the numbers of {', '.join(columns)}, such as '{shortened(printable(example))}', can be read with a decimal "
        "point or with a decimal comma; say which with --decimal point or --decimal comma"
    )


def order_of(raw: RawTable, columns: Sequence[str], said: Dates | None) -> Dates | None:
    """The order of day and month in the dates of these columns. Raises SourceError where they leave it open."""
    texts = [(name, raw.table.column(name)) for name in columns]
    order, question = _order([(name, text) for name, text in texts if cells.is_text(text.type)], said)
    if question:
        raise SourceError(question)
    return order


def _order(texts: Iterable[tuple[str, pa.ChunkedArray]], said: Dates | None) -> tuple[Dates | None, str | None]:
    """The order of day and month in dates that end with the year, or the question."""
    day_first, month_first, open_columns, example = 0, 0, [], ""
    for column, text in texts:
        days, months, either = moments.undecided(text)
        day_first, month_first = day_first + days, month_first + months
        if len(either):
            open_columns.append(column)
            example = example or str(either[0].as_py())
    if said or not (day_first or month_first or open_columns):
        return said, None
    if bool(day_first) != bool(month_first):
        return ("day-first" if day_first else "month-first"), None
    if not open_columns:
        return ("day-first" if day_first >= month_first else "month-first"), None
    return None, (
        f"the dates of {', '.join(open_columns)}, such as '{shortened(printable(example))}', can be read day first or "
        "month first; say which with --dates day-first or --dates month-first"
    )


def _currency(raw: RawTable, layout: Layout, said: str | None) -> str | None:
    """The currency of rows that name none: what the user says, else what headings and cells of money name, if any."""
    if said or "quote_currency" in layout.columns:
        return said
    for fields in PRICED:
        codes = {units.currency(unit) for unit in _units(raw, layout, fields)} - {None}
        if fields is not PRICED[0]:  # a pnl in coins may be that of a contract which is priced in money
            codes &= units.MONEY
        if len(codes) == 1:
            return str(codes.pop())
    return None


def _units(raw: RawTable, layout: Layout, fields: Sequence[str]) -> set[str]:
    """The units that the headings and the cells of these fields name."""
    columns = [layout.columns[field] for field in fields if field in layout.columns]
    named = {unit for column in columns if (unit := names.unit(column) or raw.units.get(column))}
    for column in columns:
        text = cells.words(raw.table.column(column)) if column in layout.decimals else None
        named |= set() if text is None else {*numerals.units(text)}
    return named
