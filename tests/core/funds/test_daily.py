"""Funds of a day: who takes part, by what they are divided, what the risk rules see, and what is kept always."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.daily import Division, FundInputs, breaches, daily_returns, divide_days
from knowdefeat_pipeline.core.funds.events import BotEvent, halted_bots, inactive_bots
from knowdefeat_pipeline.core.funds.risk import risk_figures
from knowdefeat_pipeline.core.funds.settings import METHODS, AllocationRules, FundSettings, RiskRules, settings_in_force
from knowdefeat_pipeline.core.trades.columns import Trades

DAY = date(2025, 3, 1)
AT = datetime(2025, 3, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HALVES = FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5), version=1)


def trades(*rows: tuple[int, datetime, float]) -> Trades:
    """Closed trades of an hour each: (bot, exit, pnl)."""
    frame = pd.DataFrame(rows, columns=["bot_id", "exit_time", "pnl"])
    exits = pd.to_datetime(frame["exit_time"], utc=True)
    return Trades.from_frame(
        frame.assign(
            exit_time=exits,
            entry_time=exits - timedelta(hours=1),
            bot_id=frame["bot_id"].astype("int64"),
            pnl=frame["pnl"].astype("float64"),
            trade_id=range(len(frame)),
            ticker=pd.Series(["COIN"] * len(frame), dtype="str"),
            direction=pd.Series(["LONG"] * len(frame), dtype="str"),
        )
    )


def bots(*scores: float | None, **columns: list) -> pd.DataFrame:
    """Bots 1, 2, … of the ranking of DAY; without a score, unranked."""
    order = np.argsort([-(score or 0) for score in scores], kind="stable").argsort() + 1
    usual = {
        "day": DAY,
        "bot_id": range(1, len(scores) + 1),
        "quote_currency": "USD",
        "capital": 1000.0,
        "capital_is_estimated": False,
        "ticker": "COIN",
        "rank": pd.array([None if s is None else n for s, n in zip(scores, order, strict=True)], dtype="Int32"),
        "rank_score": pd.array(scores, dtype="float64") if scores else [],
        "unranked": [None if score is not None else "2 closed trades in 30 days, 5 needed" for score in scores],
        "edge": np.nan,
    }
    return pd.DataFrame(usual | columns)


def divide(
    fleet: pd.DataFrame, rules: FundSettings = HALVES, history: Trades | None = None, *events: BotEvent
) -> Division:
    return divide_days(FundInputs([(DAY, AT)], fleet, history or trades(), [rules], events))


def shares(division: Division) -> list[tuple[int, str]]:
    return list(zip(division.rows["amount"].tolist(), division.rows["decision"].tolist(), strict=True))


def test_every_bot_has_its_reason() -> None:
    """Points above 50: 20, 0, 5. The first bot is capped; what that cuts off goes to those with a target alone."""
    history = trades((4, AT - timedelta(hours=2), -60.0))
    off = BotEvent(5, "deactivated", None, "ann", "on holiday")
    rules = replace(HALVES, allocation=AllocationRules(bot_cap=0.7), caution=0.5)
    fleet = bots(70.0, 50.0, 55.0, 90.0, 80.0, None, 60.0, 65.0, p_skill=[0.9, 0.9, 0.6, 0.9, 0.9, 0.9, 0.5, np.nan])
    division = divide(fleet, rules, history, off)
    assert shares(division) == [
        (700_00, "capped"),
        (0, "no_share"),
        (300_00, "funded"),
        (0, "halted"),
        (0, "inactive"),
        (0, "unranked"),
        (0, "doubtful"),
        (0, "unjudged"),
    ]
    assert division.rows["reason"].tolist() == [
        "at the cap of 70% of the funds for one bot",
        "its target is 0",
        "in proportion to its target",
        "halted: lost 6.0 % of its capital within the day, beyond the limit of 5 %",
        "deactivated by ann: on holiday",
        "not ranked: 2 closed trades in 30 days, 5 needed",
        "P(edge > 0) is 0.500; more than 0.5 is needed",
        "its skill is not computed for this day: knowdefeat run",
    ]
    assert division.rows["target"].tolist()[:3] == [0.8, 0.0, 0.2]
    assert division.rows["target"].isna().tolist() == [False] * 3 + [True] * 5
    assert division.days.loc[0, ["allocated", "cash", "cash_reason", "bots", "funded"]].tolist() == [
        1000_00, 0, "all funds are allocated", 8, 2,
    ]  # fmt: skip


def test_why_cash_is_left() -> None:
    def why(fleet: pd.DataFrame, rules: AllocationRules, caution: float | None = None) -> list:
        divided = divide(fleet, replace(HALVES, allocation=rules, caution=caution))
        return divided.days.loc[0, ["cash", "cash_reason"]].tolist()

    assert why(bots(60.0, 55.0, None), AllocationRules()) == [
        800_00, "both eligible bots are at their caps (1 unranked)",
    ]  # fmt: skip
    assert why(bots(60.0, 55.0, 40.0, None), AllocationRules()) == [
        800_00, "both eligible bots are at their caps (1 with a target of 0, 1 unranked)",
    ]  # fmt: skip
    assert why(bots(50.0, 40.0), AllocationRules()) == [
        1000_00, "no eligible bot has a target above 0 (2 with a target of 0)",
    ]  # fmt: skip
    assert why(bots(60.0), AllocationRules(0.5, 1.0, 600_00)) == [
        1000_00, "the caps and the minimum of 600.00 leave no room for more",
    ]  # fmt: skip
    few_cents = divide(bots(60.0), replace(HALVES, funds=5, allocation=AllocationRules()))
    assert few_cents.days.loc[0, "cash_reason"] == "the caps and the minimum of 0.01 leave no room for more"
    assert few_cents.rows.loc[0, "reason"] == "less than the minimum of 0.01"
    assert why(bots(None, None), AllocationRules()) == [1000_00, "no bot is eligible: 2 unranked"]
    assert why(bots(60.0, 55.0), AllocationRules(), 0.5) == [1000_00, "no bot is eligible: 2 unjudged"]
    assert why(bots(60.0, 55.0, p_skill=[0.2, 0.3]), AllocationRules(), 0.5) == [
        1000_00, "no bot is eligible: 2 doubtful",
    ]  # fmt: skip
    assert why(bots(), AllocationRules()) == [1000_00, "no bot is eligible: the ranking is empty"]


def test_bots_that_may_be_lucky_get_nothing() -> None:
    """Scores 80, 60, 50, 40 with P(edge > 0) of the first .4: 0, 500.00, 0, 0, and 500.00 cash."""
    fleet = bots(80.0, 60.0, 50.0, 40.0, p_skill=[0.4, 0.9, 0.9, 0.9])
    gated = divide(fleet, replace(HALVES, caution=0.5))
    assert gated.rows["amount"].tolist() == [0, 500_00, 0, 0]
    assert gated.days["cash"].tolist() == [500_00]
    assert gated.rows["p_skill"].tolist() == [0.4, 0.9, 0.9, 0.9]
    assert divide(fleet, replace(HALVES, caution=None)).rows["amount"].tolist() == [500_00, 500_00, 0, 0]
    assert divide(fleet, replace(HALVES, caution=0.9)).days["cash"].tolist() == [1000_00]


def test_bots_that_cannot_be_told_apart_need_more_skill() -> None:
    """Caution .75, and .99 while all bots have one edge with a probability of more than .05."""
    rules = replace(HALVES, caution=0.75, same_edge_limit=0.05)

    def given(p_same_edge: float, rules: FundSettings = rules) -> tuple[list[int], list[str], str]:
        fleet = bots(80.0, 70.0, 60.0, p_skill=[0.8, 0.995, 0.7], p_same_edge=[p_same_edge] * 3)
        found = divide(fleet, rules)
        return found.rows["amount"].tolist(), found.rows["reason"].tolist(), found.days.loc[0, "cash_reason"]

    amounts, reasons, _ = given(0.05)
    assert amounts == [500_00, 500_00, 0]
    assert reasons[2] == "P(edge > 0) is 0.700; more than 0.75 is needed"
    amounts, reasons, cash = given(0.051)
    because = "while bots cannot be told apart (all have one edge with probability 0.051)"
    assert amounts == [0, 500_00, 0]
    assert reasons[0] == f"P(edge > 0) is 0.800; more than 0.99 is needed {because}"
    assert cash == f"the only eligible bot is at its cap (2 doubtful {because})"
    assert given(np.nan)[1][0].endswith("while bots cannot be told apart (their skill is not computed)")
    assert given(0.5, replace(rules, same_edge_limit=1.0))[0] == [500_00, 500_00, 0]
    assert given(0.5, replace(rules, caution=0.999))[0] == [0, 0, 0]
    assert given(0.5, replace(rules, caution=None))[0] == [500_00, 333_33, 166_67]


@pytest.mark.parametrize("method", METHODS)
def test_the_gate_holds_for_every_method(method: str) -> None:
    days = [AT - timedelta(days=n, hours=1) for n in range(4)]
    history = trades((1, days[0], 2.0), (1, days[1], -2.0), (2, days[2], 1.0), (2, days[3], -1.0))
    fleet = bots(60.0, 55.0, edge=[0.1, 0.3], p_skill=[0.4, 0.6])
    found = divide(fleet, FundSettings("USD", 700_00, method, AllocationRules(1.0), caution=0.5), history)
    assert shares(found) == [(0, "doubtful"), (700_00, "capped")]


def test_bots_that_do_the_same_share_a_cap() -> None:
    """Bots 1 and 2 win and lose on the same ten days, the second ten times as much; bot 3 goes its own way."""
    wave = [np.sin(n) for n in range(10)]
    history = trades(
        *((1, AT - timedelta(days=n, hours=1), wave[n]) for n in range(10)),
        *((2, AT - timedelta(days=n, hours=2), 10 * wave[n]) for n in range(10)),
        *((3, AT - timedelta(days=n, hours=3), np.cos(n)) for n in range(10)),
    )
    found = divide(bots(70.0, 70.0, 60.0, bot=["a", "b", "c"]), HALVES, history)
    assert found.rows["amount"].tolist() == [250_00, 250_00, 500_00]
    assert found.rows["reason"].tolist()[0] == (
        "at the cap of 50% of the funds for one bot, shared with b: their daily results are alike"
    )
    fewer = trades(*((bot, AT - timedelta(days=n, hours=1), wave[n]) for n in range(9) for bot in (1, 2)))
    assert divide(bots(70.0, 70.0, 60.0), HALVES, fewer).rows["amount"].tolist() == [400_00, 400_00, 200_00]


def test_money_without_a_target_breaks_a_check() -> None:
    division = divide(bots(60.0, 40.0))
    assert [breach.broken for breach in breaches(division, [HALVES])] == [0, 0, 0, 0]
    placed = division.rows.assign(amount=[400_00, 100_00], decision="funded")
    broken = {breach.rule: breach.broken for breach in breaches(replace(division, rows=placed), [HALVES])}
    assert broken["only_ranked_active_bots_are_funded"] == 1


def test_currencies_have_funds_of_their_own() -> None:
    fleet = bots(70.0, 60.0, 70.0, quote_currency=["USD", "EUR", "CHF"])
    euro = FundSettings("EUR", 77_77, allocation=AllocationRules(1.0), version=2)
    division = divide_days(FundInputs([(DAY, AT)], fleet, trades(), [HALVES, euro], []))
    assert division.rows[["quote_currency", "bot_id", "amount", "settings_version"]].values.tolist() == [
        ["EUR", 2, 77_77, 2],
        ["USD", 1, 500_00, 1],
    ]
    assert division.days[["quote_currency", "funds", "cash"]].values.tolist() == [
        ["EUR", 77_77, 0],
        ["USD", 1000_00, 500_00],
    ]


def by_method(method: str, fleet: pd.DataFrame, history: Trades) -> list[tuple[int, str]]:
    return shares(divide(fleet, FundSettings("USD", 700_00, method, AllocationRules(1.0)), history))


def test_each_method_by_hand() -> None:
    """Daily results of 2, 1 and none; bots 1 and 2 on days of their own: variances 4 to 1 but for the mean."""
    days = [AT - timedelta(days=n, hours=1) for n in range(4)]
    history = trades((1, days[0], 2.0), (1, days[1], -2.0), (2, days[2], 1.0), (2, days[3], -1.0))
    fleet = bots(60.0, 55.0, 50.0, edge=[0.1, np.nan, 0.3])
    assert sorted(amount for amount, _ in by_method("equal", fleet, history)) == [233_33, 233_33, 233_34]
    for method in ("inverse_variance", "hrp"):
        assert by_method(method, fleet, history) == [(140_00, "funded"), (560_00, "funded"), (0, "unmeasured")]
    assert by_method("belief_edge", fleet, history) == [(175_00, "funded"), (0, "unmeasured"), (525_00, "funded")]
    with pytest.raises(ValueError, match="no method 'best'"):
        by_method("best", fleet, history)


def test_daily_returns_are_of_the_thirty_days() -> None:
    """Midnight belongs to the day that begins; a day that has begun before `AT` is one of them."""
    history = trades(
        (7, AT, 1.0), (7, AT - timedelta(days=1), 2.0), (7, AT - timedelta(hours=25), 4.0),
        (7, AT - timedelta(days=30), 8.0), (7, AT - timedelta(days=30) - TICK, 16.0), (8, AT - TICK, 32.0),
    )  # fmt: skip
    found = daily_returns(history, np.array([7]), np.array([100.0]), AT)
    assert found.shape == (30, 1)
    assert found[[0, -2, -1], 0].tolist() == [0.08, 0.04, 0.02]
    assert found[1:-2].sum() == 0
    running = daily_returns(history, np.array([7]), np.array([100.0]), AT + TICK)
    assert running[-3:, 0].tolist() == [0.04, 0.02, 0.01]
    assert daily_returns(history, np.array([], int), np.array([]), AT).shape == (30, 0)


def figures(history: Trades, resumed: dict | None = None, rules: RiskRules | None = None) -> pd.DataFrame:
    found = risk_figures(history, {1: 1000.0, 2: 1000.0}, resumed or {}, AT, rules or RiskRules(25.0, 5.0))
    return found.set_index("bot_id")


def test_drawdown_and_daily_loss_by_hand() -> None:
    """1000, 1100, 990 (10 % below), 935 (15 %) on the last day; bot 2 never traded."""
    history = trades(
        (1, AT - timedelta(days=3), 100.0), (1, AT - timedelta(days=2), -110.0), (1, AT - timedelta(hours=3), -55.0)
    )
    one = figures(history).loc[1]
    assert one["drawdown"] == pytest.approx(15.0)
    assert one["day_pnl"] == -55.0
    assert one["broken_at"] == AT - timedelta(hours=3)
    two = figures(history).loc[2]
    assert two[["drawdown", "day_pnl", "broken_at"]].isna().all()


def test_a_limit_that_was_broken_and_made_good_within_the_day() -> None:
    history = trades((1, AT - timedelta(hours=9), -60.0), (1, AT - timedelta(hours=5), 50.0))
    one = figures(history).loc[1]
    assert one["day_pnl"] == -10.0
    assert one["broken_at"] == AT - timedelta(hours=9)


def test_who_was_resumed_starts_anew() -> None:
    history = trades(
        (1, AT - timedelta(hours=9), -400.0), (1, AT - timedelta(hours=5), 50.0), (1, AT - timedelta(hours=4), -21.0)
    )
    assert figures(history, {1: AT - timedelta(hours=9)}).loc[1, "drawdown"] == pytest.approx(37.1)
    one = figures(history, {1: AT - timedelta(hours=9) + TICK}).loc[1]
    assert one["drawdown"] == pytest.approx(2.0)
    assert (one["day_pnl"], pd.isna(one["broken_at"])) == (29.0, True)


def test_only_the_trailing_thirty_days_count() -> None:
    begin = AT - timedelta(days=30)
    found = figures(trades((1, begin - TICK, -400.0), (2, begin, -400.0), (2, AT, -400.0)))
    assert pd.isna(found.loc[1, "drawdown"])
    assert found.loc[2, "drawdown"] == pytest.approx(40.0)


def test_the_day_s_loss_is_that_of_the_day_that_ends_at_midnight() -> None:
    history = trades((1, AT - timedelta(days=1) - TICK, -10.0), (1, AT - timedelta(days=1), -20.0), (1, AT, -40.0))
    assert figures(history).loc[1, "day_pnl"] == -20.0


def test_decisions_of_people_and_rules_at_an_instant() -> None:
    def event(kind: str, days: int | None, bot: int = 1) -> BotEvent:
        return BotEvent(bot, kind, None if days is None else AT + timedelta(days=days), "ann", "why")

    recorded = [event("deactivated", None), event("activated", 5), event("deactivated", 3), event("activated", 9)]
    states = [bool(inactive_bots(recorded, AT + timedelta(days=n))) for n in (0, 4, 5, 9)]
    assert states == [True, True, True, False]  # the last recorded of those in force
    rules = [
        event("halted", 2),
        event("resumed", 6),
        event("halted", 4),
        event("released", 8),
        event("halted", None, 2),
    ]
    states = [1 in halted_bots(rules, AT + timedelta(days=n)) for n in (1, 2, 5, 6, 9)]
    assert states == [False, True, True, False, False]
    assert 2 in halted_bots(rules, AT)


def test_the_rules_record_what_changes_and_nothing_else() -> None:
    """Lost 6 % on DAY, cooling down for a day and an hour after its last loss."""
    history = trades((1, AT - timedelta(hours=5), -60.0))
    days = [(DAY + timedelta(days=n), AT + timedelta(days=n)) for n in range(3)]
    fleet = pd.concat([bots(60.0).assign(day=day) for day, _ in days], ignore_index=True)
    rules = replace(HALVES, risk=RiskRules(cool_down=timedelta(hours=30)))
    inputs = FundInputs(days, fleet, history, [rules], [])
    division = divide_days(inputs)
    assert division.rows["decision"].tolist() == ["halted", "halted", "capped"]
    assert [(e.kind, e.in_force_from, e.author) for e in division.events] == [
        ("halted", AT, "risk rules"),
        ("released", AT + timedelta(days=2), "risk rules"),
    ]
    assert division.events[0].figures == {
        "drawdown": 6.0, "daily_loss": 6.0, "drawdown_limit": 25.0, "daily_loss_limit": 5.0,
    }  # fmt: skip
    again = divide_days(replace(inputs, events=division.events))
    assert again.events == ()
    pd.testing.assert_frame_equal(again.rows, division.rows)


def test_the_last_settings_recorded_of_those_in_force_count() -> None:
    first = FundSettings("USD", 1, version=1)
    second = FundSettings("USD", 2, version=2, in_force_from=AT)
    euro = FundSettings("EUR", 3, version=3)
    assert settings_in_force([first, second, euro], AT) == [euro, second]
    assert settings_in_force([first, second], AT - timedelta(seconds=1)) == [first]
    assert settings_in_force([second], AT - timedelta(seconds=1)) == []


amounts = st.integers(0, 10**11)
scores = st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=15)


@pytest.mark.long
@settings(max_examples=40)
@given(st.data(), scores, amounts, st.sampled_from(METHODS))
def test_whatever_the_scores_the_sum_is_exact_and_no_cap_is_broken(
    data: st.DataObject, points: list, funds: int, method: str
) -> None:
    count = len(points)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    fleet = bots(
        *points,
        ticker=rng.choice(["A", "B"], count).astype(object),
        quote_currency=rng.choice(["USD", "EUR"], count).astype(object),
        edge=rng.normal(size=count),
        p_skill=rng.choice([np.nan, 0.3, 0.6, 0.9], count),
    )
    rules = AllocationRules(
        data.draw(st.floats(0.01, 1)), data.draw(st.floats(0.01, 1)), data.draw(st.sampled_from([0, 100_00]))
    )
    history = trades(*((int(bot) + 1, AT - timedelta(hours=float(h)), float(p)) for bot, h, p in zip(
        rng.integers(0, max(count, 1), 40), rng.uniform(0, 800, 40), 40 * rng.standard_t(3, 40), strict=True)))  # fmt: skip
    events = [BotEvent(bot, "deactivated", None, "ann", "why") for bot in (1, 3)]
    caution = data.draw(st.sampled_from([None, 0.5, 0.75]))
    versions = [
        FundSettings(currency, funds, method, rules, caution=caution, version=n)
        for n, currency in enumerate(("USD", "EUR"))
    ]
    division = divide_days(FundInputs([(DAY, AT)], fleet, history, versions, events))
    assert [(breach.rule, breach.broken) for breach in breaches(division, versions) if breach.broken] == []
    assert (division.days["allocated"] + division.days["cash"] == funds).all()
    assert sorted(division.rows["bot_id"]) == list(range(1, count + 1))
    taking_part = division.rows[division.rows["target"] > 0]
    if not rules.minimum:
        bot_cap, ticker_cap = int(rules.bot_cap * funds + 1e-6), int(rules.ticker_cap * funds + 1e-6)
        for day in division.days.itertuples():
            own = taking_part[taking_part["quote_currency"] == day.quote_currency]
            room = sum(min(ticker_cap, bot_cap * n) for n in own.groupby("ticker").size())
            assert day.allocated == min(funds, room)


def test_breaches_are_found() -> None:
    division = divide(bots(70.0, 60.0, None))
    rows = division.rows
    rows.loc[0, "amount"] = 600_00
    rows.loc[1, "amount"] = -1
    rows.loc[2, "amount"] = 5
    found = {breach.rule: breach.broken for breach in breaches(division, [HALVES])}
    assert found == {
        "no_amount_is_negative": 1,
        "no_cap_is_broken": 1,
        "amounts_and_cash_sum_to_the_funds": 1,
        "only_ranked_active_bots_are_funded": 1,
    }
