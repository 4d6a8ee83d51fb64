"""`knowdefeat token`: what it prints, and what it keeps."""

import os
from datetime import timedelta
from pathlib import Path

from knowdefeat_pipeline.cli.commands import up
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.tokens import scope_of, take_login
from tests.cli.conftest import Shell


def test_tokens_are_shown_made_listed_and_revoked(shell: Shell, tmp_path: Path) -> None:
    assert shell("token").startswith("No tokens yet.")
    first = shell("token", "show").strip()
    assert shell("token", "show").strip() == first
    file = tmp_path / "home" / "tokens" / "first"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (f"{first}\n", 0o600)
    made = shell("token", "new", "grafana", "--scope", "read", "--days", "30").strip()
    with connect(shell.database) as connection:
        assert [scope_of(connection, token) for token in (first, made, "kd_other")] == ["admin", "read", None]
    listed = shell.json("token")
    assert [(row["name"], row["scope"], row["state"]) for row in listed] == [
        ("first", "admin", "counts"),
        ("grafana", "read", "counts"),
    ]
    assert first not in str(listed)
    assert "Token grafana was revoked." in shell("token", "revoke", "grafana")
    assert "There is no token grafana that counts" in shell("token", "revoke", "grafana", status=1)
    assert "write read, ingest or admin" in shell("token", "new", "x", "--scope", "everything", status=1)
    assert "There is a token first already" in shell("token", "new", "first", status=1)
    with connect(shell.database) as connection:
        assert [scope_of(connection, token) for token in (first, made)] == ["admin", None]


def test_a_login_stands_where_up_serves(shell: Shell) -> None:
    home = Path(os.environ["KNOWDEFEAT_HOME"])
    assert shell("token", "login").startswith("/login?code=")
    with up._only_one(home / up.LOCK) as held:
        up._note(held, "http://127.0.0.1:3007", "http://127.0.0.1:3008", [])
        assert shell("token", "login").startswith("http://127.0.0.1:3007/login?code=")


def test_names_in_commands_are_quoted(shell: Shell) -> None:
    shell("token", "new", "a;b")
    assert "knowdefeat token revoke 'a;b'" in shell("token", "new", "a;b", status=1)


def test_a_browser_is_let_in_once_by_an_address_that_a_command_prints(shell: Shell) -> None:
    earlier, address = shell("token", "login").split()[0], shell("token", "login").split()[0]
    with connect(shell.database) as connection:
        assert take_login(connection, earlier.partition("=")[2], timedelta(days=1)) is None
        token = take_login(connection, address.partition("/login?code=")[2], timedelta(days=1))
        assert token is not None
        assert scope_of(connection, token) == "admin"
        assert take_login(connection, address.partition("=")[2], timedelta(days=1)) is None
