"""The trades of a backtest with backtesting.py: a row a trade, all of them closed, those at its end too.

The sign of the size is the side. Nothing names a trade but its place, and two equal rows are two trades.
"""

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows


def prepare(rows: Rows) -> Rows:
    """Ids by place, from 0, and sides by the sign of the size."""
    size = rows.number("Size")
    return rows.making(
        source_trade_id=(rows.raw.row_number - 1).astype(str),
        direction=np.where(size < 0, "SHORT", "LONG"),
        quantity=np.abs(size),
    )


FORMAT = Format(
    name="backtesting_py",
    title="the trades of a backtest with backtesting.py",
    headings=("Size", "EntryBar", "ExitBar", "EntryPrice", "ExitPrice", "PnL", "EntryTime", "ExitTime"),
    fields={
        "entry_time": "EntryTime",
        "exit_time": "ExitTime",
        "entry_price": "EntryPrice",
        "exit_price": "ExitPrice",
        "fees": "Commission",
        "reported_pnl": "PnL",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"status": "closed", "strategy_id": "backtest", "ticker": "UNKNOWN"},
    is_bot=True,
)
