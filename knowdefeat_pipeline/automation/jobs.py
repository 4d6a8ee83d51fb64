"""The jobs over a day or a range of days: the ranking's chain, and the chain with all that follows from it."""

import dagster as dg

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")
FUNDS = ("fund_allocations",)

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN),
    description="Recompute the chain from trades to weights for a day or a range of days.",
)
recompute = dg.define_asset_job(
    "recompute",
    selection=dg.AssetSelection.assets(*CHAIN, *FUNDS),
    description="Recompute the chain and then the allocation of funds for a day or a range of days.",
)
