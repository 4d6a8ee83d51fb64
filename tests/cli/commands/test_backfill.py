"""`knowdefeat backfill`: runs chunk by chunk, that can be gone on with and repeated."""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.cli.commands import backfill
from knowdefeat_pipeline.cli.runs import chunks
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.scale.workers import Workers
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.tables import stored
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2025, 2, 19), date(2025, 2, 28)
RANGE = ("--from", FIRST, "--to", LAST)


@pytest.fixture
def fleet(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with six bots' trades over ten days, which the command finds."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    load_trades(
        database, read_frame(simulate("base", bots=6, days=10, seed=3, end=END).trades, "simulator", END), "fleet"
    )
    return database


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object, name: str = "backfill") -> int:
    monkeypatch.setattr(sys, "argv", ["knowdefeat", name, *map(str, arguments)])
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def tables(url: str) -> dict[str, list[tuple]]:
    with connect(url) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in TABLES}


def test_a_range_in_pieces() -> None:
    assert chunks(date(2025, 1, 1), date(2025, 1, 7), 3) == [
        (date(2025, 1, 1), date(2025, 1, 3)),
        (date(2025, 1, 4), date(2025, 1, 6)),
        (date(2025, 1, 7), date(2025, 1, 7)),
    ]
    assert chunks(date(2025, 1, 1), date(2025, 1, 1), 90) == [(date(2025, 1, 1), date(2025, 1, 1))]


@pytest.mark.long
def test_chunks_are_runs_of_their_own_and_make_the_same_tables(
    fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, *RANGE, "--chunk", 4, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    runs = done["runs"]
    assert all(check["passed"] for check in done["checks"])
    assert [(run["from"], run["to"]) for run in runs] == [
        ("2025-02-19", "2025-02-22"), ("2025-02-23", "2025-02-26"), ("2025-02-27", "2025-02-28"),
    ]  # fmt: skip
    with open_instance() as instance:
        refreshes = instance.get_runs(dg.RunsFilter(job_name="recompute"))
        assert {run.run_id for run in refreshes} == {run["run_id"] for run in runs}
        assert len(instance.get_runs(dg.RunsFilter(job_name="audit"))) == 1
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    pieces = tables(fleet)
    assert command(monkeypatch, *RANGE) == 0
    assert "10 days from 2025-02-19 to 2025-02-28 recomputed in 1 run." in capsys.readouterr().out
    assert tables(fleet) == pieces
    assert all(pieces[name] for name in ("bot_metrics", "bot_rankings", "variable_weights"))


@pytest.mark.long
def test_a_backfill_in_shards_makes_the_same_tables_and_its_log_tells_of_each(
    fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KNOWDEFEAT_WORKERS", "1")
    assert command(monkeypatch, *RANGE, "--json") == 0
    (whole,) = json.loads(capsys.readouterr().out)["runs"]
    expected = tables(fleet)
    monkeypatch.setattr(Workers, "whole_bytes", property(lambda self: 1000))
    assert command(monkeypatch, *RANGE, "--json") == 0
    (cut,) = json.loads(capsys.readouterr().out)["runs"]
    assert tables(fleet) == expected
    with open_instance() as instance:
        told = {run: [e.message for e in instance.all_logs(run)] for run in (whole["run_id"], cut["run_id"])}
        counts = {run: rows_per_partition(instance, run) for run in told}
    assert not [message for message in told[whole["run_id"]] if message.startswith("Shard ")]
    shards = [message for message in told[cut["run_id"]] if message.startswith("Shard ")]
    assert len(shards) == 6
    assert shards[-1].startswith("Shard 6 of 6 is staged: bots ")
    assert counts[cut["run_id"]] == counts[whole["run_id"]]


def rows_per_partition(instance: dg.DagsterInstance, run: str) -> dict[tuple[str, str | None], dict[str, object]]:
    """What the catalogue says of each asset and day that a run materialised, but its pictures and previews."""
    found = {}
    for entry in instance.all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        of = entry.asset_materialization
        assert of is not None
        key = (of.asset_key.to_user_string(), of.partition)
        found[key] = {name: value.value for name, value in of.metadata.items() if name.endswith("row_count")}
    return found


def test_a_plan_says_what_a_backfill_would_take_and_writes_nothing(
    fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KNOWDEFEAT_WORKERS", "1")
    with connect(fleet) as connection:
        connection.execute("ANALYZE trades")
        ((trades, late),) = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE exit_time >= '2025-02-25') FROM closed_trades"
        ).fetchall()
        of_bots = "SELECT CASE count(DISTINCT ticker) WHEN 1 THEN 2 ELSE 4 END FROM closed_trades GROUP BY bot_id"
        rows = sum(count for (count,) in connection.execute(of_bots))
    assert command(monkeypatch, *RANGE, "--chunk", 6, "--json", name="plan") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["from"], first["to"], second["from"], second["to"]) == (
        "2025-02-19", "2025-02-24", "2025-02-25", "2025-02-28",
    )  # fmt: skip
    assert (first["trades"], second["trades"], first["shards"]) == (trades - late, trades, 1)
    assert (first["history"], second["history"]) == (0, 0)
    assert command(monkeypatch, "--from", "2025-03-01", "--to", "2025-03-01", "--json", name="plan") == 0
    (march,) = json.loads(capsys.readouterr().out)
    assert (march["rows"], march["trades"]) == (rows, trades)
    assert abs(march["history"] - trades) <= 5  # February is not folded yet, and some trades are open
    monkeypatch.setattr(Workers, "whole_bytes", property(lambda self: 1000))
    assert command(monkeypatch, *RANGE, name="plan") == 0
    told = capsys.readouterr().out
    assert "A backfill from 2025-02-19 to 2025-02-28, one run" in told
    assert "Shards are computed one after another by the run itself." in told
    assert not any(tables(fleet).values())


@pytest.mark.long
def test_interrupted_it_says_how_to_go_on_and_what_is_done_stays_done(
    fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, *RANGE) == 0
    whole = tables(fleet)
    with connect(fleet) as connection:
        connection.execute(f"TRUNCATE {', '.join(map(stored, TABLES))}")
    materialise, done = backfill.materialise, []

    def two_then_a_key(first: date, last: date, quiet: bool) -> object:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(materialise(first, last, quiet=quiet))
        return done[-1]

    monkeypatch.setattr(backfill, "materialise", two_then_a_key)
    assert command(monkeypatch, *RANGE, "--chunk", 3) != 0
    assert "Go on with: knowdefeat backfill --from 2025-02-25 --to 2025-02-28" in capsys.readouterr().err
    monkeypatch.setattr(backfill, "materialise", materialise)
    assert command(monkeypatch, "--from", FIRST + timedelta(days=6), "--to", LAST) == 0
    assert tables(fleet) == whole


@pytest.mark.long
def test_days_must_be_named(fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch) == 1
    assert "Say which days: --from" in " ".join(capsys.readouterr().err.split())
    assert command(monkeypatch, "--all") == 0
    assert "10 days from 2025-02-19 to 2025-02-28 recomputed" in capsys.readouterr().out
