"""pyfolio's transactions, as zipline and `make_transaction_frame` write them: a row a fill, amounts bought positive.

Commissions stand in zipline's orders and seldom here.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows


def prepare(rows: Rows) -> Rows:
    """Fills as trades, a bot a file."""
    commission = rows.number("commission")
    if np.isnan(commission).all():
        rows = rows.noting("it has no commissions: every pnl is before them")
    fills = pd.DataFrame(
        {
            "bot_id": rows.account or rows.named_after_file(),
            "ticker": rows.text("symbol"),
            "time": rows.time("dt"),
            "quantity": rows.number("amount"),
            "price": rows.number("price"),
            "fee": np.nan_to_num(commission),
            "fee_currency": np.nan,
            "quote_currency": rows.text("currency"),  # it has none
            "order_id": rows.text("order_id"),
        }
    )
    return as_trades(rows, fills)


FORMAT = Format(
    name="pyfolio",
    title="a table of pyfolio's transactions",
    headings=("symbol", "price", "order_id", "amount", "commission", "dt", "txn_dollars"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
