"""The command line as a person or a program uses it, on a real database."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from knowdefeat_pipeline.assets.catalogue import BELIEFS, CHAIN, FUNDS
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, METRICS, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    path = tmp_path / "trades.csv"
    simulate("base", bots=5, days=8, seed=2, end=END).trades.to_csv(path, index=False)
    return path


def rows(database: str, table: str) -> list[tuple]:
    with connect(database) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()


@pytest.mark.long
def test_a_file_becomes_a_ranking_and_a_second_time_nothing_changes(
    shell: Shell, database: str, trades_file: Path
) -> None:
    first = shell.json("run", "--trades", trades_file)
    chain = ("trades", "bot_metrics", "win_streaks", "bot_rankings", "bot_skill", "variable_weights")
    tables = (*chain, "strategy_beliefs", "strategy_weights", "strategy_calibration")
    before = {table: rows(database, table) for table in tables}
    second = shell.json("run", "--trades", trades_file)
    assert {table: rows(database, table) for table in tables} == before
    assert (first["from"], first["to"], first["as_of"]) == ("2025-02-21", "2025-02-28", "2025-03-01T00:00:00+00:00")
    assert [row["rank"] for row in first["ranking"]] == [1, 2, 3, 4, 5]
    assert first["ranking"] == second["ranking"]
    file_rows = len(pd.read_csv(trades_file))
    assert (first["ingest"]["inserted"], second["ingest"]["unchanged"]) == (file_rows, file_rows)
    with open_instance() as instance:
        runs = instance.get_runs()
        assert {run.run_id for run in runs} == {first["run_id"], second["run_id"]}
        assert all(run.is_success for run in runs)
        assert len(instance.get_materialized_partitions(dg.AssetKey("bot_rankings"))) == 8


@pytest.mark.long
def test_the_table_names_every_bot_and_says_what_to_do_next(shell: Shell, trades_file: Path) -> None:
    shown = shell("run", "--trades", trades_file)
    ranking = shell.json("rankings")
    for row in ranking:
        assert any(
            line.split()[:2] == [str(row["rank"]), str(row["bot_id"])] and f"{row['rank_score']:.1f}" in line
            for line in shown.splitlines()
        )
    assert "10 of 10 checks passed" in shown
    assert "knowdefeat up" in shown


@pytest.mark.long
def test_without_trades_the_demo_is_loaded_once(shell: Shell, database: str) -> None:
    first = shell.json("run")
    assert len(first["ranking"]) == 24
    assert first["ingest"]["source"] == "simulator"
    assert sum(first["ingest"]["quarantined"].values()) == 13
    assert first["market"]["to"] == first["to"]
    assert first["funds"][0]["funds"] == 100_000
    bots = shell.json("demo")["bots"]
    assert sum(bot["is_right"] is not None for bot in bots) == 12
    assert sum(bool(bot["is_right"]) for bot in bots) >= 9
    count = len(rows(database, "trades"))
    second = shell.json("run")
    assert second["ingest"] is None
    assert len(rows(database, "trades")) == count
    assert second["ranking"] == first["ranking"]


def test_the_simulated_fleet_makes_room_for_real_trades(shell: Shell, database: str, trades_file: Path) -> None:
    shell("simulate", "--bots", 3, "--days", 5)
    shell("ingest", trades_file)
    assert "The simulated fleet" in shell.errors
    assert {row[1] for row in rows(database, "trades")} == {"table"}
    assert "real trades" in shell("simulate", status=1)


@pytest.mark.long
def test_from_and_to_choose_the_days(shell: Shell, trades_file: Path) -> None:
    done = shell.json("run", "--trades", trades_file, "--from", "2025-02-23", "--to", "2025-02-24")
    assert (done["from"], done["to"]) == ("2025-02-23", "2025-02-24")
    assert shell.json("rankings", "--day", "2025-02-23")[0]["day"] == "2025-02-23"
    assert "No ranking on 2025-02-25" in shell("rankings", "--day", "2025-02-25", status=1)
    assert "lies after --to 2025-02-24; ex" in shell("run", "--from", "2025-02-25", "--to", "2025-02-24", status=1)
    late = " ".join(shell("run", "--from", "2026-02-25", status=1).split())
    assert re.search(r"--from 2026-02-25 lies after 2025-\d\d-\d\d, the last day with trades; choose", late)
    assert "KNOWDEFEAT_FIRST_DAY=1999-01-01" in shell("run", "--from", "1999-01-01", status=1)
    assert "lies in the future" in shell("run", "--to", "2999-01-01", status=1)
    assert "YYYY-MM-DD" in shell("run", "--from", "yesterday", status=2)


@pytest.mark.long
def test_a_day_on_which_nobody_is_ranked_names_the_last_one_with_a_ranking(
    shell: Shell, database: str, trades_file: Path
) -> None:
    shell("run", "--trades", trades_file, "--from", "2025-02-28", "--to", "2025-02-28")
    days.refresh(database, date(2025, 4, 10), date(2025, 4, 10), datetime(2025, 4, 11, tzinfo=UTC))
    shown = shell("rankings")
    assert "No bot is ranked as of 2025-04-11" in shown
    assert "The last day with a ranking is 2025-02-28. See it: knowdefeat rankings --day 2025-02-28" in shown


@pytest.mark.long
def test_days_lists_what_failed_or_is_missing_and_backfill_computes_it(shell: Shell, trades_file: Path) -> None:
    shell("run", "--trades", trades_file, "--from", "2025-02-22", "--to", "2025-02-23")
    shell("run", "--from", "2025-02-26", "--to", "2025-02-28")
    days = {asset["asset"]: asset for asset in shell.json("days")}
    assert list(days) == [*CHAIN, *BELIEFS, *FUNDS]
    for asset in days.values():
        assert asset["computed"] == [f"2025-02-{day}" for day in (22, 23, 26, 27, 28)]
        assert (asset["failed"], asset["missing"]) == ([], ["2025-02-24", "2025-02-25"])
    shown = shell("days")
    assert "2025-02-24 to 2025-02-25" in shown
    assert "knowdefeat backfill --from 2025-02-24 --to 2025-02-25" in shown
    done = shell.json("backfill", "--from", "2025-02-24", "--to", "2025-02-25", "--chunk", 1)
    assert [(run["from"], run["to"]) for run in done["runs"]] == [("2025-02-24",) * 2, ("2025-02-25",) * 2]
    assert all(check["passed"] for check in done["checks"])
    assert all(asset["missing"] == [] for asset in shell.json("days"))
    assert "backfill" not in shell("days")


def stale(shell: Shell) -> dict[str, list[str]]:
    return {asset["asset"]: asset["stale"] for asset in shell.json("days") if asset["stale"]}


@pytest.mark.long
def test_after_a_run_of_some_days_none_is_stale(shell: Shell) -> None:
    shell("simulate", "--bots", 3, "--days", 6)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    # The days before are computed too; that they ended makes the one after them stale, which was computed first.
    shell("run", "--from", yesterday)
    assert stale(shell) == {}
    assert {len(asset["computed"]) for asset in shell.json("days")} == {6}


@pytest.mark.long
def test_stale_days_before_the_first_one_name_the_setting(
    shell: Shell, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("simulate", "--bots", 3, "--days", 4)
    shell("run")
    first, second = (datetime.now(UTC).date() - timedelta(days=back) for back in (4, 3))
    with connect(database) as connection:
        connection.execute("UPDATE bots SET capital = 5000")
    monkeypatch.setenv("KNOWDEFEAT_FIRST_DAY", f"{second}")
    told = " ".join(shell("run", status=1).split())
    assert f"{first} lies before the first partition, {second}. Set KNOWDEFEAT_FIRST_DAY={first}" in told


@pytest.mark.long
def test_days_tells_what_the_database_holds_and_not_what_runs_left_once(
    shell: Shell, trades_file: Path, tmp_path: Path
) -> None:
    shell("simulate", "--bots", 3, "--days", 6)
    shell("run")
    assert {len(asset["computed"]) for asset in shell.json("days")} == {6}
    today = datetime.now(UTC).date()
    frame = pd.read_csv(trades_file, parse_dates=["entry_time", "exit_time"])
    for name in ("entry_time", "exit_time"):  # the days of the fleet that makes room
        frame[name] += pd.Timestamp(today, tz="UTC") - END
    frame.to_csv(trades_file, index=False)
    shell("ingest", trades_file)
    assert {asset["asset"]: asset["computed"] for asset in shell.json("days")} == {
        asset: [] for asset in (*CHAIN, *BELIEFS, *FUNDS)
    }
    bars = tmp_path / "ELSE_1h.csv"
    bars.write_text(f"open_time,open,high,low,close\n{today - timedelta(days=2)}T10:00Z,1,2,1,2\n")
    shell("ingest-bars", bars)
    days = {asset["asset"]: asset for asset in shell.json("days")}
    for asset in ("market_regimes", "trade_scores"):
        assert (days[asset]["computed"], days[asset]["missing"]) == ([], [])
        assert days[asset]["stale"] == [f"{today - timedelta(days=2)}"]
    shell("run")
    days = {asset["asset"]: asset for asset in shell.json("days")}
    assert days["market_regimes"]["computed"] == [f"{today - timedelta(days=2)}"]
    assert days["bot_metrics"]["computed"] == [f"{today - timedelta(days=n)}" for n in range(8, 0, -1)]
    assert stale(shell) == {}


@pytest.mark.long
def test_reads_in_json_carry_every_column(shell: Shell, trades_file: Path) -> None:
    shell("run", "--trades", trades_file)
    metrics = shell.json("metrics", "--bot", 1)
    assert {figure.name for figure in METRICS} <= set(metrics[0])
    assert metrics[0]["ticker"] == "*"
    streaks = shell.json("streaks", "--bot", 2)
    assert [length["streak_length"] for length in streaks[0]["lengths"]] == [2, 3, 4, 5, 6, 7]
    assert shell.json("weights")["weights"] == DEFAULT_WEIGHTS
    assert shell.json("db", "status")["ranked_until"] == "2025-02-28"
    assert {finding["subject"]: finding["ok"] for finding in shell.json("doctor")}["Schema"] is True


@pytest.mark.long
def test_tables_of_reads(shell: Shell, trades_file: Path) -> None:
    shell("run", "--trades", trades_file)
    assert len([line for line in shell("metrics").splitlines() if " * " in line]) == 5
    assert "lifetime_max_drawdown" in shell("metrics", "--bot", 1)
    assert "longest win" in shell("streaks")
    assert all(name in shell("weights") for name in VARIABLE_NAMES[:3])


def test_an_empty_database_says_what_to_do_next(shell: Shell) -> None:
    assert "knowdefeat run" in shell("rankings", status=1)
    assert "knowdefeat run" in shell("metrics", status=1)
    assert shell("quarantine", "list").strip() == "No rows in quarantine."


def test_bad_files_are_a_message_and_leave_the_database_as_it_was(shell: Shell, database: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    assert str(missing) in shell("ingest", missing, status=1)
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert "empty" in shell("ingest", empty, status=1)
    assert "COLUMN=FIELD" in shell("ingest", empty, "--map", "size", status=2)
    assert rows(database, "trades") == rows(database, "bots") == []


def test_a_quarantined_row_can_be_shown_corrected_and_released_or_discarded(
    shell: Shell, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "two.csv"
    header = "trade_id,bot_id,ticker,direction,status,entry_time,exit_time,entry_price,exit_price,notional"
    good = "1,COIN,LONG,closed,2025-02-01 10:00,2025-02-01 11:00,100,101,1000"
    path.write_text(
        f"{header}\n1,{good}\n2,{good.replace('LONG', 'UP').replace('11:00', '12:00')}\n3,{good.replace(',101,', ',-1,')}\n"
    )
    report = shell.json("ingest", path)[0]
    assert report["quarantined"] == {"unknown_direction": 1, "bad_price": 1}
    held = shell.json("quarantine", "list")
    assert [row["row_number"] for row in held] == [2, 3]
    number = held[0]["quarantine_id"]
    assert "direction" in shell("quarantine", "show", number)
    assert "stays in quarantine" in shell("quarantine", "release", number, status=1)
    shell("quarantine", "release", number, "--set", "direction=LONG")
    shell("quarantine", "discard", held[1]["quarantine_id"], "--note", "a typing error")
    assert len(rows(database, "trades")) == 2
    assert [row["status"] for row in shell.json("quarantine", "list", "--status", "any")] == ["released", "discarded"]


def test_a_database_that_is_down_is_a_message(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:9/none")
    message = shell("rankings", status=1)
    assert "127.0.0.1:9/none" in message
    assert "secret" not in message
    findings = shell("doctor", status=1) or shell.output
    assert "Database" in shell.output
    assert "Traceback" not in findings


@pytest.mark.long
def test_a_backup_is_restored_into_an_empty_database_only(
    shell: Shell, empty_database: str, trades_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("ingest", trades_file)
    held = shell.json("db", "status")
    file = tmp_path / "knowdefeat.backup"
    written = shell.json("db", "backup", file)
    assert written == {"file": str(file), "bytes": file.stat().st_size}
    assert "tables already" in shell("db", "restore", file, status=1)
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", empty_database)
    assert shell("db", "restore", file).startswith(f"Restored 5 bots, {held['trades']} trades, ")
    assert shell.json("db", "status")["trades"] == held["trades"] > 0


@pytest.mark.parametrize("name", ["KNOWDEFEAT_WEBHOOK_URL", "KNOWDEFEAT_TIMEZONE", "KNOWDEFEAT_CHUNK_DAYS"])
def test_a_setting_that_cannot_be_used_is_refused_before_anything_starts(
    shell: Shell, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "?")
    assert f"{name}" in shell("up", status=1)
