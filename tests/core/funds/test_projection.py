"""Allocation: no negative amount, no cap broken, and every cent accounted for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.projection import Caps, allocate, project
from knowdefeat_pipeline.core.funds.settings import AllocationRules
from knowdefeat_pipeline.core.funds.targets import by_score

NOBODY = np.array(["", "", "", ""])


def test_in_proportion_where_no_cap_binds() -> None:
    rules = AllocationRules(bot_cap=0.5)
    found = allocate(np.array([10.0, 20.0, 0.0, 30.0]), np.array(list("AABB")), NOBODY, 600_00, rules)
    assert found.cents.tolist() == [100_00, 200_00, 0, 300_00]
    assert found.cash == 0
    assert found.table["reason"].tolist() == [
        "in proportion to its target",
        "in proportion to its target",
        "its target is 0",
        "at the cap of 50% of the funds for one bot",
    ]


def test_what_a_cap_cuts_off_goes_to_the_others_in_equal_shifts() -> None:
    # Shares of 1000.00 would be 100, 200, 700: the cap of 500 leaves 200, half of it to each of the others.
    rules = AllocationRules(bot_cap=0.5)
    found = allocate(np.array([1.0, 2.0, 7.0]), np.array(list("ABC")), NOBODY[:3], 1000_00, rules)
    assert found.cents.tolist() == [200_00, 300_00, 500_00]
    assert found.decisions == ("funded", "funded", "capped")


def test_a_ticker_cap_moves_its_bots_by_a_shift_of_their_own() -> None:
    # Wishes 300, 500 in A and 200 in B; A may hold 600: its bots lose 100 each, B takes what its cap allows.
    rules = AllocationRules(bot_cap=0.5, ticker_cap=0.6)
    found = allocate(np.array([3.0, 5.0, 2.0]), np.array(list("AAB")), NOBODY[:3], 1000_00, rules)
    assert found.cents.tolist() == [200_00, 400_00, 400_00]
    assert found.reasons[0] == "at the cap of 60% of the funds for A"


def test_what_nobody_may_hold_stays_cash() -> None:
    found = allocate(np.ones(4), np.array(list("ABCD")), np.array(["", "", "halted", ""]), 1000_00, AllocationRules())
    assert found.cents.tolist() == [100_00, 100_00, 0, 100_00]
    assert found.cash == 700_00
    assert found.reasons[2] == "halted"
    nobody = allocate(np.zeros(0), np.zeros(0, str), np.zeros(0, str), 5_00, AllocationRules())
    assert (nobody.cents.tolist(), nobody.cash) == ([], 5_00)


def test_the_smallest_step_back_until_the_others_reach_the_minimum() -> None:
    rules = AllocationRules(bot_cap=1.0, minimum=300_00)
    found = allocate(np.array([4.0, 3.0, 2.0, 1.0]), np.array(list("ABCD")), NOBODY, 1000_00, rules)
    assert found.cents.tolist() == [571_43, 428_57, 0, 0]
    assert found.reasons[2] == "less than the minimum of 300.00"
    equal = allocate(np.ones(4), np.array(list("ABCD")), NOBODY, 1000_00, rules)
    assert sorted(equal.cents) == [0, 333_33, 333_33, 333_34]
    assert allocate(np.ones(4), np.array(list("ABCD")), NOBODY, 200_00, rules).cash == 200_00


@settings(max_examples=200)
@given(st.data())
def test_random_scores_caps_and_funds(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 25))
    scores = np.array(data.draw(st.lists(st.floats(0, 100), min_size=count, max_size=count)))
    ticker = np.array(data.draw(st.lists(st.sampled_from("ABC"), min_size=count, max_size=count)), dtype=str)
    refused = np.array(data.draw(st.lists(st.sampled_from(["", "", "inactive"]), min_size=count, max_size=count)), str)
    funds = data.draw(st.integers(0, 10**11))
    rules = AllocationRules(data.draw(st.floats(0.001, 1)), data.draw(st.floats(0.001, 1)))
    found = allocate(by_score(scores), ticker, refused, funds, rules)
    part = (refused == "") & (scores > 50)
    bot_cap, ticker_cap = int(rules.bot_cap * funds + 1e-6), int(rules.ticker_cap * funds + 1e-6)
    assert (found.cents >= 0).all()
    assert (found.cents <= bot_cap).all()
    assert (found.cents[~part] == 0).all()
    held = [int(found.cents[ticker == name].sum()) for name in "ABC"]
    assert max(held) <= ticker_cap
    room = sum(min(ticker_cap, int((part & (ticker == name)).sum()) * bot_cap) for name in "ABC")
    assert sum(held) == min(funds, room)
    assert sum(held) + found.cash == funds

    minimum = data.draw(st.integers(0, 10**10))
    tickets = allocate(
        by_score(scores), ticker, refused, funds, AllocationRules(rules.bot_cap, rules.ticker_cap, minimum)
    )
    assert ((tickets.cents == 0) | (tickets.cents >= minimum)).all()
    assert (tickets.cents <= bot_cap).all()
    assert tickets.cents.sum() + tickets.cash == funds


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=30), st.integers(1, 10**9), st.floats(0.05, 1))
def test_bots_within_their_caps_share_one_shift(targets: list, funds: int, cap: float) -> None:
    target, bot_cap = np.array(targets), max(1, int(cap * funds))
    cents = project(target, funds, Caps.of(target, np.zeros(len(target), int), bot_cap, funds))
    wish = funds * target / target.sum()
    inside = (cents > 1) & (cents < bot_cap - 1)
    shifts = (cents - wish)[inside]
    assert np.ptp(shifts) <= 2 if len(shifts) else True
    if len(shifts):
        at_cap, at_zero = cents >= bot_cap - 1, cents <= 1
        assert (wish[at_cap] + shifts.mean() >= bot_cap - 3).all()
        assert (wish[at_zero] + shifts.mean() <= 3).all()


@given(st.data(), st.integers(100, 10**9), st.floats(0.05, 1), st.floats(0.05, 1))
def test_bots_of_a_ticker_share_one_shift_and_a_capped_ticker_a_lower_one(
    data: st.DataObject, funds: int, cap: float, group_cap: float
) -> None:
    """The conditions of Karush, Kuhn and Tucker, each to the cents that rounding moves."""
    count = data.draw(st.integers(2, 30))
    target = np.array(data.draw(st.lists(st.floats(0.01, 100), min_size=count, max_size=count)))
    group = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    bot_cap, ticker_cap = max(1, int(cap * funds)), max(1, int(group_cap * funds))
    cents = project(target, funds, Caps.of(target, group, bot_cap, ticker_cap))
    shift = cents - funds * target / target.sum()
    inside = (cents > 1) & (cents < bot_cap - 1)
    # Rounding down may leave a capped ticker short of a cent for each of its bots.
    room = ticker_cap - np.bincount(group, cents, minlength=4) - np.bincount(group, minlength=4)
    free = inside & (room[group] > 0)
    assert np.ptp(shift[free]) <= 4 if free.any() else True
    for code in range(4):
        own = inside & (group == code)
        if own.any():
            assert np.ptp(shift[own]) <= 4
            assert shift[own].mean() <= (shift[free].mean() if free.any() else np.inf) + 4


@given(st.data(), st.integers(100, 10**9), st.floats(0.05, 1), st.floats(0.05, 1))
def test_bots_that_share_a_cap_share_one_shift_of_their_own(
    data: st.DataObject, funds: int, cap: float, group_cap: float
) -> None:
    """Nested caps: within a shared cap one shift, never above that of the ticker."""
    count = data.draw(st.integers(2, 20))
    target = np.array(data.draw(st.lists(st.floats(0.01, 100), min_size=count, max_size=count)))
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    shared = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count)))
    bot_cap, ticker_cap = max(1, int(cap * funds)), max(1, int(group_cap * funds))
    cents = project(target, funds, Caps.of(target, group, bot_cap, ticker_cap, shared))
    for code in range(3):
        assert cents[shared == code].sum() <= bot_cap
        assert cents[group == code].sum() <= ticker_cap
    shift = cents - funds * target / target.sum()
    inside = (cents > 1) & (cents < bot_cap - 1)
    for ticker in range(3):
        alone = shift[inside & (group == ticker) & (shared < 0)]
        for code in range(3):
            together = shift[inside & (group == ticker) & (shared == code)]
            assert np.ptp(together) <= 4 if len(together) else True
            if len(together) and len(alone):
                assert together.mean() <= alone.mean() + 4


def test_duplicates_share_one_bots_cap() -> None:
    """Wishes 400, 400 and 200 of 1,000: the two alike may hold 500 together, and the third takes up to its cap."""
    rules = AllocationRules(bot_cap=0.5)
    found = allocate(
        np.array([4.0, 4.0, 2.0]), np.array(list("AAB")), NOBODY[:3], 1000_00, rules, "USD", [[0, 1]], ["x", "y", "z"]
    )
    assert (found.cents.tolist(), found.cash) == ([250_00, 250_00, 500_00], 0)
    assert found.decisions == ("capped", "capped", "capped")
    assert found.reasons[0] == (
        "at the cap of 50% of the funds for one bot, shared with y: their daily results are alike"
    )


def test_a_shared_cap_is_divided_over_tickers() -> None:
    """Duplicates in two tickers hold 100.00 together, in proportion to their targets."""
    names = ["x", "y", "z"]
    found = allocate(
        np.array([3.0, 1.0, 2.0]), np.array(list("ABB")), NOBODY[:3], 1000_00, AllocationRules(), "USD", [[0, 1]], names
    )
    assert (found.cents.tolist(), found.cash) == ([75_00, 25_00, 100_00], 800_00)


@pytest.mark.parametrize(
    ("bot_cap", "amounts", "cash"), [(0.1, [100_00, 100_00, 0, 0], 800_00), (0.5, [500_00, 500_00, 0, 0], 0)]
)
def test_money_is_never_placed_because_caps_leave_room(bot_cap: float, amounts: list[int], cash: int) -> None:
    """Funds 1,000.00, scores 80, 60, 50, 40."""
    target = by_score(np.array([80.0, 60.0, 50.0, 40.0]))
    found = allocate(target, np.array(list("ABCD")), NOBODY, 1000_00, AllocationRules(bot_cap))
    assert (found.cents.tolist(), found.cash) == (amounts, cash)


@pytest.mark.parametrize(
    ("target", "funds", "rules", "message"),
    [
        ([-1.0], 100, AllocationRules(), "target of bot 0 is -1.0"),
        ([np.nan], 100, AllocationRules(), "target of bot 0 is nan"),
        ([1.0], -1, AllocationRules(), "funds -1"),
        ([1.0], 100, AllocationRules(bot_cap=10), r"caps must be in \(0, 1\], got 10"),
        ([1.0], 100, AllocationRules(minimum=-1), "minimum -1"),
    ],
)
def test_what_cannot_be_allocated_is_refused(target: list, funds: int, rules: AllocationRules, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allocate(np.array(target), np.array(["A"]), np.array([""]), funds, rules)
