"""Replays: money moves nothing, and nothing later than a time is in what was held before it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.beliefs.replay import replay_beliefs
from knowdefeat_pipeline.core.beliefs.state import Rules

RULES = Rules()


def history(seed: int, count: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "time": np.cumsum(rng.integers(0, 3, count)),
            "strategy_id": rng.choice(["a", "b", "c"], count),
            "result": 0.2 + rng.standard_t(5, count),
            "regime": rng.choice(["calm", "wild"], count),
        }
    )


def test_every_time_has_every_strategy_and_weights_that_sum_to_one() -> None:
    frame = history(1)
    table = replay_beliefs(frame, RULES)
    assert list(table.columns) == ["time", "strategy_id", "weight", "p_win", "edge", "exposure"]
    assert len(table) == frame["time"].nunique() * 3
    assert (table.groupby("time")["weight"].sum() == 1).all()
    first = table[table["time"] == 0]
    assert (first["p_win"] == 0.5).all()
    assert (first["edge"] == 0).all()


def test_multiplying_a_strategys_money_changes_no_weight() -> None:
    frame = history(2)
    usual = replay_beliefs(frame, RULES)
    power = replay_beliefs(
        frame.assign(result=frame["result"] * frame["strategy_id"].map({"a": 1024.0, "b": 1.0, "c": 2**-20})), RULES
    )
    pd.testing.assert_frame_equal(power, usual, check_exact=True)
    percent = replay_beliefs(frame.assign(result=frame["result"] / 100), RULES)
    pd.testing.assert_frame_equal(percent, usual, rtol=1e-9, atol=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from(["edge", "best"]))
def test_deleting_later_rows_leaves_what_was_held_bit_identical(seed: int, cut: int, method: str) -> None:
    frame = history(seed, 60)
    frame.loc[45:, "strategy_id"] = "late"
    frame.loc[50:, "regime"] = "never before"
    until = frame["time"].iloc[cut - 1]
    whole = replay_beliefs(frame, RULES, method)
    part = replay_beliefs(frame[frame["time"] <= until], RULES, method)
    known = whole[(whole["time"] <= until) & whole["strategy_id"].isin(part["strategy_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, known, check_exact=True)
    unborn = whole[(whole["time"] <= until) & ~whole["strategy_id"].isin(part["strategy_id"])]
    assert (unborn["weight"] == 0).all()


def test_results_of_a_time_do_not_move_what_was_held_before_it() -> None:
    frame = history(3)
    last = frame["time"] == frame["time"].max()
    changed = frame.assign(result=frame["result"].where(~last, 50.0), regime=frame["regime"].where(~last, "calm"))
    pd.testing.assert_frame_equal(replay_beliefs(changed, RULES), replay_beliefs(frame, RULES), check_exact=True)


def test_times_are_counted_one_by_one_unless_a_unit_is_given() -> None:
    frame = history(4)
    ranked = frame.assign(time=frame["time"].rank(method="dense") - 1)
    days = frame.assign(time=pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(frame["time"], unit="D"))
    by_rank = replay_beliefs(ranked, RULES, unit=1.0)
    figures = ["weight", "p_win", "edge"]
    for same in (replay_beliefs(ranked, RULES), replay_beliefs(frame, RULES), replay_beliefs(days, RULES)):
        pd.testing.assert_frame_equal(same[figures], by_rank[figures], check_exact=True)
    in_days = replay_beliefs(days, RULES, unit=86_400.0)
    pd.testing.assert_frame_equal(in_days[figures], replay_beliefs(frame, RULES, unit=1.0)[figures], rtol=1e-9)
    assert not np.allclose(in_days["weight"], by_rank["weight"])
    assert in_days["time"].iloc[0] == days["time"].iloc[0]


def test_rows_come_in_any_order_of_time() -> None:
    frame = history(5)
    moved = frame.sort_values("time", ascending=False, kind="stable")
    first, second = replay_beliefs(moved, RULES), replay_beliefs(frame, RULES)
    pd.testing.assert_frame_equal(first, second, rtol=1e-6)


def test_scanstream_s_failures_do_not_return() -> None:
    """100 small losses are no certainty of winning, 100 small wins none of losing, and idling is no merit."""
    rounds = np.arange(100)
    losses = pd.DataFrame({"time": rounds, "strategy_id": "loser", "result": -0.001})
    wins = pd.DataFrame({"time": rounds, "strategy_id": "winner", "result": 0.001})
    idle = pd.DataFrame({"time": [0], "strategy_id": "idle", "result": [0.001]})
    held = replay_beliefs(pd.concat([losses, wins, idle]), RULES)
    last = held[held["time"] == 99].set_index("strategy_id")
    assert last.loc["loser", "p_win"] < 0.25
    assert last.loc["winner", "p_win"] > 0.75
    assert last.loc["winner", "weight"] > 0.8
    assert last.loc["loser", "weight"] < last.loc["idle", "weight"] < last.loc["winner", "weight"]
    assert (held["weight"] >= 0).all()


def test_an_empty_history_has_an_empty_answer() -> None:
    assert len(replay_beliefs(history(1)[:0], RULES)) == 0


def test_weights_move_by_at_most_a_fifth_in_a_unit_and_a_book_of_losers_is_cash() -> None:
    frame = history(6)
    for unit, days in ((None, None), (1.0, 1.0), (4.0, 0.25)):
        table = replay_beliefs(frame, RULES, unit=unit)
        weights = table.pivot(index="time", columns="strategy_id", values="weight")
        elapsed = np.ones(len(weights) - 1) if days is None else np.diff(weights.index) * days
        moved = np.abs(np.diff(weights.to_numpy(), axis=0)).sum(axis=1)
        assert (moved <= 0.2 * elapsed + 1e-9).all()
        assert moved.max() == pytest.approx(0.2 * (elapsed[moved.argmax()]), rel=1e-6)
        assert table["exposure"].between(0, 1).all()
        assert (table.groupby("time")["exposure"].nunique() == 1).all()
    losers = frame.assign(result=-np.abs(frame["result"]))
    assert replay_beliefs(losers, RULES)["exposure"].iloc[-1] == 0
    winners = frame.assign(result=np.abs(frame["result"]))
    assert replay_beliefs(winners, RULES)["exposure"].iloc[-1] > 0.99


def test_what_was_learned_fades_with_the_units_that_pass() -> None:
    wins = pd.DataFrame({"time": [*range(100), 600], "strategy_id": "a", "result": 1.0})
    held = {unit: replay_beliefs(wins, RULES, unit=unit)["p_win"].iloc[-1] for unit in (0.1, 1.0, 1e6)}
    assert 0.5 < held[0.1] < held[1.0] < held[1e6]
    counted = replay_beliefs(wins, RULES)["p_win"].iloc[-1]  # one unit a time: the pause is one unit
    assert held[1.0] < counted
