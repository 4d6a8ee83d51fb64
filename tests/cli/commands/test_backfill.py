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


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["knowdefeat", "backfill", *map(str, arguments)])
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


def test_days_must_be_named(fleet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch) == 1
    assert "Say which days: --from" in " ".join(capsys.readouterr().err.split())
    assert command(monkeypatch, "--all") == 0
    assert "10 days from 2025-02-19 to 2025-02-28 recomputed" in capsys.readouterr().out
