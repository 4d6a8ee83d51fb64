"""The rules of the audit on a real database: nothing breaks them, and each finds what a hand has changed."""

from datetime import UTC, date, datetime, timedelta

import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.audit import RULES, Rule, audit_days, offenders
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 2, 25), date(2025, 2, 28)
BEFORE = FIRST - timedelta(days=1)
BY_NAME = {rule.name: rule for rule in RULES}

WRITTEN = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional,"
    " reported_pnl) SELECT 2, 'A', 'LONG', 'closed', at, at, 100, 101, 1000, {} FROM day_start(%s) AS at, "
)
TAMPERED = {
    "suspected_twins": [WRITTEN.format(10) + "generate_series(1, 2)"],
    "writers_state_their_pnl": [WRITTEN.format(11) + "generate_series(1, 1)"],
    "figures_are_possible": [
        "UPDATE bot_metrics_rows SET sharpe = 'infinity' WHERE day = %s AND bot_id = 2 AND ticker = '*'"
    ],
    "tickers_sum_to_the_bot": ["UPDATE bot_metrics_rows SET only_ticker = NULL WHERE day = %s AND bot_id = 2"],
    "longer_streaks_are_rarer": ["UPDATE win_streaks_rows SET hits_7 = NULL WHERE day = %s AND bot_id = 2"],
    "streaks_agree_with_metrics": ["UPDATE win_streaks_rows SET trades = trades + 1 WHERE day = %s AND bot_id = 2"],
    "ranks_follow_the_scores": ["UPDATE bot_rankings_rows SET rank_score = -1 WHERE day = %s AND rank = 3"],
    "ranked_or_with_a_reason": ["DELETE FROM bot_rankings_rows WHERE day = %s AND bot_id = 2"],
    "ranked_with_an_earlier_version": ["UPDATE bot_rankings_rows SET weight_version = 2 WHERE day = %s"],
    "allocations_follow_the_ranking": ["UPDATE fund_allocations SET rank = rank + 1 WHERE day = %s AND bot_id = 2"],
    "weights_make_100": [
        "UPDATE variable_weights_rows SET weight = weight + 0.1 WHERE day = %s AND variable = 'avg_drawdown'"
    ],
    "version_was_in_force": [
        "UPDATE variable_weights_rows SET weight = -weight WHERE day = %s AND variable = 'avg_drawdown'"
    ],
}
RESTING = [rule for rule in RULES if rule.query == "rests_on"]


@pytest.fixture
def fleet(database: str) -> str:
    """Six bots' trades over forty days, the last five of them computed."""
    trades = simulate("base", bots=6, days=40, seed=3, end=END).trades
    load_trades(database, read_frame(trades, "simulator", END), "fleet")
    with connect(database) as connection:
        save_settings(connection, FundSettings("USD", 1000_00, "belief_edge"), "test", "a test")
    days.refresh(database, BEFORE, LAST, END)
    days.learn(database, BEFORE, LAST)
    return database


def test_nothing_breaks_a_rule(fleet: str) -> None:
    with connect(fleet) as connection:
        found = audit_days(connection, FIRST, LAST)
    assert [rule for rule, _ in found] == [*RULES]
    for _, check in found:
        assert (check.passed, check.figures) == (True, {"days": "2025-02-25 to 2025-02-28", "wrong": 0})


def test_every_rule_finds_what_breaks_it_and_only_in_the_days_asked_for(fleet: str) -> None:
    assert {*TAMPERED, "quarantine_is_empty"} == {rule.name for rule in RULES if rule not in RESTING}
    with connect(fleet) as connection:
        for name, statements in TAMPERED.items():
            with connection.transaction(force_rollback=True):
                for statement in statements:
                    connection.execute(statement, (BEFORE,))
                assert offenders(connection, BY_NAME[name], FIRST, LAST)[0] == 0, name
                for statement in statements:
                    connection.execute(statement, (LAST,))
                wrong, shown = offenders(connection, BY_NAME[name], FIRST, LAST)
                assert wrong >= 1, name
                assert set(shown["day"]) == {LAST}, name


@pytest.mark.parametrize("rule", RESTING, ids=lambda rule: f"{rule.asset}_{rule.name}")
def test_a_day_that_rests_on_an_older_computation_is_found(fleet: str, rule: Rule) -> None:
    upstream = rule.parameters["upstream"]
    with connect(fleet) as connection:
        (newest,) = connection.execute("SELECT max(mark) FROM refreshed_days").fetchone()
        for day in (BEFORE, LAST):  # as if its upstream had been computed again
            connection.execute(
                "INSERT INTO refreshed_days (asset, day, as_of, seen) SELECT asset, day + 1000, as_of, seen "
                "FROM refreshed_days WHERE (asset, day) = (%(asset)s, %(day)s)",
                {"asset": upstream, "day": day},
            )
            connection.execute("DELETE FROM refreshed_days WHERE (asset, day) = (%s, %s)", (upstream, day))
            connection.execute("UPDATE refreshed_days SET day = day - 1000 WHERE day = %s::date + 1000", (day,))
        wrong, shown = offenders(connection, rule, FIRST, LAST)
    assert (wrong, shown["day"].tolist(), shown["there"].tolist()) == (1, [LAST], [newest + 2])


def test_twins_are_counted_and_named(fleet: str) -> None:
    with connect(fleet) as connection:
        for number in (1, 2):
            connection.execute(
                WRITTEN.format(10) + "generate_series(1, %s)", (LAST - timedelta(days=number), number + 1)
            )
        wrong, shown = offenders(connection, BY_NAME["suspected_twins"], FIRST, LAST)
        assert BY_NAME["suspected_twins"].severity == "WARN"
    assert (wrong, shown["trades"].tolist()) == (2, [3, 2])
    assert [len(ids.split(", ")) for ids in shown["first_ids"]] == [3, 2]


def test_a_swap_of_ranks_is_two_wrong_ranks(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("UPDATE bot_rankings_rows SET rank = 3 - rank WHERE rank <= 2")
        wrong, shown = offenders(connection, BY_NAME["ranks_follow_the_scores"], LAST, LAST)
    assert wrong == 2
    assert list(zip(shown["rank"], shown["expected"], strict=True)) == [(2, 1), (1, 2)]
