"""The web application as tests use it: in this process, over a real fleet in a real database."""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.core.simulation.bars import simulate_regimes
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations, roles
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow, open_pool
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.market import compute_regimes
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.tokens import Scope, new_token, offer_login
from knowdefeat_pipeline.store.trades import load_trades
from knowdefeat_pipeline.web.app import make_app
from knowdefeat_pipeline.web.intake import Intake
from knowdefeat_pipeline.web.live import LiveResults
from knowdefeat_pipeline.web.site import Site
from tests.conftest import temporary_database
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
LAST = date(2025, 2, 28)
DAYS = 40
CODE = "a-code-that-counts-once"
NASTY = "<script>alert(1)</script>"  # a bot's name
FORMULA = '=HYPERLINK("http://evil.example")'  # a strategy
PATIENCE = 30.0


@dataclass
class Web:
    """A client of the app, the site that it serves, and the database's URL."""

    client: httpx.Client
    site: Site
    url: str

    def get(self, path: str, status: int = 200, **options: Any) -> httpx.Response:
        answer = self.client.get(path, **options)
        assert answer.status_code == status, answer.text
        return answer

    def token(self, scope: Scope) -> dict[str, str]:
        """The header of a new token of that scope."""
        with connect(self.url) as connection:
            return {"authorization": f"Bearer {new_token(connection, scope, scope)}"}

    def json(self, path: str, **options: Any) -> Any:
        return self.get(f"/api/v1{path}", **options).json()

    def rows(self, statement: str, *parameters: object) -> list[tuple]:
        with connect(self.url) as connection:
            return connection.execute(statement, parameters).fetchall()


class _Transport(httpx.BaseTransport):
    """Answers requests by the app, whose loop runs in a thread of its own."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner, self.loop = httpx.ASGITransport(app), loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()  # what is sent in parts, too

        async def ask() -> httpx.Response:
            answer = await self.inner.handle_async_request(request)
            body = await answer.aread()
            headers = [(k, v) for k, v in answer.headers.raw if k.lower() != b"content-encoding"]
            return httpx.Response(answer.status_code, headers=headers, content=body, request=request)

        return asyncio.run_coroutine_threadsafe(ask(), self.loop).result(PATIENCE)


@contextmanager
def served(url: str, as_role: str | None = None) -> Iterator[Web]:
    """The app over the database at `url`, behind its guard, as `knowdefeat up` serves it."""
    live = LiveResults(as_role or url)
    site = Site(open_pool(as_role or url, 4), live, Intake(url))
    with connect(url) as owner:
        offer_login(owner, CODE)
    app = make_app(site)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started, ended, to_end = threading.Event(), threading.Event(), asyncio.Event()

    async def lifespan() -> None:
        messages = iter([{"type": "lifespan.startup"}])

        async def receive() -> dict[str, Any]:
            if message := next(messages, None):
                return message
            await to_end.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                started.set()

        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)  # type: ignore[arg-type]
        ended.set()

    asyncio.run_coroutine_threadsafe(lifespan(), loop)
    assert started.wait(PATIENCE)
    try:
        with httpx.Client(transport=_Transport(app, loop), base_url="http://127.0.0.1:3000") as client:
            yield Web(client, site, url)
    finally:
        loop.call_soon_threadsafe(to_end.set)
        assert ended.wait(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def _refused() -> pd.DataFrame:
    """Trades that are held, each for another reason, as they tell of no bot that is known."""
    right: dict[str, Any] = {
        "bot_id": "8", "ticker": "ETH-USD", "direction": "SHORT", "status": "closed", "entry_time": "2025-02-21 13:05",
        "exit_time": "2025-02-21 16:00", "entry_price": 3100.0, "exit_price": 3125.0, "quantity": 1.5, "fees": 0.9,
        "exit_reason": NASTY,
    }  # fmt: skip
    wrong = ({"direction": "up"}, {"exit_time": "2025-02-20 12:00"}, {"entry_price": -3110.0})
    return pd.DataFrame([right | {"source_trade_id": f"X-{n}"} | change for n, change in enumerate(wrong, 2)])


@pytest.fixture(scope="session")
def fleet_url(server_url: str) -> Iterator[str]:
    """The URL of a database with a computed fleet: names that try to be code, one bot inactive, funds, open trades."""
    with temporary_database(server_url, "template0") as url:
        migrations.upgrade(url)
        load_trades(
            url, read_frame(simulate("base", bots=9, days=DAYS, seed=5, end=END).trades, "simulator", END), "fleet"
        )
        with connect(url) as connection:
            connection.execute("UPDATE bots SET name = %s, strategy_id = %s WHERE bot_id = 2", (NASTY, FORMULA))
            connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 3")
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, mark_price) "
                "VALUES (4, 'SOL-USD', 'LONG', %s, 100, 100, 97)",
                (END - timedelta(hours=2),),
            )
            connection.execute(
                "UPDATE position_marks SET (marked_at, day) = (%s, %s)", (END - timedelta(hours=2), LAST)
            )
            save_settings(connection, FundSettings("USD", 10_000_000), "the owner", NASTY)
        _give_bars(url)
        load_trades(url, read_frame(_refused(), "bad", END), "bad.csv")
        days.refresh(url, LAST - timedelta(days=DAYS - 5), LAST, END)
        days.learn(url, LAST - timedelta(days=DAYS - 5), LAST)
        yield url


def _give_bars(url: str) -> None:
    """Bars of what no bot trades, and their labels; of one series the ticker tries to be code."""
    bars, _ = simulate_regimes("plain", bars=960, seed=5)
    bars["open_time"] = pd.date_range(END - timedelta(hours=len(bars)), periods=len(bars), freq="h")
    names = ["ticker", "timeframe", "open_time", "open", "high", "low", "close", "volume"]
    parts = [bars.assign(ticker="DOGE-USD", timeframe="1h"), bars[-60:].assign(ticker=NASTY, timeframe="1h")]
    with open_session(url) as session:
        copy_arrow(
            session.connection, "price_bars", pa.Table.from_pandas(pd.concat(parts)[names], preserve_index=False)
        )
        compute_regimes(session, LAST - timedelta(days=40), LAST, END).require()


@pytest.fixture
def web(fleet_url: str) -> Iterator[Web]:
    """The app over the fleet, which no test changes."""
    with served(fleet_url) as web:
        yield web


@pytest.fixture
def own_web(fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]) -> Iterator[Web]:
    """The app over a copy of the fleet."""
    with cloned(fleet_url) as url, served(url) as web:
        yield web


@pytest.fixture
def empty_web(database: str) -> Iterator[Web]:
    """The app over a database without trades."""
    with served(database) as web:
        yield web


def environment_of(url: str, home: Path) -> dict[str, str]:
    """The environment in which `knowdefeat up` starts the program of the pages over that database."""
    pages = {"KNOWDEFEAT_DATABASE_URL": role_url(url, roles.Passwords(home)), "KNOWDEFEAT_INTAKE_URL": url}
    return os.environ | pages | {"KNOWDEFEAT_HOME": str(home)}


def await_answer(program: subprocess.Popen[Any], address: str) -> None:
    """Wait until a program of the pages answers, which nobody is told of."""
    until = time.monotonic() + 3 * PATIENCE
    while True:
        assert program.poll() is None, "the program ended"
        try:
            assert httpx.get(f"{address}/api/v1/health", timeout=PATIENCE).json() == {"status": "ok"}
        except httpx.ConnectError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


def role_url(url: str, passwords: roles.Passwords) -> str:
    """The database's URL as the process of the pages gets it."""
    return roles.rotate(url, "knowdefeat_web", passwords)
