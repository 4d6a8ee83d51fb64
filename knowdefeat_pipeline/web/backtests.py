"""What weights would have foretold: python -m knowdefeat_pipeline.web.backtests, which `foretold` asks by `aside`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Any

from knowdefeat_pipeline.store.learning import history_state
from knowdefeat_pipeline.web.aside import found_aside
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

YOURS = "yours"
FIGURES = ("days", "rank_ic", "rank_ic_se", "gain", "gain_se", "gain_low", "gain_high", "top_quartile_result")
MOST_KNOWN = 16
_known: dict[tuple[Any, ...], dict[str, Any]] = {}


def foretold(site: Site, weights: Mapping[str, float], days: int) -> dict[str, Any]:
    """How well these weights would have foretold the last `days` settled days, beside the default weights; read-only.

    Of `yours` and `default` each the figures of `core.learning.backtest`; the same again is remembered while the
    history is the same. Raises Problem: 429 while another is under way, 404 where there is no settled day.
    """
    with site.connection() as connection:
        asked = (*weights.values(), days, history_state(connection))
    if asked in _known:
        return _known[asked]
    found: dict[str, Any] = found_aside(__name__, site.live.url, {"weights": weights, "days": days})
    if not found[YOURS]["days"]:
        raise Problem(HTTPStatus.NOT_FOUND, "No day has two bots whose next day is known. Compute more: knowdefeat run")
    _known[asked] = found
    while len(_known) > MOST_KNOWN:
        _known.pop(next(iter(_known)))
    return found


def main() -> None:
    """Read weights from standard input, write what they would have foretold to standard output; JSON both."""
    import numpy as np

    from knowdefeat_pipeline.core.learning.backtest import REFERENCE, backtest
    from knowdefeat_pipeline.core.learning.learner import DEFAULT
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
    from knowdefeat_pipeline.store.weight_panel import read_history
    from knowdefeat_pipeline.web.answers import as_json

    asked = json.load(sys.stdin)
    panel = Panel.of(read_history(os.environ["KNOWDEFEAT_DATABASE_URL"], date.max))
    settled = np.flatnonzero(np.bincount(panel.day, ~np.isnan(panel.label), minlength=len(panel)) >= 2)
    since = int(settled[-asked["days"] :][0]) if len(settled) else len(panel)
    own = np.array([asked["weights"][name] for name in VARIABLE_NAMES])
    table = backtest(panel, {REFERENCE: panel.rank_scores(DEFAULT), YOURS: panel.rank_scores(own)}, since=since)
    rows = {name: {figure: row[figure] for figure in FIGURES} for name, row in table.to_dict("index").items()}
    sys.stdout.write(as_json(rows).body.decode())


if __name__ == "__main__":
    main()
