"""The jobs over a day or a range of days: the market, the ranking's chain, what follows from it, and their audit."""

import dagster as dg

from knowdefeat_pipeline.assets.audit import CHECK_KEYS
from knowdefeat_pipeline.assets.catalogue import BELIEFS, CHAIN, FUNDS, MARKET

AUDITED = dg.AssetSelection.checks(*CHECK_KEYS)
ADJUSTING = {"ops": {"variable_weights": {"config": {"adjust": True}}}}
"""The run configuration with which a run that computes `variable_weights` adjusts them."""

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(*CHAIN, *FUNDS) - AUDITED,
    description="Recompute the chain from trades to weights, and the funds, for a day or a range of days.",
)
adjust_weights = dg.define_asset_job(
    "adjust_weights",
    selection=dg.AssetSelection.assets("variable_weights") - AUDITED,
    config=ADJUSTING,
    description="Let the learner adjust the weights of days that have ended. The days after them become stale.",
)
# Apart from the chain, which is refreshed every few seconds: models are fitted here.
market = dg.define_asset_job(
    "market",
    selection=dg.AssetSelection.assets(*MARKET) - AUDITED,
    description="Recompute market regimes and the scores of trades for a day or a range of days.",
)
learn = dg.define_asset_job(
    "learn",
    selection=dg.AssetSelection.assets(*BELIEFS, *FUNDS) - AUDITED,
    description="Learn the beliefs and weights of strategies anew for days that were refreshed, and divide the funds.",
)
recompute = dg.define_asset_job(
    "recompute",
    selection=dg.AssetSelection.assets(*CHAIN, *BELIEFS, *FUNDS) - AUDITED,
    description="Recompute the chain, then the beliefs and the allocation of funds, for a day or a range of days.",
)
audit = dg.define_asset_job(
    "audit",
    selection=AUDITED,
    description="Hold the results of a day or a range of days against each other, and list failed and missing days.",
)
ALL = (refresh, adjust_weights, market, learn, recompute, audit)
