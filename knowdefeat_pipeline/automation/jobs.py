"""The jobs: what new trades refresh at once, and what else is computed once a day."""

import dagster as dg

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")
DAILY = (*CHAIN, "fund_allocations")

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN),
    description="Recompute the chain from trades to weights for a day or a range of days.",
)

daily = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.assets(*DAILY),
    description="Recompute the chain and allocate funds by its rankings, for a day or a range of days.",
)
