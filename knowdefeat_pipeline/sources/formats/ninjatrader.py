"""NinjaTrader's list of trades (versions 7 and 8): a row a pair of entry and exit.

Times are those of the zone that it is set to. Trades are numbered anew in each list, so that a trade is known by its
account, instrument and time of entry. Whether the profit is net of the commission is a setting, which the figures tell;
so they tell the worth of a point, without which no size follows and the profit is taken at its word.
"""

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows, multipliers, numbered

COSTS = ("Commission", "Clearing Fee", "Exchange Fee", "IP Fee", "NFA Fee")


def prepare(rows: Rows) -> Rows:
    """Bots by account and strategy, and what a point is worth."""
    account, strategy, instrument = (rows.text(name) for name in ("Account", "Strategy", "Instrument"))
    short = rows.text("Market pos.").str.lower().eq("short").to_numpy(bool)
    entry, leave = rows.number("Entry price"), rows.number("Exit price")
    moved = np.where(short, -1, 1) * rows.number(rows.first(QUANTITY) or "") * (leave - entry)
    fees = sum((np.nan_to_num(rows.number(name)) for name in COSTS), np.zeros(len(rows)))
    profit = rows.number("Profit")
    of_net, of_gross = (multipliers(instrument, moved, gross) for gross in (profit + fees, profit))
    is_net = np.isfinite(of_net).sum() >= np.isfinite(of_gross).sum()
    worth = of_net if is_net else of_gross
    made = rows.making(
        source_trade_id=numbered(account.fillna("") + " " + instrument, rows.time("Entry time")),
        bot_id=(account + " " + strategy).fillna(account).fillna(strategy),
        quantity=np.where(np.isfinite(worth), rows.number(rows.first(QUANTITY) or ""), np.nan),
        contract_multiplier=worth,
        fees=fees,
        reported_pnl=profit if is_net else profit - fees,
    )
    currency = rows.currency("Profit")
    return made.making(quote_currency=currency) if currency else made


NUMBER, QUANTITY = ("Trade number", "Trade-#"), ("Qty", "Quantity")

FORMAT = Format(
    name="ninjatrader",
    title="NinjaTrader's list of trades",
    headings=(
        NUMBER,
        "Instrument",
        "Market pos.",
        QUANTITY,
        "Entry price",
        "Exit price",
        "Entry time",
        "Exit time",
        "Profit",
    ),
    fields={
        "strategy_id": "Strategy",
        "ticker": "Instrument",
        "direction": "Market pos.",
        "entry_time": "Entry time",
        "exit_time": "Exit time",
        "entry_price": "Entry price",
        "exit_price": "Exit price",
        "exit_reason": "Exit name",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"status": "closed"},
    times=("Entry time", "Exit time"),
    is_bot=True,
    marks=("MAE", "MFE", "ETD"),
    clock=None,
    ask="its times are in the zone that NinjaTrader is set to, which it does not name: say --timezone America/Chicago, "
    "or what it is",
    by_pair=False,
)
