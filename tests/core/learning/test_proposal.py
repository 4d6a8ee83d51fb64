"""Proposals of the daily adjustment: one step on top of what is in force, or the reason why not."""

from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from knowdefeat_pipeline.core.learning.evidence import evidence
from knowdefeat_pipeline.core.learning.learner import (
    DEFAULT,
    EQUAL,
    MAX_MOVE,
    MIN_SETTLED_DAYS,
    WeightHistory,
    learn_weights,
    step,
)
from knowdefeat_pipeline.core.learning.proposal import propose
from knowdefeat_pipeline.core.ranking.panel import HORIZON, Panel
from knowdefeat_pipeline.core.ranking.weight_set import validate
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from tests.core.panels import plain, world

DAYS = 60


@cache
def panel() -> Panel:
    return Panel.of(plain(DAYS, 8, seed=7))


@cache
def learned() -> WeightHistory:
    return learn_weights(panel())


def misled() -> WeightHistory:
    """A learner that has done worse than the default weights all along."""
    from dataclasses import replace

    lead = np.where(np.isnan(learned().lead), np.nan, -0.1)
    return replace(learned(), gate_open=np.zeros(DAYS, bool), lead=lead, target=np.tile(DEFAULT, (DAYS, 1)))


@pytest.mark.parametrize("day", [0, 1, 25, DAYS - 1])
@pytest.mark.parametrize("name", ["plain", "informative"])
def test_a_replay_until_a_day_is_that_of_the_panel_cut_off_there(name: str, day: int) -> None:
    frame = plain(DAYS, 8, seed=7) if name == "plain" else world("informative").frame
    whole = Panel.of(frame)
    cut = learn_weights(Panel.of(frame[frame["as_of"] <= whole.frame["as_of"][whole.start[day]]]))
    until = learn_weights(whole).up_to(day)
    for field in fields(WeightHistory):
        found, expected = getattr(until, field.name), getattr(cut, field.name)
        if field.name in ("ic", "spread"):
            assert found.keys() == expected.keys()
            found, expected = (np.array(list(of.values())) for of in (found, expected))
        np.testing.assert_array_equal(found, expected, err_msg=field.name)
    if day:
        assert evidence(until).record() == evidence(cut).record()


def test_too_little_is_known() -> None:
    early = propose(learned(), int(panel().as_of[5]), EQUAL, DEFAULT)
    assert (early.outcome, early.reason) == ("frozen", f"5 settled days, {MIN_SETTLED_DAYS} needed")
    assert early.weights is None
    assert set(early.evidence["change"].values()) == {0.0}
    for instant in (panel().as_of[0] - 1, panel().as_of[-1] + HORIZON, panel().as_of[3] + 1):
        absent = propose(learned(), int(instant), EQUAL, DEFAULT)
        assert (absent.outcome, absent.weights, absent.evidence) == ("frozen", None, {})
        assert "no figures of ranked bots" in absent.reason


def test_a_step_from_whatever_is_in_force_toward_what_was_learned() -> None:
    found = propose(learned(), int(panel().as_of[-1]), EQUAL_SET, DEFAULT)
    assert found.outcome == "published"
    np.testing.assert_array_equal(found.weights, step(EQUAL_SET, learned().target[-1]))
    assert 0 < np.abs(found.weights - EQUAL_SET).sum() <= MAX_MOVE + 1e-9
    assert validate(dict(zip(VARIABLE_NAMES, found.weights.tolist(), strict=True)))
    change = np.array(list(found.evidence["change"].values()))
    np.testing.assert_allclose(found.weights - EQUAL_SET, change, atol=1e-9)
    assert found.evidence["gate_open"] is True
    assert "toward what was learned (win rate +" in found.reason
    assert "the learner keeps up with the anchor weights in both rank IC and money (+" in found.reason
    assert "over the last 59 settled days" in found.reason


EQUAL_SET = np.array([5.3] * 12 + [5.2] * 7)


def test_a_lost_trial_leads_home_and_stays_there() -> None:
    last = int(panel().as_of[-1])
    home = EQUAL_SET
    back = propose(misled(), last, DEFAULT, home)
    assert back.outcome == "published"
    np.testing.assert_array_equal(back.weights, step(DEFAULT, home))
    assert "points back (" in back.reason
    assert "is behind the anchor weights in rank IC or money (-0.100 and +" in back.reason
    assert "of a day's volatility over the last 59 settled days)" in back.reason
    stay = propose(misled(), last, home, home)
    assert (stay.outcome, stay.weights) == ("gate_closed", None)
    assert stay.reason.startswith("nothing to move: the learner is behind")


def test_at_the_target_nothing_moves() -> None:
    last = int(panel().as_of[-1])
    held = EQUAL_SET
    for _ in range(40):
        found = propose(learned(), last, held, DEFAULT)
        if found.weights is None:
            break
        held = found.weights
    assert found.outcome == "unchanged"
    np.testing.assert_allclose(held, learned().target[-1], atol=0.1)
