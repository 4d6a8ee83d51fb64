"""Webhooks: what happens is told at least once, signed, to nobody who is not meant, and never lost silently."""

import base64
import hashlib
import hmac
import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import psycopg
import pytest

from knowdefeat_pipeline.automation import webhooks
from knowdefeat_pipeline.automation.webhooks import Webhook, deliver, kept_secret, note_stale, public_address, signed
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import SettingError, Settings
from knowdefeat_pipeline.store import outbox
from knowdefeat_pipeline.store.health import of_pipeline
from knowdefeat_pipeline.store.outbox import (
    NotTaken,
    add_event,
    forget_events,
    retry_given_up,
    seconds_until_due,
    send_next,
)

KEY = b"a secret of thirty two bytes ok!"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
PATIENCE = 30.0


@dataclass
class Hook:
    """Whoever takes events: what came, and by which status it is answered."""

    url: str
    came: Queue = field(default_factory=Queue)
    status: int = 204
    location: str | None = None

    @property
    def webhook(self) -> Webhook:
        return Webhook(self.url, SECRET, may_be_private=True)


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.came.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Hook(f"http://127.0.0.1:{server.server_address[1]}/hook?to=me")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        connection.execute("DELETE FROM webhook_events")
        yield connection


def told(connection: psycopg.Connection) -> list[tuple[str, str, dict]]:
    return connection.execute("SELECT kind, told, data FROM webhook_events ORDER BY event_id").fetchall()


def state(connection: psycopg.Connection) -> tuple:
    """Of the only event: how often it was tried, in how many seconds it is again, whether it was taken, and why not."""
    statement = (
        "SELECT attempts, round(extract(epoch FROM due_at - clock_timestamp()))::int, delivered_at IS NOT NULL, last_error"
        " FROM webhook_events"
    )
    (row,) = connection.execute(statement).fetchall()
    return row


def test_an_event_is_posted_signed_and_once(connection: psycopg.Connection, hook: Hook) -> None:
    add_event(connection, "bot_halted", "Bot ü was halted", {"bot": "ü"})
    event = send_next(connection, hook.webhook.send)
    assert event
    path, headers, body = hook.came.get(timeout=PATIENCE)
    assert path == "/hook?to=me"
    assert headers["content-type"] == "application/json"
    sent = json.loads(body)
    assert (sent["type"], sent["text"], sent["data"]) == (
        "bot_halted",
        "KnowDefeat Pipeline: Bot ü was halted",
        {"bot": "ü"},
    )
    assert datetime.fromisoformat(sent["timestamp"]) == event.occurred_at
    assert headers["webhook-id"] == f"evt_{event.event_id}"
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert state(connection) == (1, None, True, None)
    assert send_next(connection, hook.webhook.send) is None
    assert hook.came.empty()


def test_the_signature_is_that_of_the_standard_s_example() -> None:
    """That of the specification's own test vector."""
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_refused_is_sent_again_later_and_later_and_then_given_up(
    connection: psycopg.Connection, hook: Hook
) -> None:
    hook.status = 500
    add_event(connection, "run_failed", "refresh failed", {})
    for attempt, pause in enumerate((5, 20, 80, 320, 1280, 3600, 3600), 1):
        assert send_next(connection, hook.webhook.send)
        assert state(connection) == (attempt, pause, False, "the webhook answered 500")
        assert send_next(connection, hook.webhook.send) is None  # it is not due
        connection.execute("UPDATE webhook_events SET due_at = clock_timestamp()")
    (found,) = [finding for finding in of_pipeline(connection, date(2025, 1, 1)) if finding.subject == "Webhook"]  # fmt: skip
    assert (found.level, "1 event waits, 0 were given up" in found.found) == ("warning", True)
    assert "the webhook answered 500" in found.found
    connection.execute("UPDATE webhook_events SET occurred_at = clock_timestamp() - interval '73 hours'")
    event = send_next(connection, hook.webhook.send)
    assert event
    assert event.is_late
    assert state(connection) == (7, None, False, "the webhook answered 500")
    assert hook.came.qsize() == 7
    (found,) = [finding for finding in of_pipeline(connection, date(2025, 1, 1)) if finding.subject == "Webhook"]  # fmt: skip
    assert (found.level, "0 events wait, 1 was given up" in found.found) == ("not ok", True)
    hook.status = 200
    assert retry_given_up(connection) == 1
    assert send_next(connection, hook.webhook.send)
    assert state(connection)[2:] == (True, None)
    assert retry_given_up(connection) == 0


def test_one_that_is_refused_holds_up_no_other(connection: psycopg.Connection, hook: Hook) -> None:
    for name in ("first", "second"):
        add_event(connection, "run_failed", name, {})
    hook.status = 503
    assert send_next(connection, hook.webhook.send).told == "first"  # type: ignore[union-attr]
    hook.status = 204
    assert send_next(connection, hook.webhook.send).told == "second"  # type: ignore[union-attr]
    assert 4 < (seconds_until_due(connection) or 0) <= 5


def test_events_of_long_ago_go_whether_they_were_taken_or_nobody_was_told(connection: psycopg.Connection) -> None:
    for name in ("old", "new"):
        add_event(connection, "run_failed", name, {})
    connection.execute("UPDATE webhook_events SET occurred_at = '2025-01-01 UTC' WHERE told LIKE '%old%'")
    assert forget_events(connection, datetime(2025, 1, 15, tzinfo=UTC)) == 1
    assert [text for _, text, _ in told(connection)] == ["new"]


def test_a_redirect_is_not_followed(connection: psycopg.Connection, hook: Hook) -> None:
    hook.status, hook.location = 302, "http://169.254.169.254/latest/meta-data"
    add_event(connection, "run_failed", "x", {})
    send_next(connection, hook.webhook.send)
    assert state(connection)[3] == "the webhook answered 302"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_one_that_answers_byte_by_byte_is_given_up_in_time(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Each byte comes in time, the answer never does: of HTTP its headers, of TLS its handshake."""
    monkeypatch.setattr(webhooks, "TIMEOUT", 1.0)
    drips = b"HTTP/1.1 200 OK\r\nX: " if scheme == "http" else b"\x16\x03\x03\x40\x00\x02"
    ended = threading.Event()

    def drip(listening: socket.socket) -> None:
        taken, _ = listening.accept()
        with taken, suppress(OSError):
            taken.sendall(drips)
            while not ended.wait(0.2):
                taken.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        receiver = threading.Thread(target=drip, args=(listening,))
        receiver.start()
        add_event(connection, "run_failed", "x", {})
        alarm = threading.Timer(PATIENCE, ended.set)
        alarm.start()
        webhook = Webhook(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/", SECRET, may_be_private=True)
        send_next(connection, webhook.send)
        in_time = not ended.is_set()
        alarm.cancel()
        ended.set()
        receiver.join()
    assert (in_time, state(connection)[3]) == (True, "the webhook did not answer within 1 s")


def test_whoever_dies_while_he_sends_has_noted_nothing_and_it_is_sent_again(
    connection: psycopg.Connection, hook: Hook
) -> None:
    add_event(connection, "run_failed", "x", {})

    def die(event: outbox.Event) -> None:
        hook.webhook.send(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_next(connection, die)
    assert state(connection)[:1] == (0,)
    assert send_next(connection, hook.webhook.send)
    first, second = (hook.came.get(timeout=PATIENCE)[1]["webhook-id"] for _ in range(2))
    assert first == second


def test_two_who_send_do_not_send_the_same(database: str, connection: psycopg.Connection) -> None:
    add_event(connection, "run_failed", "x", {})
    with connect(database) as other:
        found = []
        send_next(connection, lambda event: found.append(send_next(other, lambda _: None)))
    assert found == [None]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::",
     "fec0::1", "::127.0.0.1", "64:ff9b:1::a00:1"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    def lead(host: str, port: int, **more: object) -> list[tuple]:
        return [(0, 0, 0, "", (at, port)) for at in ("93.184.215.14", address)]

    monkeypatch.setattr(socket, "getaddrinfo", lead)
    with pytest.raises(NotTaken, match="KNOWDEFEAT_WEBHOOK_PRIVATE=yes"):
        public_address("hook.example", 443, False)
    assert public_address("hook.example", 443, True) == "93.184.215.14"


def test_it_connects_to_the_address_that_was_looked_at(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere when it is asked again (DNS rebinding) leads nowhere."""
    answers = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **more: [(0, 0, 0, "", (next(answers), port))])
    asked: list[object] = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    add_event(connection, "run_failed", "x", {})
    send_next(connection, Webhook("https://hook.example/x", SECRET).send)
    assert asked == [("93.184.215.14", 443)]
    assert state(connection)[3] == "refused"


def test_by_default_the_own_machine_is_refused(connection: psycopg.Connection, hook: Hook) -> None:
    add_event(connection, "run_failed", "x", {})
    send_next(connection, Webhook(hook.url, SECRET).send)
    assert "is an address of this machine or its network" in state(connection)[3]
    assert hook.came.empty()


def test_the_secret_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, webhook_url="https://hook.example/x")
    secret = kept_secret(settings)
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert kept_secret(settings) == secret
    webhook = Webhook.of(settings)
    assert webhook
    assert (webhook.secret, secret in repr(webhook)) == (secret, False)
    (file,) = (tmp_path / "secrets").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Webhook.of(Settings(home=tmp_path)) is None
    given = Webhook.of(Settings(home=tmp_path, webhook_url="https://hook.example/x", webhook_secret=SECRET))
    assert given
    assert given.secret == SECRET


def test_hosts_with_homes_of_their_own_are_given_their_secret(tmp_path: Path) -> None:
    host = Settings(
        home=tmp_path, webhook_url="https://hook.example/x", database_url="postgresql://h/d", embedded=False
    )
    with pytest.raises(SettingError, match="KNOWDEFEAT_WEBHOOK_SECRET is not set: each host would sign by"):
        Webhook.of(host)
    assert not list(tmp_path.iterdir())
    assert Webhook.of(replace(host, webhook_secret=SECRET)) == Webhook("https://hook.example/x", SECRET)
    assert Webhook.of(replace(host, webhook_url=None)) is None


def test_decisions_and_refused_rows_are_told_of_in_their_own_transaction(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO bots (bot_id, quote_currency, name) VALUES (1, 'USD', 'grid')")
    halt = "INSERT INTO bot_events (bot_id, kind, author, reason, in_force_from) VALUES (1, %s, 'rules', '26 %% below', %s)"
    now = datetime.now(UTC)
    with connection.transaction() as undone:
        connection.execute(halt, ("halted", now))
        raise psycopg.Rollback(undone)
    assert told(connection) == []
    connection.execute(halt, ("halted", now))
    connection.execute(halt, ("halted", now - timedelta(days=30)))  # a history that is computed anew
    connection.execute(halt, ("released", now))
    ((kind, text, data),) = told(connection)
    assert (kind, text) == ("bot_halted", "Bot grid was halted: 26 % below")
    assert (data["bot_id"], data["bot"], data["reason"]) == (1, "grid", "26 % below")

    held = "INSERT INTO trade_quarantine (source, file_name, row_number, reason, message, original, layout, simulated) SELECT 's', 'trades.csv', n, CASE WHEN n = 3 THEN 'no_price' ELSE 'no_time' END, 'm', jsonb_build_object('n', n, 'of', %(of)s::text), '{}', %(simulated)s FROM generate_series(1, 3) AS n"
    connection.execute(held, {"of": "a", "simulated": False})
    connection.execute(held, {"of": "b", "simulated": True})
    kind, text, data = told(connection)[-1]
    assert (kind, text) == ("quarantine_held", "3 rows of trades.csv refused and held: no_time 2, no_price 1")
    assert data == {"source": "s", "file_name": "trades.csv", "rows": 3, "reasons": {"no_time": 2, "no_price": 1}}
    assert len(told(connection)) == 2


def test_results_that_are_behind_are_told_of_once_a_day(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    note_stale(connection, settings)
    assert told(connection) == []
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
        " SELECT 1, 'COIN', 'LONG', 'closed', now - interval '1 hour', now, 100, 101, 100 FROM clock_timestamp() AS now"
    )
    note_stale(connection, settings)  # they may catch up
    assert told(connection) == []
    monkeypatch.setattr(webhooks, "STALE", 0.0)
    note_stale(connection, settings)
    note_stale(connection, settings)
    ((kind, text, data),) = told(connection)
    assert (kind, data["family"]) == ("asset_stale", "ranking")
    assert text.startswith("the results of ranking are behind for 1 day")
    monkeypatch.setattr(webhooks, "AGAIN", 0.0)
    note_stale(connection, settings)
    assert len(told(connection)) == 2


def test_what_happens_is_sent_at_once_while_somebody_delivers(
    database: str, connection: psycopg.Connection, hook: Hook, tmp_path: Path
) -> None:
    stop = threading.Event()
    said: list[str] = []
    deliverer = threading.Thread(
        target=deliver, args=(database, hook.webhook, Settings(home=tmp_path), said.append, stop.is_set)
    )
    add_event(connection, "run_failed", "before", {})
    deliverer.start()
    try:
        assert json.loads(hook.came.get(timeout=PATIENCE)[2])["text"].endswith("before")
        add_event(connection, "run_failed", "after", {})
        assert json.loads(hook.came.get(timeout=PATIENCE)[2])["text"].endswith("after")
    finally:
        stop.set()
        add_event(connection, "run_failed", "last", {})  # it hears, and looks whether it is to stop
        deliverer.join(PATIENCE)
    assert not deliverer.is_alive()
    assert said == []


def test_an_error_of_the_database_ends_no_delivery(
    database: str, connection: psycopg.Connection, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is no lost connection: a table that is just being changed, say."""
    monkeypatch.setattr(webhooks, "RECONNECT", (0.0, 0.0))
    errors = iter([psycopg.errors.UndefinedColumn("no such column")])
    monkeypatch.setattr(webhooks, "note_stale", lambda *_: [_raise(error) for error in errors])
    add_event(connection, "run_failed", "x", {})
    said: list[str] = []
    deliver(database, hook.webhook, Settings(home=tmp_path), said.append, lambda: not hook.came.empty())
    assert said == ["Events for the webhook wait: no such column"]
    assert state(connection)[2]


def _raise(error: Exception) -> None:
    raise error
