"""Small files of real situations that were recorded wrongly: corrections, and positions that are alike."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli.trade_files import FileOptions
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.imports import undo_import
from knowdefeat_pipeline.store.trades import LoadReport, load_trades

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def cases(shared_data: Path) -> Path:
    return shared_data / "cases"


def load(url: str, file: Path, replaces: bool = False) -> LoadReport:
    return load_trades(url, *FileOptions().read(file, NOW), file.name, replaces=replaces)


def trades(url: str, columns: str) -> list[tuple]:
    with connect(url) as connection:
        return connection.execute(f"SELECT {columns} FROM trades ORDER BY source_trade_id::int").fetchall()


def test_a_corrected_export_of_the_same_trade(database: str, cases: Path) -> None:
    load(database, cases / "corr1.csv")
    assert trades(database, "pnl") == [(pytest.approx(10.0, rel=1e-12),)]
    held = load(database, cases / "corr2.csv")
    assert (held.inserted, held.updated, held.quarantined) == (0, 0, {"conflicting_trade": 1})
    with connect(database) as connection:
        ((message,),) = connection.execute("SELECT message FROM trade_quarantine").fetchall()
    assert "--replace" in message
    replaced = load(database, cases / "corr2.csv", replaces=True)
    assert replaced.replaced == 1
    assert trades(database, "pnl, fees") == [(pytest.approx(3.99, rel=1e-12), 6.01)]
    with connect(database) as connection:
        kept = connection.execute("SELECT content ->> 'fees', replaced_by FROM trade_revisions").fetchall()
    assert kept == [("0", replaced.import_id)]
    undo_import(database, replaced.import_id, "me", NOW)
    assert trades(database, "pnl, fees") == [(pytest.approx(10.0, rel=1e-12), 0.0)]


def test_equal_open_positions_are_as_many_trades(database: str, cases: Path) -> None:
    report = load(database, cases / "multiopen.csv")
    assert (report.inserted, report.quarantined) == (3, {})
    entry = datetime(2026, 11, 2, 14, 30, tzinfo=UTC)
    assert trades(database, "status, entry_time, quantity, notional") == [("open", entry, 1.0, 2600.0)] * 3


def test_equal_losers_of_one_signal_are_trades(database: str, cases: Path) -> None:
    report = load(database, cases / "multitp.csv")
    assert (report.inserted, report.quarantined) == (12, {})
    found = [pnl for (pnl,) in trades(database, "pnl")]
    assert sum(found) == pytest.approx(-120.0, rel=1e-12)
    assert 100 * sum(pnl > 0 for pnl in found) / 12 == pytest.approx(41.667, abs=1e-3)
