"""The page Data: what is held and why, what came in, and what mends it; all of it works as plain forms."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.tokens import new_token
from tests.conftest import temporary_database
from tests.web.conftest import NASTY, Web, served
from tests.web.test_ingestion import CSV, EMPTIED

OWN = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}  # as a browser sends it
GUILTY = re.compile(r"<mark>(.*?)</mark>", re.S)


class Inputs(HTMLParser):
    """What a form would send."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "input" and (given.get("name") or "").startswith("cell:"):
            self.found[str(given["name"])] = given.get("value") or ""


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[Web]:
    with temporary_database(server_url, template) as url, served(url) as web:
        yield web


@pytest.fixture
def web(shared: Web) -> Web:
    """The app over a database with one file, of which a row was refused; its client is a browser that logged in."""
    with connect(shared.url) as connection:
        connection.execute(EMPTIED)
    shared.client.headers.update(shared.token("admin") | OWN)
    upload(shared, CSV.replace("c,8", f'"{NASTY}",8').encode(), "mine.csv")
    return shared


def upload(web: Web, body: bytes, name: str, deed: str = "record", status: int = 200, **said: str) -> str:
    answer = web.client.post("/data/upload", files={"file": (name, body)}, data={"deed": deed, **said})
    assert answer.status_code == status, answer.text
    return answer.text


def text_of(html: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)))


def test_a_held_row_stands_with_its_reason_remedy_and_guilty_cell(web: Web) -> None:
    page = web.get("/data").text
    assert NASTY not in page  # as text, and never as code
    assert [unescape(cell) for cell in GUILTY.findall(page)] == ["side=up"]
    text = text_of(page)
    assert "unknown_direction side 'up' is not a direction; write LONG or SHORT" in text
    assert "mine.csv:3" in text
    assert f"id={NASTY}" in text
    (rows,) = web.rows("SELECT message, original FROM trade_quarantine")
    (exported,) = web.get("/data?format=json").json()
    assert (exported["message"], json.loads(exported["original"])) == rows
    (line,) = csv.DictReader(io.StringIO(web.get("/data?format=csv").text))
    assert line["reason"] == "unknown_direction"


def test_imports_sources_and_the_last_trades_are_those_of_the_database(web: Web) -> None:
    text = text_of(web.get("/data").text)
    ((at,),) = web.rows("SELECT to_char(imported_at, 'YYYY-MM-DD HH24:MI') FROM imports")
    assert f"1 {at} mine.csv table admin 3 2 0 0 0 1" in text
    assert f"table 1 2 {at}" in text
    assert "b BTC-USD short closed −101.00 USD import 1" in text


def test_a_row_is_mended_in_its_form(web: Web) -> None:
    page = web.get("/data/rows/1").text
    inputs = Inputs(page).found
    assert inputs == {f"cell:{name}": cell or "" for name, cell in web.json("/quarantine/1")["original"].items()}
    wrong = web.client.post("/data/rows/1", data=inputs | {"cell:side": "sideways", "cell:fee": "2"})
    assert wrong.status_code == 409
    assert "Not recorded. Row 1 stays in quarantine: side 'sideways' is not a direction" in text_of(wrong.text)
    assert Inputs(wrong.text).found["cell:fee"] == "2"  # what was typed stays
    done = web.client.post("/data/rows/1", data=inputs | {"cell:side": "buy"})
    assert (done.status_code, done.headers["location"]) == (303, "/data/rows/1")
    assert web.rows("SELECT source_trade_id, direction FROM trades WHERE bot_id = 8") == [(NASTY, "LONG")]
    assert "It was released at" in text_of(web.get("/data/rows/1").text)
    assert "Nothing is held" in web.get("/data").text


def test_a_row_is_discarded_with_a_note(web: Web) -> None:
    done = web.client.post("/data/rows/1/discard", data={"note": "no trade"})
    assert done.status_code == 303
    assert web.rows("SELECT status, note FROM trade_quarantine") == [("discarded", "no trade")]
    assert web.client.post("/data/rows/1/discard", data={"note": ""}).status_code == 409


def test_an_import_is_undone(web: Web) -> None:
    assert "Undo import 1" in web.get("/data/imports/1").text
    done = web.client.post("/data/imports/1/undo")
    assert (done.status_code, done.headers["location"]) == (303, "/data/imports/1")
    assert web.rows("SELECT FROM trades") == []
    assert "by admin" in text_of(web.get("/data/imports/1").text)
    assert "Undo import 1" not in web.get("/data/imports/1").text
    assert "undone" in text_of(web.get("/data").text)


def test_a_file_is_tried_first_and_then_recorded(web: Web) -> None:
    body = CSV.replace("a,7", "d,7").replace("b,7", "e,7").encode()
    before = web.rows("SELECT count(*) FROM trades")
    text = text_of(upload(web, body, "new.csv", "try", source="mine"))
    assert "new.csv: 2 trades, 1 held, of 3 rows" in text
    assert "source mine. Nothing was written." in text
    assert "3 unknown_direction side 'up' is not a direction" in text
    assert "opened_at entry_time 2025-01-02 10:00 time, UTC" in text
    assert web.rows("SELECT count(*) FROM trades") == before
    text = text_of(upload(web, body, "new.csv", source="mine"))
    assert "new.csv is import 2 : 2 new, 0 moved on, 0 replaced, 0 known, 1 refused: mend them" in text
    assert web.rows("SELECT count(*) FROM trades WHERE source = 'mine'") == [(2,)]
    assert "as the same file was taken in before" in text_of(upload(web, body, "new.csv", source="mine"))


@pytest.mark.parametrize(
    ("body", "said", "words"),
    [
        (b"\x89PNG\r\n", {}, "x.csv: this is a picture (PNG)"),
        (b"a,b\n1,2\n", {}, "no column for source_trade_id"),
        (b"a,b\n1,2\n", {"map": "nonsense"}, "write COLUMN=FIELD"),
        (CSV.encode(), {"timezone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_the_form_stays(
    web: Web, body: bytes, said: dict[str, str], words: str
) -> None:
    page = upload(web, body, "x.csv", "record", 422, **said)
    assert f"Nothing was recorded. {words}" in text_of(page) or words in text_of(page)
    for value in said.values():
        assert f'value="{value}"' in page
    assert web.rows("SELECT count(*) FROM imports") == [(1,)]


def test_whoever_may_not_is_offered_nothing_and_refused(web: Web) -> None:
    held = Inputs(web.get("/data/rows/1").text).found
    for headers, status in (({}, 401), (web.token("read"), 403)):
        del web.client.headers["authorization"]
        web.client.headers.update(headers)
        for path in ("/data", "/data/rows/1", "/data/imports/1", "/data/upload"):
            page = web.get(path).text
            assert "<button" not in page
            assert "knowdefeat up" in page
        posts: list[httpx.Response] = [
            web.client.post("/data/rows/1", data=held),
            web.client.post("/data/rows/1/discard", data={}),
            web.client.post("/data/imports/1/undo"),
            web.client.post("/data/upload", files={"file": ("x.csv", CSV.encode())}, data={"deed": "record"}),
        ]
        assert [answer.status_code for answer in posts] == [status] * 4
        web.client.headers["authorization"] = "Bearer none"
    with connect(web.url) as connection:
        foreign = {
            "authorization": f"Bearer {new_token(connection, 'another', 'admin')}",
            "origin": "http://evil.example",
        }
    assert web.client.post("/data/imports/1/undo", headers=foreign).status_code == 403
    assert web.rows("SELECT count(*) FROM trades") == [(2,)]


def test_what_is_not_there_is_not_found(web: Web) -> None:
    for path in ("/data/rows/99", "/data/imports/99"):
        assert "There is no" in web.get(path, 404).text
    assert web.client.post("/data/rows/99", data={}).status_code == 404


def test_an_empty_database_says_how_to_begin(web: Web) -> None:
    with connect(web.url) as connection:
        connection.execute(EMPTIED)
    text = text_of(web.get("/data").text)
    assert "No imports yet. Bring trades: knowdefeat ingest trades.csv" in text
    assert "No trades yet." in text


def test_of_a_long_cell_the_beginning_is_shown_and_the_rest_once_it_is_opened(web: Web) -> None:
    with connect(web.url) as connection:
        connection.execute(
            "UPDATE trade_quarantine SET original = original || jsonb_build_object('note', repeat('n', 5000))"
        )
    text = web.get("/data").text
    (opened,) = re.findall(r"<details hx-morph-skip><summary>(.*?)</summary>(n+)</details>", text, re.DOTALL)
    assert re.sub(r"<[^>]*>", "", opened[0]) == f"note={120 * 'n'}…"
    assert len(opened[1]) == 5000
