"""Panels of simulated worlds: labels, scores and truths stand where they belong."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import SLOW_NAMES, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import simulate
from tests.core.panels import END, world

DAY = pd.Timedelta(days=1)


def test_labels_scores_and_performance_come_from_their_own_days() -> None:
    simulation = simulate("informative", bots=12, days=121, seed=31, end=END)
    closed = simulation.trades[simulation.trades.status == "closed"]
    frame = world("informative").frame
    row = frame.iloc[777]
    own = closed[closed.bot_id == row.bot_id]
    after = own[(own.exit_time > row.as_of) & (own.exit_time <= row.as_of + DAY)]
    before = own[(own.exit_time > row.as_of - DAY) & (own.exit_time <= row.as_of)]
    assert row.label == pytest.approx(after.reported_pnl.sum())
    assert row.one_day_performance == pytest.approx(before.reported_pnl.sum())
    scores = simulation.scores.set_index(["day", "bot_id"]).loc[(row.as_of - DAY, row.bot_id)]
    names = ["price_model_score", "volume_model_score", "price_wall_score"]
    np.testing.assert_array_equal(row[names].to_numpy(float), scores[names].to_numpy(float))
    counts = own[(own.exit_time <= row.as_of) & (own.exit_time > row.as_of - 30 * DAY)]
    combos = counts.groupby(["ticker", "direction"]).size()
    assert row.group == " ".join(combos.idxmax())


def test_columns_rows_and_the_last_day() -> None:
    frame = world("base").frame
    assert list(frame.columns) == [
        "as_of", "bot_id", "group", "volatility", *(name for name in VARIABLE_NAMES if name not in SLOW_NAMES), "label",
        "avg_drawdown_amount",
    ]  # fmt: skip
    assert frame.as_of.max() == pd.Timestamp(END) - DAY  # the last day is a label only
    assert frame.groupby("as_of").size().iloc[-1] == 12
    assert not frame.duplicated(["as_of", "bot_id"]).any()
    assert frame[frame.as_of == frame.as_of.max()].label.notna().sum() >= 10


@pytest.mark.long
@pytest.mark.parametrize("name", ["base", "adverse"])
def test_the_truth_is_what_labels_are_on_average(name: str) -> None:
    found = world(name, bots=120, days=150)
    results = Panel.of(found.frame).result
    known = ~np.isnan(results)
    for truth, exact in ((found.skill, name == "base"), (found.expected, True)):
        slope = (results[known] @ truth[known]) / (truth[known] @ truth[known])
        assert slope == pytest.approx(1, abs=0.15 if exact else 0.3)
    if name == "base":
        assert np.array_equal(found.skill, found.expected)
    else:
        errors = [np.mean((results[known] - truth[known]) ** 2) for truth in (found.skill, found.expected)]
        assert errors[1] < errors[0]


def test_a_world_without_skill_has_no_truth() -> None:
    assert not world("null").skill.any()
    assert not world("null").expected.any()
