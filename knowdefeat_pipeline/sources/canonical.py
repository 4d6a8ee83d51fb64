"""The canonical trade: what makes a row acceptable, and its net pnl."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.amounts import BOUND, LEAST_MONEY, LEAST_SIZE, POSSIBLE, UNITS_BOUND, is_impossible
from knowdefeat_pipeline.core.escaping import BLANKS, CONTROL_CHARACTERS, LONGEST, PLAIN_NAME, printable, shortened
from knowdefeat_pipeline.core.trades.net_pnl import all_fees, gross_pnl, net_pnl, sizes_agree
from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.sources import words
from knowdefeat_pipeline.sources.fields import COLUMNS, FEES, FIELDS, NAMES, NO_TRADE, TIMES, Kind, Reason

CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = pd.Timestamp(0, tz="UTC")
ALL_TICKERS = "*"  # the ticker of a bot's figures over all it trades
TERMS_OF_TRADES = {"contract_type": ("linear", "inverse"), "pnl_basis": ("computed", "stated")}


MESSAGES: Mapping[Reason, str] = {
    Reason.UNREADABLE_VALUE: "{column} '{value}' cannot be read as {kind}; correct the value.",
    Reason.BAD_NAME: f"{{column}} '{{value}}' is no plain name; {PLAIN_NAME}.",
    Reason.BAD_TEXT: "{column} '{value}' holds line breaks or other control characters; write plain text.",
    Reason.FOREIGN_UNIT: (
        "{column} '{value}' names another currency or unit than the trade has; convert it, "
        "or say the trade's currency in a column or with --currency."
    ),
    Reason.UNKNOWN_DIRECTION: "{column} '{value}' is not a direction; write LONG or SHORT (buy and sell are read too).",
    Reason.FILLS_MISSING: ("the fill, or its trade, {value}: {remedy}; no direction makes a trade of it."),
    Reason.UNKNOWN_STATUS: "{column} '{value}' is not a status; write open, pending_exit or closed.",
    Reason.BAD_PRICE: "{column} '{value}' is not a price; write a finite number above 0.",
    Reason.BAD_NOTIONAL: "{column} '{value}' is not a size; write a finite number above 0 that gives a finite pnl.",
    Reason.CONFIDENCE_OUT_OF_RANGE: (
        "{column} '{value}' is outside 0 to 1; correct it, or import with a confidence scale of 100 "
        "if the file counts from 0 to 100."
    ),
    Reason.UNKNOWN_TERM: "{column} '{value}' is not known; write {choices}.",
    Reason.FEE_WITHOUT_RATE: (
        "{column} '{value}' is not in the currency of the trade, and no rate is given; add a column fee_rate (quote "
        "currency for one of the fee's), or the net pnl as the source states it."
    ),
    Reason.FEES_DISAGREE: "{column} '{value}' is not the sum of the fees of entry and exit; correct one of the three.",
    Reason.SIZES_DISAGREE: (
        "{column} '{value}' and the notional of the row are two sizes at its price; correct one of the two, or say "
        "which holds: --size notional or --size quantity; or give the units of a contract: --multiplier TICKER=NUMBER."
    ),
    Reason.SIDES_DISAGREE: (
        "{column} '{value}' says by its sign the other side than the direction of the row (in this file negative sizes "
        "are those of SHORT positions); correct one of the two."
    ),
    Reason.CLOSED_WITHOUT_EXIT: "{column} is empty, but the trade is closed; fill it in, or set the status to open.",
    Reason.OPEN_WITH_EXIT: (
        "{column} '{value}' is given, but the trade is not closed; set the status to closed, or clear the exit time."
    ),
    Reason.EXIT_BEFORE_ENTRY: "{column} '{value}' is earlier than the entry at {entry}; correct one of the two times.",
    Reason.FUTURE_TIME: (
        "{column} '{value}' lies in the future (now is {now}; 5 minutes of clock skew are allowed); "
        "check the writer's clock, or import with the right time zone."
    ),
    Reason.IMPOSSIBLE_TIME: "{column} '{value}' lies before 1970; correct it, or import with the right unit of time.",
    Reason.POISON: (
        f"{{column}} '{{value}}' is, or gives a net pnl, beyond what can be computed with: {POSSIBLE}; correct it."
    ),
    Reason.CURRENCY_MISMATCH: (
        "{column} is '{currency}', but bot {bot} accounts in '{other}' and sums never mix currencies; "
        "give the trades in '{currency}' a bot of their own, or say what they are in with --currency."
    ),
    Reason.CONFLICTING_TRADE: (
        "{column} '{value}' already names another trade: {other} differs in {differing}; "
        "load the file with --replace if this is a correction, else give the trade an id of its own, or import it "
        "under an account of its own."
    ),
    Reason.ANOTHER_BOT: (
        "{column} '{value}' is a trade of bot {other_bot} in this source, {recorded}, and here one of bot {bot}; if "
        "the bot was wrong, {undo}, and this row takes its place; if it is another trade, release this row."
    ),
    Reason.OVERLAPPING_TRADE: (
        "{column} '{value}' begins or goes on while {other}, {recorded}, holds the same position, so that the fills of "
        "both are one trade, and one of the two files lacks some; if this file begins earlier, {undo} and load it "
        "again; else load an export with all fills of both, which settles this row; if it is of another account, load "
        "it with --account."
    ),
    Reason.DUPLICATE_TRADE: (
        "{column} '{value}' repeats {other}: bot, ticker, direction, entry and exit times and prices are the same; "
        "the trade is kept once: discard this row, or correct what differs."
    ),
}
WORTHLESS = (
    "{column} '{value}' is no price: many exports write 0 where there is none. If the position ended worthless, "
    f"release this row with --set {{column}}={LEAST_SIZE:g}, the least price, by which all of it is lost (of a short "
    "position: gained); a file that states its net pnl proves it by that. Else write the price."
)
MISSING = "{column} is empty, and a trade needs {description}; fill it in."
MISSING_SIZE = "{column} is empty, and a closed trade needs its size or its net pnl; fill in one of them."
CUT_SHORT = (
    "row {row} of {file} is cut short: it has {found} of the {expected} fields that the header names, and ends in "
    "column '{last}'. Fetch the file again, load it and discard this row"
)
TOO_LONG = (
    "row {row} of {file} has {found} fields, and the header names {expected}: a value may hold the separator without "
    "being in quotes. Correct the row in the file, load that and discard this row"
)
OR_MEND = "; or release it with what is missing or wrong: --set COLUMN=VALUE."


ZERO = re.compile(r"\D*[0,. ]*0[0,. ]*\D*")
"""How a price of 0 is written."""

KINDS: Mapping[Kind, str] = {
    "text": "text",
    "bot": "the name of a bot",
    "integer": "a whole number",
    "count": "a whole number from 1 on",
    "time": (
        "a time (ISO 8601, such as 2025-02-11 20:50:31; with its UTC offset where the local clock skips or repeats it)"
    ),
    "price": "a price",
    "size": "a size",
    "units": "a size",
    "factor": "a number above 0",
    "amount": "a finite number",
    "fraction": "a number from 0 to 1",
}

SMALLEST, LARGEST = np.nextafter(0.0, 1.0), np.finfo(float).max
RANGES: Mapping[Kind, tuple[Reason, float, float]] = {
    "price": (Reason.BAD_PRICE, SMALLEST, LARGEST),
    "size": (Reason.BAD_NOTIONAL, SMALLEST, LARGEST),
    "units": (Reason.BAD_NOTIONAL, SMALLEST, LARGEST),
    "factor": (Reason.UNREADABLE_VALUE, SMALLEST, LARGEST),
    "count": (Reason.UNREADABLE_VALUE, 1.0, LARGEST),
    "amount": (Reason.UNREADABLE_VALUE, -LARGEST, LARGEST),
    "fraction": (Reason.CONFIDENCE_OUT_OF_RANGE, 0.0, 1.0),
}
"""Per kind of number: the reason for refusing one, and the least and the greatest that is one at all."""

POSSIBLE_SIZES: Mapping[Kind, tuple[float, float]] = {
    "price": (LEAST_SIZE, BOUND),
    "size": (LEAST_SIZE, BOUND),
    "units": (LEAST_SIZE, UNITS_BOUND),
    "factor": (LEAST_SIZE, UNITS_BOUND),
    "amount": (LEAST_MONEY, BOUND),
}
"""Per kind of amount: the least size that can be computed with, 0 apart, and the bound that it stays below."""


def explain(reason: Reason, field: str, column: str, value: str | None, **facts: object) -> str:
    """The message for a refused row: names the column and the value as they stand in the file, and the remedy.

    `value` None or "" stands for an empty cell. `facts` are what the template of the reason needs besides.
    """
    template = MESSAGES[reason]
    facts = facts | {"choices": " or ".join(TERMS_OF_TRADES.get(field, ())), "remedy": NO_TRADE.get(value or "")}
    if reason == Reason.UNREADABLE_VALUE and not value:
        template = MISSING_SIZE if field == "notional" else MISSING
    if reason == Reason.BAD_PRICE and field == "exit_price" and ZERO.fullmatch(value or ""):
        template = WORTHLESS
    return template.format(
        column=column,
        value=shortened(printable(value or "")),
        kind=KINDS[FIELDS[field].kind],
        description=FIELDS[field].description,
        **facts,
    )


HALF_A_CENT = 0.005


def agrees(pnl: Floats, stated: Floats, rounding: float = HALF_A_CENT) -> Bools:
    """Whether a computed and a stated amount are the same up to `rounding`, half of the last decimal that it is stated
    with; False where either is NaN. The database's function `pnl_agrees` is the same, but for NULL."""
    with np.errstate(invalid="ignore"):
        close: Bools = np.abs(pnl - stated) <= rounding + 1e-6 * np.abs(pnl)
    return close


def is_marked(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Rows whose exit price is the latest price of a position that is still open: not closed, and no exit time."""
    closed = frame["status"].str.lower() == "closed"
    marked: pd.Series[bool] = ~closed & frame["exit_time"].isna() & np.isfinite(frame["exit_price"])
    return marked


def with_worthless_exits(frame: pd.DataFrame, rounding: float) -> tuple[pd.DataFrame, int]:
    """Closed rows that left at a price of 0, of which the stated net pnl says that all of the position was lost (short:
    gained), as left at the least price that there is; and how many. `frame`: as `validate` takes it; `rounding`: of the
    stated pnl.

    A row of which it does not, or that states none, is left as it is, and refused: 0 often stands for no price.
    """
    left = (
        (frame["exit_price"] == 0) & (frame["status"] == "closed") & (frame["contract_type"].str.lower() != "inverse")
    )
    if not left.any():
        return frame, 0
    side = np.where(frame["direction"] == "SHORT", 1.0, -1.0)
    fees = all_fees(*(frame[name].to_numpy(float) for name in FEES))
    net = side * frame["notional"].to_numpy(float) - fees + frame["funding"].fillna(0.0).to_numpy(float)
    proved = left.to_numpy(bool) & agrees(net, frame["reported_pnl"].to_numpy(float), rounding)
    return frame.assign(exit_price=frame["exit_price"].mask(proved, LEAST_SIZE)), int(proved.sum())


def validate(frame: pd.DataFrame, now: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into trades that may be recorded and rows that are refused.

    `frame`: `row_number`, the fields of `COLUMNS` under canonical terms (see `sources.terms`; text as str, times as UTC
    timestamps, numbers as float64; missing is None, NaT or NaN; a number that is given but not finite is infinite) and,
    where there are such rows, `unreadable` with the name of the first field whose cell cannot be read, `foreign` with
    that of the first whose cell names another currency or unit than the trade's, `contrary` with that of the first size
    whose sign is not the direction's, and `fee_unknown` (see `terms.apply`).
    `now` is tz-aware.

    Returns `valid` (`row_number`, `COLUMNS`, `pnl`: net for closed trades, else NaN) and `refused` (`row_number`,
    `reason`, `field`), each row with the first reason that applies. The exit price of a trade that is still open and
    has no exit time is its `mark_price`.
    """
    trades = _normalised(frame)
    trades["gross"] = _gross(trades)
    trades["pnl"] = _pnl(trades)
    checks = [
        *_reading_checks(frame, trades),
        *_text_checks(trades),
        *_number_checks(trades),
        *_time_checks(trades, pd.Timestamp(now) + CLOCK_SKEW),
        *_size_checks(frame, trades),
        *_amount_checks(trades),
    ]
    failed = np.array([mask for _, _, mask in checks])
    bad = failed.any(axis=0)
    first = failed[:, bad].argmax(axis=0)
    refused = pd.DataFrame(
        {
            "row_number": frame["row_number"].to_numpy()[bad],
            "reason": [checks[number][0] for number in first],
            "field": [checks[number][1] for number in first],
        }
    )
    valid = trades[["row_number", *COLUMNS, "pnl"]].take(np.flatnonzero(~bad)).reset_index(drop=True)
    return valid.assign(exits=valid["exits"].astype("int32")), refused


Check = tuple[Reason, str, Bools]
"""A reason, the field to blame, and which rows fail (bool per row)."""


def _normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """Canonical spelling, with what is unknown missing; an open position's exit price becomes its mark price."""
    marked = is_marked(frame)
    frame = frame if "fee_unknown" in frame else frame.assign(fee_unknown=False)
    unknown = (
        (frame["notional"].isna() | frame["fee_unknown"])
        & frame["reported_pnl"].notna()
        & (words.translated(frame["status"], words.STATUSES) == "closed")
    )
    basis = frame["pnl_basis"].str.lower().fillna("computed").mask(unknown, "stated")
    return frame.assign(
        direction=words.translated(frame["direction"], words.DIRECTIONS),
        status=words.translated(frame["status"], words.STATUSES),
        mark_price=frame["mark_price"].fillna(frame["exit_price"].where(marked)),
        exit_price=frame["exit_price"].mask(marked),
        fees=all_fees(*(frame[name].to_numpy(float) for name in FEES)),
        funding=frame["funding"].fillna(0.0),
        contract_multiplier=frame["contract_multiplier"].fillna(1.0),
        contract_type=frame["contract_type"].str.lower().fillna("linear"),
        exits=frame["exits"].fillna(1.0),
        pnl_basis=basis,
        quote_currency=frame["quote_currency"].str.upper(),
    )


def _gross(trades: pd.DataFrame) -> Floats:
    """Pnl before fees and funding; NaN where an input is missing."""
    return gross_pnl(
        notional=trades["notional"].to_numpy(float),
        quantity=trades["quantity"].to_numpy(float),
        contract_multiplier=trades["contract_multiplier"].to_numpy(float),
        inverse=(trades["contract_type"] == "inverse").to_numpy(bool),
        long=(trades["direction"] == "LONG").to_numpy(bool),
        entry_price=trades["entry_price"].to_numpy(float),
        exit_price=trades["exit_price"].to_numpy(float),
    )


def _pnl(trades: pd.DataFrame) -> Floats:
    """Net pnl of closed trades; what the source states where that is its basis. NaN for the others."""
    gross, fees, funding = (trades[name].to_numpy(float) for name in ("gross", "fees", "funding"))
    pnl = np.where(trades["pnl_basis"] == "stated", trades["reported_pnl"], net_pnl(gross, fees, funding))
    return np.where(trades["status"] == "closed", pnl, np.nan)


def _reading_checks(frame: pd.DataFrame, trades: pd.DataFrame) -> list[Check]:
    """Cells that could not be read, are missing, or say what no one knows."""
    unreadable = frame["unreadable"] if "unreadable" in frame else pd.Series(None, index=frame.index, dtype="str")
    foreign = frame["foreign"] if "foreign" in frame else pd.Series(None, index=frame.index, dtype="str")
    contrary = frame["contrary"] if "contrary" in frame else pd.Series(None, index=frame.index, dtype="str")
    required = [field.name for field in FIELDS.values() if field.required]
    return [
        (Reason.FILLS_MISSING, "direction", frame["direction"].isin(NO_TRADE).to_numpy(bool)),
        *(
            (Reason.UNREADABLE_VALUE, name, (unreadable == name).to_numpy(dtype=bool))
            for name in unreadable.dropna().unique()
        ),
        *((Reason.UNREADABLE_VALUE, name, frame[name].isna().to_numpy()) for name in required),
        *((Reason.FOREIGN_UNIT, name, (foreign == name).to_numpy(dtype=bool)) for name in foreign.dropna().unique()),
        (Reason.UNREADABLE_VALUE, "ticker", (trades["ticker"] == ALL_TICKERS).to_numpy(dtype=bool)),
        (Reason.UNKNOWN_DIRECTION, "direction", trades["direction"].isna().to_numpy()),
        *(
            (Reason.SIDES_DISAGREE, name, (contrary == name).to_numpy(dtype=bool))
            for name in contrary.dropna().unique()
        ),
        (Reason.UNKNOWN_STATUS, "status", trades["status"].isna().to_numpy()),
        *(
            (Reason.UNKNOWN_TERM, name, ~trades[name].isin(choices).to_numpy(bool))
            for name, choices in TERMS_OF_TRADES.items()
        ),
    ]


def _text_checks(trades: pd.DataFrame) -> list[Check]:
    """What could not be shown as it stands (see `core.escaping.is_plain_name`). A missing text is plain."""
    return [
        *((Reason.BAD_NAME, name, is_no_plain_name(trades[name])) for name in NAMES),
        (Reason.BAD_TEXT, "exit_reason", _has_control_characters(trades["exit_reason"])),
    ]


def is_no_plain_name(names: "pd.Series[str]") -> Bools:
    """Where `core.escaping.is_plain_name` does not hold; a missing name is none that is not plain."""
    blank = names.str.fullmatch(BLANKS, na=False).to_numpy(bool)
    bad: Bools = blank | _has_control_characters(names) | (names.str.len() > LONGEST).to_numpy(bool)
    return bad


def _has_control_characters(texts: "pd.Series[str]") -> Bools:
    return texts.str.contains(CONTROL_CHARACTERS, na=False).to_numpy(bool)


def _number_checks(trades: pd.DataFrame) -> list[Check]:
    """Numbers outside the range of their kind. A missing number is in range."""
    checks: list[Check] = []
    for name in COLUMNS:
        kind = FIELDS[name].kind
        if kind not in RANGES:
            continue
        reason, low, high = RANGES[kind]
        values = trades[name].to_numpy(dtype=float)
        checks.append((reason, name, (values < low) | (values > high)))
    return checks


def _time_checks(trades: pd.DataFrame, latest: pd.Timestamp) -> list[Check]:
    closed = (trades["status"] == "closed").to_numpy()
    entry, leave = trades["entry_time"], trades["exit_time"]
    return [
        (Reason.CLOSED_WITHOUT_EXIT, "exit_time", closed & leave.isna().to_numpy()),
        (Reason.CLOSED_WITHOUT_EXIT, "exit_price", closed & trades["exit_price"].isna().to_numpy()),
        (Reason.OPEN_WITH_EXIT, "exit_time", ~closed & leave.notna().to_numpy()),
        *((Reason.IMPOSSIBLE_TIME, name, (trades[name] < EARLIEST).to_numpy()) for name in TIMES),
        (Reason.EXIT_BEFORE_ENTRY, "exit_time", (leave < entry).to_numpy()),
        *((Reason.FUTURE_TIME, name, (trades[name] > latest).to_numpy()) for name in TIMES),
    ]


def _size_checks(frame: pd.DataFrame, trades: pd.DataFrame) -> list[Check]:
    """A closed trade needs a size or a stated pnl, and its pnl must lie in the range of float64, as in the database."""
    closed = (trades["status"] == "closed").to_numpy()
    stated = (trades["pnl_basis"] == "stated").to_numpy()
    sized = trades["notional"].notna().to_numpy()
    moved = (trades["exit_price"] != trades["entry_price"]).to_numpy()
    vanished = moved & (trades["gross"] == 0).to_numpy()
    pnl = trades["pnl"].to_numpy()
    fees = frame["fees"].to_numpy(float)
    one_size = sizes_agree(
        notional=trades["notional"].to_numpy(float),
        quantity=trades["quantity"].to_numpy(float),
        contract_multiplier=trades["contract_multiplier"].to_numpy(float),
        entry_price=trades["entry_price"].to_numpy(float),
        inverse=(trades["contract_type"] == "inverse").to_numpy(bool),
    )
    return [
        (Reason.UNREADABLE_VALUE, "reported_pnl", closed & stated & trades["reported_pnl"].isna().to_numpy()),
        (Reason.UNREADABLE_VALUE, "notional", closed & ~stated & ~sized),
        (Reason.FEES_DISAGREE, "fees", np.isfinite(fees) & ~agrees(trades["fees"].to_numpy(float), fees)),
        (Reason.FEE_WITHOUT_RATE, "fee_currency", closed & ~stated & trades["fee_unknown"].to_numpy(bool)),
        (Reason.SIZES_DISAGREE, "quantity", ~one_size),
        (Reason.BAD_NOTIONAL, "notional", closed & ~stated & sized & (vanished | ~np.isfinite(pnl))),
    ]


def _amount_checks(trades: pd.DataFrame) -> list[Check]:
    """Amounts, and a net pnl that follows from them, that cannot be computed with (see `core.amounts`)."""
    amounts = [
        (name, name, POSSIBLE_SIZES[FIELDS[name].kind]) for name in COLUMNS if FIELDS[name].kind in POSSIBLE_SIZES
    ]
    return [
        (Reason.POISON, blamed, is_impossible(trades[name].to_numpy(dtype=float), *sizes))
        for name, blamed, sizes in [*amounts, ("pnl", "notional", POSSIBLE_SIZES["amount"])]
    ]
