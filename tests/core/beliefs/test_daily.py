"""Memory from day to day: cut anywhere it is the same, and what was decided is followed from its instant on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.beliefs.daily import Memory, entry_between, memories_at, stretches
from knowdefeat_pipeline.core.beliefs.ledger import Entry, InForce, clock
from knowdefeat_pipeline.core.beliefs.state import Rules
from knowdefeat_pipeline.core.units import DAY
from tests.core.beliefs.test_learning import same_bits

RULES = Rules()
NOTHING = Memory.empty(RULES)
DECIDED = InForce({"sweep": 0.5}, frozenset({"withdrawn"}), ())


def history(seed: int, count: int) -> pd.DataFrame:
    """Real outcomes and those of two backtests, with ties in time."""
    rng = np.random.default_rng(seed)
    source = rng.choice(["", "", "sweep", "withdrawn"], count)
    return pd.DataFrame(
        {
            "outcome_id": np.where(source == "", 1, -1) * (1 + rng.permutation(count)),
            "exit_time": np.cumsum(rng.choice([0, DAY // 7, DAY // 2], count)) + 1,
            "source": source,
            "bot_id": rng.integers(1, 4, count),
            "strategy_id": rng.choice(["a", "b", "c"], count),
            "regime": rng.choice(np.array(["TRENDING", "RANGING", None], dtype=object), count),
            "pnl": rng.standard_t(3, count) * 100,
            "result": rng.standard_t(3, count),
        }
    )


def same(one: Memory, other: Memory) -> bool:
    return same_bits(one.state, other.state) and one.volatility.sums.tobytes() == other.volatility.sums.tobytes()


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_range_a_day_and_another_order_of_arrival_leave_the_same_memory(seed: int, count: int) -> None:
    frame = history(seed, count)
    entries = [Entry("backtest", -np.inf, "sweep", 0.5), Entry("backtest", -np.inf, "withdrawn", 1.0),
               Entry("withdrawal", -np.inf, "withdrawn")]  # fmt: skip
    instants = np.arange(1, frame["exit_time"].iloc[-1] // DAY + 2) * DAY
    by_day = list(memories_at(NOTHING, frame.sample(frac=1, random_state=seed % 1000), instants, entries, RULES))
    assert same(by_day[-1], NOTHING.learn(frame, DECIDED, RULES))
    for day, memory in enumerate(by_day):
        known = frame[frame["exit_time"] < instants[day]]
        assert same(memory, NOTHING.learn(known, DECIDED, RULES))
        assert set(memory.state.strategies) == set(known.loc[known["source"] != "withdrawn", "strategy_id"])


def test_what_follows_an_instant_plays_no_part_in_it() -> None:
    frame = history(1, 40)
    middle = int(frame["exit_time"].iloc[20])
    changed = frame.assign(pnl=frame["pnl"].where(frame["exit_time"] < middle, 1e6))
    first, other = (next(memories_at(NOTHING, rows, np.array([middle]), [], RULES)) for rows in (frame, changed))
    assert same(first, other)


def test_money_and_the_size_of_a_bot_move_nothing() -> None:
    frame = history(2, 60)
    scaled = frame.assign(pnl=frame["pnl"] * np.array([1, 1024, 2**-20, 8])[frame["bot_id"]])
    before, after = (NOTHING.learn(rows, DECIDED, RULES).state for rows in (frame, scaled))
    assert same_bits(before, after)


def test_what_is_decided_between_two_instants_begins_another_stretch() -> None:
    instants = np.arange(1, 6) * DAY
    entries = [Entry("reset", 1.0), Entry("reset", 3.5), Entry("reset", 5.0)]
    assert stretches(instants, entries) == [slice(0, 3), slice(3, 4), slice(4, 5)]
    assert stretches(instants, []) == [slice(0, 5)]
    assert stretches(instants[:0], entries) == []
    assert not entry_between(entries, instants[0], instants[1])
    assert clock(instants[0]) == pytest.approx(1.0)
