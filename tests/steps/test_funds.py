"""Funds on a real database: who is given what, who is halted, and that it can be repeated."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from knowdefeat_pipeline.core.funds.settings import (
    DEFAULT_CAUTION,
    DEFAULT_SAME_EDGE_LIMIT,
    AllocationRules,
    FundSettings,
    RiskRules,
)
from knowdefeat_pipeline.core.simulation.bots import CAPITAL, simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.funds import AllocatedDays
from knowdefeat_pipeline.store.funds import fund_settings, resume, save_settings, set_active, unfunded
from knowdefeat_pipeline.store.simulation import remove_simulated
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

Clone = Callable[[str], AbstractContextManager[str]]
FIRST, LAST = date(2025, 2, 10), date(2025, 2, 14)
NOW = datetime(2025, 3, 1, tzinfo=UTC)
HALVES = FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5))


def close(url: str, bot: int, day: date, pnls: list[float], currency: str = "USD", ticker: str = "COIN") -> None:
    """Closed trades of an hour each from 01:00 on, with exactly those net pnls."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, "
            "notional, quote_currency) VALUES (%s, %s, 'LONG', 'closed', %s, %s, 10000, %s, 10000, %s)",
            [
                (bot, ticker, midnight + timedelta(hours=n), midnight + timedelta(hours=n + 1), 10000 + pnl, currency)
                for n, pnl in enumerate(pnls)
            ],
        )


@pytest.fixture(scope="module")
def ranked(cloned: Clone, template: str) -> Iterator[str]:
    """Bots 1 to 3 in USD, each a little better than the next, bot 9 with too few trades, and bots 11 and 12 in EUR;
    ranked from FIRST to LAST."""
    with cloned(template) as url:
        for n in range(5):
            day = FIRST + timedelta(days=n)
            close(url, 1, day, [10.0, 12.0, -1.0])
            close(url, 2, day, [6.0, -4.0, 5.0])
            close(url, 3, day, [-5.0, 4.0, -6.0])
            close(url, 11, day, [3.0, -1.0], "EUR")
            close(url, 12, day, [-3.0, 2.0], "EUR")
        close(url, 9, FIRST, [50.0])
        with connect(url) as connection:
            connection.execute("UPDATE bots SET capital = 10000")
        materialise(url, FIRST, LAST)
        yield url


@pytest.fixture
def fleet(cloned: Clone, ranked: str) -> Iterator[str]:
    """A clone of the ranked fleet."""
    with cloned(ranked) as url:
        yield url


def allocate(url: str, first: date, last: date) -> None:
    """The step's work alone, by the rankings that are there."""
    days.allocate(url, first, last)


def materialise(url: str, first: date, last: date, now: datetime = NOW) -> AllocatedDays:
    """What the job computes, and what it says of the allocations."""
    days.refresh(url, first, last, now)
    days.learn(url, first, last)
    allocated = days.allocate(url, first, last)
    allocated.require()
    return allocated


def save(url: str, settings: FundSettings, since: datetime | None = None) -> int:
    with connect(url) as connection:
        return save_settings(connection, settings, "test", "a test", since)


def allocated(url: str, day: date = LAST) -> dict[int, tuple[Decimal, str]]:
    return {row[0]: row[1:] for row in rows(url, "bot_id, amount, decision", f"day = '{day}'")}


def rows(url: str, columns: str = "*", where: str = "true", table: str = "fund_allocations") -> list[tuple]:
    with connect(url) as connection:
        return sorted(connection.execute(f"SELECT {columns} FROM {table} WHERE {where}").fetchall())


def events(url: str, bot: int) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(
            "SELECT kind, nullif(in_force_from, '-infinity'), author, reason FROM bot_events WHERE bot_id = %s "
            "ORDER BY event_id",
            (bot,),
        ).fetchall()


def end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def test_without_funds_nothing_is_allocated_and_the_currencies_are_named(fleet: str) -> None:
    found = materialise(fleet, LAST, LAST)
    assert rows(fleet) == rows(fleet, table="fund_allocation_days") == []
    with connect(fleet) as connection:
        assert unfunded(connection) == ["EUR", "USD"]
    assert all(check.passed for check in found.checks)


def test_funds_follow_the_scores_to_the_cent_and_the_rest_is_cash(fleet: str) -> None:
    save(fleet, HALVES)
    divided = materialise(fleet, LAST, LAST)
    found = allocated(fleet)
    scores = {row[0]: row[1] for row in rows(fleet, "bot_id, rank_score, rank", f"day = '{LAST}'", "bot_rankings")}
    assert scores[1] > 50
    assert sorted(found) == [1, 2, 3, 9]
    assert found[1] == (Decimal("500.00"), "capped")
    assert found[9] == (Decimal("0.00"), "unranked")
    assert sum(amount for amount, _ in found.values()) == Decimal("1000.00")
    (day,) = rows(
        fleet, "quote_currency, method, funds, allocated, cash, cash_reason, bots", table="fund_allocation_days"
    )
    assert day == ("USD", "rank_score", 1000, 1000, 0, "all funds are allocated", 4)
    assert divided.division.days[["allocated", "cash"]].to_numpy().tolist() == [[1000_00, 0]]
    checks = days.checks([divided])
    assert all(check.passed for check in checks.values())
    assert checks["no_cap_is_broken"].figures == {"largest share of a bot": 0.5, "largest share of a ticker": 1.0}
    assert checks["amounts_and_cash_sum_to_the_funds"].figures == {"days": 1, "off by": 0.0}


def test_a_range_equals_its_days_and_a_second_run_changes_nothing(fleet: str) -> None:
    close(fleet, 3, FIRST + timedelta(days=2), [-600.0], ticker="DIP")
    save(fleet, HALVES)
    allocate(fleet, FIRST, LAST)
    ranged = [rows(fleet, table=table) for table in ("fund_allocations", "fund_allocation_days", "bot_events")]
    assert len(ranged[0]) == 5 * 4
    assert ranged[2]
    for n in range(4, -1, -1):
        allocate(fleet, FIRST + timedelta(days=n), FIRST + timedelta(days=n))
    assert [rows(fleet, table=table) for table in ("fund_allocations", "fund_allocation_days", "bot_events")] == ranged


def test_currencies_are_never_mixed(fleet: str) -> None:
    save(fleet, HALVES)
    save(fleet, FundSettings("EUR", 99_99, "equal", AllocationRules(bot_cap=1.0)))
    allocate(fleet, LAST, LAST)
    totals = rows(fleet, "quote_currency, funds, allocated, cash, funded", table="fund_allocation_days")
    assert totals == [("EUR", Decimal("99.99"), Decimal("99.99"), 0, 2), ("USD", 1000, 1000, 0, 2)]
    euro = rows(fleet, "bot_id, amount", "quote_currency = 'EUR'")
    assert sorted(amount for _, amount in euro) == [Decimal("49.99"), Decimal("50.00")]
    assert [bot for bot, _ in euro] == [11, 12]


def test_a_deactivated_bot_gets_nothing_and_stays_so(fleet: str) -> None:
    save(fleet, HALVES)
    allocate(fleet, FIRST, LAST)
    before = allocated(fleet, FIRST)
    with connect(fleet) as connection:
        assert set_active(connection, ["1"], False, "ann", "on holiday") == ["1"]
        assert set_active(connection, ["1"], False, "ann", "on holiday") == []
    allocate(fleet, FIRST, LAST)
    allocate(fleet, FIRST, LAST)
    assert allocated(fleet)[1] == (Decimal("0.00"), "inactive")
    assert rows(fleet, "reason", f"bot_id = 1 AND day = '{LAST}'") == [("deactivated by ann: on holiday",)]
    assert sum(amount for amount, _ in allocated(fleet).values()) == 500  # at bot 2, the other with points above 50
    assert allocated(fleet, FIRST) == before  # a past day keeps what was decided then
    assert events(fleet, 1) == [("deactivated", end_of(LAST), "ann", "on holiday")]
    with connect(fleet) as connection:
        assert connection.execute("SELECT is_active FROM bots WHERE bot_id = 1").fetchone() == (False,)
        set_active(connection, ["1"], True, "ann", "back")
    allocate(fleet, LAST, LAST)
    assert allocated(fleet)[1] == (Decimal("500.00"), "capped")


def test_switching_a_bot_in_the_table_is_recorded_too(fleet: str) -> None:
    save(fleet, HALVES)
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 2")
        user = connection.info.user
    allocate(fleet, LAST, LAST)
    assert allocated(fleet)[2] == (Decimal("0.00"), "inactive")
    assert events(fleet, 2) == [("deactivated", end_of(LAST), user, "set in the table bots")]


def test_before_the_first_ranking_a_decision_counts_for_every_day(database: str) -> None:
    close(database, 1, FIRST, [1.0] * 5)
    save(database, HALVES)
    with connect(database) as connection:
        connection.execute("UPDATE bots SET is_active = false")
    assert [event[:2] for event in events(database, 1)] == [("deactivated", None)]
    materialise(database, FIRST, FIRST)
    assert allocated(database, FIRST) == {1: (Decimal("0.00"), "inactive")}


@pytest.mark.long
def test_a_drawdown_halts_a_bot_until_a_person_resumes_it(fleet: str) -> None:
    """Bot 2 falls from 10,034 to 7,435: 25.9 % below its peak."""
    limits = RiskRules(drawdown=25.0, daily_loss=100.0, cool_down=timedelta(days=1))
    save(fleet, FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5), risk=limits))
    close(fleet, 2, LAST, [-2600.0], ticker="DIP")
    materialise(fleet, FIRST, LAST)
    assert allocated(fleet, LAST - timedelta(days=1))[2][1] != "halted"
    assert allocated(fleet)[2] == (Decimal("0.00"), "halted")
    (halt,) = events(fleet, 2)
    assert halt == (
        "halted", end_of(LAST), "risk rules", "halted: 25.9 % below its peak, beyond the limit of 25 %",
    )  # fmt: skip
    later = LAST + timedelta(days=3)
    materialise(fleet, LAST + timedelta(days=1), later)
    assert allocated(fleet, later)[2] == (Decimal("0.00"), "halted")  # a drawdown does not cool down
    with connect(fleet) as connection:
        resume(connection, ["2"], "ann", "its strategy was mended")
    materialise(fleet, FIRST, later)
    assert allocated(fleet, later)[2][1] == "no_share"
    assert allocated(fleet, later - timedelta(days=1))[2] == (Decimal("0.00"), "halted")
    assert [event[0] for event in events(fleet, 2)] == ["halted", "resumed"]


def test_what_rests_on_an_estimated_capital_says_so(fleet: str) -> None:
    """Bot 3 loses 600 of 10,000, the most that it had open at once; bot 1 has trades of no size, so no capital."""
    day = FIRST + timedelta(days=2)
    save(fleet, HALVES)
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET capital = NULL WHERE bot_id IN (1, 3)")
        connection.execute(
            "ALTER TABLE trades DISABLE TRIGGER USER;"
            "UPDATE trades SET notional = NULL, reported_pnl = pnl, pnl_basis = 'stated' WHERE bot_id = 1;"
            "ALTER TABLE trades ENABLE TRIGGER USER"
        )
    with connect(fleet) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional) "
            "VALUES (3, 'COIN', 'LONG', 'closed', %s, %s, 10000, 9400, 10000)",
            [datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for hour in (12, 13)],
        )
    materialise(fleet, FIRST, LAST)
    found = {row[0]: row[1:] for row in rows(fleet, "bot_id, decision, reason, capital_is_estimated", f"day = '{day}'")}
    assert found[3] == (
        "halted", "halted: lost 6.1 % of its capital within the day, beyond the limit of 5 %, by an estimate of its capital",
        True,
    )  # fmt: skip
    assert found[1][0] == "unmeasured"
    assert "knowdefeat bots set BOT --capital" in found[1][1]
    assert not found[2][2]
    assert "estimate" not in found[2][1]
    shown = "bot_id, capital, capital_is_estimated, max_drawdown IS NULL"
    metrics = rows(fleet, shown, f"day = '{day}' AND ticker = '*' AND bot_id < 4", "bot_metrics")
    assert metrics == [(1, None, True, True), (2, 10_000, False, False), (3, 10_000, True, False)]


def test_funds_are_divided_to_the_smallest_unit_of_their_currency(fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("ALTER TABLE trades DISABLE TRIGGER USER; UPDATE trades SET quote_currency = 'BTC' WHERE bot_id < 4;"
                           "ALTER TABLE trades ENABLE TRIGGER USER; UPDATE bots SET quote_currency = 'BTC' WHERE bot_id < 4;"
                           "UPDATE trades SET quote_currency = 'JPY' WHERE false")  # fmt: skip
    save(fleet, FundSettings("BTC", 100_000_001, "equal", AllocationRules(bot_cap=1.0)))
    materialise(fleet, FIRST, LAST)
    found = rows(fleet, "amount", f"day = '{LAST}' AND quote_currency = 'BTC' AND amount > 0")
    assert found == [(Decimal("0.33333333"),), (Decimal("0.33333334"),), (Decimal("0.33333334"),)]
    (summary,) = rows(
        fleet, "funds, allocated, cash", f"day = '{LAST}' AND quote_currency = 'BTC'", "fund_allocation_days"
    )
    assert summary == (Decimal("1.00000001"), Decimal("1.00000001"), 0)


def test_a_daily_loss_halts_a_bot_until_it_has_cooled_down(fleet: str) -> None:
    """Bot 3 loses 600 of 10,000 at 01:00 of the 12th; the day's last trade, 03:00, still leaves it beyond 5 %."""
    day = FIRST + timedelta(days=2)
    close(fleet, 3, day, [-600.0], ticker="DIP")
    limits = RiskRules(drawdown=50.0, daily_loss=5.0, cool_down=timedelta(hours=30))
    save(fleet, FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5), risk=limits))
    materialise(fleet, FIRST, LAST)
    decisions = [allocated(fleet, FIRST + timedelta(days=n))[3][1] for n in range(5)]
    assert [decision == "halted" for decision in decisions] == [False, False, True, False, False]
    assert [(kind, at) for kind, at, *_ in events(fleet, 3)] == [
        ("halted", end_of(day)),
        ("released", end_of(day + timedelta(days=1))),
    ]
    with connect(fleet) as connection:
        figures = connection.execute("SELECT figures FROM bot_events WHERE bot_id = 3 AND kind = 'halted'").fetchone()[
            0
        ]
    assert figures["daily_loss"] == pytest.approx(6.07)
    assert figures["daily_loss_limit"] == 5.0
    noon = end_of(day) - timedelta(hours=12)
    materialise(fleet, day, day, now=noon)
    assert rows(fleet, "as_of, decision", f"bot_id = 3 AND day = '{day}'") == [(noon, "halted")]


def test_settings_count_from_the_last_ranking_or_the_day_that_is_named(fleet: str) -> None:
    save(fleet, HALVES)
    allocate(fleet, FIRST, LAST)
    save(fleet, FundSettings("USD", 500_00, allocation=AllocationRules(bot_cap=0.5)))
    allocate(fleet, FIRST, LAST)
    funds = [row[1] for row in rows(fleet, "day, funds", table="fund_allocation_days")]
    assert funds == [1000, 1000, 1000, 1000, 500]
    save(fleet, FundSettings("USD", 300_00), since=end_of(LAST - timedelta(days=3)))
    allocate(fleet, FIRST, LAST)
    assert [row[1] for row in rows(fleet, "day, funds", table="fund_allocation_days")] == [1000, 300, 300, 300, 300]


@pytest.mark.parametrize("method", ["inverse_variance", "hrp"])
def test_funds_by_risk(fleet: str, method: str) -> None:
    save(fleet, FundSettings("USD", 1000_00, method, AllocationRules(bot_cap=1.0)))
    close(fleet, 1, LAST, [100.0], ticker="UP")
    allocate(fleet, LAST, LAST)
    found = allocated(fleet)
    assert sum(amount for amount, _ in found.values()) == 1000
    assert found[1][0] < found[2][0]  # a day that is out of the ordinary is risk


def test_funds_by_what_is_believed_of_strategies(fleet: str) -> None:
    save(fleet, FundSettings("USD", 1000_00, "belief_edge", AllocationRules(bot_cap=1.0)))
    with connect(fleet) as connection:
        connection.execute("DROP TABLE IF EXISTS strategy_beliefs CASCADE")
        connection.execute("CREATE TABLE strategy_beliefs (day date, strategy_id text, regime text, edge float8)")
        connection.execute(
            "INSERT INTO strategy_beliefs VALUES (%(day)s, 'a', '*', 0.3), (%(day)s, 'a', 'RANGING', 0.9), "
            "(%(day)s, 'b', '*', 0.1), (%(day)s - 1, 'b', '*', 0.9)",
            {"day": LAST},
        )
        connection.execute("UPDATE bots SET strategy_id = (ARRAY['a', 'b'])[bot_id]")
    allocate(fleet, LAST, LAST)
    assert allocated(fleet) == {
        1: (Decimal("750.00"), "funded"),
        2: (Decimal("250.00"), "funded"),
        3: (Decimal("0.00"), "unmeasured"),
        9: (Decimal("0.00"), "unranked"),
    }


def test_a_bot_whose_trades_name_no_strategy_is_one_of_its_own(fleet: str) -> None:
    save(fleet, FundSettings("USD", 1000_00, "belief_edge", AllocationRules(bot_cap=1.0)))
    materialise(fleet, FIRST, LAST)
    edges = dict(rows(fleet, "strategy_id, edge", f"regime = '*' AND day = '{LAST}'", "strategy_beliefs"))
    assert edges["bot 1"] > 0
    found = allocated(fleet)
    assert found[1][1] == "funded"
    assert found[1][0] > 0
    assert "unmeasured" not in {decision for _, decision in found.values()}


def test_decisions_go_only_with_their_bot(fleet: str) -> None:
    """A simulated fleet that makes room leaves nothing to the real bots that take its numbers."""
    save(fleet, HALVES)
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET is_active = false")
    allocate(fleet, LAST, LAST)
    with connect(fleet) as connection:
        connection.execute("ALTER TABLE trades DISABLE TRIGGER trades_protect")
        connection.execute("UPDATE trades SET simulated = true")
        remove_simulated(connection)
    tables = ("bot_events", "fund_allocations", "fund_allocation_days", "bots")
    assert [rows(fleet, table=table) for table in tables] == [[], [], [], []]
    with connect(fleet) as connection:
        assert len(fund_settings(connection)) == 1


def test_decisions_are_never_changed(fleet: str) -> None:
    save(fleet, HALVES)
    with connect(fleet) as connection:
        set_active(connection, ["1"], False, "ann", "a test")
        for statement in ("UPDATE fund_settings SET funds = 1", "DELETE FROM bot_events", "DELETE FROM fund_settings"):
            with pytest.raises(psycopg.errors.CheckViolation, match="never changed or deleted"):
                connection.execute(statement)


@pytest.mark.long
@pytest.mark.parametrize("world", ["null", "negative"])
def test_fleets_without_skill_end_in_cash(database: str, world: str) -> None:
    """In this seed the fleet was lucky as a whole by day 30: P(edge > 0) of all bots is above .5, and without the
    question whether they can be told apart all is placed (`benchmarks.funds` says how often). With it all is cash.
    Bots of 50 points or fewer get 0 in any case."""
    end = datetime(2025, 3, 1, tzinfo=UTC)
    last = (end - timedelta(days=1)).date()
    trades = simulate(world, bots=24, days=30, seed=7, end=end).trades
    load_trades(database, read_frame(trades, "paper", end, CAPITAL), "fleet")
    caps = AllocationRules(bot_cap=0.2)
    usual = FundSettings(
        "USD", 1000_00, allocation=caps, caution=DEFAULT_CAUTION, same_edge_limit=DEFAULT_SAME_EDGE_LIMIT
    )
    save(database, usual)
    materialise(database, last, last, end)
    whole = "cash, funds, cash_reason"
    ((cash, funds, why),) = rows(database, whole, f"day = '{last}'", "fund_allocation_days")
    assert (cash, funds) == (1000, 1000)
    assert "doubtful while bots cannot be told apart (all have one edge with probability 0.2" in why
    save(database, replace(usual, caution=0.5, same_edge_limit=1.0))
    allocate(database, last, last)
    assert rows(database, "cash", f"day = '{last}'", "fund_allocation_days") == [(0,)]
    save(database, FundSettings("USD", 1000_00, allocation=AllocationRules(bot_cap=0.5), caution=None))
    allocate(database, last, last)
    scores = dict(rows(database, "bot_id, rank_score", f"day = '{last}'", "bot_rankings"))
    given = allocated(database, last)
    assert all(amount == 0 for bot, (amount, _) in given.items() if not (scores[bot] or 0) > 50)
    assert any(amount > 0 for amount, _ in given.values())
