"""Jesse's closed trades: a row a trade, times in milliseconds since 1970, the pnl net of the fee."""

from knowdefeat_pipeline.sources.format import Format

FORMAT = Format(
    name="jesse",
    title="an export of Jesse's trades",
    headings=(
        "id",
        "strategy_name",
        "symbol",
        "type",
        "entry_price",
        "exit_price",
        "qty",
        "PNL",
        "opened_at",
        "closed_at",
    ),
    fields={
        "source_trade_id": "id",
        "bot_id": "strategy_name",
        "strategy_id": "strategy_name",
        "ticker": "symbol",
        "direction": "type",
        "entry_time": "opened_at",
        "exit_time": "closed_at",
        "entry_price": "entry_price",
        "exit_price": "exit_price",
        "quantity": "qty",
        "leverage": "leverage",
        "fees": "fee",
        "reported_pnl": "PNL",
    },
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"status": "closed"},
)
