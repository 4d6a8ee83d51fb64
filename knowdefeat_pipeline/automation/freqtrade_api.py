"""freqtrade's REST API as a file: what it says of a bot's trades, in the home, written anew whenever that has changed.

So that a bot on another machine is followed as a file is. Only what a trade is goes into the file, nothing that changes
with every price. freqtrade lets in a user with a password, or a token of its own, over HTTP; what is secret leaves this
machine over TLS alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from knowdefeat_pipeline.automation.loopback import NotLoopback, require_loopback
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.settings import make_private
from knowdefeat_pipeline.sources.formats.freqtrade_api import OF_ORDER, OF_TRADE

PAUSE = 2.0  # seconds between two questions
TIMEOUT = 5.0  # seconds that an answer may take
PAGE = 500  # trades that freqtrade gives at once
LARGEST = 2**28  # bytes that an answer may have
DEFAULT_NAME = "freqtrade"  # of bots that were given none
TOKEN = "KNOWDEFEAT_FREQTRADE_TOKEN"  # noqa: S105 (the name of the variable)
OTHERWISE = "does not answer as freqtrade's API does"


class ApiError(KnowDefeatError):
    """An API that does not answer, or not as freqtrade's does; the message says what to do."""

    page = "formats.md#follow-a-bot-while-it-trades"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever else it is has no business with the password."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none."""


@dataclass
class FreqtradeApi:
    """The API of one bot. `url`: what stands before `/api`. `token`: `user:password`, or a token of freqtrade's.
    `path`: the file."""

    url: str
    token: str
    path: Path
    _asked: float = field(default=float("-inf"), init=False)
    _closed: list[dict[str, Any]] | None = field(default=None, init=False)

    @classmethod
    def at(cls, url: str, token: str | None, home: Path) -> FreqtradeApi:
        """The API at an address. Raises ApiError for one that is none, or would be told the password in the open."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ApiError(
                f"That is no address of freqtrade's API. Write it as http://127.0.0.1:8080, the login in {TOKEN}."
            )
        if token is None:
            raise ApiError(f"Set {TOKEN} to user:password of freqtrade's api_server, or to a token of it.")
        if parts.scheme == "http":
            try:
                require_loopback(parts.hostname)
            except NotLoopback as error:
                raise ApiError(
                    f"{url} is on another machine, and over http anybody on the way reads the password. Use https, or "
                    "a tunnel: ssh -L 8080:127.0.0.1:8080 HOST, then --url http://127.0.0.1:8080"
                ) from error
        place = f"{parts.hostname}_{parts.port}" if parts.port else parts.hostname
        behind = parts.path.rstrip("/")
        if behind:  # as bots behind one proxy have; the others keep the name that their bots are called by
            place += f"_{hashlib.sha256(behind.encode()).hexdigest()[:8]}"
        prefix = f"{parts.scheme}://{parts.netloc}{behind}"
        return cls(prefix, token, home / "followed" / f"{place.replace(':', '-')}.json")

    def refresh(self) -> None:
        """Ask again, if it is time, and write the file if the answer is another. Raises ApiError."""
        if time.monotonic() < self._asked + PAUSE:
            return
        self._asked = time.monotonic()
        text = json.dumps(self._document(), sort_keys=True).encode()
        if not self.path.exists() or self.path.read_bytes() != text:
            make_private(self.path.parent)
            partial = self.path.with_name(f".{self.path.name}")
            partial.unlink(missing_ok=True)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
            partial.replace(self.path)

    def _document(self) -> dict[str, Any]:
        config = self._ask("show_config")
        if not isinstance(config, dict) or "dry_run" not in config:
            raise ApiError(f"{self.url} {OTHERWISE}; check the address")
        name = config.get("bot_name") or DEFAULT_NAME
        bot = self.path.stem if name == DEFAULT_NAME else name
        about = {"bot": bot, "dry_run": bool(config["dry_run"]), "stake_currency": config.get("stake_currency")}
        is_open = self._ask("status")
        trades = [*self._closed_trades(), *(is_open if isinstance(is_open, list) else [])]
        try:
            return {"freqtrade_api": about, "trades": [_only_facts(trade) for trade in trades]}
        except (AttributeError, TypeError) as error:
            raise ApiError(f"{self.url} {OTHERWISE}; update freqtrade") from error

    def _closed_trades(self) -> list[dict[str, Any]]:
        """All of them, by their ids; asked for again only where there are more or fewer, as none changes."""
        found, total = self._page(1, 0)
        if self._closed is None or len(self._closed) != total:
            found = []
            while len(found) < total:
                page, total = self._page(PAGE, len(found))
                if not page:
                    break
                found += page
            self._closed = found
        return self._closed

    def _page(self, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        answer = self._ask(f"trades?limit={limit}&offset={offset}")
        try:
            return list(answer["trades"]), int(answer["total_trades"])
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ApiError(f"{self.url} {OTHERWISE}; update freqtrade") from error

    def _ask(self, what: str) -> Any:
        basic = "Basic " + base64.b64encode(self.token.encode()).decode()
        login = basic if ":" in self.token else f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.url}/api/v1/{what}", headers={"Authorization": login})  # noqa: S310
        direct = [urllib.request.ProxyHandler({})] if self.url.startswith("http:") else []  # on this machine
        try:
            with urllib.request.build_opener(_NoRedirect, *direct).open(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read(LARGEST))
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise ApiError(f"{self.url} refuses the login: check {TOKEN}") from error
            raise ApiError(f"{self.url} answers {error.code} to {what}") from error
        except (OSError, HTTPException) as error:
            raise ApiError(f"{self.url} does not answer: {getattr(error, 'reason', error)}") from error
        except (ValueError, RecursionError) as error:
            raise ApiError(f"{self.url} {OTHERWISE}; check the address") from error


def _only_facts(trade: Mapping[str, Any]) -> dict[str, Any]:
    orders = trade.get("orders") or []
    return {name: trade.get(name) for name in OF_TRADE} | {
        "orders": [{name: order.get(name) for name in OF_ORDER} for order in orders]
    }
