"""What rules of allocation would have earned: books by hand, and that nothing of the future reaches a day's shares."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.funds.daily import RULES, FundInputs
from knowdefeat_pipeline.core.funds.events import BotEvent
from knowdefeat_pipeline.core.funds.replay import (
    CASH,
    EQUAL_WEIGHTS,
    book,
    capitals,
    compare,
    rules_of,
    shares_of,
    usable_days,
    verdict,
)
from knowdefeat_pipeline.core.funds.settings import AllocationRules
from tests.core.funds.test_daily import AT, DAY, HALVES, bots, trades

DAYS = [(DAY + timedelta(days=n), AT + timedelta(days=n)) for n in range(3)]


def inputs(*scores: list[float], events: list[BotEvent] | None = None) -> FundInputs:
    fleet = pd.concat([bots(*s).assign(day=day) for s, (day, _) in zip(scores, DAYS, strict=True)], ignore_index=True)
    return FundInputs(DAYS, fleet, trades(), [HALVES], events or [])


def test_a_book_by_hand() -> None:
    """Half in a bot that gains 10 %: .55 of 1.05 is .5238, sold for the other, which loses 20 %; 1 % of what is moved."""
    found = book(np.array([[0.5, 0.0], [0.0, 1.0]]), np.array([[0.1, 0.0], [0.3, -0.2]]), 100.0)
    assert found.turnover == pytest.approx([0.5, 0.55 / 1.05 + 1.0])
    assert found.costs == pytest.approx([0.005, (0.55 / 1.05 + 1.0) / 100])
    assert found.returns == pytest.approx([0.995 * 1.05 - 1, (1 - (0.55 / 1.05 + 1) / 100) * 0.8 - 1])


def test_figures_by_hand() -> None:
    """Doubled, then down to 1.5: growth ln 1.5 over two days, a quarter below the peak; equal weights stay where they
    are."""
    own = book(np.array([[1.0], [1.0]]), np.array([[1.0], [-0.25]]), 0.0)
    flat = book(np.array([[1.0], [1.0]]), np.zeros((2, 1)), 0.0)
    table = compare({"own": own, EQUAL_WEIGHTS: flat})
    assert list(table.index) == ["own", EQUAL_WEIGHTS, CASH]
    assert table.loc["own", ["growth", "total", "drawdown", "turnover", "exposure", "costs"]].tolist() == pytest.approx(
        [365 * np.log(1.5) / 2, 0.5, 0.25, 0.5, 1.0, 0.0]
    )
    assert table.loc["own", "over_equal_mean"] == pytest.approx(365 * np.log(1.5) / 2)
    assert table.loc[CASH, ["growth", "drawdown", "exposure"]].tolist() == [0.0, 0.0, 0.0]
    assert table.loc["own", "sharpe"] == pytest.approx(0.375 / np.std([1, -0.25], ddof=1) * 365**0.5)


def test_who_loses_everything_has_nothing_left() -> None:
    ruined = book(np.ones((3, 1)), np.array([[-1.0], [0.5], [0.5]]), 0.0)
    assert compare({EQUAL_WEIGHTS: ruined}).loc[EQUAL_WEIGHTS, ["total", "drawdown"]].tolist() == [-1.0, 1.0]


def test_shares_are_those_of_the_division() -> None:
    found = shares_of(inputs([70.0, 60.0], [40.0, 60.0], [40.0, 45.0]), replace(HALVES, funds=10**9), [1, 2])
    assert found.tolist() == [[0.5, 0.5], [0.0, 0.5], [0.0, 0.0]]


def test_later_days_change_no_share() -> None:
    rng = np.random.default_rng(1)
    scores = [rng.uniform(30, 80, 6).tolist() for _ in range(3)]
    rule = replace(HALVES, funds=10**9)
    whole = shares_of(inputs(*scores), rule, list(range(1, 7)))
    other = shares_of(inputs(*scores[:2], rng.uniform(30, 80, 6).tolist()), rule, list(range(1, 7)))
    np.testing.assert_array_equal(whole[:2], other[:2])


def test_people_s_decisions_count_and_those_of_the_rules_are_made_anew() -> None:
    events = [BotEvent(1, "deactivated", DAYS[1][1], "ann", "off"), BotEvent(2, "halted", None, RULES, "fell")]
    found = shares_of(inputs(*[[70.0, 60.0]] * 3, events=events), replace(HALVES, funds=10**9), [1, 2])
    assert found.tolist() == [[0.5, 0.5], [0.0, 0.5], [0.0, 0.5]]


def test_rules_by_name_and_days_that_are_followed() -> None:
    cautious = replace(HALVES, caution=0.75, allocation=AllocationRules(0.1, 0.4))
    rules = rules_of([HALVES, cautious, replace(cautious, same_edge_limit=0.05)])
    assert list(rules) == [
        "rank_score, cap 50%, ungated",
        "rank_score, cap 10%, 40% a ticker, P > 0.75",
        "rank_score, cap 10%, 40% a ticker, P > 0.75, same edge at most 5%",
        EQUAL_WEIGHTS,
    ]
    known = inputs(*[[70.0, 60.0]] * 3)
    assert usable_days(known).days == DAYS[:2]
    assert usable_days(replace(known, days=[DAYS[0], DAYS[2]])).days == []
    assert capitals(usable_days(known), [1, 2]).tolist() == [[1000.0, 1000.0]] * 2


def test_nothing_is_called_better_without_an_interval_above_zero() -> None:
    rng = np.random.default_rng(4)
    market = 0.01 * rng.normal(size=(400, 1))
    equal = book(np.ones((400, 1)), market, 0.0)
    same = book(np.ones((400, 1)), market + 0.01 * rng.normal(size=(400, 1)) - 0.00005, 0.0)
    better = book(np.ones((400, 1)), market + 0.002 + 0.005 * rng.normal(size=(400, 1)), 0.0)
    worse = book(np.ones((400, 1)), market - 0.002, 0.0)
    for lucky in (same, book(np.ones((400, 1)), market + 0.01 * rng.normal(size=(400, 1)), 0.0)):
        told = verdict(compare({"a": lucky, EQUAL_WEIGHTS: equal}))
        assert "may be chance: no rule is shown to be better." in told or told.startswith("No rule grew more")
    assert verdict(compare({"a": better, "b": same, EQUAL_WEIGHTS: equal})).startswith("a grew more than equal weights")
    assert "as the best of 2: more than chance." in verdict(compare({"a": better, "b": same, EQUAL_WEIGHTS: equal}))
    assert verdict(compare({"a": worse, EQUAL_WEIGHTS: equal})).startswith("No rule grew more than equal weights")
