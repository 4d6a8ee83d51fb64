"""Panels: ranks as the ranking's, labels in units of volatility, and odd input."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.ranking.panel import GRID, Panel
from knowdefeat_pipeline.core.ranking.ranking import ranked_variables
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from tests.core.panels import plain, world

COLUMN = {name: number for number, name in enumerate(VARIABLE_NAMES)}


def small(**columns: list) -> pd.DataFrame:
    """One as_of of bots that differ in the given columns alone, each in a group of its own."""
    count = len(next(iter(columns.values())))
    frame = plain(1, count, seed=1).assign(group=[f"G{i}" for i in range(count)], **dict.fromkeys(VARIABLE_NAMES, 0.0))
    return frame.assign(**columns)


def test_labels_by_hand() -> None:
    # Results 3/1, 8/4 = 2, idle, 5/1: ranks of three.
    panel = Panel.of(small(label=[3.0, 8.0, np.nan, 5.0], volatility=[1.0, 4.0, 1.0, 1.0]))
    np.testing.assert_array_equal(panel.result, [3, 2, np.nan, 5])
    np.testing.assert_array_equal(panel.label, [0, -0.5, np.nan, 0.5])
    np.testing.assert_array_equal(panel.net_label, panel.label)  # nobody shares a group


def test_net_labels_are_less_the_group_s_share() -> None:
    # Bots 1 to 3 form a group: λ = 2/6 of their mean 6 is 2, so 3, 7, 2 of the four net results stand against 3.5.
    frame = small(label=[5.0, 9.0, 4.0, 3.5]).assign(group=["A", "A", "A", "B"])
    panel = Panel.of(frame)
    np.testing.assert_allclose(panel.label, [1 / 6, 0.5, -1 / 6, -0.5], atol=1e-6)
    np.testing.assert_allclose(panel.net_label, [-1 / 6, 0.5, -0.5, 1 / 6], atol=1e-6)


def test_the_slow_variables_follow_from_labels_that_have_ended() -> None:
    """One bot, volatility 2, labels 2, -2, 4, 1: results 1, -1, 2, .5; what is given stays."""
    frame = plain(5, 1, seed=3).assign(label=[2.0, -2.0, 4.0, 1.0, 9.0], volatility=2.0)
    frame = frame.drop(columns=["quarter_result", "lifetime_result"])
    found = Panel.of(frame).frame
    expected = [np.nan, 1, 0, 2 / np.sqrt(3), 1.25]
    np.testing.assert_array_equal(found["lifetime_result"], expected)
    np.testing.assert_array_equal(found["quarter_result"], expected)
    given = Panel.of(frame.assign(quarter_result=7.0)).frame
    assert given["quarter_result"].tolist() == [7] * 5
    np.testing.assert_array_equal(given["lifetime_result"], expected)


def test_what_was_carried_of_each_day() -> None:
    frame = small(label=[1.0, -3.0, np.nan, 2.0])
    assert (Panel.of(frame).carried.tolist(), Panel.of(frame).absolute.tolist()) == ([0], [6])
    told = Panel.of(frame.assign(carried=[1.0, np.nan, np.nan, 2.0], absolute_pnl=[1.5, 4.0, np.nan, 2.5]))
    assert (told.carried.tolist(), told.absolute.tolist()) == ([3], [8])


def test_unknown_volatility_leaves_no_result_and_no_money() -> None:
    panel = Panel.of(small(label=[1.0, 2.0, 3.0, 4.0], volatility=[np.nan, 0.0, -1.0, 2.0], avg_win_rate=[1, 2, 3, 4]))
    np.testing.assert_array_equal(panel.result, [np.nan, np.nan, np.nan, 2])
    assert (panel.ranks[:3, COLUMN["one_day_performance"]] == 0).all()
    np.testing.assert_allclose(panel.ranks[:, COLUMN["avg_win_rate"]], [-0.5, -1 / 6, 1 / 6, 0.5], atol=1e-6)


def test_drawdowns_are_amounts_and_lower_is_better() -> None:
    frame = small(avg_drawdown=[1.0, 2.0, 3.0])
    assert Panel.of(frame).ranks[:, COLUMN["avg_drawdown"]].tolist() == [0.5, 0, -0.5]
    amounts = frame.assign(avg_drawdown_amount=[3.0, 2.0, 1.0])
    assert Panel.of(amounts).ranks[:, COLUMN["avg_drawdown"]].tolist() == [-0.5, 0, 0.5]


def test_ranks_are_the_ranking_s_to_the_grid() -> None:
    panel = Panel.of(world("base").frame)
    frame = panel.frame
    parts = frame["group"].str.split(" ", expand=True)
    expected = ranked_variables(frame.assign(main_ticker=parts[0], main_direction=parts[1]))
    np.testing.assert_allclose(panel.ranks, expected, rtol=0, atol=0.5 / GRID)
    assert np.array_equal(panel.ranks * GRID, np.round(panel.ranks * GRID))


def test_rows_go_by_as_of_and_keep_their_order_within() -> None:
    frame = plain(4, 3, seed=2)
    shuffled = frame.iloc[[11, 0, 5, 3, 8, 1, 10, 7, 6, 2, 9, 4]]
    panel = Panel.of(shuffled)
    assert panel.frame.as_of.is_monotonic_increasing
    assert panel.frame.bot_id.tolist() == [1, 2, 3, 3, 1, 2, 3, 2, 1, 3, 2, 1]
    assert panel.start.tolist() == [0, 3, 6, 9, 12]
    assert panel.day.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert panel.rows(2) == slice(6, 9)


def test_infinite_figures_and_missing_groups() -> None:
    frame = small(avg_win_rate=[np.inf, 1.0, 2.0, -np.inf], label=[1.0, np.inf, 2.0, 3.0])
    panel = Panel.of(frame.assign(group=[None, None, "A", "A"]))
    assert panel.ranks[:, COLUMN["avg_win_rate"]].tolist() == [0, -0.5, 0.5, 0]
    assert np.isnan(panel.label).tolist() == [False, True, False, False]
    assert panel.present[0, COLUMN["avg_win_rate"]] == 2


def test_scores_are_the_ranking_s() -> None:
    frame = small(avg_win_rate=[1.0, 2.0, 3.0], price_model_score=[3.0, 2.0, 1.0])
    weights = np.zeros(19)
    weights[[COLUMN["avg_win_rate"], COLUMN["price_model_score"]]] = 60, -40
    assert Panel.of(frame).rank_scores(weights).tolist() == [0, 50, 100]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["label", "win_streak_3"]), "the panel lacks win_streak_3, label; it has as_of"),
        (lambda f: f.assign(as_of=[pd.NaT, *f.as_of[1:]]), "row 1 has no as_of"),
        (lambda f: f.assign(bot_id=[1.0, np.nan, 3.0]), "row 2 has no bot_id"),
        (lambda f: f.assign(bot_id=[1, 7, 7]), "bot 7 has two rows at 2025-01-02 00:00:00"),
    ],
)
def test_impossible_panels_are_refused(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Panel.of(change(small(label=[1.0, 2.0, 3.0])))


def test_a_panel_without_rows() -> None:
    panel = Panel.of(plain(1, 3, seed=1).iloc[:0])
    assert (len(panel), panel.ranks.shape, panel.present.shape) == (0, (0, 19), (0, 19))
