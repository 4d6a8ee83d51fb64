"""Webhooks: what happened is posted to the address that the settings name, signed as Standard Webhooks describe it.

Events come from an outbox (`store/outbox.py`), so that none is lost: one that is refused is sent again, later and
later, and one that nobody took within days is given up, which `doctor` and the page Operations say.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg

from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.settings import SettingError, Settings
from knowdefeat_pipeline.store.outbox import (
    CHANNEL,
    Event,
    NotTaken,
    add_event,
    seconds_until_due,
    send_next,
    was_told_of,
)
from knowdefeat_pipeline.store.staleness import FAMILIES, stale_days

TIMEOUT = 10.0  # seconds for a connection, and then for the whole answer
LOOK = 60.0  # seconds between two looks at what is stale
SOON = 0.5  # seconds between two looks at an event that is due
STALE = 900.0  # seconds for which results may be behind before somebody is told
AGAIN = 86_400.0  # seconds after which he is told again
RECONNECT = (1.0, 30.0)  # seconds: the first and the longest wait for a database that is away
SECRET_PREFIX = "whsec_"  # noqa: S105 (of Standard Webhooks: what follows is base64)
# Addresses of IPv6 that lead on to one of IPv4, whichever that is: 6to4, NAT64 and its own networks, IPv4-compatible.
_RELAYS = tuple(map(ipaddress.ip_network, ("2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


@dataclass(frozen=True)
class Webhook:
    """Where events are posted, and the secret by which the receiver knows whose they are. `may_be_private`: whether it
    may be on this machine or in its network, where a mistaken address would let others drive what listens there."""

    url: str
    secret: str = field(repr=False)
    may_be_private: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Webhook | None:
        """That of the settings, None where they name none. Raises SettingError, see `secret_of`."""
        if settings.webhook_url is None:
            return None
        return cls(settings.webhook_url, secret_of(settings), settings.webhook_private)

    def send(self, event: Event) -> None:
        """Post an event. Raises NotTaken."""
        body = json.dumps(
            {
                "type": event.kind,
                "timestamp": event.occurred_at.isoformat(),
                "text": f"KnowDefeat Pipeline: {event.told}",
                "data": event.data,
            }
        ).encode()
        try:
            self._post(body, signed(f"evt_{event.event_id}", int(time.time()), body, self.secret))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotTaken(str(error) or type(error).__name__) from error

    def _post(self, body: bytes, headers: Mapping[str, str]) -> None:
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        address = public_address(host, port, self.may_be_private)
        connection = _Connection(host, port, address, parts.scheme == "https")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            if not connection.is_late:
                raise
        finally:
            connection.close()
        if connection.is_late:  # headers that were cut off pass for whole ones
            raise NotTaken(f"the webhook did not answer within {TIMEOUT:g} s")
        if not 200 <= status < 300:  # nor is a redirect followed: it could lead anywhere
            raise NotTaken(f"the webhook answered {status}")


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at before, whatever the name leads to by now."""

    def __init__(self, host: str, port: int, address: str, encrypted: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self.address, self.encrypted = address, encrypted
        self.default_port = 443 if encrypted else 80
        self.is_late = False
        self._alarm = threading.Timer(TIMEOUT, self._end)
        self._alarm.daemon = True

    def connect(self) -> None:
        """As its base, to the address; the time for the whole answer begins."""
        self.sock = socket.create_connection((self.address, self.port), TIMEOUT)
        self._alarm.start()
        if self.encrypted:
            tls = ssl.create_default_context()
            self.sock = tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()  # by now the alarm ends this one

    def _end(self) -> None:
        """The socket's own timeout begins anew with each byte, and a transaction is open meanwhile."""
        self.is_late = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # TLS would say goodbye first

    def close(self) -> None:
        """As its base."""
        self._alarm.cancel()
        super().close()


def public_address(host: str, port: int, may_be_private: bool) -> str:
    """The address to connect to. Raises NotTaken for a name that leads, also, to this machine or its network."""
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise NotTaken(f"{host} cannot be found: {error}") from error
    if not may_be_private and not all(map(_is_public, map(str, found))):
        raise NotTaken(
            f"{host} is an address of this machine or its network. If that is meant: KNOWDEFEAT_WEBHOOK_PRIVATE=yes"
        )
    return str(found[0])


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _is_public(str(address.ipv4_mapped))
        if address.is_site_local or any(address in network for network in _RELAYS):
            return False
    return address.is_global and not address.is_multicast


def signed(name: str, at: int, body: bytes, secret: str) -> dict[str, str]:
    """The headers of Standard Webhooks: `webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature`,
    an HMAC-SHA256 of the three. Raises ValueError for a secret that is not whsec_ and base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signature}


def secret_of(settings: Settings) -> str:
    """The secret that the settings name, else the one that is kept in the home.

    Raises SettingError where several hosts may deliver: each has a home of its own, and the receiver knows one secret.
    """
    if settings.webhook_secret is None and not settings.embedded:
        raise SettingError(
            "KNOWDEFEAT_EMBEDDED=no, and KNOWDEFEAT_WEBHOOK_SECRET is not set: each host would sign by its own secret.",
            'Set it on all of them; one is made by: echo "whsec_$(openssl rand -base64 32)"',
        )
    return settings.webhook_secret or kept_secret(settings)


def kept_secret(settings: Settings) -> str:
    """The secret that is kept in the home, in a file that nobody else may read; it is made where there is none."""
    files, name = Passwords(settings.home / "secrets"), "webhook"
    found = files.of(name)
    if found is None:
        found = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        files.keep(name, found)
    return found


def note_stale(connection: psycopg.Connection, settings: Settings) -> None:
    """Note an event for each family of assets that has been behind for long, once a day as long as it is."""
    now = clock.now(connection)
    for family in FAMILIES:
        found = stale_days(connection, family, now, settings.first_day)
        if not found.since or (now - found.since).total_seconds() < STALE:
            continue
        if not was_told_of(connection, "asset_stale", family.name, AGAIN):
            span = f"{found.first} to {found.last}"
            told = f"the results of {family.name} are behind for {counted(len(found.days), 'day')}, {span}"
            data = {"days": len(found.days), "first": str(found.first), "last": str(found.last)}
            about = {"family": family.name, "since": found.since.isoformat()}
            add_event(connection, "asset_stale", told, about | data)


def deliver(
    url: str, webhook: Webhook, settings: Settings, say: Callable[[str], None], stop: Callable[[], bool]
) -> None:
    """Send what is due until stopped; a database that is away is waited for."""
    wait = RECONNECT[0]
    while not stop():
        try:
            with connect(url) as connection:
                connection.execute("SET idle_session_timeout = 0")
                connection.execute(f"LISTEN {CHANNEL}")
                looked = -LOOK
                while not stop():
                    wait = RECONNECT[0]
                    if time.monotonic() - looked >= LOOK:
                        looked = time.monotonic()
                        note_stale(connection, settings)
                    while event := send_next(connection, webhook.send):
                        if event.is_late and event.attempts:
                            say(f"Gave up an event for the webhook: {event.told}")
                    _hear(connection, _pause(seconds_until_due(connection)))
        except (psycopg.Error, KnowDefeatError) as error:
            say(f"Events for the webhook wait: {str(error).strip()}")
            time.sleep(wait)
            wait = min(2 * wait, RECONNECT[1])


def _pause(due: float | None) -> float:
    """How long to wait for news. One that is due and that another process is sending is looked at again soon."""
    return LOOK if due is None else min(max(due, SOON), LOOK)


def _hear(connection: psycopg.Connection, timeout: float) -> None:
    with suppress(StopIteration):
        next(connection.notifies(timeout=timeout, stop_after=1))
