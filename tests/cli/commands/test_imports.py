"""Imports from the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell

ROWS = (
    "id,bot,pair,side,status,opened_at,closed_at,open_price,close_price,notional,fee\n"
    "A1,7,X,buy,closed,2025-03-01 09:00,2025-03-01 10:00,100,110,1000,{fee}\n"
)


@pytest.mark.long
def test_a_file_is_corrected_and_undone(shell: Shell, tmp_path: Path) -> None:
    assert "No imports yet. Next: knowdefeat ingest FILE" in shell("imports", "list")
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(ROWS.format(fee=0))
    second.write_text(ROWS.format(fee=6))
    assert "1 row: 1 new" in shell("ingest", first)
    again = shell("ingest", first)
    assert "0 new, 0 updated, 1 known" in again
    assert "the same file, read alike, is import 1: this is no import of its own" in again
    shell("ingest", second)
    (held,) = shell.json("quarantine", "list")
    assert "--replace" in held["message"]
    assert "1 replaced" in shell("ingest", second, "--replace", "--author", "ann")
    assert shell.json("quarantine", "list") == []
    rows = shell.json("imports", "list")
    assert [(row["file_name"], row["inserted"], row["replaced"], row["author"]) for row in rows] == [
        ("second.csv", 0, 1, "ann"),
        ("second.csv", 0, 0, "manual"),
        ("first.csv", 1, 0, "manual"),
    ]
    shown = shell("imports", "show", rows[0]["import_id"])
    assert "second.csv" in shown
    assert "by ann" in shown
    assert "1 replaced" in shown
    assert "notional" in shown
    undone = shell("imports", "undo", rows[0]["import_id"])
    assert "0 trades removed" in undone
    assert "1 trade is again what was recorded before" in undone
    assert "was undone already" in shell("imports", "undo", rows[0]["import_id"], status=1)
    assert "There is no import 99" in shell("imports", "show", 99, status=1)


@pytest.mark.long
def test_undoing_names_the_import_that_has_the_same_trades(shell: Shell, tmp_path: Path) -> None:
    """The same file again is the same import; another file with the same rows is one of its own, which keeps them."""
    first, copy = tmp_path / "first.csv", tmp_path / "copy.csv"
    first.write_text(ROWS.format(fee=0))
    copy.write_text(ROWS.format(fee="0.0"))
    for file in (first, first, copy):
        shell("ingest", file)
    listed = shell.json("imports", "list")
    assert [(row["import_id"], row["inserted"], row["unchanged"]) for row in listed] == [(2, 0, 1), (1, 1, 0)]
    assert "known" in shell("imports", "list")
    undone = shell("imports", "undo", 1)
    assert "0 trades removed" in undone
    assert "1 trade stays, as import 2 has the same" in undone
