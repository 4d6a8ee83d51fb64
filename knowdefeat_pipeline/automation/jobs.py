"""The jobs over a day or a range of days: the ranking's chain, the beliefs that follow it, and both."""

import dagster as dg

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")
BELIEFS = ("strategy_beliefs", "strategy_weights")

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN),
    description="Recompute the chain from trades to weights for a day or a range of days.",
)
learn = dg.define_asset_job(
    "learn",
    selection=dg.AssetSelection.assets(*BELIEFS),
    description="Learn the beliefs and weights of strategies anew for days that were refreshed.",
)
recompute = dg.define_asset_job(
    "recompute",
    selection=dg.AssetSelection.assets(*CHAIN, *BELIEFS),
    description="Recompute the chain and then the beliefs for a day or a range of days.",
)
