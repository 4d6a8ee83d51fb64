"""Funds and bots on the command line: tried, set, allocated, switched, and what is said where there is nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades
from tests.cli.test_cli import Shell

Clone = Callable[[str], AbstractContextManager[str]]
END = datetime(2025, 3, 1, tzinfo=UTC)
LAST = (END - timedelta(days=1)).date()


@pytest.fixture(scope="module")
def ranked(cloned: Clone, template: str) -> Iterator[str]:
    """Five bots in USD over eight days, the last two ranked."""
    with cloned(template) as url:
        trades = simulate("base", bots=5, days=8, seed=2, end=END).trades
        load_trades(url, read_frame(trades, "paper", END), "fleet")
        defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=END.isoformat())})
        with dg.DagsterInstance.ephemeral() as instance:
            refresh_days(defs, instance, LAST - timedelta(days=1), LAST)
        yield url


@pytest.fixture
def fleet(cloned: Clone, ranked: str) -> Iterator[str]:
    """A clone of the ranked fleet."""
    with cloned(ranked) as url:
        yield url


def at(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(home / "home"))
    return Shell(monkeypatch, capsys, url)


@pytest.fixture
def shell(fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return at(fleet, monkeypatch, capsys, tmp_path)


@pytest.fixture
def empty(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return at(database, monkeypatch, capsys, tmp_path)


def everything(url: str) -> dict[str, list[tuple]]:
    tables = ("bots", "bot_events", "fund_settings", "fund_allocations", "fund_allocation_days", "bot_rankings")
    with connect(url) as connection:
        return {
            table: connection.execute(f"SELECT {table}::text FROM {table} ORDER BY 1").fetchall() for table in tables
        }


def amounts(currencies: list[dict]) -> dict[int, float]:
    return {row["bot_id"]: row["amount"] for row in currencies[0]["allocations"]}


def test_without_anything_each_command_says_what_to_do_next(empty: Shell) -> None:
    assert "Next: knowdefeat run" in empty("bots")
    assert "Next: knowdefeat bots deactivate" in empty("bots", "history")
    assert empty("funds", "show").strip() == "No funds are set. Next: knowdefeat funds set --funds AMOUNT"
    assert "Run: knowdefeat run" in empty("allocate", "--funds", 100, status=1)
    assert "There are no bots yet" in empty("funds", "set", "--funds", 100, status=1)
    assert empty.json("bots") == empty.json("bots", "history") == []


@pytest.mark.long
def test_a_dry_run_shows_the_amounts_and_writes_nothing(shell: Shell, fleet: str) -> None:
    before = everything(fleet)
    assert "knowdefeat allocate --funds AMOUNT" in shell("allocate", status=1)
    tried = shell.json("allocate", "--funds", "100,000.01", "--cap", "30%", "--method", "equal", "--ungated")
    assert sorted(amounts(tried["currencies"]).values()) == [20000.0, 20000.0, 20000.0, 20000.0, 20000.01]
    capped = shell.json("allocate", "--funds", 100000, "--ungated")["currencies"][0]
    assert (capped["allocated"], capped["cash"]) == (20000.0, 80000.0)
    assert capped["cash_reason"] == "both eligible bots are at their caps (3 with a target of 0)"
    shown = shell("allocate", "--funds", 100000, "--ungated", "--day", LAST - timedelta(days=1))
    assert "Funds as of 2025-02-28 00:00 UTC" in shown
    assert " of 5 bots; cash " in shown
    assert "A dry run: nothing was written." in shown
    assert "No ranking on 2024-01-01" in shell("allocate", "--funds", 1, "--day", "2024-01-01", status=1)
    assert everything(fleet) == before


@pytest.mark.long
def test_what_was_tried_is_what_is_allocated(shell: Shell) -> None:
    options = ("--funds", 1000, "--cap", "40%", "--min-ticket", 150, "--ungated")
    tried = shell.json("allocate", *options)
    saved = shell.json("funds", "set", *options, "--reason", "a start", "--author", "ann")
    assert (saved["funds"], saved["bot_cap"], saved["minimum_ticket"], saved["author"]) == (1000.0, 0.4, 150.0, "ann")
    assert "Nothing is allocated yet. Next: knowdefeat run" in shell("funds", "show")
    done = shell.json("run", "--from", LAST, "--to", LAST)
    assert (done["funds"][0]["allocated"], done["funds"][0]["cash"]) == (800.0, 200.0)
    shown = shell.json("funds", "show")
    assert amounts(shown["currencies"]) == amounts(tried["currencies"])
    assert all(amount == 0 or amount >= 150 for amount in amounts(tried["currencies"]).values())
    assert "800.00 of 1,000.00 USD" in shell("run", "--from", LAST, "--to", LAST)
    assert "ann: a start" in shell("funds", "show")
    changed = shell.json("funds", "set", "--cap", "0.5", "--drawdown-limit", "20%", "--cool-down", 6)
    assert (changed["funds"], changed["bot_cap"], changed["drawdown_limit"], changed["cool_down_hours"]) == (
        1000,
        0.5,
        20,
        6,
    )
    assert changed["in_force_from"] == "2025-03-01T00:00:00+00:00"


@pytest.mark.long
def test_a_bot_is_switched_off_and_on_with_its_reasons(shell: Shell) -> None:
    shell("funds", "set", "--funds", 1000, "--cap", "50%", "--ungated")
    assert "Bot 2 was deactivated" in shell("bots", "deactivate", 2, 4, "--reason", "on holiday", "--author", "ann")
    assert shell.json("bots", "deactivate", 2, "--reason", "again") == {
        "kind": "deactivated",
        "changed": [],
        "unchanged": ["2"],
    }
    shell("run", "--from", LAST, "--to", LAST)
    states = {row["bot_id"]: row for row in shell.json("bots")}
    assert [states[bot]["status"] for bot in (1, 2, 3, 4, 5)] == ["active", "inactive", "active", "inactive", "active"]
    assert [states[bot]["amount"] for bot in (2, 4)] == [0.0, 0.0]
    above = [bot for bot in (1, 3, 5) if states[bot]["rank_score"] > 50]
    assert {bot for bot, row in states.items() if row["amount"]} == set(above)
    assert sum(row["amount"] for row in states.values()) == min(1000, 500 * len(above))
    assert states[2]["why"] == "deactivated by ann: on holiday"
    line = next(line for line in shell("bots").splitlines() if line.split()[0] == "2")
    assert "inactive" in line
    assert "deactivated by ann: on" in line  # and the rest below it
    shell("bots", "activate", 2, "--reason", "back")
    assert {row["bot_id"]: row["why"] for row in shell.json("bots")}[2] == "the next run allocates again"
    assert [(row["bot_id"], row["kind"], row["author"]) for row in shell.json("bots", "history")] == [
        (2, "activated", "manual"), (4, "deactivated", "ann"), (2, "deactivated", "ann"),
    ]  # fmt: skip
    assert "on holiday" in shell("bots", "history", "--bot", 4)


def test_what_cannot_be_done_is_a_message(shell: Shell, fleet: str) -> None:
    before = everything(fleet)
    assert "There is no bot 99" in shell("bots", "deactivate", 1, 99, "--reason", "x", status=1)
    assert "Bot 1 is not halted" in shell("bots", "resume", 1, "--reason", "x", status=1)
    assert "No bot accounts in EUR" in shell("allocate", "--funds", 1, "--currency", "EUR", status=1)
    assert "Say what to set" in shell("funds", "set", status=1)
    assert "1.005 USD: USD has 2 decimals" in shell("allocate", "--funds", "1.005", status=1)
    for option, value in (
        ("--cap", "10"), ("--cap", "0"), ("--cap", "x"), ("--funds", "-1"),
        ("--funds", "nan"), ("--method", "best"), ("--cool-down", "1000"),
    ):  # fmt: skip
        assert option in shell("allocate", option, value, status=2)
    assert everything(fleet) == before


@pytest.mark.long
def test_a_halted_bot_is_shown_and_resumed(shell: Shell, fleet: str) -> None:
    shell("funds", "set", "--funds", 1000, "--daily-loss-limit", "0.01%", "--drawdown-limit", "0.01%", "--ungated")
    shell("run", "--from", LAST, "--to", LAST)
    halted = [row for row in shell.json("bots") if row["status"] == "halted"]
    assert halted
    assert all(row["amount"] == 0 and row["why"].startswith("halted: ") for row in halted)
    bot = halted[0]["bot_id"]
    assert f"Bot {bot} was resumed." in shell("bots", "resume", bot, "--reason", "looked at it")
    shell("run", "--from", LAST, "--to", LAST)
    after = {row["bot_id"]: row for row in shell.json("bots")}
    expected = "capped" if after[bot]["rank_score"] > 50 else "no_share"
    assert (after[bot]["status"], after[bot]["decision"]) == ("active", expected)


def test_currencies_are_named_where_there_are_several(shell: Shell, fleet: str) -> None:
    with connect(fleet) as connection:
        connection.execute("UPDATE bots SET quote_currency = 'EUR' WHERE bot_id > 3")
    assert "say which by --currency" in shell("funds", "set", "--funds", 100, status=1)
    shell("funds", "set", "--funds", 100, "--currency", "eur", "--cap", "100%", "--ungated")
    shell("funds", "set", "--funds", 200, "--currency", "USD", "--cap", "100%", "--ungated")
    tried = shell.json("allocate")["currencies"]
    assert [(part["quote_currency"], part["allocated"]) for part in tried] == [("EUR", 100.0), ("USD", 200.0)]
    assert [sorted(row["bot_id"] for row in part["allocations"]) for part in tried] == [[4, 5], [1, 2, 3]]
    assert sum(Decimal(str(row["amount"])) for row in tried[0]["allocations"]) == 100


def test_skill_is_asked_for_or_not(shell: Shell) -> None:
    tried = shell.json("allocate", "--funds", 100, "--caution", "0.75")["currencies"][0]
    because = "while bots cannot be told apart (all have one edge with probability 0."
    assert tried["cash"] == 100
    assert tried["cash_reason"].startswith(f"no bot is eligible: 5 doubtful {because}")
    assert because in " ".join(shell("allocate", "--funds", 100, "--explain", 1).split())
    saved = shell.json("funds", "set", "--funds", 100)
    assert (saved["caution"], saved["same_edge_limit"]) == (0.8, 0.05)
    saved = shell.json("funds", "set", "--caution", "60%", "--same-edge-limit", "100%")
    assert (saved["caution"], saved["same_edge_limit"]) == (0.6, 1)
    assert "0.60" in shell("funds", "show")
    assert shell.json("allocate", "--funds", 100)["currencies"][0]["cash_reason"] == "no bot is eligible: 5 doubtful"
    assert shell.json("funds", "set", "--ungated")["caution"] is None
    assert "ungated" in shell("funds", "show")
    assert "give one of them" in shell("allocate", "--caution", 0.5, "--ungated", status=1)
    assert "from 0 to below 1" in shell("allocate", "--caution", 1, status=2)


def test_an_amount_is_explained(shell: Shell) -> None:
    best = shell.json("rankings")[0]
    found = shell.json("allocate", "--funds", 1000, "--ungated", "--explain", best["bot"])
    assert found["amount"] == 100.0
    assert found["explanation"][0] == f"Its score is {best['rank_score']:.2f}: rank 1 of 5."
    assert found["explanation"][-2] == "It gets 100.00 USD: at the cap of 10% of the funds for one bot."
    assert f"1. Its score is {best['rank_score']:.2f}" in shell(
        "allocate", "--funds", 1000, "--ungated", "--explain", best["bot"]
    )
    assert "There is no bot nobody" in shell("allocate", "--funds", 1000, "--ungated", "--explain", "nobody", status=1)
