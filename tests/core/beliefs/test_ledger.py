"""The ledger: what is withdrawn or reset leaves no trace in what is believed."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.ledger import Entry, InForce, Reset, clock, learning_velocity, weigh_outcomes
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from tests.core.beliefs.test_learning import same_bits

RULES = Rules()


@pytest.fixture
def ledger() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    count = 200
    return pd.DataFrame(
        {
            "trade_id": np.arange(count),
            "time": np.sort(rng.random(count)) * 100,
            "strategy_id": rng.choice(["a", "b"], count),
            "regime": rng.choice(["calm", "wild"], count),
            "result": rng.standard_t(5, count),
            "source": rng.choice(["live", "backtest"], count),
        }
    )


def state_of(ledger: pd.DataFrame) -> State:
    return fold(State.prior(RULES), Outcomes.from_frame(ledger), RULES)


def test_a_withdrawn_backtest_leaves_the_state_of_the_rest(ledger: pd.DataFrame) -> None:
    live = ledger[ledger["source"] == "live"]
    assert same_bits(state_of(weigh_outcomes(ledger, {"backtest": 0.3}, withdrawn=["backtest"])), state_of(live))
    assert not same_bits(state_of(weigh_outcomes(ledger, {"backtest": 0.3})), state_of(live))


def test_a_backtest_counts_what_is_declared(ledger: pd.DataFrame) -> None:
    rows = weigh_outcomes(ledger, {"backtest": 0.3})
    assert rows.groupby("source")["weight"].unique().map(list).to_dict() == {"backtest": [0.3], "live": [1.0]}
    state = state_of(rows)
    assert state.trades.sum() == pytest.approx(
        (rows["source"] == "live").sum() + 0.3 * (rows["source"] != "live").sum()
    )


def test_a_reset_returns_exactly_to_the_priors_and_history_stays(ledger: pd.DataFrame) -> None:
    everything = weigh_outcomes(ledger, resets=[Reset(time=100.0)])
    assert len(everything) == 0
    assert same_bits(state_of(everything), State.prior(RULES))
    assert len(ledger) == 200
    after = weigh_outcomes(ledger, resets=[Reset(time=50.0)])
    assert same_bits(state_of(after), state_of(ledger[ledger["time"] >= 50]))
    moment = float(ledger["time"].iloc[100])
    from_then_on = weigh_outcomes(ledger, resets=[Reset(time=moment)])
    assert from_then_on["trade_id"].tolist() == list(range(100, 200))


def test_a_reset_of_one_strategy_is_as_if_it_had_never_traded(ledger: pd.DataFrame) -> None:
    rows = weigh_outcomes(ledger, resets=[Reset(time=100.0, strategy_id="a")])
    assert same_bits(state_of(rows), state_of(ledger[ledger["strategy_id"] == "b"]))


def test_a_late_trade_is_folded_in_order(ledger: pd.DataFrame) -> None:
    late = ledger.iloc[[40]]
    arrived_last = pd.concat([ledger.drop(index=40), late])
    assert same_bits(state_of(arrived_last), state_of(ledger))


def test_a_weight_outside_zero_to_one_is_refused(ledger: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'backtest' is weighed 30"):
        weigh_outcomes(ledger, {"backtest": 30})


def test_learning_velocity_counts_trades_a_day() -> None:
    time, group = np.array([0.5, 3.0, 9.9, 10.0, 10.1, 3.1]), np.array([0, 0, 0, 0, 0, 1])
    assert learning_velocity(time, 10.0, group, 3).tolist() == [2 / 7, 1 / 7, 0]  # from 3.0 to just under 10.0


def test_entries_hold_from_their_instant_on() -> None:
    entries = [
        Entry("backtest", 5.0, "old", 0.3),
        Entry("reset", 6.0, strategy_id="a"),
        Entry("withdrawal", 7.0, "old"),
        Entry("backtest", 9.0, "new", 0.5),
    ]
    assert InForce.at(entries, 4.9) == InForce({}, frozenset({"old", "new"}), ())
    assert InForce.at(entries, 6.0) == InForce({"old": 0.3}, frozenset({"new"}), (Reset(6.0, "a"),))
    assert InForce.at(entries, 9.0) == InForce({"old": 0.3, "new": 0.5}, frozenset({"old"}), (Reset(6.0, "a"),))


def test_a_unit_of_time_is_a_day() -> None:
    assert clock(np.array([0, 43_200_000_000])).tolist() == [0, 0.5]
