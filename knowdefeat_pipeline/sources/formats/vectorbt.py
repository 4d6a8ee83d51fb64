"""vectorbt's `trades.records_readable`: a row an exit, of one column of the simulation each.

A column is a tuple: what was tried, then the ticker. An open trade carries the time and the price of the last bar.
"""

import ast

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows


def prepare(rows: Rows) -> Rows:
    """A bot a column, and open trades with a mark instead of an exit."""
    column = rows.text("Column")
    parts = {text: _parts(text) for text in column.dropna().unique()}
    is_open = (rows.text("Status").str.lower() == "open").to_numpy(bool)
    leave = rows.number("Avg Exit Price")
    return rows.making(
        bot_id=rows.named_after_file() + " " + column,
        strategy_id=column.map({text: strategy for text, (strategy, _) in parts.items()}),
        ticker=column.map({text: ticker for text, (_, ticker) in parts.items()}),
        exit_time=rows.time(rows.first(LEFT) or "").mask(is_open),
        exit_price=np.where(is_open, np.nan, leave),
        mark_price=np.where(is_open, leave, np.nan),
        exit_fee=np.where(is_open, np.nan, rows.number("Exit Fees")),
        reported_pnl=np.where(is_open, np.nan, rows.number("PnL")),
    )


LEFT = ("Exit Timestamp", "Exit Index")


def _parts(column: str) -> tuple[str | None, str]:
    """Strategy and ticker of a column.

    >>> _parts("(3, 9, 'AAA')"), _parts("AAA"), _parts("0")
    (('(3, 9)', 'AAA'), (None, 'AAA'), (None, 'UNKNOWN'))
    """
    try:
        value = ast.literal_eval(column)
    except (ValueError, SyntaxError):
        value = column
    tried, last = (value[:-1], value[-1]) if isinstance(value, tuple) and value else ((), value)
    if not isinstance(last, str):
        tried, last = (value, "UNKNOWN") if isinstance(value, tuple) else ((), "UNKNOWN")
    return (str(tried) if tried else None), last


FORMAT = Format(
    name="vectorbt",
    title="vectorbt's readable records of trades",
    headings=("Column", "Size", "Avg Entry Price", "Entry Fees", "Avg Exit Price", "Exit Fees", "PnL", "Direction"),
    fields={
        "source_trade_id": ("Exit Trade Id", "Trade Id"),
        "direction": "Direction",
        "status": "Status",
        "entry_time": ("Entry Timestamp", "Entry Index"),
        "entry_price": "Avg Entry Price",
        "quantity": "Size",
        "entry_fee": "Entry Fees",
    },
    prepare=prepare,
    is_bot=True,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
