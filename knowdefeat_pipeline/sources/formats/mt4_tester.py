"""MetaTrader 4's report of a backtest as HTML: a row an order that was opened, changed or closed.

Headings are in the language of the terminal, types and order of the columns are not. Times are those of the server. The
profit is net of commission and swap, in the currency of the deposit, which the report does not name: figures are in USD
or what --currency says. Sizes are lots: the net pnl is taken at its word.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.fills import UNOPENED
from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats.mt5_report import ASK

EXPERT = re.compile(r"Strategy Tester: (?P<name>.+)")
SYMBOL = re.compile(r".*? (?P<name>\S+) \(.*")
OPENED, CLOSED = ("buy", "sell"), ("close", "s/l", "t/p", "close at stop")


def prepare(rows: Rows) -> Rows:
    """A row an order that was filled: that of its opening, with what its last row says."""
    _, time, kind, order, _, price, _, _, profit, _ = rows.raw.table.column_names
    done, number, place = rows.text(kind).str.lower(), rows.text(order), pd.Series(np.arange(len(rows)))
    opened, closed = done.isin(OPENED), done.isin(CLOSED)
    unopened = closed & ~number.isin(number[opened])
    kept = (opened | unopened).to_numpy(bool)
    left = place[closed].groupby(number[closed]).last()
    at_exit = number[kept].map(left).fillna(-1).to_numpy(np.int64)
    is_open, at = at_exit < 0, np.flatnonzero(kept)
    expert = next(filter(None, map(EXPERT.fullmatch, rows.raw.titles)), None)
    symbol = next(filter(None, map(SYMBOL.fullmatch, rows.raw.titles[1:])), None)
    made = rows.where(kept, "changes and ends of orders").making(
        source_trade_id=number[kept].to_numpy(),
        direction=done.mask(unopened, UNOPENED)[kept].to_numpy(),
        status=np.where(is_open, "open", "closed"),
        entry_time=rows.taken(time, at),
        exit_time=rows.taken(time, at_exit),
        entry_price=rows.number(price)[kept],
        exit_price=np.where(is_open, np.nan, rows.number(price)[at_exit]),
        reported_pnl=np.where(is_open, np.nan, rows.number(profit)[at_exit]),
        exit_reason=done.reindex(np.where(is_open, -1, at_exit)).to_numpy(),
    )
    made = made.making(strategy_id=expert["name"]) if expert else made
    return made.making(ticker=symbol["name"]) if symbol else made


class _Report(Format):
    """Recognised by its first column and the two levels, whatever the language of the others."""

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a table of these columns is one."""
        keys = [names.key(name) for name in columns]
        return len(keys) == 10 and keys[0] == "no" and keys[6].startswith("sl") and keys[7].startswith("tp")


FORMAT = _Report(
    name="mt4_tester",
    title="a report of MetaTrader 4's strategy tester",
    headings=(),
    fields={},
    prepare=prepare,
    terms={"pnl": "stated", "side": "position"},
    constants={"ticker": "UNKNOWN"},
    is_bot=True,
    clock=None,
    ask=ASK,
    by_pair=False,
)
