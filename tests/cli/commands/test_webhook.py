"""`knowdefeat webhook`: what others are told of, the secret, and once more."""

import json

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.outbox import NotTaken, add_event, send_next
from tests.cli.conftest import Shell


def test_events_are_listed_and_those_given_up_are_sent_once_more(shell: Shell) -> None:
    assert "No events yet" in shell("webhook")

    def refuse(event: object) -> None:
        raise NotTaken("the webhook answered 500")

    with connect(shell.database) as connection:
        add_event(connection, "bot_halted", "Bot [red]x[/red] was halted", {"bot": "x"})
        add_event(connection, "run_failed", "refresh failed", {})
        send_next(connection, refuse)
        connection.execute("UPDATE webhook_events SET due_at = NULL WHERE kind = 'bot_halted'")
    shell("webhook", "--json")
    rows = json.loads(shell.output)
    assert [(row["kind"], row["state"], row["attempts"]) for row in rows] == [
        ("run_failed", "waits", 0),
        ("bot_halted", "given up", 1),
    ]
    assert rows[1]["last_error"] == "the webhook answered 500"
    assert "[red]x[/red]" in " ".join(shell("webhook").split())
    assert "1 event is sent once more" in shell("webhook", "retry")
    assert "0 events are sent once more" in shell("webhook", "retry")


def test_the_secret_is_that_of_the_home_or_of_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shell("webhook", "secret")
    assert made.startswith("whsec_")
    assert shell("webhook", "secret") == made
    given = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    monkeypatch.setenv("KNOWDEFEAT_WEBHOOK_SECRET", given)
    assert shell("webhook", "secret").strip() == given
