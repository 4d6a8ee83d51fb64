"""The history that weights are learned from and tested on, as `core.ranking.panel` reads it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.ranking.earnings import HeldNights, labelled
from knowdefeat_pipeline.core.ranking.ranking import MIN_TRADES
from knowdefeat_pipeline.postgres.connection import query, read_arrow


def read_history(url: str, last: date) -> pd.DataFrame:
    """The history of all bots at the end of each complete day up to `last`, as `ranking.panel` reads it.

    Its labels are marked to market where trades held over a midnight have a mark price or their ticker has bars.
    """
    history = read_arrow(url, query("learning/weight_panel"), [last, MIN_TRADES]).to_pandas()
    nights = read_arrow(url, query("learning/held_nights"), [last])
    held = HeldNights(**{name: nights[name].to_numpy() for name in nights.column_names})
    numbered = history.assign(day=history["day"].to_numpy("datetime64[D]").astype(np.int64))
    return labelled(numbered, held).drop(columns="day")
