"""Beliefs against the formulas written down twice, and what must never happen again."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.beliefs.learning import fold, learn, shrink
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at, beliefs_before, beta_interval
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.beliefs.strategy_figures import strategy_figures, strategy_weights
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from tests.core.plain_beliefs import PlainBeliefs

RULES = Rules()
PRIOR = State.prior(RULES)


def history(seed: int, count: int, regimes: tuple[str, ...] = ("calm", "wild")) -> pd.DataFrame:
    """Outcomes with ties in time, several trades of a strategy at once, labels that are missing, and weights."""
    rng = np.random.default_rng(seed)
    labels = [*regimes, None]
    return pd.DataFrame(
        {
            "trade_id": rng.permutation(count),
            "time": np.cumsum(rng.choice([0.0, 1.0, 2.5], count)),
            "strategy_id": rng.choice(["a", "b", "c", "d"], count),
            "regime": [labels[number] for number in rng.integers(len(labels), size=count)],
            "result": rng.standard_t(3, count),
            "weight": rng.choice([1.0, 0.3], count),
        }
    )


def trades(strategy: str, results: list[float], start: float = 0.0) -> pd.DataFrame:
    """One trade of a strategy in each unit of time."""
    return pd.DataFrame(
        {"time": start + np.arange(len(results)), "strategy_id": strategy, "result": np.array(results, dtype=float)}
    )


def folded(*parts: pd.DataFrame) -> State:
    return fold(PRIOR, Outcomes.from_frame(pd.concat(parts)), RULES)


def weights(state: State, at: float, regimes: dict[str, float] | None = None) -> dict[str, float]:
    beliefs = beliefs_at(state, at, RULES, regimes)
    return dict(zip(state.strategies, adaptive_weights(beliefs.edge, beliefs.edge_sd)[0], strict=True))


def held_weights(state: State, now: dict[str, float] | None = None) -> pd.Series:
    """By column and strategy."""
    table = strategy_weights(strategy_figures(state, state.time, RULES, now), now or {})
    return table.set_index("strategy_id").unstack()


def p_win(state: State, strategy: str, at: float | None = None, **regimes: float) -> float:
    beliefs = beliefs_at(state, state.time if at is None else at, RULES, regimes)
    return beliefs.p_win[0, state.strategies.index(strategy)]


def same_bits(one: State, other: State) -> bool:
    return all(
        np.asarray(getattr(one, field.name)).tobytes() == np.asarray(getattr(other, field.name)).tobytes()
        for field in fields(State)
    )


@pytest.mark.long
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_like_the_formulas_one_by_one(seed: int, count: int) -> None:
    frame = history(seed, count)
    plain, state = PlainBeliefs(RULES), PRIOR
    before = {at: beliefs for instants, block in beliefs_before(PRIOR, Outcomes.from_frame(frame), RULES)
              for at, beliefs in zip(instants, zip(block.edge, block.p_win, strict=True), strict=True)}  # fmt: skip
    names = sorted(frame["strategy_id"].unique())
    for time, batch in frame.groupby("time"):
        plain.wait(time)
        for column, strategy in enumerate(names):
            expected = plain.mean(strategy)
            np.testing.assert_allclose([before[time][0][column], before[time][1][column]], expected, atol=1e-9)
        rows = [
            (row.strategy_id, None if pd.isna(row.regime) else row.regime, row.result, row.weight)
            for row in batch.itertuples()
        ]
        plain.learn(time, rows)
        state = fold(state, Outcomes.from_frame(batch), RULES)
    later = state.time + 3.0
    plain.wait(later)
    for view in (None, {"calm": 1.0}, {"calm": 0.25, "wild": 0.5}, {"unheard of": 1.0}):
        beliefs = beliefs_at(state, later, RULES, view)
        known = None if view is None else {name: p for name, p in view.items() if name in state.regimes}
        for column, strategy in enumerate(state.strategies):
            expected = plain.mean(strategy, known)
            np.testing.assert_allclose([beliefs.edge[0, column], beliefs.p_win[0, column]], expected, atol=1e-9)


def test_one_win_by_hand() -> None:
    rules = Rules(forgetting=(1.0,), strategy_prior=(100.0,), regime_prior=60.0, population_prior=2.0)
    frame = trades("a", [2.0]).assign(regime="calm")
    state = fold(State.prior(rules), Outcomes.from_frame(frame), rules)
    beliefs = beliefs_at(state, 0.0, rules, {})
    # Trust 1/101, so the population's edge is 2/101 / (2 + 1/101) = 2/203, its win rate (1 + 1/101) / (2 + 1/101).
    assert beliefs.edge[0, 0] == pytest.approx((2 + 100 * 2 / 203) / 101)
    assert beliefs.p_win[0, 0] == pytest.approx((1 + 100 * 102 / 203) / 101)
    # So few trades say nothing of tails: a variance of .1 over a million trades.
    assert beliefs.edge_sd[0, 0] == pytest.approx((1 / 101 + 0.1 / 1_000_001) ** 0.5, rel=1e-12)
    prior = 1 / 100 + 1e-7
    assert beliefs.confidence[0, 0] == pytest.approx(1 - ((1 / 101 + 0.1 / 1_000_001) / prior) ** 0.5, rel=1e-9)
    assert beliefs.effective_samples[0, 0] == 1
    calm = beliefs_at(state, 0.0, rules, {"calm": 1.0})
    assert calm.edge[0, 0] == pytest.approx((2 + 60 * beliefs.edge[0, 0]) / 61)
    assert calm.edge_sd[0, 0] ** 2 == pytest.approx(1 / 61 + (60 / 61) ** 2 / 101 + 0.1 / 1_000_001)


def test_efron_and_morris_on_baseball() -> None:
    # 18 players' first 45 at-bats and the rest of their season of 1970 (Efron and Morris, 1975).
    first = np.array([400, 378, 356, 333, 311, 311, 289, 267, 244, 244, 222, 222, 222, 222, 222, 200, 178, 156]) / 1000
    season = np.array([346, 298, 276, 222, 273, 270, 263, 210, 269, 230, 264, 256, 303, 264, 226, 286, 316, 200]) / 1000
    share = 1 - 15 * first.mean() * (1 - first.mean()) / 45 / ((first - first.mean()) ** 2).sum()
    assert share == pytest.approx(0.2124, abs=5e-5)
    sums = np.stack([np.full(18, 45.0), np.zeros(18), 45 * first], axis=1)[:, None]
    shrunk = shrink(sums, np.array([0.0, first.mean()]), 45 * (1 - share) / share)[:, 0, 1]
    assert ((first - season) ** 2).sum() == pytest.approx(0.0754, abs=2e-4)
    assert ((shrunk - season) ** 2).sum() == pytest.approx(0.0213, abs=1e-4)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.floats(0, 50), st.floats(1e-6, 9), st.sampled_from("abe"))
def test_a_win_never_lowers_and_a_loss_never_raises_the_win_rate(
    seed: int, count: int, pause: float, size: float, strategy: str
) -> None:
    past = history(seed, count, regimes=()).drop(columns="trade_id")
    now = (past["time"].max() if count else 0.0) + pause + 0.5
    state = fold(PRIOR, Outcomes.from_frame(past), RULES).knowing([strategy])
    before = p_win(state, strategy, now)
    after = [
        p_win(fold(state, Outcomes.from_frame(trades(strategy, [r], now)), RULES), strategy) for r in (size, -size)
    ]
    assert after[0] >= before - 1e-12
    assert after[1] <= before + 1e-12


def test_wins_and_losses_of_any_size_move_beliefs_the_right_way() -> None:
    small_wins, small_losses = folded(trades("a", [1.0] * 100)), folded(trades("a", [-1.0] * 100))
    assert p_win(small_wins, "a") > 0.8
    assert p_win(small_losses, "a") < 0.2
    one_in_hundred = folded(trades("a", [1.0] + [-1.0] * 99))
    assert p_win(one_in_hundred, "a") < 0.2


def test_the_expected_value_orders_and_not_the_win_rate() -> None:
    rng = np.random.default_rng(3)
    # 40 wins of 3 to 60 losses of 1 is worth +0.6 a trade; 89 wins of 1 to 11 losses of 9 is worth -0.1.
    rare, often = rng.permutation([3.0] * 40 + [-1.0] * 60) / 2, rng.permutation([1.0] * 89 + [-9.0] * 11) / 3
    state = folded(trades("rare", list(rare)), trades("often", list(often)))
    beliefs = beliefs_at(state, state.time, RULES)
    assert beliefs.p_win[0].argmax() == state.strategies.index("often")
    assert weights(state, state.time)["rare"] > 0.9


def test_an_idle_strategy_cannot_gain_on_an_active_winner() -> None:
    rng = np.random.default_rng(1)
    results = np.where(rng.random(600) < 0.65, 1.0, -1.0)
    both = folded(trades("idle", list(results[:100])), trades("winner", list(results[:100])))
    never = both.knowing(["never"])
    start, ratios = weights(never, never.time), []
    for day in range(5):
        part = trades("winner", list(results[100 * (day + 1) - 100 : 100 * (day + 1)]), 100.0 * (day + 1))
        never = fold(never, Outcomes.from_frame(part), RULES)
        held = weights(never, never.time)
        assert held["never"] < held["winner"] / 2
        assert held["idle"] < held["winner"]
        ratios.append(held["idle"] / held["winner"])
    assert start["idle"] == pytest.approx(start["winner"])
    assert ratios[-1] < ratios[0] < 1


def test_confidence_grows_with_evidence_and_fades_without() -> None:
    one = beliefs_at(folded(trades("a", [1.0])), 0.0, RULES).confidence[0, 0]
    state = folded(trades("a", [1.0, -1.0] * 100))
    many, later = (beliefs_at(state, at, RULES).confidence[0, 0] for at in (state.time, state.time + 400))
    nothing = beliefs_at(PRIOR.knowing(["a"]), 0.0, RULES)
    assert nothing.confidence[0, 0] == 0
    assert 0 < one < later < many < 1
    assert nothing.p_win[0, 0] == 0.5
    assert nothing.edge[0, 0] == 0


def test_a_regime_fades_only_while_it_holds() -> None:
    calm = trades("a", [1.0, -0.5] * 50).assign(regime="calm")
    wild = trades("b", [0.1] * 500, start=100.0).assign(regime="wild")
    state = folded(calm, wild)
    rested = beliefs_at(state, state.time, RULES, {"calm": 1.0}).effective_samples[0, 0]
    at_once = folded(calm)
    assert rested == pytest.approx(beliefs_at(at_once, 99.0, RULES, {"calm": 1.0}).effective_samples[0, 0], rel=0.2)
    assert state.regime_clock.tolist() == [99, 500]
    overall = beliefs_at(state, state.time, RULES, {}).effective_samples[0, 0]
    assert overall < rested / 1.5


def test_a_regime_change_shows_in_the_weights() -> None:
    rng = np.random.default_rng(2)
    parts = []
    for block in range(10):
        regime, sign = (("TRENDING", 1), ("RANGING", -1))[block % 2]
        for name, way in (("trend", sign), ("fade", -sign)):
            results = 0.4 * way + rng.standard_normal(50)
            parts.append(trades(name, list(results), 50.0 * block).assign(regime=regime))
    state = folded(*parts)
    found = held_weights(state)
    assert found["weight_trending", "trend"] > 0.9
    assert found["weight_ranging", "fade"] > 0.9
    assert found["weight", "fade"] > 0.8  # the ranging regime held last
    assert found["weight_volatile", "trend"] == pytest.approx(
        weights(state, state.time, {})["trend"]
    )  # never traded in
    trending = held_weights(state, {"TRENDING": 1.0})
    assert trending["weight", "trend"] == trending["weight_trending", "trend"]
    assert trending["p_trending", "trend"] == 1
    later = folded(*parts, trades("trend", [0.0] * 5, 500.0).assign(regime="TRENDING"))
    assert weights(later, later.time)["trend"] > 0.8


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.integers(1, 79))
@example(2173757350, 23, 20)  # two trades at the end: powers of short arrays once had other last bits
def test_replay_and_splitting_and_order_of_arrival_change_no_bit(seed: int, count: int, cut: int) -> None:
    frame = history(seed, count)
    whole = fold(PRIOR, Outcomes.from_frame(frame), RULES)
    shuffled = frame.sample(frac=1, random_state=seed % 1000)
    twice = pd.concat([shuffled, frame])
    assert same_bits(whole, fold(PRIOR, Outcomes.from_frame(twice), RULES))
    early = frame["time"] <= frame["time"].iloc[min(cut, count - 1)]
    state = fold(PRIOR, Outcomes.from_frame(frame[early]), RULES)
    state = fold(state, Outcomes.from_frame(frame[~early]), RULES) if (~early).any() else state
    assert same_bits(whole, state)
    *_, (_, _, last) = learn(PRIOR, Outcomes.from_frame(frame), RULES, block=7)
    assert same_bits(whole, last)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.integers(1, 79))
def test_what_is_held_before_an_instant_rests_on_earlier_outcomes_alone(seed: int, count: int, cut: int) -> None:
    frame = history(seed, count, regimes=("a", "b", "c")).sort_values("time")
    until = frame["time"].iloc[min(cut, count - 1)]
    changed = frame.assign(result=frame["result"].where(frame["time"] < until, 9.0))
    changed = changed.assign(regime=changed["regime"].where(changed["time"] < until, "z"))
    held = []
    for rows in (frame, changed):
        outcomes = Outcomes.from_frame(rows)
        edges = [beliefs.edge[instants <= until] for instants, beliefs in beliefs_before(PRIOR, outcomes, RULES)]
        held.append(np.concatenate(edges))
    assert held[0].tobytes() == held[1].tobytes()


def test_the_beliefs_on_the_way_are_those_of_the_states_on_the_way() -> None:
    frame = history(5, 60)
    for instants, block in beliefs_before(PRIOR, Outcomes.from_frame(frame), RULES):
        for row, at in enumerate(instants):
            earlier = frame[frame["time"] < at]
            state = fold(PRIOR, Outcomes.from_frame(earlier), RULES).knowing(block.strategies)
            now = beliefs_at(state, at, RULES)
            for field in ("edge", "edge_sd", "p_win", "p_win_sd", "prior_p_win", "confidence", "effective_samples"):
                np.testing.assert_allclose(getattr(block, field)[row], getattr(now, field)[0], atol=1e-12)


@pytest.mark.long
def test_a_million_trades_stay_finite_and_sum_to_one() -> None:
    rng = np.random.default_rng(1)
    count, names = 1_000_000, tuple(f"s{number:02}" for number in range(20))
    outcomes = Outcomes(
        strategies=names, regimes=(), time=np.arange(count) // 20 * 1.0, strategy=np.tile(np.arange(20), count // 20),
        regime=np.full(count, -1), result=rng.standard_t(5, count) + np.tile(np.linspace(-0.2, 0.2, 20), count // 20),
        weight=np.ones(count),
    )  # fmt: skip
    state = fold(PRIOR, outcomes, RULES)
    figures = strategy_figures(state, state.time, RULES)
    numbers = figures.drop(columns=["regime", "strategy_id"])
    assert np.isfinite(numbers.to_numpy()).all()
    held = strategy_weights(figures, {})["weight"]
    assert held.sum() == 1
    assert held[16:].sum() > 0.8  # the four best, two hundredths of a standard deviation apart
    assert held[:10].max() == pytest.approx(0.02 / 20, abs=1e-6)


def test_figures_of_a_strategy() -> None:
    state = folded(trades("a", [1.0] * 30 + [-1.0] * 10), trades("b", [-1.0] * 40))
    figures = strategy_figures(state, state.time, RULES)
    assert figures["regime"].tolist() == [name for name in ("*", "TRENDING", "RANGING", "VOLATILE") for _ in "ab"]
    a = figures.set_index("strategy_id").iloc[0]
    assert a.win_rate_low < a.win_rate < a.win_rate_high < 1
    assert a.edge_low < a.edge < a.edge_high
    assert 0 < a.prior_win_rate_low < a.prior_win_rate < a.prior_win_rate_high
    assert a.accuracy_improvement == a.win_rate - a.prior_win_rate > 0
    assert 20 < a.effective_samples <= 40
    low, high = beta_interval(np.array([8 / 12]), np.sqrt(np.array([8 * 4 / (12**2 * 13)])))
    assert [low[0], high[0]] == pytest.approx([0.4356258, 0.8649245], abs=1e-6)  # Beta(8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"result": np.nan}, "no finite result"),
        ({"time": np.inf}, "no finite time"),
        ({"weight": 0.0}, "more than 0 and at most 1"),
        ({"weight": 1.5}, "more than 0 and at most 1"),
    ],
)
def test_outcomes_that_cannot_be_learned_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold(PRIOR, Outcomes.from_frame(trades("a", [1.0]).assign(**change)), RULES)


def test_a_late_outcome_is_refused_by_a_state_beyond_it() -> None:
    state = folded(trades("a", [1.0, 1.0]))
    with pytest.raises(ValueError, match=r"an outcome at 1\.0 does not follow the state's last outcome 1\.0; refold"):
        fold(state, Outcomes.from_frame(trades("a", [1.0], 1.0)), RULES)
    backwards = Outcomes.from_frame(trades("a", [1.0, 1.0]))
    with pytest.raises(ValueError, match="put them in order"):
        fold(PRIOR, replace(backwards, time=backwards.time[::-1]), RULES)
    with pytest.raises(ValueError, match=r"as_of 0\.5 precedes the state's last outcome 1\.0"):
        beliefs_at(state, 0.5, RULES)


@pytest.mark.parametrize("regimes", [{"calm": -0.1}, {"calm": 0.7, "wild": 0.7}, {"calm": np.nan}])
def test_probabilities_of_regimes_are_checked(regimes: dict) -> None:
    with pytest.raises(ValueError, match="sum to at most 1"):
        beliefs_at(folded(trades("a", [1.0])), 0.0, RULES, regimes)
