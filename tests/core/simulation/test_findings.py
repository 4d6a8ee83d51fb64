"""What counts as found of each role, at its edges."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.simulation.demo import DAMAGED, PLANTED
from knowdefeat_pipeline.core.simulation.findings import Found, is_right, judge, of_ordinary

UNKNOWN = Found("a", rank=3, p_skill=0.6, verdict="cannot be told from luck", amount=0.0, decision="doubtful")
GOOD = Found("a", rank=1, p_skill=0.97, verdict="good", amount=4_000.0, decision="funded")
LOSING = replace(UNKNOWN, p_skill=0.02, verdict="losing")
HALTED = replace(UNKNOWN, flag="open loss exceeds the gain of 30 days", decision="halted")
HELD = replace(UNKNOWN, held=dict(DAMAGED))


@pytest.mark.parametrize(
    ("role", "found", "right"),
    [
        ("skilled", GOOD, True),
        ("skilled", replace(GOOD, verdict="likely good"), True),
        ("skilled", replace(GOOD, amount=0.0), False),
        ("skilled", replace(GOOD, amount=None), False),
        ("skilled", UNKNOWN, False),
        ("losing", LOSING, True),
        ("losing", replace(LOSING, verdict="likely losing"), True),
        ("losing", replace(LOSING, amount=1.0), False),
        ("losing", UNKNOWN, False),
        *((role, UNKNOWN, True) for role in ("lucky", "survivor", "grid", "martingale", "lottery")),
        *((role, replace(UNKNOWN, verdict="likely good"), False) for role in ("lucky", "grid", "martingale")),
        ("lottery", replace(UNKNOWN, amount=0.01), False),
        ("turned", replace(UNKNOWN, verdict="good"), True),
        ("turned", GOOD, False),
        ("bag holder", HALTED, True),
        ("bag holder", replace(HALTED, flag=None), False),
        ("bag holder", replace(HALTED, decision="doubtful"), False),
        ("newcomer", replace(UNKNOWN, rank=None), True),
        ("newcomer", UNKNOWN, False),
        ("broken feed", HELD, True),
        ("broken feed", replace(HELD, held=DAMAGED | {"poison": 2}), False),
        ("broken feed", UNKNOWN, False),
    ],
)
def test_what_is_right_of_a_role(role: str, found: Found, right: bool) -> None:
    assert is_right(role, found) is right


@pytest.mark.parametrize(
    ("own", "others", "right"), [(4_000, 6_000, True), (4_000, 6_000.01, False), (0, 6_000, False), (4_000, 0, False)]
)
def test_a_duplicate_and_its_original_share_what_one_bot_may_hold(own: float, others: float, right: bool) -> None:
    assert is_right("duplicate", replace(GOOD, amount=own), replace(GOOD, amount=others), cap=10_000) is right
    assert is_right("duplicate", replace(GOOD, amount=own), None, cap=10_000) is False


def test_every_role_that_is_planted_can_be_judged_and_no_other() -> None:
    assert {is_right(bot.role, UNKNOWN) for bot in PLANTED} == {True, False}
    with pytest.raises(ValueError, match="nothing is planted in a bot of the role 'ordinary'"):
        is_right("ordinary", UNKNOWN)


def test_bots_are_judged_beside_their_truth_and_one_that_is_missing_is_not_found() -> None:
    truth = pd.DataFrame(
        {"bot": ["a", "b", "c"], "role": ["skilled", "duplicate", "ordinary"], "edge": [0.3, 0.3, 0.1],
         "copies": [None, "a", None]}
    )  # fmt: skip
    found = {"a": GOOD, "b": replace(GOOD, bot="b")}
    one, two, other = judge(truth, found, cap=8_000)
    assert (one.is_right, two.is_right, other.is_right) == (True, True, None)
    assert other.found == Found("c")
    assert judge(truth, {}, cap=8_000)[0].is_right is False
    assert judge(truth, found, cap=7_999)[1].is_right is False


def test_ordinary_bots_are_summed_up() -> None:
    """Edges .3, .2, -.1, -.2 at places 2, 1, 3 and none; P(edge > 0) .9, .7, .8, .2: rank correlations by hand."""
    truth = pd.DataFrame({"bot": list("abcd"), "role": "ordinary", "edge": [0.3, 0.2, -0.1, -0.2], "copies": None})
    found = {
        "a": Found("a", rank=2, p_skill=0.9, verdict="likely good"),
        "b": Found("b", rank=1, p_skill=0.7),
        "c": Found("c", rank=3, p_skill=0.8, amount=5.0),
        "d": Found("d", p_skill=0.2),
    }
    of = of_ordinary(judge(truth, found, cap=1.0))
    assert (of.bots, of.least, of.largest, of.preferred, of.wrongly) == (4, -0.2, 0.3, 2, 1)
    assert of.of_rank == pytest.approx(0.5)  # 1 - 6·(1 + 1 + 0) / (3·8)
    assert of.of_skill == pytest.approx(0.8)  # 1 - 6·(0 + 1 + 1 + 0) / (4·15)
    assert np.isnan(of_ordinary(judge(truth, {}, cap=1.0)).of_rank)
