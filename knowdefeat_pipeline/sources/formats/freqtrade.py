"""freqtrade's database of trades, live or dry run: table `trades`, with `orders` beside it.

Times are naive UTC. A row of `trades` holds rates of fees, not amounts, and of a position that was left or entered in
several orders only the last part: its whole follows from the orders.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools, Floats
from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.layout import SourceError

ROUNDING = 5.1e-9
"""What freqtrade's own pnl, which has 8 decimals, may be off by."""
CLOSES = 1e-6
"""How much of what was entered may be left, as a share, where a position is closed: exchanges round amounts."""


def prepare(rows: Rows) -> Rows:
    """Sizes, prices and costs of whole positions; a bot a file and strategy; dry runs apart."""
    orders = _by_trade(rows)
    is_open, short = rows.number("is_open") == 1, rows.number("is_short") == 1
    rows = rows.making(
        source_trade_id=rows.text("id"),
        direction=np.where(short, "SHORT", "LONG"),
        status=np.where(is_open, "open", "closed"),
    )
    rows = whole(rows, orders, is_open, "close_profit_abs")
    unfilled = is_open & (orders["entered"] == 0).to_numpy()
    rows = replace(rows, account=rows.account or _account(rows, orders))
    return of_bots(rows).where(~unfilled, "their entry was not filled yet")


def whole(rows: Rows, orders: pd.DataFrame, is_open: Bools, stated: str) -> Rows:
    """With the amounts of whole positions. `orders`: of each row, what was filled: `entered`, `left` (units), `paid`,
    `received` (money), `exits` (orders); NaN where it has none. `stated`: the column of the net pnl.

    Where the orders do not close a closed position, as those of an imported database, the row alone counts; and where
    it is not the whole position either, its net pnl is taken at its word, without a size.
    """
    amount, leverage = rows.number("amount"), rows.number("leverage")
    entry, leave = rows.number("open_rate"), rows.number("close_rate")
    entered, left, paid, received, exits = (orders[name].to_numpy(float) for name in ORDERS)
    told = ~is_open & (exits > 0) & (np.abs(entered - left) <= CLOSES * entered)
    with np.errstate(all="ignore"):
        entry, leave = np.where(told, paid / entered, entry), np.where(told, received / left, leave)
    amount = np.where(told, entered, amount)
    stake, most = rows.number("stake_amount"), rows.number("max_stake_amount")
    partial = ~is_open & ~told & (most > stake * (1 + CLOSES))
    size = np.where(partial, np.nan, amount)
    entry_fee = size * entry * np.nan_to_num(rows.number("fee_open"))
    exit_fee = size * leave * np.nan_to_num(rows.number("fee_close"))
    funding = np.nan_to_num(rows.number("funding_fees"))
    side = np.where(rows.number("is_short") == 1, -1.0, 1.0)
    owed = side * size * (leave - entry) + funding - entry_fee - rows.number(stated)
    with np.errstate(invalid="ignore"):  # so that the pnl is freqtrade's to the last digit
        exit_fee = np.where(np.abs(owed - exit_fee) <= ROUNDING + 1e-12 * np.abs(size * entry), owed, exit_fee)
    return rows.making(
        entry_price=entry,
        exit_price=np.where(is_open, np.nan, leave),
        quantity=size,
        margin=np.where(told & (most > 0), most, stake),
        leverage=np.where(leverage > 0, leverage, 1.0),
        entry_fee=np.where(is_open, np.nan, entry_fee),
        exit_fee=np.where(is_open, np.nan, exit_fee),
        exits=np.where(told, exits, 1.0),
        funding=funding,
    )


ORDERS = ("entered", "left", "paid", "received", "exits")


def totals(orders: pd.DataFrame, trades: pd.Index) -> pd.DataFrame:
    """Of each trade what its orders filled. `orders`: `trade`, `is_entry`, `units`, `price`."""
    is_entry, units = orders["is_entry"].to_numpy(bool), orders["units"].to_numpy(float)
    money = units * orders["price"].to_numpy(float)
    parts = pd.DataFrame(
        {
            "entered": np.where(is_entry, units, 0.0),
            "left": np.where(is_entry, 0.0, units),
            "paid": np.where(is_entry, money, 0.0),
            "received": np.where(is_entry, 0.0, money),
            "exits": np.where(is_entry, 0.0, units > 0),
        }
    )
    return parts.groupby(orders["trade"].to_numpy()).sum().reindex(trades)


def _by_trade(rows: Rows) -> pd.DataFrame:
    trades = pd.Index(rows.number("id"))
    found = rows.beside("orders")
    if found is None:
        return pd.DataFrame(np.nan, trades, [*ORDERS, "dry"])
    short, trade = trades[rows.number("is_short") == 1], pd.Series(found.number("ft_trade_id"))
    is_entry = found.text("ft_order_side") == np.where(trade.isin(short), "sell", "buy")
    price = _first(found, "average", "price", "ft_price")
    filled = _first(found, "filled")
    orders = pd.DataFrame(
        {"trade": trade, "is_entry": is_entry, "units": np.nan_to_num(filled), "price": np.nan_to_num(price)}
    )
    dry = found.text("order_id").str.startswith("dry_run").fillna(False).astype(float)
    return totals(orders, trades).assign(dry=dry.groupby(trade).max().reindex(trades).to_numpy())


def _first(found: Rows, *headings: str) -> Floats:
    """The first of several columns that holds a number other than 0, row by row."""
    value = np.full(len(found), np.nan)
    for heading in headings:
        other = found.number(heading)
        value = np.where(np.isnan(value) & (other != 0), other, value)
    return value


def _account(rows: Rows, orders: pd.DataFrame) -> str | None:
    """Whether the trades are a dry run's: by the ids of its orders, or, without any, by the name of the file."""
    dry = orders["dry"].dropna().to_numpy(bool)
    if dry.any() and not dry.all():
        raise SourceError(
            "this database mixes trades of a dry run with live ones, which are not told apart for every trade; "
            "say --account NAME"
        )
    if len(dry):
        return "dry_run" if dry.all() else None
    return "dry_run" if "dryrun" in rows.path.name.lower().replace("_", "") else None


def of_bots(rows: Rows) -> Rows:
    """A bot a file and strategy, so that its name stays what it is when the file takes up another strategy."""
    strategy = rows.text("strategy")
    place = rows.named_after_file() + (f" ({rows.account})" if rows.account else "")
    return rows.making(bot_id=(place + " " + strategy).fillna(place))


FORMAT = Format(
    name="freqtrade",
    title="a database of freqtrade",
    headings=(
        "pair",
        "is_open",
        "fee_open",
        "open_rate",
        "close_rate",
        "stake_amount",
        "open_date",
        "close_profit_abs",
    ),
    fields={
        "strategy_id": "strategy",
        "ticker": "pair",
        "entry_time": "open_date",
        "exit_time": "close_date",
        "reported_pnl": "close_profit_abs",
        "quote_currency": "stake_currency",
        "exit_reason": ("exit_reason", "sell_reason"),
    },
    prepare=prepare,
    is_bot=True,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear", "funding": "received"},
    beside=("orders",),
    rank=3,
)
