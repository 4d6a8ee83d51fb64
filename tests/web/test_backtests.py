"""What weights would have foretold, over HTTP: the figures of the backtest, one at a time, remembered while nothing changes."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from knowdefeat_pipeline.core.learning.backtest import backtest
from knowdefeat_pipeline.core.learning.learner import DEFAULT
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.store.weight_panel import read_history
from knowdefeat_pipeline.web import aside, backtests
from tests.web.conftest import Web, role_url, served
from tests.web.test_decision_pages import value
from tests.web.test_pages import shown
from tests.web.test_weights import STEADIER

PATH = "/api/v1/weights/backtest?days=20"


@pytest.mark.long
def test_the_figures_are_those_of_the_backtest(fleet_url: str, tmp_path: Path) -> None:
    panel = Panel.of(read_history(fleet_url, date.max))
    scores = {"default": panel.rank_scores(DEFAULT), "yours": panel.rank_scores(_vector(STEADIER))}
    # 36 complete days; the last has no day after it.
    expected = backtest(panel, scores, since=len(panel) - 21).to_dict("index")
    with served(fleet_url, role_url(fleet_url, Passwords(tmp_path))) as web:  # with no more than the pages' rights
        found = web.client.post(PATH, json={"weights": STEADIER}).json()
        page = web.get("/weights?tested=true&avg_win_rate=14&one_hour_performance=11").text
    assert found["yours"]["days"] == 20
    for name, row in found.items():
        assert row == {figure: pytest.approx(expected[name][figure]) for figure in backtests.FIGURES}
    assert found["yours"]["gain"] != 0
    whole = backtest(panel, scores).to_dict("index")["yours"]  # the page asks for 60 days, there are 35
    ((gain, days),) = _told(page)
    assert (value(gain), days) == (shown(whole["gain"], 3), "35")


def _vector(weights: dict[str, float]) -> Any:
    import numpy as np

    return np.array([*weights.values()])


def _told(page: str) -> list[tuple[str, str]]:
    import re

    return re.findall(r'id="test-gain".*?<td class="n strong">(.*?)</td>.*?Over (\d+) settled days', page, re.DOTALL)


def test_one_is_under_way_at_a_time_and_what_was_computed_is_remembered(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    told = {name: dict.fromkeys(backtests.FIGURES, 1.0) for name in ("yours", "default")}
    monkeypatch.setattr(backtests, "_known", {})
    with aside._turn:
        answer = web.client.post(PATH, json={"weights": STEADIER})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    monkeypatch.setattr(backtests, "found_aside", lambda *arguments: asked.append(arguments) or told)
    for _ in range(3):
        assert web.client.post(PATH, json={"weights": STEADIER}).json() == told
    assert len(asked) == 1
    web.client.post(PATH, json={"weights": STEADIER | {"avg_win_rate": 15}})
    assert len(asked) == 2


def test_without_history_there_is_nothing_to_test(empty_web: Web) -> None:
    answer = empty_web.client.post(PATH, json={"weights": STEADIER})
    assert (answer.status_code, "knowdefeat run" in answer.json()["detail"]) == (404, True)
    assert empty_web.client.post(PATH, json={"weights": {}}).status_code == 422
