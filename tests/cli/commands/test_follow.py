"""`follow` from the command line, and what `db status` says of it."""

from pathlib import Path

import pytest

from knowdefeat_pipeline.automation import follow as follower
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.growing import Identity
from knowdefeat_pipeline.store.followed_files import follow, note_identity, note_looks, note_reading
from tests.cli.conftest import Shell


def test_the_status_lists_what_is_followed(shell: Shell, database: str) -> None:
    assert "Followed files" not in shell("db", "status")
    paths = [Path(f"/bots/{name}.csv") for name in "abc"]
    with connect(database) as connection:
        assert [follow(connection, path) for path in paths] == [(None, None)] * 3
        note_identity(connection, paths[0], Identity(2**64 - 1, 2**63))
        note_reading(connection, paths[0], "table:grid", 3)
        note_reading(connection, paths[0], "table:grid", 0)
        note_looks(connection, {paths[1]: "no such \x1b[31mfile"})
        connection.execute("UPDATE followed_files SET looked_at = '2026-01-02 03:04+00' WHERE path = '/bots/c.csv'")
        assert follow(connection, paths[0]) == (Identity(2**64 - 1, 2**63), "table:grid")
    first, second, third = shell.json("db", "status")["followed"]
    assert (first["trades"], first["is_followed"], first["trouble"]) == (3, True, None)
    assert (second["arrived_at"], third["is_followed"]) == (None, False)
    shown = shell("db", "status")
    assert "no such \N{REPLACEMENT CHARACTER}[31mfile" in shown
    assert "not followed since 2026-01-02 03:04 UTC" in shown


def test_a_folder_is_refused_and_a_file_that_is_not_there_waited_for(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "this is a folder; name the files in it" in shell("follow", tmp_path, status=1)

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(follower, "note_looks", interrupt)
    output = shell("follow", tmp_path / "later.csv")
    assert f"Following {tmp_path}/later.csv\n" in output
    assert "there is no such file yet" in output
    assert output.endswith("Stopped.\n")
