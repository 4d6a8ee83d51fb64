"""What weights would have foretold: python -m knowdefeat_pipeline.web.backtests, which `foretold` starts.

It reads the whole history, so it has a process of its own that ends with it; one at a time.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Any

from knowdefeat_pipeline.settings import handed_on
from knowdefeat_pipeline.store.learning import history_state
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

PATIENCE = 120  # seconds
RETRY_AFTER = "10"  # seconds
YOURS = "yours"
FIGURES = ("days", "rank_ic", "rank_ic_se", "gain", "gain_se", "gain_low", "gain_high", "top_quartile_result")
MOST_KNOWN = 16
_turn = threading.Lock()
_known: dict[tuple[Any, ...], dict[str, Any]] = {}
logger = logging.getLogger("knowdefeat.web")


def foretold(site: Site, weights: Mapping[str, float], days: int) -> dict[str, Any]:
    """How well these weights would have foretold the last `days` settled days, beside the default weights; read-only.

    Of `yours` and `default` each the figures of `core.learning.backtest`; the same again is remembered while the
    history is the same. Raises Problem: 429 while another is under way, 404 where there is no settled day.
    """
    with site.connection() as connection:
        asked = (*weights.values(), days, history_state(connection))
    if asked in _known:
        return _known[asked]
    if not _turn.acquire(blocking=False):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS, "Another backtest is under way; try again.", {"Retry-After": RETRY_AFTER}
        )
    try:
        found = _computed(site.live.url, weights, days)
        _known[asked] = found
        while len(_known) > MOST_KNOWN:
            _known.pop(next(iter(_known)))
    finally:
        _turn.release()
    return found


def _computed(url: str, weights: Mapping[str, float], days: int) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps({"weights": weights, "days": days}),
            env=os.environ | handed_on(database_url=url),  # in no list of processes
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"It took more than {PATIENCE} s; look at fewer days.") from None
    except subprocess.CalledProcessError as error:
        logger.error("A backtest failed: %s", error.stderr)
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The history could not be read; the log says why.") from None
    found: dict[str, Any] = json.loads(done.stdout)
    if not found[YOURS]["days"]:
        raise Problem(HTTPStatus.NOT_FOUND, "No day has two bots whose next day is known. Compute more: knowdefeat run")
    return found


def main() -> None:
    """Read weights from standard input, write what they would have foretold to standard output; JSON both."""
    import numpy as np

    from knowdefeat_pipeline.core.learning.backtest import REFERENCE, backtest
    from knowdefeat_pipeline.core.learning.learner import DEFAULT
    from knowdefeat_pipeline.core.ranking.panel import Panel
    from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
    from knowdefeat_pipeline.store.learning import read_history
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
