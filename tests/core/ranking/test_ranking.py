"""The ranking: a hand-computed example, and what must not change a score."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.ranking.ranking import (
    centred_ranks,
    rank_bots,
    ranked_variables,
    scale_free,
    subtract_group,
    top_movers,
)
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, METRICS, SLOW_NAMES, VARIABLE_NAMES
from tests.core.bookkeeping import DAY, START, metrics, outcomes, union

POINTS = [f"{name}_points" for name in VARIABLE_NAMES]


NOON = pd.Timestamp("2025-06-01 12:00", tz="UTC")


def rows(*bots: dict) -> pd.DataFrame:
    """Rows of bot_metrics over all tickers; what a bot leaves out is NULL, and it has 9 trades in AAA LONG."""
    usual = dict.fromkeys((*(f.name for f in METRICS), *SLOW_NAMES), np.nan)
    usual |= {"trades": 9, "main_ticker": "AAA", "main_direction": "LONG"}
    usual["as_of"] = NOON
    return pd.DataFrame([usual | {"bot_id": number + 1} | bot for number, bot in enumerate(bots)])


def points(ranking: pd.DataFrame, bot: int) -> dict[str, float]:
    """What is not 0 of a bot's contributions."""
    row = ranking.set_index("bot_id").loc[bot]
    return {name: row[f"{name}_points"] for name in VARIABLE_NAMES if row[f"{name}_points"] != 0}


MONTH = np.sqrt(30)
# Bots 1 and 2 form a group of two: a fifth of their mean is taken off, λ = (2 - 1) / (2 + 3). Bot 3 stands alone.
#   one day     6/2 = 3, 10/5 = 2, 4/2 = 2            less .2 · 2.5    2.5  1.5  2     ranks  ½  -½  0
#   win rate    60, 50, 50                            less .2 · 55     49   39   50    ranks  0  -½  ½
#   drawdown    -2/2 = -1, -15/5 = -3, -4/2 = -2      less .2 · -2     -.6  -2.6 -2    ranks  ½  -½  0
#   per second  only bot 2 has it: the median for all.
THREE = rows(
    {"volatility": 2, "one_day_performance": 6, "avg_win_rate": 60, "avg_drawdown_amount": 2 * MONTH},
    {"volatility": 5, "one_day_performance": 10, "avg_win_rate": 50, "avg_drawdown_amount": 15 * MONTH,
     "profit_per_second": 3},
    {"volatility": 2, "one_day_performance": 4, "avg_win_rate": 50, "avg_drawdown_amount": 4 * MONTH,
     "main_direction": "SHORT"},
)  # fmt: skip


def test_three_bots_by_hand() -> None:
    ranking = rank_bots(THREE, DEFAULT_WEIGHTS)
    assert list(ranking.columns) == ["as_of", "bot_id", "rank", "rank_score", *POINTS, "eligible", "reason"]
    assert ranking[["bot_id", "rank", "rank_score"]].values.tolist() == [[1, 1, 59], [3, 2, 55], [2, 3, 36]]
    assert points(ranking, 1) == {"one_day_performance": 5, "avg_drawdown": 4}
    assert points(ranking, 2) == {"one_day_performance": -5, "avg_win_rate": -5, "avg_drawdown": -4}
    assert points(ranking, 3) == {"avg_win_rate": 5}
    assert ranking.eligible.tolist() == [True] * 3
    assert ranking.reason.isna().all()


def test_without_groups_the_ranks_are_others() -> None:
    alone = rank_bots(THREE.assign(main_ticker=["AAA", "BBB", "CCC"]), DEFAULT_WEIGHTS)
    # one day 3 2 2, win rate 60 50 50: ties share their places; drawdown -1 -3 -2.
    assert points(alone, 1) == {"one_day_performance": 5, "avg_win_rate": 5, "avg_drawdown": 4}
    assert points(alone, 2) == {"one_day_performance": -2.5, "avg_win_rate": -2.5, "avg_drawdown": -4}
    assert points(alone, 3) == {"one_day_performance": -2.5, "avg_win_rate": -2.5}


def test_a_negative_weight_turns_a_variable() -> None:
    turned = DEFAULT_WEIGHTS | {"avg_win_rate": -10.0}
    ranking = rank_bots(THREE, turned)
    assert points(ranking, 3) == {"avg_win_rate": -5}
    assert ranking.set_index("bot_id").rank_score.to_dict() == {1: 59, 2: 46, 3: 45}


def test_a_weight_of_nothing_adds_nothing_and_no_negative_zero() -> None:
    bots = rows({"avg_win_rate": 40.0}, {"avg_win_rate": 60.0})
    ranked = rank_bots(bots, dict.fromkeys(VARIABLE_NAMES, 0.0) | {"profit_per_second": 1.0})
    shown = ranked[POINTS].to_numpy(np.float64)
    assert (shown == 0).all()
    assert not np.signbit(shown).any()


def test_weights_count_by_their_share() -> None:
    twice = {name: 2 * weight for name, weight in DEFAULT_WEIGHTS.items()}
    pd.testing.assert_frame_equal(rank_bots(THREE, twice), rank_bots(THREE, DEFAULT_WEIGHTS))


def test_scale_free_divides_by_the_volatility_of_the_window() -> None:
    performances = [f"{name}_performance" for name in ("one_hour", "two_hour", "one_day", "one_week", "one_month")]
    metrics_rows = rows(dict.fromkeys(performances, 12.0) | {"volatility": 2, "profit_per_second": 4, "win_streak_3": 7,
                        "avg_drawdown_amount": 6, "avg_drawdown": 99, "price_model_score": 55})  # fmt: skip
    values = dict(zip(VARIABLE_NAMES, scale_free(metrics_rows)[0], strict=True))
    expected = dict(zip(performances, 6 / np.sqrt([1 / 24, 2 / 24, 1, 7, 30]), strict=True)) | {
        "profit_per_second": 2, "win_streak_3": 7, "avg_drawdown": -3 / MONTH, "price_model_score": 55
    }  # fmt: skip
    assert {name: value for name, value in values.items() if not np.isnan(value)} == pytest.approx(expected)


def test_without_volatility_money_is_absent() -> None:
    for volatility in (0, np.nan):
        bot = {"volatility": volatility, "one_day_performance": 5, "avg_drawdown_amount": 1, "profit_per_second": 1}
        values = scale_free(rows(bot | {"avg_win_rate": 50}))[0]
        assert values[~np.isnan(values)].tolist() == [50]


def test_groups_shrink_by_their_size() -> None:
    values = np.array([[1.0], [2], [3], [4], [10], [7]])
    group = np.array([0, 0, 0, 0, 1, 2])
    # Four bots: λ = 3/7 of their mean 2.5; one bot: λ = 0.
    shrunk = subtract_group(values, group)[:, 0]
    assert shrunk.tolist() == pytest.approx([1 - 7.5 / 7, 2 - 7.5 / 7, 3 - 7.5 / 7, 4 - 7.5 / 7, 10, 7])


def test_a_group_s_mean_is_that_of_the_known() -> None:
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, np.nan]])
    shrunk = subtract_group(values, np.zeros(3, int))  # λ = 2/6
    np.testing.assert_allclose(shrunk, [[1 - 2 / 3, np.nan], [3 - 2 / 3, 5 - 5 / 3], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ([3, 1, 2], [0.5, -0.5, 0]),
        ([1, 1, 2], [-0.25, -0.25, 0.5]),
        ([1, 1, 1], [0, 0, 0]),
        ([5, np.nan, 7], [-0.5, 0, 0.5]),
        ([np.nan, 4, np.nan], [0, 0, 0]),
        ([np.nan, np.nan], [0, 0]),
        ([0.3, 0.1 + 0.2, 0.4], [-0.25, -0.25, 0.5]),
        ([1e-17, 0, -1e-17], [0, 0, 0]),
        ([1e6, 1e6 * (1 + 1e-6)], [-0.5, 0.5]),
        ([1, 2, 3, 4, 5], [-0.5, -0.25, 0, 0.25, 0.5]),
    ],
)
def test_centred_ranks(values: list[float], ranks: list[float]) -> None:
    assert centred_ranks(np.array(values, float)[:, None], np.zeros(len(values), int))[:, 0].tolist() == ranks


def test_bots_with_too_few_trades_are_listed_with_the_reason() -> None:
    few = [
        {"trades": trades, "avg_win_rate": rate} for trades, rate in ((4, 99), (5, 10), (1, 5), (0, np.nan), (8, 20))
    ]
    ranking = rank_bots(rows(*few), DEFAULT_WEIGHTS)
    assert ranking.bot_id.tolist() == [5, 2, 1, 3, 4]
    assert ranking["rank"].tolist() == [1, 2, pd.NA, pd.NA, pd.NA]
    assert ranking.eligible.tolist() == [True, True, False, False, False]
    assert ranking.reason.tolist()[2:] == [
        "4 closed trades in 30 days, 5 needed", "1 closed trade in 30 days, 5 needed",
        "0 closed trades in 30 days, 5 needed",
    ]  # fmt: skip
    assert ranking[["rank_score", *POINTS]].iloc[2:].isna().to_numpy().all()
    # They take no part: the two that are ranked stand at both ends.
    assert ranking.avg_win_rate_points[:2].tolist() == [5, -5]
    assert rank_bots(rows(*few), DEFAULT_WEIGHTS, min_trades=1)["rank"].count() == 4


def test_nobody_eligible_and_nobody_at_all() -> None:
    ranking = rank_bots(rows({"trades": 4}), DEFAULT_WEIGHTS)
    assert ranking[["bot_id", "eligible"]].values.tolist() == [[1, False]]
    assert len(rank_bots(rows({}).iloc[:0], DEFAULT_WEIGHTS)) == 0


def test_equal_scores_go_by_bot_id() -> None:
    ranking = rank_bots(rows({"bot_id": 9}, {"bot_id": 2}, {"bot_id": 5}), DEFAULT_WEIGHTS)
    assert ranking[["bot_id", "rank", "rank_score"]].values.tolist() == [[2, 1, 50], [5, 2, 50], [9, 3, 50]]


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    # Bot 2: 20 · ½ - 30 · ⅙ + 10 · ⅓; bot 3: 30 · ⅓ - 10 · ⅙; both 8⅓.
    fleet = rows(
        {"avg_win_rate": 1, "price_model_score": 1, "volume_model_score": 2, "win_streak_2": 2, "main_ticker": "A"},
        {"avg_win_rate": 2, "price_model_score": 2, "volume_model_score": 2, "win_streak_2": 0, "main_ticker": "B"},
        {"avg_win_rate": 1, "price_model_score": 3, "volume_model_score": 1, "win_streak_2": 0, "main_ticker": "C"},
        {"avg_win_rate": 0, "price_model_score": 3, "volume_model_score": 0, "win_streak_2": 3, "main_ticker": "D"},
    )
    weights = dict.fromkeys(VARIABLE_NAMES, 0.0) | {"avg_win_rate": 20.0, "price_model_score": 30.0}
    weights |= {"volume_model_score": 10.0, "win_streak_2": 0.3, "win_streak_3": 0.3}
    ranking = rank_bots(fleet, weights).set_index("bot_id")
    assert ranking.rank_score[2] == pytest.approx(ranking.rank_score[3], rel=1e-14)
    assert ranking["rank"].to_dict()[2] < ranking["rank"].to_dict()[3]


def test_top_movers() -> None:
    row = rank_bots(THREE, DEFAULT_WEIGHTS).set_index("bot_id").loc[2]
    assert top_movers(row) == [("one_day_performance", -5), ("avg_win_rate", -5), ("avg_drawdown", -4)]
    assert top_movers(row, 1) == [("one_day_performance", -5)]
    unranked = rank_bots(rows({"trades": 0}, {}), DEFAULT_WEIGHTS).set_index("bot_id").loc[1]
    assert top_movers(unranked) == []


# Results in cents; few distinct ones, so that ties are common.
BOOK = st.lists(st.sampled_from([-200, -130, -70, -1, 0, 1, 33, 70, 110, 500]), min_size=5, max_size=14)
FLEETS = st.lists(st.tuples(BOOK, st.sampled_from(["AAA", "BBB"]), st.integers(0, 9)), min_size=2, max_size=6)
AS_OF = START + 16 * DAY


def scores(fleet: list, factors: dict[int, float], ids: list[int]) -> pd.DataFrame:
    """The ranking of the fleet by place in the fleet, each bot's pnl multiplied."""
    frame = union(
        *(
            outcomes(np.array(cents) / 100 * factors.get(place, 1), bot_id=ids[place], ticker=ticker,
                     start=START + day * DAY / 2)
            for place, (cents, ticker, day) in enumerate(fleet)
        )
    )  # fmt: skip
    table = metrics(frame, AS_OF).assign(**dict.fromkeys(SLOW_NAMES, 0.5))
    ranking = rank_bots(table[table.ticker == "*"], DEFAULT_WEIGHTS).set_index("bot_id")
    return ranking.loc[ids[: len(fleet)], ["rank_score", *POINTS]].reset_index(drop=True)


@pytest.mark.long
@settings(max_examples=35)
@given(FLEETS, st.integers(0, 5), st.sampled_from([1000.0, 0.001, 3.3]), st.permutations([7, -2, 30, 31, 1, 2000]))
def test_stakes_and_names_change_no_score(fleet: list, place: int, factor: float, ids: list[int]) -> None:
    """Exactly. What multiplies notional and fees multiplies pnl."""
    base = scores(fleet, {}, list(range(6)))
    pd.testing.assert_frame_equal(scores(fleet, {place: factor}, list(range(6))), base, check_exact=True)
    pd.testing.assert_frame_equal(scores(fleet, {}, ids), base, check_exact=True)
    np.testing.assert_allclose(base[POINTS].sum(axis=1), base.rank_score - 50, rtol=0, atol=1e-12)
    assert base.rank_score.between(0, 100).all()


@settings(max_examples=20)
@given(FLEETS)
def test_twins_tie_whatever_their_stake(fleet: list) -> None:
    twins = [fleet[0], *fleet]
    for factors in ({}, {0: 1000.0}, {1: 0.7}):
        base = scores(twins[:6], factors, list(range(6)))
        assert base.iloc[0].tolist() == base.iloc[1].tolist()


def test_ranks_reach_from_end_to_end() -> None:
    ranks = ranked_variables(THREE)
    assert ranks.shape == (3, 19)
    assert np.abs(ranks).max() == 0.5


@pytest.mark.long
@settings(max_examples=30)
@given(st.lists(FLEETS, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_many_as_ofs_at_once_are_each_by_itself(fleets: list, random) -> None:
    """In any order of rows, with a set of weights for each as_of."""
    days = [_day(fleet, day) for day, fleet in enumerate(fleets)]
    together = pd.concat(days, ignore_index=True)
    together = together.iloc[random.sample(range(len(together)), len(together))]
    weights = {name: (together["as_of"].dt.day % 3 - 1.2).to_numpy() * DEFAULT_WEIGHTS[name] for name in VARIABLE_NAMES}
    apart = [
        rank_bots(day, {name: float(day["as_of"].dt.day.iloc[0] % 3 - 1.2) * DEFAULT_WEIGHTS[name] for name in weights})
        for day in days
    ]
    pd.testing.assert_frame_equal(
        rank_bots(together, weights).reset_index(drop=True), pd.concat(apart, ignore_index=True), check_exact=True
    )


def _day(fleet: list, day: int) -> pd.DataFrame:
    frame = union(
        *(
            outcomes(np.array(cents) / 100, bot_id=place, ticker=ticker, start=START + start * DAY / 2)
            for place, (cents, ticker, start) in enumerate(fleet)
        )
    )
    table = metrics(frame, AS_OF).assign(**dict.fromkeys(SLOW_NAMES, 0.5))
    return table[table.ticker == "*"].assign(as_of=NOON + pd.Timedelta(days=day))
