"""The jobs: the refresh of the whole chain, and the adjustment of the weights, for a day or a range of days."""

import dagster as dg

CHAIN = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "variable_weights")

ADJUSTMENT_TAG = "knowdefeat/weight-adjustment"
ADJUSTING = {"ops": {"variable_weights": {"config": {"adjust": True}}}}
"""The run configuration with which a run that computes `variable_weights` adjusts them."""

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN),
    description="Recompute the chain from trades to weights for a day or a range of days.",
)

adjust_weights = dg.define_asset_job(
    "adjust_weights",
    selection=dg.AssetSelection.assets("variable_weights"),
    config=ADJUSTING,
    tags={ADJUSTMENT_TAG: "true"},
    description="Let the learner adjust the weights of days that have ended, and rank again what they touch.",
)
