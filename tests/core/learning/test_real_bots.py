"""Real moving-average bots, judged month by month: most of what closes was earned before, and the learner says so."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.learning.learner import DEFAULT, MAX_CARRIED, MIN_SETTLED_DAYS, learn_weights
from knowdefeat_pipeline.core.ranking.panel import REQUIRED, Panel


@pytest.mark.long
def test_bots_that_hold_for_months_freeze_the_learner(shared_data: Path) -> None:
    """Their trades closed without bars: .59 to .72 of |pnl| over sixty months came from trades of earlier months."""
    trades = pd.read_parquet(shared_data / "sp500_ma_bots" / "trades.parquet").dropna(subset="exit_time")
    entered, left = (pd.to_datetime(trades[name]).dt.to_period("M") for name in ("entry_time", "exit_time"))
    absolute = trades["trade_pnl"].abs()
    of_month = trades.assign(
        label=trades["trade_pnl"], carried=absolute.where(entered < left, 0.0), absolute_pnl=absolute
    ).groupby([left.dt.start_time.dt.tz_localize("UTC").rename("as_of"), "bot_id"])
    panel = of_month[["label", "carried", "absolute_pnl"]].sum().reset_index()
    unknown = dict.fromkeys(set(REQUIRED) - set(panel.columns), np.nan)
    learned = learn_weights(Panel.of(panel.assign(**unknown | {"group": "all", "volatility": 1.0})))
    late = learned.carried[MIN_SETTLED_DAYS + 1 :]
    assert MAX_CARRIED < 0.55 < late.min() < late.max() < 0.75
    assert all("were earned before the day began" in str(reason) for reason in learned.reason[MIN_SETTLED_DAYS + 1 :])
    assert (learned.weights == DEFAULT).all()
