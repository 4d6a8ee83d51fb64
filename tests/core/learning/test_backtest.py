"""Backtests by hand, and what the known contestants are worth in known worlds."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.learning.backtest import (
    backtest,
    contestants,
    know_defeat_fallback_scores,
    know_defeat_scores,
)
from knowdefeat_pipeline.core.learning.learner import DEFAULT, learn_weights
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from tests.core.panels import plain, world


def labelled(*days: list[float]) -> Panel:
    """Days of bots 1..n with the given labels, each bot a group, volatility 2."""
    frame = plain(len(days), len(days[0]), seed=1)
    return Panel.of(frame.assign(label=np.concatenate(days), volatility=2.0, group=frame["bot_id"].astype(str)))


def test_know_defeat_s_scores_by_hand() -> None:
    frame = pd.DataFrame([dict.fromkeys(VARIABLE_NAMES, np.nan)] * 2)
    frame.loc[0, ["one_hour_performance", "avg_win_rate", "avg_drawdown"]] = [200.0, 55.0, 20.0]
    # 15 · 200 / 100 + 10 · 55 / 100 + 8 · (100 - 20) / 100; without any figure 8 · 100 / 100 is left.
    assert know_defeat_scores(frame).tolist() == pytest.approx([30 + 5.5 + 6.4, 8])
    assert know_defeat_fallback_scores(frame).tolist() == [255, 0]


def test_a_backtest_by_hand() -> None:
    panel = labelled([1.0, 2, 3, 4, 5, 6, 7, 8], [8.0, 7, 6, 5, 4, 3, 2, 1], [1.0, 2, 3, 4, 8, 7, 6, 5])
    rising, falling = np.tile(np.arange(8.0), 3), np.tile(-np.arange(8.0), 3)
    found = backtest(panel, {"default": falling, "rising": rising})
    # ICs of the rising order: 1, -1 and 1 - 6·(4·0 + 9 + 1 + 1 + 9) / (8·63) = 16/21.
    assert found.loc["rising", "days"] == 3
    assert found.loc["rising", "rank_ic"] == pytest.approx((1 - 1 + 16 / 21) / 3, abs=1e-5)
    assert found.loc["rising", "gain"] == pytest.approx(2 * 16 / 63, abs=1e-5)
    assert found.loc["default", ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    # The best quarter are bots 7 and 8: 7.5, 1.5 and 5.5 a bot, half of it in units of volatility.
    assert found.loc["rising", "top_quartile_pnl"] == pytest.approx(14.5 / 3)
    results = np.array([3.75, 0.75, 2.75])
    assert found.loc["rising", "top_quartile_result"] == pytest.approx(results.mean())
    assert found.loc["rising", "sharpe"] == pytest.approx(results.mean() / results.std(ddof=1))
    assert found["turnover"].tolist() == [0, 0]


def test_turnover_is_the_part_of_the_best_quarter_that_is_new() -> None:
    panel = labelled(*[[1.0, 2, 3, 4, 5, 6, 7, 8]] * 3)
    order = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 9, 7, 8, 9, 8, 3, 4, 5, 6, 1, 2])
    # Bots 7, 8; then 6, 8; then 1, 2.
    assert backtest(panel, {"default": order}).loc["default", "turnover"] == pytest.approx((0.5 + 1) / 2)


def test_idle_bots_earn_nothing_and_days_without_labels_do_not_count() -> None:
    panel = labelled([1.0, 2, 3, np.nan], [np.nan] * 4, [np.nan, np.nan, np.nan, 1.0], [4.0, 3, 2, 1])
    found = backtest(panel, {"default": np.tile(np.arange(4.0), 4)}).loc["default"]
    assert found["days"] == 2
    assert found["rank_ic"] == pytest.approx((1 - 1) / 2)
    assert found["top_quartile_pnl"] == pytest.approx((0 + 1) / 2)


def test_since_leaves_the_first_days_out() -> None:
    panel = labelled([1.0, 2, 3, 4], [4.0, 3, 2, 1])
    assert backtest(panel, {"default": np.tile(np.arange(4.0), 2)}, since=1).loc["default", "rank_ic"] == -1


def test_contestants_are_the_known_ones_and_any_others() -> None:
    panel = Panel.of(world("informative").frame)
    found = contestants(panel, {"mine": DEFAULT_WEIGHTS, "days": learn_weights(panel).weights})
    assert list(found) == [
        "default",
        "recommended",
        "equal",
        "know_defeat",
        "know_defeat_fallback",
        "ai",
        "mine",
        "days",
    ]
    assert np.array_equal(found["mine"], found["default"])
    assert np.array_equal(found["days"], found["ai"])
    np.testing.assert_allclose(found["default"], 50 + panel.ranks @ DEFAULT)
    equal = 50 + 100 / 19 * panel.ranks.sum(axis=1)
    np.testing.assert_allclose(found["equal"], equal)


def test_in_the_adverse_world_the_learner_wins_and_says_so() -> None:
    panel = Panel.of(world("adverse", bots=40).frame)
    found = backtest(panel, contestants(panel), since=40)
    assert found["rank_ic"].idxmax() == "ai"
    assert found.loc["ai", "gain_low"] > 0
    assert found.loc["ai", "gain_low"] < found.loc["ai", "gain"] < found.loc["ai", "gain_high"]
    assert found["deflated_sharpe"].between(0, 1).all()
    assert found["deflated_sharpe"].idxmax() == found["sharpe"].idxmax()


def test_more_tries_deflate_more() -> None:
    panel = Panel.of(world("informative").frame)
    scores = contestants(panel)
    rng = np.random.default_rng(1)
    luck = {f"random {number}": rng.standard_normal(len(panel.frame)) for number in range(20)}
    few, many = backtest(panel, scores), backtest(panel, scores | luck)
    assert many.loc["ai", "deflated_sharpe"] < few.loc["ai", "deflated_sharpe"]
    assert many.loc["ai", "sharpe"] == few.loc["ai", "sharpe"]


def test_a_constant_result_has_no_sharpe() -> None:
    panel = labelled(*[[1.0, 2, 3, 4]] * 5)
    found = backtest(panel, {"default": np.tile(np.arange(4.0), 5)}).loc["default"]
    assert np.isnan(found[["sharpe", "deflated_sharpe"]].to_numpy(float)).all()
    assert found["rank_ic"] == 1
