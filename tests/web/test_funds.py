"""Funds: every amount is the table's, with its reason; currencies never meet; parts make the whole."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.funds import save_settings
from tests.steps import days
from tests.web.conftest import LAST, NASTY, Web
from tests.web.test_api import as_json, wait_for_version
from tests.web.test_pages import Figures, shown, value

ORDER = "ORDER BY quote_currency, amount DESC, rank, bot_id"


@pytest.fixture
def two_currencies(own_web: Web) -> Web:
    """The fleet, and a bot that accounts in yen, with funds of both."""
    with connect(own_web.url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, quote_currency) "
            "SELECT 50, 'XBT', 'LONG', t - interval '1 hour', 100, 100, 'closed', t, 101, 'JPY' FROM generate_series(%s - interval '20 hours', %s - interval '1 hour', '3 hours') AS t",
            (day_end(LAST), day_end(LAST)),
        )
        save_settings(connection, FundSettings("JPY", 5_000), "the owner", "yen")
    days.refresh(own_web.url, LAST, LAST, day_end(LAST))
    return own_web


def test_the_allocation_is_that_of_the_tables(web: Web) -> None:
    found = web.json("/allocations")
    assert (found["day"], found["next"], found["count"]) == (str(LAST), None, 9)
    names = [figure.name for figure in TABLES["fund_allocations"]]
    expected = web.rows(f"SELECT {', '.join(names)} FROM fund_allocations WHERE day = %s {ORDER}", LAST)
    assert [tuple(row[name] for name in names) for row in found["data"]] == [tuple(map(as_json, r)) for r in expected]
    assert all(row["reason"] for row in found["data"])
    strategies = dict(web.rows("SELECT bot_id, strategy_id FROM bot_strategies"))
    assert {row["bot_id"]: row["strategy"] for row in found["data"]} == strategies
    days = [figure.name for figure in TABLES["fund_allocation_days"]]
    summary = web.rows(f"SELECT {', '.join(days)} FROM fund_allocation_days WHERE day = %s", LAST)
    assert [tuple(of[name] for name in days) for of in found["currencies"]] == [tuple(map(as_json, r)) for r in summary]
    (usd,) = found["currencies"]
    assert usd["funds"] == 100_000.0
    assert sum(Decimal(str(row["amount"])) for row in found["data"]) == Decimal(str(usd["allocated"]))
    assert usd["allocated"] + usd["cash"] == usd["funds"]


def test_parts_of_the_allocation_make_the_whole(web: Web) -> None:
    whole = web.json("/allocations")["data"]
    parts: list[Any] = []
    following: str | None = "/api/v1/allocations?limit=4"
    while following:
        answer = web.get(following)
        parts += answer.json()["data"]
        following = answer.json()["next"]
        assert answer.headers.get("link") == (f'<{following}>; rel="next"' if following else None)
    assert parts == whole
    (inactive,) = web.json("/allocations?decision=inactive")["data"]
    assert inactive["bot_id"] == 3
    assert web.json("/allocations?currency=JPY") | {"day": ""} == {
        "day": "",
        "count": 0,
        "next": None,
        "currencies": [],
        "data": [],
    }


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/funds/XXX", 404, "No funds are set in XXX"),
        ("/funds/XXX/days", 404, "No funds are set in XXX"),
        ("/allocations?cursor=WzEsMiwzLDQsNV0", 400, "take it from next"),
        ("/allocations?day=soon", 422, "query.day"),
    ],
)
def test_what_cannot_be_answered_is_told(web: Web, path: str, status: int, words: str) -> None:
    assert words in web.get(f"/api/v1{path}", status).json()["detail"]


def test_settings_are_those_that_were_recorded_and_new_ones_are_seen_at_once(own_web: Web) -> None:
    (first,) = own_web.json("/funds")
    assert (first["quote_currency"], first["funds"], first["reason"], first["in_force_from"]) == (
        "USD",
        100_000.0,
        NASTY,
        None,
    )
    wait_for_version(own_web, 1)
    own_web.json("/funds")
    before = own_web.site.live.version or 0
    with connect(own_web.url) as connection:
        version = save_settings(connection, FundSettings("USD", 5_000_00), "the owner", "less")
    wait_for_version(own_web, before + 1)
    (latest,) = own_web.json("/funds")
    assert (latest["version"], latest["funds"], latest["reason"]) == (version, 5_000.0, "less")
    assert [row["version"] for row in own_web.json("/funds/USD")] == [version, first["version"]]


def test_days_of_funds_are_those_of_the_table(web: Web) -> None:
    names = [figure.name for figure in TABLES["fund_allocation_days"]]
    found = web.json("/funds/USD/days?days=10")
    statement = (
        f"SELECT {', '.join(names)} FROM fund_allocation_days WHERE quote_currency = 'USD' AND day > %s ORDER BY day"
    )
    expected = web.rows(statement, LAST - timedelta(days=10))
    assert [tuple(row[name] for name in names) for row in found] == [tuple(map(as_json, row)) for row in expected]
    assert len(found) == 10


def test_every_figure_of_the_page_is_that_of_the_table(web: Web) -> None:
    text = web.get("/funds").text
    found = Figures(text).found
    ((funds, allocated, cash, reason, bots, funded),) = web.rows(
        "SELECT funds, allocated, cash, cash_reason, bots, funded FROM fund_allocation_days WHERE day = %s", LAST
    )
    for name, number in (("funds", funds), ("allocated", allocated), ("cash", cash)):
        assert value(found["USD", name]) == float(number)
    assert [value(found["USD", name]) for name in ("bots", "funded")] == [bots, funded]
    assert f"{reason}." in text
    rows = web.rows(
        "SELECT bot_id, rank, amount, 100 * target, 100 * amount / %s, p_skill, drawdown, daily_loss, reason FROM fund_allocations WHERE day = %s",
        funds,
        LAST,
    )
    assert len(rows) == 9
    names = ("rank", "amount", "target", "share", "p_skill", "drawdown", "daily_loss")
    for bot, *figures, why in rows:
        for name, number, decimals in zip(names, figures, (0, 2, 2, 2, 2, 1, 1), strict=True):
            number = None if number is None else float(number)
            assert value(found[f"bot-{bot}", name]) == shown(number, decimals), (bot, name)
        assert why in text
    assert value(found[f"bot-{rows and [r[0] for r in web.rows(f'SELECT bot_id FROM fund_allocations WHERE day = %s {ORDER}', LAST)][-1]}", "sum"]) == float(allocated)  # fmt: skip
    for decision, count, amount in web.rows(
        "SELECT decision, count(*), sum(amount) FROM fund_allocations WHERE day = %s GROUP BY 1", LAST
    ):
        assert value(found[f"decision-{decision}", "bots"]) == count
        assert value(found[f"decision-{decision}", "amount"]) == float(amount)


def test_currencies_never_meet_on_a_page(two_currencies: Web) -> None:
    web = two_currencies
    for currency, digits, bots in (("USD", 2, 9), ("JPY", 0, 1)):
        text = web.get(f"/funds?currency={currency}").text
        found = Figures(text).found
        ((funds, allocated, cash),) = web.rows(
            "SELECT funds, allocated, cash FROM fund_allocation_days WHERE day = %s AND quote_currency = %s",
            LAST,
            currency,
        )
        for name, number in (("funds", funds), ("allocated", allocated), ("cash", cash)):
            assert value(found[currency, name]) == float(number)
            assert ("." in found[currency, name]) == (digits > 0)
        assert {name for place, name in found if place == currency} >= {"funds", "allocated", "cash"}
        assert len({place for place, _ in found if place.startswith("bot-")}) == bots
        told = web.get(f"/funds?currency={currency}&format=json").json()
        assert {row["quote_currency"] for row in told} == {currency}
        assert web.json(f"/allocations?currency={currency}")["count"] == bots
    assert [of["quote_currency"] for of in web.json("/allocations")["currencies"]] == ["JPY", "USD"]


def test_files_hold_the_rows_that_are_shown(web: Web) -> None:
    (row,) = web.get("/funds?decision=inactive&format=json").json()
    assert (row["bot_id"], row["decision"], row["amount"]) == (3, "inactive", 0.0)
    lines = web.get("/funds?decision=inactive&format=csv").text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("day,as_of,bot_id,quote_currency,settings_version,ticker,rank,target,amount,decision,")


def test_without_funds_the_page_says_what_to_type(own_web: Web) -> None:
    with connect(own_web.url) as connection:
        connection.execute("DELETE FROM fund_allocations")
        connection.execute("DELETE FROM fund_allocation_days")
    text = own_web.get("/funds?days=30").text
    assert "knowdefeat funds set --funds 100000" in text
    own_web.get("/api/v1/allocations", 404)
    assert own_web.json("/funds/USD/days") == []
    assert "No bot is like that" not in text
