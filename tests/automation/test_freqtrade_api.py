"""freqtrade's REST API, played by a server of our own: what is written down, and what is refused."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from knowdefeat_pipeline.automation import freqtrade_api
from knowdefeat_pipeline.automation.follow import Follower
from knowdefeat_pipeline.automation.freqtrade_api import ApiError, FreqtradeApi
from knowdefeat_pipeline.cli.trade_files import FileOptions
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.followed_files import followed_files

SAMPLE = Path(__file__).parents[1] / "sources" / "samples" / "freqtrade_api.json"
LOGIN = "Basic " + base64.b64encode(b"ann:secret").decode()


class Bot:
    """A freqtrade whose API is asked. `asked`: the paths, with their logins."""

    def __init__(self) -> None:
        self.trades = [trade | {"current_rate": 1} for trade in json.loads(SAMPLE.read_text())["trades"]]
        self.config: Any = {"bot_name": "alpha", "dry_run": True, "stake_currency": "USDT"}
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.asked: list[str] = []
        self.raw: bytes | None = None  # what is said instead of the closed trades

    def answer(self, path: str) -> Any:
        place, _, query = path.removeprefix("/api/v1/").partition("?")
        if place == "show_config":
            return self.config
        if place == "status":
            return [trade for trade in self.trades if trade["is_open"]]
        about = dict(pair.split("=") for pair in query.split("&"))
        limit, offset = int(about["limit"]), int(about["offset"])
        closed = [trade for trade in self.trades if not trade["is_open"]]
        return {"trades": closed[offset : offset + limit], "total_trades": len(closed)}


@pytest.fixture
def bot() -> Iterator[tuple[Bot, str]]:
    served = Bot()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            code, headers = served.answers.get(self.path, (200, {}))
            if self.headers["Authorization"] != LOGIN:
                code = 401
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if code == 200:
                raw = served.raw if "/trades" in self.path else None
                self.wfile.write(json.dumps(served.answer(self.path)).encode() if raw is None else raw)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield served, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freqtrade_api, "PAUSE", 0.0)


def test_what_it_says_is_written_down_page_by_page(
    bot: tuple[Bot, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, url = bot
    monkeypatch.setattr(freqtrade_api, "PAGE", 1)
    api = FreqtradeApi.at(url + "/", "ann:secret", tmp_path)
    api.refresh()
    assert json.loads(api.path.read_text()) == json.loads(SAMPLE.read_text())
    assert api.path.stat().st_mode & 0o777 == 0o600
    assert [path for path in served.asked if "trades" in path] == [
        f"/api/v1/trades?limit=1&offset={offset}" for offset in (0, 0, 1)
    ]
    written = api.path.stat().st_ino, api.path.stat().st_mtime_ns
    served.trades[2]["current_rate"] = 2  # a price alone is no news
    api.refresh()
    assert (api.path.stat().st_ino, api.path.stat().st_mtime_ns) == written
    assert [*api.path.parent.iterdir()] == [api.path]


def test_a_bot_without_a_name_is_called_after_its_place(bot: tuple[Bot, str], tmp_path: Path) -> None:
    served, url = bot
    served.config = {"bot_name": "freqtrade", "dry_run": False, "stake_currency": "USDT"}
    api = FreqtradeApi.at(url, "ann:secret", tmp_path)
    api.refresh()
    assert json.loads(api.path.read_text())["freqtrade_api"]["bot"] == url.removeprefix("http://").replace(":", "_")


def test_what_cannot_be_asked_is_told_with_what_to_do(bot: tuple[Bot, str], tmp_path: Path) -> None:
    served, url = bot
    with pytest.raises(ApiError, match="refuses the login: check KNOWDEFEAT_FREQTRADE_TOKEN"):
        FreqtradeApi.at(url, "ann:wrong", tmp_path).refresh()
    api = FreqtradeApi.at(url, "ann:secret", tmp_path)
    served.answers["/api/v1/status"] = (302, {"Location": "http://127.0.0.1:1/elsewhere"})
    with pytest.raises(ApiError, match="answers 302 to status"):  # and nobody else hears the password
        api.refresh()
    served.config = ["something", "else"]
    with pytest.raises(ApiError, match="does not answer as freqtrade's API does"):
        api.refresh()
    with pytest.raises(ApiError, match="does not answer: "):
        FreqtradeApi.at("http://127.0.0.1:1", "ann:secret", tmp_path).refresh()
    assert not api.path.exists()


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("ftp://127.0.0.1", "a:b", "That is no address of freqtrade's API"),
        ("http://ann:secret@127.0.0.1", "a:b", "That is no address of freqtrade's API"),
        ("http://127.0.0.1", None, "Set KNOWDEFEAT_FREQTRADE_TOKEN to user:password"),
        ("http://192.0.2.1:8080", "a:b", "over http anybody on the way reads the password"),
    ],
)
def test_what_would_not_work_or_tell_a_password_is_refused(
    tmp_path: Path, url: str, token: str | None, message: str
) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        FreqtradeApi.at(url, token, tmp_path)
    assert "secret" not in str(refused.value)
    assert FreqtradeApi.at("https://192.0.2.1/bot/", "a:b", tmp_path).url == "https://192.0.2.1/bot"


def test_bots_behind_one_proxy_have_files_of_their_own(tmp_path: Path) -> None:
    def name(url: str) -> str:
        return FreqtradeApi.at(url, "a:b", tmp_path).path.name

    assert name("https://h.example/bot1") == name("https://h.example/bot1/") == "h.example_03a9c34f.json"
    assert len({name(f"https://h.example{behind}") for behind in ("", "/bot1", "/bot2", "/bot1/2", "/bot1_2")}) == 5
    assert (name("https://h.example"), name("http://127.0.0.1:8080/")) == ("h.example.json", "127.0.0.1_8080.json")


@pytest.mark.parametrize(
    "answer",
    [
        b'{"trades": ["a", 1], "total_trades": 2}',
        b'{"trades": [{"orders": ["a"]}], "total_trades": 1}',
        b'{"trades": 7, "total_trades": 1}',
        b'{"trades": [], "total_trades": Infinity}',
        b"[" * 100_000,
        b'{"trades": [], "total_trades": ' + b"1" * 5000 + b"}",
    ],
)
def test_an_answer_of_something_else_is_told(bot: tuple[Bot, str], tmp_path: Path, answer: bytes) -> None:
    served, url = bot
    served.raw = answer
    with pytest.raises(
        ApiError, match=r"does not answer as freqtrade's API does; (update freqtrade|check the address)"
    ):
        FreqtradeApi.at(url, "ann:secret", tmp_path).refresh()


def test_its_trades_are_followed_and_its_absence_is_told(
    bot: tuple[Bot, str], database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, url = bot
    api = FreqtradeApi.at(url, "ann:secret", tmp_path)
    said: list[str] = []
    monkeypatch.setattr("knowdefeat_pipeline.automation.follow.REST", 0.0)
    follower = Follower(database, [api.path], FileOptions().read_growing, said.append, refresh={api.path: api.refresh})
    (followed,) = follower._begin()
    follower._look(followed)
    orders = [*served.trades[2]["orders"], {"ft_is_entry": False, "filled": 10.0, "safe_price": 151.0}]
    served.trades[2] |= {"is_open": False, "close_rate": 151.0, "close_timestamp": 1793786400000, "orders": orders}
    served.trades[2]["close_profit_abs"] = 10 - 1.5 - 1.51
    follower._look(followed)
    served.config = None
    follower._look(followed)
    with connect(database) as connection:
        rows = connection.execute("SELECT source_trade_id, status, pnl FROM trades ORDER BY 1").fetchall()
        assert rows == [
            ("1", "closed", pytest.approx(4.794)), ("2", "closed", pytest.approx(44.2)),
            ("3", "closed", pytest.approx(6.99)),
        ]  # fmt: skip
        assert connection.execute("SELECT name FROM bots").fetchall() == [("alpha (dry_run) Grid",)]
        (status,) = followed_files(connection)
    assert status["source"] == "freqtrade_api:dry_run"
    assert "does not answer as freqtrade's API does" in status["trouble"]
    assert [words for words in said if "row" in words] == [
        f"{api.path.name}: 3 rows: 3 new, 0 updated", f"{api.path.name}: 1 row: 0 new, 1 updated"
    ]  # fmt: skip
