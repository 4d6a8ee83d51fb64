"""The demo: what is planted in its bots stands beside what was found, every part has something to say, and all of it leaves
with its fleet."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.commands.simulate import load_demo
from knowdefeat_pipeline.cli.views import output
from knowdefeat_pipeline.cli.views.demo import found_of, planted_in
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.simulation.demo import BARS_BEFORE, DAMAGED, DAYS, PLANTED, simulate_demo
from knowdefeat_pipeline.core.simulation.findings import Found
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.funds import fund_settings, save_settings
from tests.cli.conftest import Shell
from tests.web.conftest import served

Clone = Callable[[str], AbstractContextManager[str]]
END = datetime(2025, 7, 1, tzinfo=UTC)
LAST = date(2025, 6, 30)
NAME = {bot.role: bot.name for bot in PLANTED}
OWN = """source_trade_id,bot_id,ticker,direction,entry_time,exit_time,entry_price,exit_price,notional,fees
1,7,BTC-USD,LONG,2025-06-02 09:00,2025-06-02 11:00,100,101,1000,1
"""


@pytest.fixture(scope="module")
def loaded(cloned: Clone, template: str) -> Iterator[str]:
    """The demo of a fixed month, with all its days computed."""
    with cloned(template) as url:
        load_demo(url, simulate_demo(END))
        defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
        with dg.DagsterInstance.ephemeral() as instance:
            refresh_days(defs, instance, LAST - timedelta(days=DAYS + BARS_BEFORE - 1), LAST, job="market")
            refresh_days(defs, instance, LAST - timedelta(days=DAYS - 1), LAST, job="recompute")
        yield url


@pytest.fixture
def demo(loaded: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", loaded)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys, loaded)


def by_role(answer: Any) -> dict[str, Any]:
    return {bot["role"]: bot for bot in answer["bots"] if bot["role"] != "ordinary"}


def test_what_was_found_stands_beside_what_was_planted(demo: Shell) -> None:
    """The figures of this month: the product is fooled by the survivor, and thinks too well of the lottery."""
    answer = demo.json("demo")
    assert (answer["day"], len(answer["bots"])) == (str(LAST), 24)
    bots = by_role(answer)
    assert list(bots) == [bot.role for bot in PLANTED]
    assert [role for role, bot in bots.items() if not bot["is_right"]] == ["survivor", "lottery"]
    found = {role: bot["found"] for role, bot in bots.items()}
    assert {role: of["verdict"] for role, of in found.items()} == {
        "skilled": "good", "duplicate": "good", "losing": "losing", "lucky": "cannot be judged: 3 closed losses",
        "survivor": "good", "turned": "likely good", "grid": "cannot be judged: 1 closed loss",
        "bag holder": "cannot be judged: 0 closed losses", "martingale": "cannot be told from luck",
        "lottery": "likely good", "newcomer": "cannot be judged: 1 closed loss",
        "broken feed": "cannot be told from luck",
    }  # fmt: skip
    assert found["skilled"]["amount"] + found["duplicate"]["amount"] == pytest.approx(10_000)
    assert {role for role, of in found.items() if of["amount"]} == {"skilled", "duplicate", "survivor"}
    assert found["bag holder"]["flag"] == "open loss exceeds the gain of 30 days"
    assert found["bag holder"]["decision"] == "halted"
    assert found["newcomer"]["unranked"] == "2 closed trades in 30 days, 5 needed"
    assert found["broken feed"]["held"] == DAMAGED
    assert sorted(bot["found"]["rank"] or 24 for bot in answer["bots"]) == list(range(1, 25))
    assert answer["ordinary"]["bots"] == 12
    assert sum(answer["regimes"].values()) == pytest.approx(1)


def test_beliefs_are_fooled_by_who_closes_no_loss(loaded: str) -> None:
    """As the page of the demo says."""
    with connect(loaded) as connection:
        ((weight,),) = connection.execute(
            "SELECT weight FROM strategy_weights WHERE day = %s AND strategy_id = 'grid'", (LAST,)
        ).fetchall()
    assert weight > 0.5


def test_it_fits_80_columns(demo: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.out, "width", 80)
    lines = demo("demo").splitlines()
    assert max(map(len, lines)) <= 80
    assert "10 of 12 are found." in lines
    text = " ".join(" ".join(lines).split())
    assert "The demo as of 2025-07-01 00:00 UTC" in text
    for bot in PLANTED:
        assert any(line.startswith(f"{bot.role} ") for line in lines)
        assert any(line.startswith(f"{bot.name} ") for line in lines)
    (survivor,) = (line for line in lines if line.startswith("survivor"))
    assert survivor.split()[1:3] == ["no", "edge:"]
    assert survivor.split()[-1] == "no"
    assert "The other 12 bots are ordinary: edges from -0.10 to +0.20 R." in text


def test_nothing_is_found_that_the_database_does_not_say(
    demo: Shell, cloned: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloned(demo.database) as url:
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
        with connect(url) as connection:
            connection.execute("DELETE FROM trade_quarantine WHERE reason = 'poison'")
            connection.execute("UPDATE fund_allocations SET amount = amount + 1 WHERE amount > 0 AND day = %s", [LAST])
        bots = by_role(demo.json("demo"))
        assert bots["broken feed"]["found"]["held"] == {r: n for r, n in DAMAGED.items() if r != "poison"}
        assert [role for role, bot in bots.items() if not bot["is_right"]] == [
            "duplicate", "survivor", "lottery", "broken feed",
        ]  # fmt: skip


COMMANDS = {
    "rankings": r"momentum-eth-1 .* good",
    "skill": r"trend-btc-1 .*> 99.9 %",
    "metrics --bot trend-btc-1": r"price_wall_score +0\.\.100 +\d",
    "streaks": r"grid-sol-1",
    "weights": r"version 1",
    "funds show": r"100,000\.00",
    "allocate --explain trend-btc-2": r"shared with trend-btc-1",
    "bots": r"grid-sol-1 .*halted",
    "bots history": r"open positions lost",
    "quarantine list": r"unknown_direction",
    "imports list": r"simulator",
    "regimes": r"DEMO-SOL",
    "beliefs": r"martingale",
    "backtest funds": r"cash",
    "size --strategy trend --base 1000 --confidence 70": r"half Kelly|Kelly",
}


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_something_to_say(demo: Shell, command: str) -> None:
    assert re.search(COMMANDS[command], demo(*command.split())), demo.output


PAGES = ("/", "/ranking", "/bots/grid-sol-1", "/compare", "/weights", "/learning", "/regimes", "/funds", "/data",
         "/data/rows/1", "/operations")  # fmt: skip


def test_every_page_has_something_to_say(loaded: str) -> None:
    with served(loaded) as web:
        admin = web.token("admin")
        pages = {path: web.get(path, headers=admin).text for path in PAGES}
    assert [path for path, page in pages.items() if 'class="card empty"' in page] == []
    assert "an open loss that exceeds the gain of 30 days" in pages["/"]
    assert "13</strong> held rows" in pages["/"]
    assert "DEMO-SOL" in pages["/regimes"]
    assert "shared with trend-btc-1" in pages["/funds"]
    assert "Stated confidence against what was won" in pages["/learning"]
    assert "conflicting_trade" in pages["/data"]


def test_a_load_of_own_trades_leaves_nothing_of_it(
    demo: Shell, cloned: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.csv").write_text(OWN)
    with cloned(demo.database) as url:
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
        with connect(url) as connection:
            save_settings(connection, FundSettings("USD", 500_00), "the owner", "my own")
            connection.execute(
                "INSERT INTO price_bars (ticker, timeframe, open_time, open, high, low, close)"
                " VALUES ('BTC-USD', '1h', %s, 1, 1, 1, 1)",
                [END],
            )
        demo("ingest", tmp_path / "own.csv")
        with connect(url) as connection:
            (own,) = fund_settings(connection)
            assert own.funds == 500_00
            for table in ("price_bars", "order_book_levels", "market_regimes"):
                tickers = connection.execute(f"SELECT DISTINCT ticker FROM {table}").fetchall()
                assert tickers == ([("BTC-USD",)] if table == "price_bars" else [])
            assert connection.execute("SELECT name FROM bots").fetchall() == [("7",)]
            for table in ("trade_quarantine", "bot_events", "fund_allocations", "trade_scores"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert "this one holds some" in demo("demo")
        assert demo.json("demo") == {"day": None, "bots": [], "ordinary": None, "regimes": None}


@pytest.mark.long
def test_where_it_is_not_loaded_or_not_computed_it_says_what_to_do(shell: Shell) -> None:
    assert shell("demo") == "The demo is not loaded. Next: knowdefeat run, which does so where there are no trades\n"
    with connect(shell.database) as connection:
        save_settings(connection, FundSettings("USD", 500_00), "the owner", "my own")
    load_demo(shell.database, simulate_demo(END))
    with connect(shell.database) as connection:
        assert [of.funds for of in fund_settings(connection)] == [500_00]  # somebody had set them
    assert f"The last day of the demo, {LAST}, is not computed yet. Next: knowdefeat run" in shell("demo", status=1)
    with connect(shell.database) as connection:
        connection.execute("DELETE FROM trades WHERE source_trade_id = 'demo-1-7'")
    assert "was made by another version" in shell("demo", status=1)


@pytest.mark.long
def test_it_leaves_also_where_its_import_was_undone_before(shell: Shell, tmp_path: Path) -> None:
    load_demo(shell.database, simulate_demo(END))
    (number,) = (row["import_id"] for row in shell.json("imports", "list"))
    shell("imports", "undo", number)
    (tmp_path / "own.csv").write_text(OWN)
    shell("ingest", tmp_path / "own.csv")
    with connect(shell.database) as connection:
        assert fund_settings(connection) == []
        for table in ("price_bars", "order_book_levels"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_fleet_that_is_not_the_demo_is_not_taken_for_it(shell: Shell) -> None:
    shell("simulate", "--bots", 2, "--days", 2)
    assert "The demo is not loaded" in shell("demo")


def test_what_is_said_of_a_bot() -> None:
    found = Found("a", rank=3, p_skill=0.97, verdict="good", amount=1234.4, decision="funded", reason="in proportion")
    assert found_of(found) == "rank 3; good (P(edge > 0) 97.0 %); gets 1,234: in proportion"
    none = Found("a", unranked="2 closed trades", amount=0.0, decision="unranked", reason="not ranked: 2 closed trades")
    assert found_of(none) == "not ranked: 2 closed trades; gets nothing"
    held = Found("a", rank=1, flag="look at it", held={"poison": 1, "bad_price": 2})
    assert found_of(held) == "rank 1; look at it; held: 2 bad_price, 1 poison"
    assert found_of(replace(held, amount=0.0, decision="halted", reason="halted: 9 lost", held={})) == (
        "rank 1; flagged; gets nothing: halted: 9 lost"
    )
    truth = {"role": "turned", "edge": 0.35, "edge_after": -0.35, "since": END}
    assert planted_in(truth) == "edge +0.35 R, -0.35 R since 2025-07-01"
    assert planted_in({"role": "grid", "edge": -0.004}) == "no edge: small wins, rare large losses"
    assert planted_in({"role": "survivor", "edge": 0.0, "drawn": 60}) == (
        "no edge: the best of 60 such bots; no other is shown"
    )
