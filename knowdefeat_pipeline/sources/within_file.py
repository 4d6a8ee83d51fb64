"""What rows of one file say against each other: which would be held, whatever else is recorded.

The database judges the same when a file is loaded, together with what it has recorded (sql/queries/trades/load_*.sql);
a test holds the two together. This is for looking at a file without a database.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Array, Bools
from knowdefeat_pipeline.sources.fields import COLUMNS, Reason
from knowdefeat_pipeline.sources.reading import Finding, Reading

ID = ["bot_id", "source_trade_id"]
ENTRY = ["ticker", "direction", "entry_time"]
ALIKE = ["bot_id", *ENTRY, "entry_price", "exit_time", "exit_price"]
PROGRESS = {"open": 1, "pending_exit": 2, "closed": 3}


def all_held(reading: Reading) -> pd.DataFrame:
    """The rows that would be held if the file were the first: those that the reader refused, and those that contradict
    others of the file. A frame like `Reading.refused`."""
    held = [reading.refused, reading.refuse(_findings(reading.valid, reading.layout.holds_duplicates))]
    return pd.concat(held, ignore_index=True).sort_values("row_number", ignore_index=True)


def _findings(valid: pd.DataFrame, holds_duplicates: bool) -> list[Finding]:
    account = valid.groupby("bot_id", sort=False)["quote_currency"].transform("first")
    mixed = (valid["quote_currency"] != account).to_numpy(bool)
    found: list[Finding] = [
        (row, Reason.CURRENCY_MISMATCH, "quote_currency", {"currency": currency, "bot": bot, "other": other})
        for row, currency, bot, other in zip(
            *(valid.loc[mixed, name] for name in ("row_number", "quote_currency", "bot_id")),
            account[mixed],
            strict=True,
        )
    ]
    rest = valid[~mixed].reset_index(drop=True)
    conflict, stale, other = _of_known_ids(rest)
    found += _named(rest, conflict, other, Reason.CONFLICTING_TRADE)
    if holds_duplicates:
        twin, first = _twins(rest, ~(conflict | stale))
        follows = stale & twin[other]  # an earlier state goes where its trade goes
        found += _named(rest, twin | follows, np.where(follows, first[other], first), Reason.DUPLICATE_TRADE)
    return found


def _of_known_ids(rows: pd.DataFrame) -> tuple[Bools, Bools, Array]:
    """Of rows that share their id: which contradict another, which only repeat another or are an earlier state of it,
    and the place of that row.

    The first row says which trade the id names; what it was entered at may change while it is open. Of its states the
    furthest counts: of closed ones the first, of open ones the last.
    """
    place = np.arange(len(rows))
    trade = rows.groupby(ID, sort=False, dropna=False).ngroup().to_numpy()
    entered = rows.groupby(ENTRY, sort=False, dropna=False).ngroup().to_numpy()
    content = rows.groupby([*COLUMNS], sort=False, dropna=False).ngroup().to_numpy()
    progress = rows["status"].map(PROGRESS).to_numpy(int)
    first = pd.Series(place).groupby(trade).transform("first").to_numpy(int)
    another = entered != entered[first]
    rank = np.where(progress == 3, place, -place)
    furthest = np.lexsort((rank, -progress, another, trade))
    leader = pd.Series(furthest).groupby(trade[furthest]).first().reindex(trade).to_numpy(int)
    differs = (leader != place) & (progress == 3) & (content != content[leader])
    return another | differs, ~another & ~differs & (leader != place), np.where(another, first, leader)


def _twins(rows: pd.DataFrame, counts: Bools) -> tuple[Bools, Array]:
    """Rows that repeat an earlier one under another id, of those that count, and the place of that one."""
    alike = rows.groupby(ALIKE, sort=False, dropna=False).ngroup().to_numpy()
    place = pd.Series(np.where(counts, np.arange(len(rows)), len(rows)))
    first = place.groupby(alike).transform("min").to_numpy(int)
    return counts & (first != np.arange(len(rows))), first


def _named(rows: pd.DataFrame, held: Bools, other: Array, reason: Reason) -> list[Finding]:
    """The findings, with the row that stands against each and the columns in which the two differ."""
    at = np.flatnonzero(held)
    mine, theirs = (rows[[*COLUMNS]].iloc[places].reset_index(drop=True) for places in (at, other[at]))
    differ = ~((mine == theirs) | (mine.isna() & theirs.isna())).to_numpy(bool)
    numbers = rows["row_number"].to_numpy()
    return [
        (
            int(numbers[here]),
            reason,
            "source_trade_id",
            {"other": f"row {numbers[there]}", "differing": ", ".join(np.array(COLUMNS)[columns])},
        )
        for here, there, columns in zip(at, other[at], differ, strict=True)
    ]
