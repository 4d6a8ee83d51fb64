"""From a score to an amount, in sentences whose figures are computed by hand."""

from dataclasses import replace

import pytest

from knowdefeat_pipeline.core.funds.explanation import explain
from knowdefeat_pipeline.core.funds.settings import AllocationRules
from tests.core.funds.test_daily import HALVES, bots, divide

FLEET = bots(90.0, 60.0, 55.0, None, p_skill=[0.9, 0.8, 0.6, 0.4])
"""Points 40, 10, 5 of 55: 727.27, 181.82, 90.91 of 1,000; the cap of 500 leaves 227.27, half to each of the others."""
RULES = replace(HALVES, caution=0.5)


def test_the_chain_of_a_bot_within_its_cap() -> None:
    assert explain(divide(FLEET, RULES), FLEET, 2, RULES) == [
        "Its score is 60.00: rank 2 of 3.",
        "P(edge > 0) is 0.800, above the 0.5 that is needed.",
        "It has 10.00 points above 50; in proportion to those of all eligible bots its target is 18.18 % of the funds, "
        "181.82.",
        "One bot may hold 500.00 at most.",
        "What caps keep from others moves each bot within its caps by 113.63.",
        "It gets 295.45 USD: in proportion to its target.",
        "Of 1,000.00 USD in all, 0.00 stays cash: all funds are allocated.",
    ]


def test_the_chain_of_a_capped_bot_and_of_one_that_gets_nothing() -> None:
    tight = replace(RULES, allocation=AllocationRules(0.1, 0.5), caution=None)
    found = explain(divide(FLEET, tight), FLEET, 1, tight)
    assert found[1] == "P(edge > 0) is 0.900; no skill is asked for (ungated)."
    assert found[3:] == [
        "One bot may hold 100.00 at most, all bots of COIN 500.00.",
        "It gets 100.00 USD: at the cap of 10% of the funds for one bot.",
        "Of 1,000.00 USD in all, 700.00 stays cash: all 3 eligible bots are at their caps (1 unranked).",
    ]
    assert explain(divide(FLEET, tight), FLEET, 4, tight)[:3] == [
        "It has no score: 2 closed trades in 30 days, 5 needed.",
        "P(edge > 0) is 0.400; no skill is asked for (ungated).",
        "It gets nothing: not ranked: 2 closed trades in 30 days, 5 needed.",
    ]
    with pytest.raises(ValueError, match="bot 5 is not among those"):
        explain(divide(FLEET, RULES), bots(*[50.0] * 5), 5, RULES)


def test_the_chain_names_what_more_is_needed_while_bots_cannot_be_told_apart() -> None:
    fleet = FLEET.assign(p_same_edge=0.2)
    found = explain(divide(fleet, rules := replace(RULES, same_edge_limit=0.05)), fleet, 2, rules)
    because = "while bots cannot be told apart (all have one edge with probability 0.200)"
    assert found == [
        "Its score is 60.00: rank 2 of 3.",
        f"P(edge > 0) is 0.800, not above the 0.99 that is needed {because}.",
        f"It gets nothing: P(edge > 0) is 0.800; more than 0.99 is needed {because}.",
        f"Of 1,000.00 USD in all, 1,000.00 stays cash: no bot is eligible: 1 unranked, 3 doubtful {because}.",
    ]


def test_the_bar_of_a_bot_that_was_not_judged_is_that_of_the_fleet() -> None:
    fleet = FLEET.assign(p_same_edge=[0.2, 0.2, 0.2, float("nan")], p_skill=[0.9, 0.8, 0.6, float("nan")])
    found = explain(divide(fleet, rules := replace(RULES, same_edge_limit=0.05)), fleet, 4, rules)
    assert found[1] == (
        "Its skill is not computed, not above the 0.99 that is needed while bots cannot be told apart "
        "(all have one edge with probability 0.200)."
    )


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("equal", "Every eligible bot has the same target: its target is 50.00 % of the funds, 500.00."),
        (
            "belief_edge",
            "The edge believed of its strategy is 0.3000; in proportion to those of all eligible bots its target is "
            "75.00 % of the funds, 750.00.",
        ),
    ],
)
def test_each_method_says_what_it_aims_at(method: str, sentence: str) -> None:
    fleet, rules = bots(60.0, 55.0, edge=[0.1, 0.3]), replace(HALVES, method=method)
    assert explain(divide(fleet, rules), fleet, 2, rules)[2] == sentence
