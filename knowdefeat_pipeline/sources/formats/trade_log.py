"""The log of a bot that somebody wrote: a row a trade, without an id, a bot or a side.

The place of a row is its id, counted from the oldest row, so that new rows leave the ids of others as they are. The
side is the one that gives the stated pnl; a file that leaves it open is asked about.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from knowdefeat_pipeline.core.units import Floats, Texts
from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.layout import SourceError

NEEDED = ("ticker", "entry_time", "exit_time", "entry_price", "exit_price", "quantity")
ABSENT = ("source_trade_id", "bot_id", "direction")


def prepare(rows: Rows) -> Rows:
    """Ids by place, sides by the pnl."""
    columns = names.by_name(rows.raw.table.column_names)
    moment = rows.time(columns["entry_time"]).dropna()
    newest_first = len(moment) > 1 and moment.iloc[0] > moment.iloc[-1]
    place = rows.raw.rows + 1 - rows.raw.row_number if newest_first else rows.raw.row_number
    rows = rows.making(source_trade_id=place.astype(str))
    entry, leave, units = (rows.number(columns[name]) for name in ("entry_price", "exit_price", "quantity"))
    stated = rows.number(columns["reported_pnl"]) if "reported_pnl" in columns else np.full(len(rows), np.nan)
    return rows if "direction" in rows.said else rows.making(direction=_sides(units * (leave - entry), stated))


def _sides(gained: Floats, stated: Floats) -> Texts:
    """LONG where the pnl is what a long gained, SHORT where the opposite; of the others what all of these are."""
    with np.errstate(invalid="ignore"):
        told = np.abs(gained) > 0
        long, short = (told & (np.abs(side * gained - stated) <= 0.1 * np.abs(gained)) for side in (1, -1))
    if not (long | short).any() or (long.any() and short.any() and not (long | short).all()):
        raise SourceError(
            "no column says which trades were long and which short, nor does the pnl of every row: add a column "
            "direction, or say --direction LONG if all were long"
        )
    if long.any() and short.any():
        return np.where(long, "LONG", "SHORT")
    return np.full(len(gained), "LONG" if long.any() else "SHORT")


class _Log(Format):
    """Recognised by the meaning of its columns, whatever they are called."""

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a table of these columns is one."""
        found = names.by_name(columns)
        return all(name in found for name in NEEDED) and not any(name in found for name in ABSENT)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """Field -> column, of the columns of the file."""
        return names.by_name(rows.raw.table.column_names)


FORMAT = _Log(
    name="trade_log",
    title="a log of trades without ids",
    headings=(),
    fields={},
    prepare=prepare,
    is_bot=True,
    rank=1,
)
