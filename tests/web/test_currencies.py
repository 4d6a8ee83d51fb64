"""Two currencies on one page: each amount says its own, each list of money is within one, and no chart has both."""

import html
import json
import re
from datetime import timedelta

import pytest

from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.postgres.connection import connect
from tests.steps import days
from tests.web.conftest import LAST, Web

YEN, SHELL = 50, "a;b"  # a bot, whose name a shell would take for two commands
AMOUNTS = r'<td class="n" data-figure="(pnl|pnl_1d|pnl_30d)">(.*?)</td>'


def give_yen(url: str) -> None:
    """A bot that accounts in yen and is ranked, of a strategy that bots in dollars have too."""
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, quote_currency) "
            "SELECT %s, 'XBT', 'LONG', t - interval '1 hour', 100, 10000, 'closed', t, 100 + sin(extract(epoch FROM t)), 'JPY' "
            "FROM generate_series(%s - interval '20 days', %s - interval '1 hour', '6 hours') AS t",
            (YEN, day_end(LAST), day_end(LAST)),
        )
        connection.execute(
            "UPDATE bots SET name = %s, strategy_id = (SELECT strategy_id FROM bot_strategies WHERE bot_id = 1) WHERE bot_id = %s",
            (SHELL, YEN),
        )
    days.refresh(url, LAST - timedelta(days=1), LAST, day_end(LAST))


@pytest.fixture
def two(own_web: Web) -> Web:
    give_yen(own_web.url)
    return own_web


def test_amounts_of_the_fleet_say_their_currency(two: Web, web: Web) -> None:
    text = two.get("/").text
    of_bot = dict(two.rows("SELECT bot_id, quote_currency FROM bots"))
    told = [
        (int(bot), re.findall(r"<abbr>(\w+)</abbr>", row))
        for bot, row in re.findall(r'<tr id="(?:top|mover)-(\d+)">(.*?)</tr>', text)
    ]
    assert {of_bot[bot] for bot, _ in told} == {"JPY", "USD"}
    assert [named for _, named in told] == [[of_bot[bot]] for bot, _ in told]
    of_trade = dict(two.rows("SELECT trade_id, quote_currency FROM trades"))
    closed = re.findall(r'<tr id="trade-(\d+)">.*?<abbr>(\w+)</abbr></td></tr>', text)
    assert len(closed) == 12
    assert [of_trade[int(trade)] for trade, _ in closed] == [currency for _, currency in closed]
    assert re.findall(r"<h3>In (\w+)</h3>", text) == ["USD", "JPY"]
    expected = {
        (currency, strategy): bots
        for currency, strategy, bots in two.rows(
            "SELECT quote_currency, s.strategy_id, count(*)::int FROM bots JOIN bot_strategies AS s USING (bot_id) "
            "JOIN bot_rankings AS r USING (bot_id) WHERE r.day = %s GROUP BY 1, 2",
            LAST,
        )
    }
    rows = re.findall(
        r'<tr id="group-(\w+)-\d+"><th[^>]*><a[^>]*>(.*?)</a></th><td class="n" data-figure="bots">(\d+)<', text
    )
    assert {(currency, html.unescape(name)): int(bots) for currency, name, bots in rows} == expected
    assert "<abbr>" not in web.get("/").text  # of one currency a heading says it


def test_bots_are_sorted_by_money_within_each_currency(two: Web, web: Web) -> None:
    for sort, sign in (("-pnl", -1), ("pnl", 1), ("-pnl_1d", -1)):
        found: list[tuple[str, float | None]] = []
        following: str | None = f"/api/v1/rankings?sort={sort}&limit=3"
        while following:
            answer = two.get(following).json()
            found += [(row["quote_currency"], row[sort.lstrip("-")]) for row in answer["data"]]
            following = answer["next"]
        assert len(found) == 10
        assert found == sorted(found, key=lambda of: (of[0], of[1] is None, sign * (of[1] or 0)))
    page = two.get("/ranking?sort=-pnl").text
    named = re.findall(r'<td data-figure="quote_currency">(\w+)</td>', page)
    assert named == ["JPY"] + 9 * ["USD"]
    assert ">In</th>" in page
    assert ">In</th>" not in web.get("/ranking").text


def test_bots_of_two_currencies_are_compared_on_an_axis_each(two: Web) -> None:
    names = [name for (name,) in two.rows("SELECT name FROM bots WHERE bot_id IN (1, 4, %s)", YEN)]
    text = two.get("/compare", params={"bots": names}).text
    sections = re.findall(r"<h2>Cumulative net pnl, 30 days, in (\w+)</h2>(.*?)</section>", text, re.DOTALL)
    series = {
        currency: [of["label"] for of in json.loads(re.findall(r"json\">(.*?)</script>", section)[0])["series"]]
        for currency, section in sections
    }
    assert {currency: sorted(labels) for currency, labels in series.items()} == {"USD": ["1", "4"], "JPY": [SHELL]}
    assert sorted(re.findall(r'data-figure="pnl">.*?<abbr>(\w+)</abbr>', text)) == ["JPY", "USD", "USD"]


def test_commands_are_quoted_for_a_shell(two: Web) -> None:
    assert "knowdefeat bots deactivate 'a;b' --reason TEXT" in html.unescape(two.get("/bots/a%3Bb").text)
    with connect(two.url) as connection:
        connection.execute("UPDATE bots SET quote_currency = 'JPY' WHERE bot_id = %s", (YEN,))
    assert (
        "knowdefeat funds set --currency 'a;b' --funds AMOUNT" in two.get("/api/v1/funds/a%3Bb", 404).json()["detail"]
    )


def test_a_file_is_named_by_what_there_is(own_web: Web) -> None:
    with connect(own_web.url) as connection:
        connection.execute("DELETE FROM fund_allocations; DELETE FROM fund_allocation_days")
    for asked, name in (("", "funds-USD.csv"), ('&currency=a"%E2%82%AC', "funds-a__.csv")):
        answer = own_web.get(f"/funds?format=csv{asked}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_a_calendar_s_cells_are_no_zeros_and_no_parts_of_figures(own_web: Web) -> None:
    """Of a bot in BTC, whose days come to less than 1, and of one in rupiahs, whose days come to millions."""
    with connect(own_web.url) as connection:
        for bot, currency, notional in ((60, "BTC", 2), (61, "IDR", 5e9)):
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, quote_currency) "
                "VALUES (%s, 'XBT', 'LONG', %s, 100, %s, 'closed', %s, 101.234, %s)",
                (bot, day_end(LAST) - timedelta(hours=2), notional, day_end(LAST) - timedelta(hours=1), currency),
            )
    days.refresh(own_web.url, LAST, LAST, day_end(LAST))
    for bot, told, whole in ((60, "+0.025", "+0.02468000"), (61, "+61.7 M", "+61,700,000.00")):
        cells = re.findall(r'<td class="cell u4"><a href="[^"]*" title="[^:]*: ([^,"]*(?:,\d{3})*[^,"]*), 1 trades">([^<]*)</a>', own_web.get(f"/bots/{bot}").text)  # fmt: skip
        assert cells == [(whole, told)]
