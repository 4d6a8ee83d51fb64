"""NautilusTrader's report of positions: money as text with its currency, nanoseconds, sides as they were entered.

Once a position is closed its `side` is FLAT and its `quantity` 0: `entry` and `peak_qty` say what it was. Under netting
one id names every position of an instrument, one after the other.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Floats
from knowdefeat_pipeline.sources.format import Format, Rows, where_it_explains

MONEY = r"(-?[\d_.]+) ([A-Z0-9]+)"


def prepare(rows: Rows) -> Rows:
    """A bot a trader and strategy; amounts without their currency, which is that of the settlement."""
    stated = rows.text("realized_pnl").str.extract(MONEY)
    net, currency = _number(stated[0]), stated[1]
    ours, others = _commissions(rows.text("commissions"), currency)
    is_open = rows.text("ts_closed").isna().to_numpy(bool)
    long = rows.text("entry").str.upper() == "BUY"
    size, entry, leave = (rows.number(name) for name in ("peak_qty", "avg_px_open", "avg_px_close"))
    gross = np.where(long, 1.0, -1.0) * size * (leave - entry)
    return rows.making(
        source_trade_id=_ids(rows),
        bot_id=rows.text("trader_id") + " " + rows.text("strategy_id"),
        direction=rows.text("entry"),
        status=np.where(is_open, "open", "closed"),
        exit_price=np.where(is_open, np.nan, leave),
        quantity=np.where(is_open, size, where_it_explains(size, gross - ours, net)),
        fees=np.where(is_open, np.nan, ours),
        fee_currency=others,
        reported_pnl=np.where(is_open | others.notna(), np.nan, net),
        quote_currency=currency,
    )


def _ids(rows: Rows) -> pd.Series:
    """Of positions that share their id the time of opening, too."""
    id_, strategy = rows.text("position_id"), rows.text("strategy_id")
    netted = [str(a).endswith(f"-{b}") for a, b in zip(id_, strategy, strict=True)]
    return id_.mask(pd.Series(netted), id_ + "/" + rows.text("ts_init"))


def _commissions(texts: pd.Series, currency: pd.Series) -> tuple[Floats, pd.Series]:
    """What was paid in each row's currency, and the first other currency in which anything was paid."""
    each = texts.str.extractall(MONEY)
    row = each.index.get_level_values(0)
    amount, same = _number(each[0]), (each[1] == currency.reindex(row).to_numpy()).to_numpy(bool)
    ours = pd.Series(np.where(same, amount, 0.0)).groupby(row).sum().reindex(texts.index, fill_value=0.0)
    other = each[1][~same & (amount != 0)].groupby(level=0).first().reindex(texts.index)
    return np.asarray(ours, float), other.astype("str").where(other.notna())


def _number(texts: pd.Series) -> Floats:
    return np.asarray(texts.str.replace("_", ""), float)


FORMAT = Format(
    name="nautilus",
    title="a report of positions of NautilusTrader",
    headings=(
        "position_id",
        "instrument_id",
        "entry",
        "peak_qty",
        "ts_opened",
        "ts_closed",
        "avg_px_open",
        "realized_pnl",
    ),
    fields={
        "strategy_id": "strategy_id",
        "ticker": "instrument_id",
        "entry_time": "ts_opened",
        "exit_time": "ts_closed",
        "entry_price": "avg_px_open",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
