"""Whether a listener gets on, for whoever restarts one that does not: a container's platform, a service manager.

That a process is there says little: its lease is renewed by a thread of its own, whatever its work hangs on. So the
work itself says what it does each time that it begins something, and an address on loopback tells how long ago.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from knowdefeat_pipeline.errors import KnowDefeatError

STUCK = 15 * 60.0  # seconds; the longest batches, of many days, take minutes
HOST = "127.0.0.1"


class PortTaken(KnowDefeatError):
    """The port of the health address cannot be listened on."""

    page = "deploy.md#the-parts"


class Pulse:
    """`state`: what the listener does, in a few words."""

    def __init__(self) -> None:
        self.beat("starting")

    def beat(self, state: str) -> None:
        """It does this from now on, or again."""
        self.state, self._at = state, time.monotonic()

    def answer(self) -> tuple[HTTPStatus, dict[str, object]]:
        """200 and what it does, or 503 where it has begun nothing for too long."""
        silent = time.monotonic() - self._at
        status = HTTPStatus.OK if silent < STUCK else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {"state": self.state, "seconds": round(silent, 1)}


@contextmanager
def told_at(pulse: Pulse, port: int | None) -> Iterator[int | None]:
    """Any GET of http://127.0.0.1:port answers with the pulse meanwhile; the port. None: nothing is told.

    Raises PortTaken.
    """
    if port is None:
        yield None
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds that a client may take to ask

        def do_GET(self) -> None:
            status, told = pulse.answer()
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: it is asked every few seconds."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise PortTaken(f"Cannot listen on {HOST}, port {port}: {error.strerror}. Choose another port.") from error
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="pulse", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
