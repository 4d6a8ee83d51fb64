"""From a raw table of any origin to a `Reading`: the trades that may be recorded, and the rows that are refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.amounts import LEAST_SIZE
from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable, shortened
from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources import cells, names, sides, units, words
from knowdefeat_pipeline.sources.canonical import (
    CUT_SHORT,
    HALF_A_CENT,
    KINDS,
    OR_MEND,
    TOO_LONG,
    agrees,
    explain,
    is_marked,
    validate,
    with_worthless_exits,
)
from knowdefeat_pipeline.sources.fields import FIELDS, SIZES, Kind, Reason
from knowdefeat_pipeline.sources.layout import EXPORT, KNOW_DEFEAT, TABLE, Layout, SourceError
from knowdefeat_pipeline.sources.partial_exits import Parts, join_partial_exits
from knowdefeat_pipeline.sources.proof import settle
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.rounding import half_of_last_decimal
from knowdefeat_pipeline.sources.terms import Terms, Written, apply

NEEDED_NUMBERS = ("entry_price", "exit_price", *SIZES)
NAMED_ROWS = 3
"""How many rows a note names."""
LEAST_CAPITAL, MOST_CAPITAL = 1e-18, 1e15


Finding = tuple[int, Reason, str, Mapping[str, object]]
"""A row number, why the row is refused, the field to blame, and what the reason's message says besides."""


@dataclass(frozen=True)
class Reading:
    """What was read from one file.

    `valid`: `row_number`, the canonical columns and `pnl`, in file order. `refused`: `row_number`, `reason`,
    `column_name`, `message`, `original` (JSON). `notes`: decisions that the user should know. `parts`: by row
    number of `valid`, the rows that are earlier exits of the same trade. `capital`: what bots have to trade with, by
    name, of those of which it is stated. `pnl_rounding`: half of the last decimal that the net pnl is stated with, at
    least half a cent. `other_sources`: of the same file, whose trades are read by themselves.
    """

    source: str
    layout: Layout
    raw: RawTable
    valid: pd.DataFrame
    refused: pd.DataFrame
    notes: tuple[str, ...]
    parts: Parts
    capital: Mapping[str, float] = dataclass_field(default_factory=dict)
    pnl_rounding: float = HALF_A_CENT
    other_sources: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        """All rows of the file, whatever became of them."""
        return self.raw.rows

    @property
    def content_hash(self) -> str | None:
        """SHA-256 of the file as it was read; None of what was no file, and of a database that changed meanwhile."""
        return self.raw.content and self.raw.content.sha256

    def refuse(self, findings: Sequence[Finding]) -> pd.DataFrame:
        """Rows that were valid by themselves and are refused for other reasons: a frame like `refused`, with all rows
        of a trade of several exits."""
        return _explain(_of_all_exits(findings, self.parts), self.raw, self.layout)


def read_table(
    raw: RawTable,
    layout: Layout,
    now: datetime,
    *,
    source: str | None = None,
    account: str | None = None,
    chosen: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Reading:
    """Read every cell of a raw table, validate the rows and explain the refusals.

    `chosen`: the terms that are known where the rest is yet to be proved (see `sources.proof`); None where those of the
    layout are known. The reading's layout has them. `source`: the key under which the trades are recorded; None derives
    it from the format and `account`, or the only strategy of a generic table. `notes`: what was decided before, for the
    reading's.
    Raises SourceError for a column that cannot hold its field, or in which no cell can be read, and for terms that are
    not proved.
    """
    times = [layout.columns[name] for name in ("entry_time", "exit_time") if name in layout.columns]
    raw = raw.without_totals(layout.columns.get("source_trade_id"), times)
    layout, untold = _without_untold_size(layout, chosen or {})
    frame, naive = _parse(raw, layout)
    written = Written.of(frame)
    written_pnl = frame["reported_pnl"].where(frame["status"] == "closed").to_numpy(float)
    notes = [*raw.notes, *notes, *untold]
    if chosen is None or layout.format in (KNOW_DEFEAT, EXPORT):
        terms = replace(layout.terms, **chosen or {}).for_columns(layout.columns)
    else:
        terms, proof = settle(layout.columns, frame, written, chosen)
        notes += proof
    layout = replace(layout, terms=terms)
    given = frame["quantity"].fillna(0.0) != 0
    canonical = layout.format == EXPORT
    frame = frame.assign(fee_unknown=False) if canonical else apply(frame, written, layout.terms)
    unkept = int((given & frame["quantity"].isna()).sum())
    if unkept:
        notes.append(
            f"{counted(unkept, 'row')} with another size in '{layout.columns['quantity']}' than in "
            f"'{layout.columns[layout.terms.size_field or 'quantity']}', which holds: the other is not kept"
        )
    if layout.by_pair:  # an inverse contract settles in what it is of
        inverse = frame["contract_type"].str.lower() == "inverse"
        frame["quote_currency"] = _of_pairs(frame["ticker"].where(inverse), 0).fillna(frame["quote_currency"])
    if chosen is not None:
        _check_account(frame, layout)
    frame, elsewhere = _without_sizes_of_other_currencies(frame)
    notes += elsewhere
    rounding = max(HALF_A_CENT, half_of_last_decimal(written_pnl))
    frame, worthless = with_worthless_exits(frame, rounding)
    if worthless:
        notes.append(
            f"{counted(worthless, 'trade')} left at a price of 0, as the stated net pnl proves: recorded at "
            f"{LEAST_SIZE:g}, the least price"
        )
    frame, parts = join_partial_exits(frame)
    notes += _notes(frame, raw, layout, naive)
    notes += sides.notes(frame, layout.columns)
    name = source or _source(layout.format, account, frame["strategy_id"])
    if not is_plain_name(name):
        raise SourceError(f"the source '{shortened(printable(name))}' is no plain name; {PLAIN_NAME}: --source NAME")
    valid, refused = validate(frame, now)
    notes += _disagreeing(valid, rounding)
    facts = {"now": f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"}
    findings = [(number, reason, field, facts) for number, reason, field in refused.itertuples(index=False)]
    mendable = layout.format in (TABLE, KNOW_DEFEAT, EXPORT)
    explained = [_explain(_of_all_exits(findings, parts), raw, layout), misshapen_rows(raw, mendable)]
    accepted = {*valid["row_number"].tolist()} if parts else set()
    return Reading(
        source=name,
        layout=layout,
        raw=raw,
        valid=valid,
        refused=pd.concat(explained, ignore_index=True).sort_values("row_number", ignore_index=True),
        notes=tuple(notes),
        parts={number: rows for number, rows in parts.items() if number in accepted},
        pnl_rounding=rounding,
        capital=_capital(frame[~frame["row_number"].isin(refused["row_number"])], layout),
    )


def _without_untold_size(layout: Layout, chosen: Mapping[str, Any]) -> tuple[Layout, list[str]]:
    """The layout without a size of which nobody says whether it is money or units: taking the pnl at its word proves
    none. And a note that says so."""
    is_untold = chosen.get("pnl") == "stated" and "size" not in chosen
    if not is_untold or Terms().for_columns(layout.columns).size_field != "size":
        return layout, []
    known = {name: column for name, column in layout.columns.items() if name != "size"}
    return replace(layout, columns=known), [
        f"'{layout.columns['size']}' may be a size in quote currency or in units, and is not kept: say --size notional "
        "or --size quantity"
    ]


def _check_account(frame: pd.DataFrame, layout: Layout) -> None:
    """That the currency of a net pnl that is taken at its word is known. Raises SourceError where a pair of foreign
    exchange alone names one: what a broker pays is in the currency of the account."""
    if not layout.by_pair or "quote_currency" in layout.columns:
        return
    stated = (frame["status"] == "closed") & ((frame["pnl_basis"] == "stated") | frame["notional"].isna())
    for ticker in frame.loc[stated & frame["reported_pnl"].notna(), "ticker"].dropna().unique():
        if units.is_foreign_exchange(ticker):
            raise SourceError(
                f"column '{layout.columns['reported_pnl']}': the pnl of {ticker} is taken at its word, and may be in "
                "the currency of the pair or of the account: say --currency USD, or what it is"
            )


def _without_sizes_of_other_currencies(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Trades of foreign exchange that are accounted in another currency than that in which their pair gives a pnl,
    without their sizes; one that is closed and states no pnl names a foreign currency. And a note."""
    kinds = {ticker: units.is_foreign_exchange(ticker) for ticker in frame["ticker"].dropna().unique()}
    if not any(kinds.values()):
        return frame, []
    inverse = frame["contract_type"].str.lower() == "inverse"
    gives = _of_pairs(frame["ticker"], 1).mask(inverse, _of_pairs(frame["ticker"], 0))
    elsewhere = frame["ticker"].map(kinds).fillna(False).astype(bool) & (gives != frame["quote_currency"].str.upper())
    if not elsewhere.any():
        return frame, []
    silent = elsewhere & (frame["status"] == "closed") & frame["reported_pnl"].isna()
    return frame.assign(
        foreign=frame["foreign"].mask(silent & frame["foreign"].isna(), "ticker"),
        **{name: frame[name].mask(elsewhere) for name in ("notional", "quantity", "margin")},
    ), [
        f"{counted(int(elsewhere.sum()), 'trade')} of foreign exchange, such as {frame['ticker'][elsewhere].iloc[0]}, "
        "accounted in another currency than the pair's: sizes are in the pair's, and are not kept"
    ]


def _capital(trades: pd.DataFrame, layout: Layout) -> Mapping[str, float]:
    """The capital that is stated of each bot. Raises SourceError where that is none, or rows differ."""
    if "capital" not in layout.columns and layout.capital is None:
        return {}
    of_all = np.nan if layout.capital is None else layout.capital
    known = trades[["row_number", "bot_id", "capital"]].fillna({"capital": of_all})
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


def _parse(raw: RawTable, layout: Layout) -> tuple[pd.DataFrame, bool]:
    """The frame that `validate` takes, and whether any time came without a zone."""
    rows = len(raw.row_number)
    read = {field: _read_column(raw, field, layout) for field in layout.columns}
    absent = {kind: _absent(kind, rows) for kind in {field.kind for field in FIELDS.values()}}
    columns = {name: read[name].values if name in read else absent[field.kind] for name, field in FIELDS.items()}
    for name, text in layout.constants.items():
        columns[name] = columns[name].fillna(constant(name, text, layout.timezone))
    # In one go: for one trade, column after column would take as long as all the rest.
    frame = pd.DataFrame({"row_number": raw.row_number, **columns})
    frame["unreadable"] = _first(read, {name: column.unreadable for name, column in read.items()}, rows)
    for name, known in (("direction", words.DIRECTIONS), ("status", words.STATUSES)):
        frame[name] = words.translated(frame[name], known).fillna(frame[name])
    frame = sides.of_signed_sizes(frame, told="direction" in {*layout.columns, *layout.constants})
    unexited = frame["exit_time"].isna() & (frame["exit_price"] == 0) & (frame["status"] != "closed")
    frame["exit_price"] = frame["exit_price"].mask(unexited)  # how many exports write that there is none
    if "status" not in {*layout.columns, *layout.constants}:
        left = frame["exit_price"].notna() | frame["exit_time"].notna()
        frame["status"] = pd.Series(np.where(left, "closed", "open"), dtype="str")
    needed = frame["status"] == "closed"
    for name in NEEDED_NUMBERS:
        if name in read:
            frame[name] = frame[name].mask((needed | FIELDS[name].required) & read[name].nan, np.inf)
    percent = read["signal_confidence"].percent if "signal_confidence" in read else None
    scale = layout.confidence_scale
    frame["signal_confidence"] /= scale if percent is None else np.where(percent, 1, scale)
    if layout.by_pair:
        frame["quote_currency"] = frame["quote_currency"].fillna(_of_pairs(frame["ticker"], 1))
    frame["quote_currency"] = frame["quote_currency"].fillna(layout.currency)
    frame["foreign"] = _first(
        read, {name: _is_foreign(name, column, frame, layout, raw.units) for name, column in read.items()}, rows
    )
    return frame, any(column.naive for column in read.values())


def _of_pairs(tickers: pd.Series, place: int) -> pd.Series:
    """The base (0) or quote currency (1) of the tickers that name them."""
    number, distinct = pd.factorize(tickers)  # -1, and so the last, where there is none
    pairs = [units.pair(ticker) for ticker in distinct]
    named = pd.array([*(found[place] if found else None for found in pairs), None], dtype="str")
    return pd.Series(named.take(number), index=tickers.index)


def constant(field: str, text: str, timezone: str) -> Any:
    """What is said of a whole file, read as a cell of the field. Raises SourceError where it is none."""
    kind = FIELDS[field].kind
    read = cells.read(kind, pa.chunked_array([pa.array([text], pa.string())]), timezone, "point")
    value = read.values.iloc[0]
    known = {"direction": words.DIRECTIONS, "status": words.STATUSES}.get(field)
    if known is not None and words.spelled(text) not in known:
        raise SourceError(f"'{text}' is no {field}; give {' or '.join(sorted({*known.values()}))}")
    if read.unreadable[0] or pd.isna(value):
        raise SourceError(f"'{text}' cannot be read as {KINDS[kind]}, which {FIELDS[field].description} has to be")
    return value


def _is_foreign(field: str, read: cells.Cells, frame: pd.DataFrame, layout: Layout, shown: Mapping[str, str]) -> Bools:
    """Which numbers are in a unit that is not the trade's, by cell or heading: a fee in BNB is none in USDT.

    `shown`: the currencies that a workbook shows with columns."""
    column = layout.columns[field]
    heading = None
    if FIELDS[field].kind != "text":
        heading = shown.get(column) if names.is_unitless(column) else names.unit(column) or shown.get(column)
    if read.unit is None and heading is None:
        return np.zeros(len(frame), dtype=bool)
    said = pd.Series("", index=frame.index) if read.unit is None else read.unit.fillna("")
    unit = said.mask((said == "") & frame[field].notna(), heading or "")
    measure = frame["ticker"] if field in ("quantity", "size") else frame["quote_currency"]
    places, different = pd.factorize(pd.MultiIndex.from_arrays([unit, measure.fillna("")]))
    same = units.is_piece if field in ("quantity", "size") else units.is_currency
    strange = [bool(unit) and not same(unit, counted_in) for unit, counted_in in different]
    return np.asarray(strange, dtype=bool)[places]


def _read_column(raw: RawTable, field: str, layout: Layout) -> cells.Cells:
    name, kind = layout.columns[field], FIELDS[field].kind
    column = raw.table.column(name)
    remedy = f"correct the column, or name another one with --map COLUMN={field}"
    if not cells.accepts(kind, column.type):
        value = next((cell for cell in column.to_pylist() if cell is not None), None)
        raise SourceError(f"row 1, column '{name}': type {column.type} ('{value}') cannot hold {KINDS[kind]}; {remedy}")
    clock = names.zone(name) or layout.timezone
    read = cells.read(kind, column, clock, layout.decimals.get(name), layout.dates)
    if read.unreadable.sum() > 1 and not read.values.notna().any():
        first = int(read.unreadable.argmax())
        raise SourceError(
            f"row {raw.row_number[first]}, column '{name}': '{column[first]}' and all other values "
            f"cannot be read as {KINDS[kind]}; {remedy}"
        )
    return read


def _absent(kind: Kind, rows: int) -> pd.Series:
    """A field of that kind of which the file has no column."""
    if kind in ("text", "bot"):
        return pd.Series(np.nan, index=range(rows), dtype="str")
    return pd.Series(np.full(rows, np.nan)).astype("datetime64[us, UTC]" if kind == "time" else "float64")


def _first(read: Mapping[str, cells.Cells], flagged: Mapping[str, Bools], rows: int) -> pd.Series:
    """The first field of each row whose cell is flagged."""
    found: pd.Series[Any] = pd.Series(np.nan, index=range(rows), dtype="str")
    for name in reversed([*read]):
        if flagged[name].any():
            found = found.mask(flagged[name], name)
    return found


def _notes(frame: pd.DataFrame, raw: RawTable, layout: Layout, naive: bool) -> list[str]:
    notes = []
    marked = int(is_marked(frame).sum())
    if marked:
        notes.append(
            f"{counted(marked, 'trade that is not closed has', 'trades that are not closed have')} an exit price and "
            "no exit time: that is the mark price, and the position stays open"
        )
    partial = int((frame["exits"] > 1).sum())
    if partial:
        notes.append(f"{counted(partial, 'trade')} left in several exits: each is one trade at its average exit price")
    unsized = int((frame["notional"].isna() & (frame["status"] == "closed")).sum())
    if unsized:
        notes.append(
            f"{counted(unsized, 'closed trade has', 'closed trades have')} no size: the net pnl that the file states "
            "is taken at its word"
        )
    foreign = int((frame["fee_unknown"] & frame["reported_pnl"].notna()).sum())
    if foreign:
        notes.append(
            f"{counted(foreign, 'trade')} paid fees in another currency, without a rate: the net pnl that the file "
            "states is taken at its word, and their fees are not shown"
        )
    if naive:
        notes.append(f"times without a zone are read as {layout.timezone}")
    if "quote_currency" not in layout.columns:
        notes.append(f"no currency column: {_figures_are_in(frame, layout)}")
    unused = [name for name in raw.table.column_names if name not in layout.columns.values()]
    if unused and layout.format in (TABLE, KNOW_DEFEAT):  # of a known export it is known what is not
        notes.append(f"columns not used: {', '.join(unused)}")
    return notes


def _figures_are_in(frame: pd.DataFrame, layout: Layout) -> str:
    """In which currency, and who says so."""
    tickers = frame["ticker"].dropna().unique()
    paired = {*_of_pairs(pd.Series(tickers, dtype="str"), 1).dropna()} if layout.by_pair else set()
    if not paired:
        return f"all figures are in {layout.currency}"
    codes = sorted({*frame["quote_currency"].dropna()})
    if len(codes) == 1:
        return f"all figures are in {codes[0]}, by their pairs"
    some = ", ".join(codes[:NAMED_ROWS]) + " …" * (len(codes) > NAMED_ROWS)
    return f"figures are in the currency of each pair ({some}), of what names none in {layout.currency}"


def _disagreeing(valid: pd.DataFrame, rounding: float) -> list[str]:
    """What to say of stated figures that are not what prices, size and costs give."""
    stated = valid[(valid["status"] == "closed") & valid["reported_pnl"].notna()]
    wrong = stated[~agrees(stated["pnl"].to_numpy(float), stated["reported_pnl"].to_numpy(float), rounding)]
    if wrong.empty:
        return []
    some = "; ".join(
        f"row {row} states {said:,.10g} and computes {pnl:,.10g}"
        for row, said, pnl in wrong[["row_number", "reported_pnl", "pnl"]].head(NAMED_ROWS).itertuples(index=False)
    )
    more = " …" if len(wrong) > NAMED_ROWS else ""
    are = counted(len(wrong), "net pnl as stated is", "net pnls as stated are")
    return [f"{are} not what prices, size and costs give, which counts: {some}{more}"]


def _source(format_: str, account: str | None, strategies: pd.Series) -> str:
    if account:
        return f"{format_}:{account}"
    only = strategies.unique()
    if format_ == TABLE and len(only) == 1 and isinstance(only[0], str) and is_plain_name(f"{format_}:{only[0]}"):
        return f"{format_}:{only[0]}"
    return format_


def _of_all_exits(findings: Sequence[Finding], parts: Parts) -> list[Finding]:
    """The findings, and the same of the rows of earlier exits: a trade is recorded whole or not at all."""
    return sorted(
        ((row, *finding[1:]) for finding in findings for row in (finding[0], *parts.get(finding[0], ()))),
        key=lambda finding: finding[0],
    )


def _explain(findings: Sequence[Finding], raw: RawTable, layout: Layout) -> pd.DataFrame:
    originals = raw.originals(np.array([number for number, *_ in findings], dtype="int64"))
    entry_time = layout.columns["entry_time"]
    rows = []
    for (number, reason, field, facts), original in zip(findings, originals, strict=True):
        column = layout.column_of(field, original)
        message = explain(reason, field, column, original.get(column), entry=original.get(entry_time), **facts)
        rows.append((number, reason, column, message, original))
    return refusals(rows)


def misshapen_rows(raw: RawTable, mendable: bool = True) -> pd.DataFrame:
    """Rows with another number of fields than the header: their fields in order, those beyond the header numbered.

    `mendable`: whether a row by itself can become a trade, as no fill of an export can.
    """
    names = raw.headings or tuple(raw.table.column_names)
    rows = []
    for number, fields in raw.misshapen:
        beyond = [f"field {position}" for position in range(len(names) + 1, len(fields) + 1)]
        original = dict(zip_longest([*names, *beyond], fields))
        about = {"row": number, "file": raw.file, "found": len(fields), "expected": len(names)}
        last = printable(names[min(len(fields), len(names)) - 1])
        message = (CUT_SHORT if len(fields) < len(names) else TOO_LONG).format(**about, last=last)
        rows.append((number, Reason.UNREADABLE_VALUE, None, message + (OR_MEND if mendable else "."), original))
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
