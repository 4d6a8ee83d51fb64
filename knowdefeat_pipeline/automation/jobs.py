"""The jobs that compute a day or a range of days: the chain from trades to weights, and what is told of the market."""

import dagster as dg

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")
MARKET = ("price_bars", "market_regimes", "trade_scores")

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN),
    description="Recompute the chain from trades to weights for a day or a range of days.",
)

# Apart from the chain, which is refreshed up to once a second: models are fitted here.
market = dg.define_asset_job(
    "market",
    selection=dg.AssetSelection.assets(*MARKET),
    description="Recompute market regimes and the scores of trades for a day or a range of days.",
)
