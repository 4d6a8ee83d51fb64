"""The daily learner: it knows nothing of the future, of names or of stakes, and always holds a defined, valid set."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.learning.evidence import evidence
from knowdefeat_pipeline.core.learning.learner import (
    DEFAULT,
    MAX_MOVE,
    MIN_SETTLED_DAYS,
    TRIAL_DAYS,
    WeightHistory,
    learn_weights,
    quartile_spread,
    rank_ic,
    rounded,
    step,
)
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.ranking.weight_set import normalise, validate
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES, VARIABLES
from tests.core.panels import plain, world

COLUMN = {name: number for number, name in enumerate(VARIABLE_NAMES)}
MONEY = [variable.name for variable in VARIABLES if variable.scaling != "none"]


def learned(frame: pd.DataFrame) -> WeightHistory:
    return learn_weights(Panel.of(frame))


@cache
def whole(name: str) -> WeightHistory:
    return learned(world(name).frame)


def valid(found: WeightHistory) -> None:
    """Every day's weights are a set that the house accepts, and no day moves further than allowed."""
    for row in found.weights.tolist():
        weights = dict(zip(VARIABLE_NAMES, row, strict=True))
        assert validate(weights) == weights
    moves = np.abs(np.diff(np.vstack([DEFAULT, found.weights]), axis=0)).sum(axis=1)
    assert moves.max() <= MAX_MOVE + 1e-9


def same(left: WeightHistory, right: WeightHistory, days: int | None = None) -> None:
    """Bit for bit, over the first days."""
    for name in ("weights", "target", "expert_weights", "gate_open"):
        assert np.array_equal(getattr(left, name)[:days], getattr(right, name)[:days]), name
    assert left.reason[:days] == right.reason[:days]


# --- no look-ahead ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["informative", "adverse"])
@pytest.mark.parametrize("seed", range(4))
def test_deleting_what_comes_after_leaves_the_weights_bit_identical(name: str, seed: int) -> None:
    frame, full = world(name).frame, whole(name)
    instants = np.sort(frame["as_of"].unique())
    cut = int(np.random.default_rng(seed).integers(2, len(instants)))
    same(learned(frame[frame["as_of"] <= instants[cut]]), full, cut + 1)


@pytest.mark.parametrize("cut", [25, 70, 101])
def test_the_future_can_be_anything(cut: int) -> None:
    """Other labels, other bots, more bots after t; and labels of the last day before t, which are not complete at t."""
    frame = world("informative").frame
    instants = np.sort(frame["as_of"].unique())
    after = frame["as_of"] > instants[cut]
    other = frame.assign(bot_id=frame["bot_id"].where(~after, frame["bot_id"] + 50))
    more = frame[after].assign(bot_id=frame["bot_id"] + 900, group="elsewhere", volatility=77.0)
    other = pd.concat([other, more], ignore_index=True)
    unknown = other["as_of"] >= instants[cut]
    other.loc[unknown, "label"] = np.random.default_rng(cut).standard_normal(int(unknown.sum())) * 1000
    same(learned(other), whole("informative"), cut + 1)


def test_a_label_counts_from_the_moment_on_which_it_has_ended() -> None:
    """Changing the labels of day j changes nothing up to j, and the target of j + 1."""
    frame = plain(60, 8, seed=3)
    changed = frame.assign(label=frame["label"].where(frame["as_of"] != frame["as_of"].unique()[40], -frame["label"]))
    before, after = learned(frame), learned(changed)
    same(before, after, 41)
    assert not np.array_equal(before.expert_weights[41], after.expert_weights[41])


def test_as_ofs_at_uneven_times_wait_for_their_labels() -> None:
    """Two as_ofs half a day apart: the label of the first has not ended at the second."""
    frame = plain(30, 8, seed=4)
    noon = frame[frame["as_of"] == frame["as_of"].unique()[25]].assign(as_of=frame["as_of"].unique()[25])
    noon = noon.assign(as_of=noon["as_of"] + pd.Timedelta(hours=12))
    found = learned(pd.concat([frame, noon], ignore_index=True))
    at = int(np.flatnonzero(np.diff(found.as_of) == 12 * 3_600_000_000)[0])
    assert found.reason[20:22] == (None, None)
    assert np.array_equal(found.expert_weights[at], found.expert_weights[at + 1])
    assert not np.array_equal(found.expert_weights[at + 1], found.expert_weights[at + 2])


def test_shifting_the_labels_by_a_day_collapses_the_ic() -> None:
    """What foretold the next day tells nothing of the day after it where days are independent."""
    frame = plain(150, 20, seed=6, strength=0.4)
    shifted = frame.assign(label=frame.groupby("bot_id")["label"].shift(1))
    right, wrong = (np.nanmean(learned(panel).ic["learned"][40:]) for panel in (frame, shifted))
    luck = 1 / np.sqrt(19 * 110)
    assert right > 0.3
    assert abs(wrong) < 3 * luck


@pytest.mark.long
def test_a_shuffled_label_cannot_be_foretold() -> None:
    """Results dealt out anew among the bots of each day: the IC is within two standard errors of 0."""
    frame, shuffles = world("informative").frame, 4
    rng, found = np.random.default_rng(0), []
    result = (frame["label"] / frame["volatility"]).groupby(frame["as_of"])
    for _ in range(shuffles):
        dealt = result.transform(lambda own: rng.permutation(own.to_numpy()))
        found.append(learned(frame.assign(label=dealt * frame["volatility"])))
    ic = np.array([history.ic["learned"] for history in found])[:, MIN_SETTLED_DAYS:]
    bots = found[0].bots[found[0].settled].mean()
    assert abs(np.nanmean(ic)) < 2 / np.sqrt((bots - 1) * np.isfinite(ic).sum())
    assert np.nanmean(whole("informative").ic["learned"][MIN_SETTLED_DAYS:]) > 0.1


# --- invariance ------------------------------------------------------------------------------------------------------


def test_names_and_the_order_of_rows_change_nothing() -> None:
    frame = world("informative").frame
    renamed = frame.assign(bot_id=frame["bot_id"].map(lambda bot: (bot * 7919) % 97), group="x" + frame["group"])
    shuffled = renamed.sample(frac=1, random_state=1)
    same(learned(renamed), whole("informative"))
    same(learned(shuffled), whole("informative"))
    panel = Panel.of(renamed)
    assert np.array_equal(panel.rank_scores(whole("informative").weights),
                          Panel.of(frame).rank_scores(whole("informative").weights))  # fmt: skip


@pytest.mark.parametrize("factor", [1000.0, 0.01, 3.7])
def test_stakes_change_nothing(factor: float) -> None:
    frame = world("adverse").frame
    scale = np.where(frame["bot_id"] % 3 == 0, factor, 1.0)
    money = [*MONEY, "avg_drawdown_amount", "volatility", "label"]
    scaled = frame.assign(**{name: frame[name] * scale for name in money})
    same(learned(scaled), whole("adverse"))
    np.testing.assert_array_equal(Panel.of(scaled).ranks, Panel.of(frame).ranks)


# --- learning --------------------------------------------------------------------------------------------------------


def test_an_informative_variable_gains_weight_and_an_opposite_one_turns_negative() -> None:
    for strength, sign in ((0.6, 1), (-0.6, -1)):
        found = learned(plain(120, 20, seed=8, informative="price_model_score", strength=strength))
        valid(found)
        weight = found.weights[-1, COLUMN["price_model_score"]]
        assert sign * weight > 30
        assert np.argmax(np.abs(found.weights[-1])) == COLUMN["price_model_score"]
        assert found.gate_open[-1]


def test_the_learned_weights_beat_the_default_in_hard_worlds() -> None:
    found = learned(world("adverse", bots=40).frame)
    valid(found)
    gain = found.ic["learned"][40:] - found.ic["default"][40:]
    assert np.nanmean(gain) > 3 * np.nanstd(gain) / np.sqrt(np.isfinite(gain).sum())


@pytest.mark.long
def test_without_skill_the_ic_is_luck() -> None:
    means = [np.nanmean(learned(plain(100, 10, seed, strength=0.0)).ic["learned"][30:]) for seed in range(6)]
    assert abs(np.mean(means)) < 3 / np.sqrt(9 * 69 * 6)


def test_a_lost_trial_leads_back_to_the_default() -> None:
    """What foretold turns round every 20 days: the mixture falls behind, and the default comes back day by day."""
    frame = plain(200, 20, seed=9, informative="price_model_score")
    number = frame.groupby("as_of").ngroup()
    found = learned(frame.assign(label=frame["label"].where((number < 100) | (number // 20 % 2 == 0), -frame["label"])))
    valid(found)
    closed = np.flatnonzero(~found.gate_open[100:]) + 100
    assert len(closed) > 0
    assert (found.target[closed] == DEFAULT).all()
    distance = np.abs(found.weights - DEFAULT).sum(axis=1)
    assert ((distance[closed] < distance[closed - 1]) | (distance[closed] == 0)).all()


def test_the_trial_is_lost_where_the_mean_lead_of_sixty_settled_days_is_a_standard_error_below_0() -> None:
    panel, found = Panel.of(world("informative").frame), whole("informative")
    for day in np.flatnonzero(found.gate_open & found.settled):
        rows = panel.rows(day)
        known = ~np.isnan(panel.label[rows])
        scores = panel.ranks[rows][known] @ np.stack([found.target[day], DEFAULT], axis=1)
        ours, default = rank_ic(scores, panel.net_label[rows][known])
        assert found.lead[day] == pytest.approx(ours - default, abs=1e-9)
    for day in range(1, len(panel)):  # the label of the day before has just ended
        trial = slice(max(day - TRIAL_DAYS, 0), day)
        leads = pd.DataFrame({"ic": found.lead[trial], "money": found.lead_money[trial]})
        assert found.gate_open[day] == (leads.mean() > -leads.sem()).all()  # with no error of a single day: closed
    assert not found.gate_open[0]


def test_the_best_less_the_worst_quarter_by_hand() -> None:
    """Of eight bots two at each end. In the second column three tie for the two last places: each counts two thirds."""
    result = np.array([9.0, 1, 0, 0, 2, 3, -6, -3])
    scores = np.array([[8, 7, 6, 5, 4, 3, 2, 1], [9, 8, 7, 6, 5, 1, 1, 1]]).T
    expected = [(9 + 1) / 2 - (-6 - 3) / 2, (9 + 1) / 2 - (3 - 6 - 3) / 3]
    np.testing.assert_allclose(quartile_spread(scores, result), expected)
    order = np.random.default_rng(1).permutation(8)
    assert np.array_equal(quartile_spread(scores[order], result[order]), quartile_spread(scores, result))
    assert quartile_spread(np.zeros((5, 1)), result[:5]).tolist() == [0]


def test_a_lead_in_rank_ic_alone_does_not_open_the_gate() -> None:
    """What foretells the order, but whose best bot now and then loses more than all it gains."""
    frame = plain(70, 40, seed=20, informative="price_model_score", strength=0.8)
    best = frame["price_model_score"] == frame.groupby("as_of")["price_model_score"].transform("max")
    found = learned(frame.assign(label=frame["label"].mask(best, -60.0)))
    assert np.nanmean(found.lead[-61:-1]) > 0.1
    money = pd.Series(found.lead_money[-61:-1])
    assert money.mean() < -money.sem()
    assert not found.gate_open[-1]


def test_what_a_person_set_is_what_the_mixture_must_beat_and_what_comes_back() -> None:
    frame = plain(70, 12, seed=21)
    anchor = rounded(np.where(np.array(VARIABLE_NAMES) == "avg_win_rate", 99.0, 1 / 18))  # knows it all
    found = learn_weights(Panel.of(frame), anchor=anchor)
    closed = ~found.gate_open
    assert closed.sum() > 10
    assert (found.target[closed] == anchor).all()
    assert np.nanmean(found.lead) < np.nanmean(whole_of(frame).lead)
    assert (found.weights[0] == anchor).all()


def whole_of(frame: pd.DataFrame) -> WeightHistory:
    return learn_weights(Panel.of(frame))


# --- freezing --------------------------------------------------------------------------------------------------------


def test_frozen_until_enough_days_have_settled() -> None:
    found = learned(plain(40, 8, seed=10, informative="price_model_score"))
    assert found.reason[0] == f"0 settled days, {MIN_SETTLED_DAYS} needed"
    assert found.reason[19] == f"19 settled days, {MIN_SETTLED_DAYS} needed"
    assert set(found.reason[20:]) == {None}
    assert (found.weights[:20] == DEFAULT).all()
    assert (found.weights[20] != DEFAULT).any()


def test_fewer_than_five_bots_never_move_the_weights() -> None:
    found = learned(plain(60, 4, seed=11))
    assert (found.weights == DEFAULT).all()
    assert not found.settled.any()
    assert found.reason[-1] == "0 settled days, 20 needed"
    assert np.isnan(found.ic["learned"]).all()


@pytest.mark.long
def test_results_that_were_earned_before_their_day_freeze_the_weights() -> None:
    """As with bots that hold for weeks, without bars: .82 of |pnl| was carried. At .40 they move."""
    frame = plain(60, 8, seed=22)
    size = frame["label"].abs()
    found = learned(frame.assign(carried=0.82 * size, absolute_pnl=size))
    assert found.reason[-1] == (
        "82 % of the results closed here were earned before the day began: no bars to mark them"
    )
    assert (found.weights == DEFAULT).all()
    assert found.carried[-1] == pytest.approx(0.82)
    assert learned(frame.assign(carried=0.4 * size - 1e-9, absolute_pnl=size)).reason[-1] is None
    # What was carried long ago is forgotten: the trial is of sixty days.
    long = plain(100, 8, seed=22)
    size = long["label"].abs()
    old = long.assign(carried=size * (long.groupby("as_of").ngroup() < 30), absolute_pnl=size)
    assert [learned(old).reason[day] is None for day in (60, 99)] == [False, True]


def test_a_day_of_too_few_bots_freezes_that_day_alone() -> None:
    frame = plain(60, 8, seed=12)
    day = frame["as_of"].unique()[45]
    found = learned(frame[(frame["as_of"] != day) | (frame["bot_id"] <= 4)])
    assert found.reason[45] == "4 bots, 5 needed"
    assert found.reason[44] is found.reason[46] is None
    assert np.array_equal(found.weights[45], found.weights[44])
    assert not found.settled[45]


def test_a_variable_that_goes_missing_freezes_and_one_that_was_never_there_does_not() -> None:
    frame = plain(60, 8, seed=13)
    day = frame["as_of"].unique()[45]
    gone = frame.assign(avg_win_rate=frame["avg_win_rate"].mask((frame["as_of"] == day) & (frame["bot_id"] > 3)))
    found = learned(gone)
    assert found.reason[45] == "missing for more than half of the bots: avg_win_rate"
    assert np.array_equal(found.weights[45], found.weights[44])
    assert found.reason[46] is None
    half = frame.assign(avg_win_rate=frame["avg_win_rate"].mask((frame["as_of"] == day) & (frame["bot_id"] > 4)))
    assert learned(half).reason[45] is None


# --- odd panels ------------------------------------------------------------------------------------------------------


def test_a_variable_entirely_missing_keeps_a_weight_and_changes_no_order() -> None:
    frame = plain(80, 10, seed=14).assign(price_wall_score=np.nan)
    found = learned(frame)
    valid(found)
    assert set(found.reason[20:]) == {None}
    assert found.weights[-1, COLUMN["avg_win_rate"]] > DEFAULT_WEIGHTS["avg_win_rate"]
    weights = found.weights[-1].copy()
    scores = Panel.of(frame).rank_scores(weights)
    weights[COLUMN["price_wall_score"]] = 0
    assert np.array_equal(np.argsort(scores[-10:]), np.argsort(Panel.of(frame).rank_scores(weights)[-10:]))


def test_missing_cells_anywhere() -> None:
    frame = plain(80, 12, seed=15)
    rng = np.random.default_rng(1)
    for name in (*VARIABLE_NAMES, "label", "volatility"):
        frame[name] = frame[name].mask(rng.random(len(frame)) < 0.2)
    found = learned(frame)
    valid(found)
    assert found.weights[-1, COLUMN["avg_win_rate"]] > DEFAULT_WEIGHTS["avg_win_rate"]


def test_nothing_but_missing_cells() -> None:
    frame = plain(40, 8, seed=16)
    for columns in (list(VARIABLE_NAMES), ["label"], ["volatility"], [*VARIABLE_NAMES, "label", "volatility"]):
        found = learned(frame.assign(**dict.fromkeys(columns, np.nan)))
        valid(found)
        assert np.isfinite(found.target).all()
    assert (found.weights == DEFAULT).all()


def test_ties_and_constant_columns() -> None:
    frame = plain(80, 10, seed=17)
    frame[["win_streak_5", "win_streak_6", "one_hour_performance"]] = 0.0
    frame["avg_win_rate"] = frame["avg_win_rate"].round()
    frame["label"] = frame["label"].round()
    found = learned(frame)
    valid(found)
    assert found.weights[-1, COLUMN["avg_win_rate"]] > DEFAULT_WEIGHTS["avg_win_rate"]
    still = learned(plain(60, 8, seed=17).assign(label=1.0))
    valid(still)
    assert (still.ic["default"][:59] == 0).all()


def test_bots_that_appear_and_die() -> None:
    frame = plain(90, 14, seed=18)
    number = frame.groupby("as_of").ngroup()
    lives = (number >= 5 * (frame["bot_id"] - 8)) & (number < 40 + 5 * frame["bot_id"])
    found = learned(frame[lives])
    valid(found)
    assert set(found.reason[25:80]) == {None}
    assert found.bots[60] == int((lives & (number == 60)).sum())
    assert found.weights[-1, COLUMN["avg_win_rate"]] > DEFAULT_WEIGHTS["avg_win_rate"]


def test_one_day_one_bot_and_no_day() -> None:
    for days, bots in ((1, 8), (30, 1)):
        found = learned(plain(days, bots, seed=19))
        assert found.weights.tolist() == [DEFAULT.tolist()] * days
    assert learned(plain(1, 8, seed=19).iloc[:0]).weights.shape == (0, 19)


# --- pieces ----------------------------------------------------------------------------------------------------------


def test_rank_ic_by_hand_and_against_scipy() -> None:
    from scipy.stats import spearmanr

    # Ranks 1..4 against 2 1 4 3: 1 - 6·4 / (4·15).
    assert rank_ic(np.array([[1.0], [2], [3], [4]]), np.array([2.0, 1, 4, 3]))[0] == pytest.approx(0.6, abs=1e-5)
    assert rank_ic(np.ones((4, 1)), np.arange(4.0)).tolist() == [0]
    rng = np.random.default_rng(2)
    scores, label = rng.integers(0, 6, (30, 4)).astype(float), rng.integers(0, 9, 30).astype(float)
    expected = [spearmanr(column, label).statistic for column in scores.T]
    np.testing.assert_allclose(rank_ic(scores, label), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_steps_are_valid_short_and_arrive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    position = rounded(rng.standard_normal(19))
    target = rounded(rng.standard_normal(19) * rng.integers(0, 2, 19) + 1e-3)
    for _ in range(60):
        moved = step(position, target)
        assert sum(round(10 * abs(weight)) for weight in moved) == 1000
        assert np.abs(moved - position).sum() <= MAX_MOVE + 1e-9
        position = moved
    assert position.tolist() == target.tolist()


def test_a_step_within_reach_arrives_at_once() -> None:
    near = dict(DEFAULT_WEIGHTS) | {"one_hour_performance": 11.0, "win_streak_7": 4.5}
    target = np.array(list(normalise(near).values()))
    assert step(DEFAULT, target).tolist() == target.tolist()
    assert step(DEFAULT, DEFAULT).tolist() == DEFAULT.tolist()


# --- evidence --------------------------------------------------------------------------------------------------------


def test_evidence_of_a_real_gain() -> None:
    found = learned(plain(120, 20, seed=8, informative="price_model_score"))
    facts = evidence(found)
    assert (facts.days, facts.bots) == (119, 20)
    assert list(facts.ic) == ["learned", "default", "equal", "persistence", "random"]
    for name, estimate in facts.ic.items():
        assert estimate.mean == pytest.approx(np.nanmean(found.ic[name]))
        assert 0 < estimate.standard_error < 0.06
    assert facts.null_error == pytest.approx(1 / np.sqrt(19 * 119))
    assert facts.gain.mean == pytest.approx(facts.ic["learned"].mean - facts.ic["default"].mean)
    assert facts.open_share == found.gate_open.mean()
    assert facts.change == dict(
        zip(VARIABLE_NAMES, (found.weights[-1] - found.weights[-2]).round(1).tolist(), strict=True)
    )
    assert re.fullmatch(
        r"Against the default weights over 119 days of 20 bots: rank IC \+0\.3\d\d ± 0\.0\d\d, best less worst quarter "
        r"\+\d\.\d{3} ± 0\.\d{3} of a day's volatility: more than luck\. The learned order foretells the next day "
        r"\(IC \+0\.4\d\d ± 0\.0\d\d\): its best quarter earned \+1\.\d{3} ± 0\.\d{3} of a day's volatility more than its "
        r"worst\.",
        facts.statement,
    )


def test_evidence_says_when_a_gain_cannot_be_told_from_luck() -> None:
    facts = evidence(learned(plain(60, 8, seed=20, strength=0.0)))
    assert "over 59 days of 8 bots: rank IC" in facts.statement
    assert (
        "of a day's volatility: cannot be told from luck. No evidence that this order foretells the next day (IC"
        in facts.statement
    )
    assert facts.statement.endswith(", 59 days).")
    none = evidence(learned(plain(40, 4, seed=20)))
    assert (none.days, none.statement[:31]) == (0, "No day has settled yet: nothing")
    assert np.isnan([none.bots, none.null_error, none.gain.mean]).all()
    with pytest.raises(ValueError, match="a history of no day has no evidence"):
        evidence(learned(plain(1, 8, seed=1).iloc[:0]))
