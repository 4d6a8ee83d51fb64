"""Trades over HTTP: they go the way of `ingest`, once however often they are sent, and whole or not at all."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT, handed_on
from knowdefeat_pipeline.store.tokens import new_token
from knowdefeat_pipeline.web import bodies, intake, recorder
from tests.conftest import temporary_database
from tests.web.conftest import Web, served

TRADE = {
    "source_trade_id": "t-1",
    "bot_id": "grid-eth-01",
    "ticker": "ETH-USD",
    "direction": "LONG",
    "status": "open",
    "entry_time": "2025-01-02T10:00:00Z",
    "entry_price": 2000.0,
    "quantity": 0.5,
    "entry_fee": 0.4,
}
CLOSING = {"status": "closed", "exit_time": "2025-01-02T12:00:00Z", "exit_price": 2100.0, "exit_fee": 0.6}
CSV = """id,bot,pair,side,opened_at,closed_at,open_price,close_price,position_value,fee
a,7,BTC-USD,buy,2025-01-02 10:00,2025-01-02 11:00,100,110,1000,1
b,7,BTC-USD,sell,2025-01-02 12:00,2025-01-02 13:00,100,110,1000,1
c,8,ETH-USD,up,2025-01-02 12:00,2025-01-02 13:00,100,110,1000,1
"""


EMPTIED = "TRUNCATE trades, bots, bot_names, imports, trade_quarantine, api_tokens RESTART IDENTITY CASCADE"


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[Web]:
    """The app over one database, as each recorder takes a second to start."""
    with temporary_database(server_url, template) as url, served(url) as web:
        yield web


@pytest.fixture
def web(shared: Web) -> Web:
    """The app over an empty database, its client with a token that lets do everything."""
    with connect(shared.url) as connection:
        connection.execute(EMPTIED)
    shared.client.headers.update(shared.token("admin"))
    return shared


def send(web: Web, trade: dict[str, Any], status: int = 201, **query: str) -> Any:
    answer = web.client.post("/api/v1/trades", json=trade, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def bulk(web: Web, body: bytes, status: int = 201, kind: str = "text/csv", **options: Any) -> Any:
    answer = web.client.post(
        "/api/v1/trades/bulk",
        content=body,
        headers={"content-type": kind, **options.pop("headers", {})},
        params=options,
    )
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


GUIDE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def posted_by_freqtrade(
    web: Web, token: str, message: dict[str, Any], dry_run: str = "false", without: str = ""
) -> httpx.Response:
    """What its webhook sends of a message, configured as the guide says: `requests` takes the login from the address.
    `dry_run`: what the user writes in its place; `without`: a field that is left out."""
    (text,) = re.findall(r'^```json\n(\{\n +"webhook".*?)^```', GUIDE, re.MULTILINE | re.DOTALL)
    webhook = json.loads(text)["webhook"]
    url = httpx.URL(webhook["url"].replace("TOKEN", token))
    login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    payload = {name: value.format(**message) for name, value in webhook[message["type"]].items() if name != without}
    payload = {name: dry_run if value == "TRUE OR FALSE" else value for name, value in payload.items()}
    headers = {"authorization": f"Basic {login}"}
    return web.client.post(url.raw_path.decode(), json=payload, headers=headers)


def test_freqtrade_tells_of_its_trades_by_its_webhook(web: Web) -> None:
    opened = datetime(2025, 1, 2, 9, tzinfo=UTC)
    message = {"trade_id": 7, "pair": "ETH/USDT", "direction": "Long", "leverage": 1.0, "stake_currency": "USDT",
               "amount": 0.5, "open_rate": 2000.0, "open_date": opened, "sub_trade": False}  # fmt: skip
    entry = {"type": "entry_fill", **message}
    added = {**entry, "open_rate": 1900.0, "sub_trade": True}
    leaving = {**message, "type": "exit_fill", "open_rate": 1950.0, "close_rate": 2100.0, "exit_reason": "roi",
               "close_date": opened + timedelta(hours=3)}  # fmt: skip
    part = {**leaving, "profit_amount": 74.0, "cumulative_profit": 74.0, "sub_trade": True, "is_final_exit": False}
    last = {**leaving, "amount": 1.0, "profit_amount": 147.0, "cumulative_profit": 147.0, "is_final_exit": True}
    with connect(web.url) as connection:
        token = new_token(connection, "freqtrade", "ingest")
    said = [posted_by_freqtrade(web, token, one) for one in (entry, added, part, last, last)]
    assert [answer.status_code for answer in said] == [201, 200, 200, 201, 200]
    assert said[-1].headers["idempotent-replayed"] == "true"
    assert web.rows(
        "SELECT t.source, source_trade_id, b.name, status, entry_price, quantity, t.fees, pnl, exit_time, exit_reason"
        " FROM trades AS t JOIN bots AS b USING (bot_id)"
    ) == [
        ("freqtrade_webhook", "7", "alpha SampleStrategy", "closed", 1950.0, 1.0, pytest.approx(3.0),
         pytest.approx(147.0), opened + timedelta(hours=3), "roi")
    ]  # fmt: skip
    assert web.rows("SELECT FROM trade_quarantine") == []
    assert posted_by_freqtrade(web, f"{token}x", entry).status_code == 401


ENTERED = {"type": "entry_fill", "trade_id": 7, "pair": "ETH/USDT", "direction": "Long", "leverage": 1.0, "amount": 0.5,
           "stake_currency": "USDT", "open_rate": 2000.0, "open_date": "2025-01-02 09:00:00+00:00",
           "sub_trade": False}  # fmt: skip
LEFT = {**ENTERED, "type": "exit_fill", "close_rate": 2100.0, "close_date": "2025-01-02 12:00:00+00:00",
        "exit_reason": "roi", "profit_amount": 49.0, "cumulative_profit": 49.0, "is_final_exit": True}  # fmt: skip


def test_whether_freqtrade_trades_with_money_has_to_be_said(web: Web) -> None:
    with connect(web.url) as connection:
        token = new_token(connection, "freqtrade", "ingest")
    for answer in (
        posted_by_freqtrade(web, token, ENTERED, dry_run="TRUE OR FALSE"),
        posted_by_freqtrade(web, token, ENTERED, without="dry_run"),
    ):
        assert answer.status_code == 422
        assert '"dry_run": "true" or "dry_run": "false"' in answer.json()["detail"]
    assert web.rows("SELECT FROM trades") == []
    assert posted_by_freqtrade(web, token, ENTERED, dry_run="true").status_code == 201
    assert web.rows("SELECT source, b.name FROM trades JOIN bots AS b USING (bot_id)") == [
        ("freqtrade_webhook:dry_run", "alpha (dry_run) SampleStrategy")
    ]


@pytest.mark.parametrize(
    ("message", "missing", "value"),
    [
        (LEFT, "is_final_exit", "closed"),
        (ENTERED, "sub_trade", "open"),
        (LEFT, "trade_id", "7"),
        (ENTERED, "direction", "LONG"),
        (LEFT, "direction", "LONG"),
        (LEFT, "open_rate", "2000"),
        (LEFT, "close_date", "2025-01-02 12:00:00+00:00"),
    ],
)
def test_a_message_of_freqtrade_that_lacks_a_field_is_held_until_it_is_filled_in(
    web: Web, message: dict[str, Any], missing: str, value: str
) -> None:
    with connect(web.url) as connection:
        token = new_token(connection, "freqtrade", "ingest")
    answer = posted_by_freqtrade(web, token, message, without=missing)
    assert answer.status_code == 422
    assert missing in answer.json()["detail"]
    assert "--map" not in answer.json()["detail"]
    (held,) = answer.json()["errors"]
    column = {"is_final_exit": "status", "sub_trade": "status"}.get(missing, missing)
    path = f"/api/v1/quarantine/{held['quarantine_id']}/release"
    assert web.client.post(path, json={"corrections": {column: value}}).status_code == 200
    closed = [("7", "LONG", "closed", pytest.approx(49.0))]
    assert web.rows("SELECT source_trade_id, direction, status, pnl FROM trades") == (
        closed if message is LEFT else [("7", "LONG", "open", None)]
    )


def trades(web: Web) -> list[tuple]:
    return web.rows("SELECT source, source_trade_id, status, fees, pnl FROM trades ORDER BY source, source_trade_id")


def test_a_trade_is_opened_closed_and_the_same_again_changes_nothing(web: Web) -> None:
    assert send(web, TRADE)["inserted"] == 1
    assert trades(web) == [("api", "t-1", "open", 0.4, None)]
    again = web.client.post("/api/v1/trades", json=TRADE)
    assert (again.status_code, again.headers["idempotent-replayed"], again.json()["is_new"]) == (200, "true", False)
    assert send(web, TRADE | CLOSING, 200)["updated"] == 1
    assert trades(web) == [("api", "t-1", "closed", 1.0, 49.0)]  # 0.5 · (2100 − 2000) − 0.4 − 0.6
    assert web.client.post("/api/v1/trades", json=TRADE | CLOSING).headers["idempotent-replayed"] == "true"
    assert send(web, TRADE, 200)["unchanged"] == 1  # an earlier state of it
    ((author,),) = web.rows("SELECT DISTINCT author FROM imports")
    assert author == "admin"  # the token's name
    assert len(web.rows("SELECT FROM imports")) == 2


def test_a_trade_is_closed_by_what_changes(web: Web) -> None:
    send(web, TRADE, source="my bots")
    path = "/api/v1/trades/my bots/t-1"
    answer = web.client.patch(path, json=CLOSING)
    assert (answer.status_code, answer.json()["updated"]) == (200, 1)
    assert trades(web) == [("my bots", "t-1", "closed", 1.0, 49.0)]
    again = web.client.patch(path, json=CLOSING)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    other = web.client.patch(path, json={"exit_price": 2200.0})
    assert other.status_code == 409
    assert "exit_price" in other.json()["errors"][0]["message"]
    assert trades(web) == [("my bots", "t-1", "closed", 1.0, 49.0)]
    assert web.client.patch("/api/v1/trades/my bots/none", json=CLOSING).status_code == 404
    assert web.client.patch(path, params={"bot": "nobody"}, json=CLOSING).status_code == 404
    assert web.client.patch(path, json={"entry_price": 1.0}).status_code == 422  # an entry is no change


def test_a_trade_of_several_bots_is_changed_where_one_is_named(web: Web) -> None:
    for bot in ("one", "two"):
        send(web, TRADE | {"bot_id": bot})
    unclear = web.client.patch("/api/v1/trades/api/t-1", json=CLOSING)
    assert "Several bots have a trade t-1: say which is meant (one, two)" in unclear.json()["detail"]
    assert web.client.patch("/api/v1/trades/api/t-1", params={"bot": "two"}, json=CLOSING).status_code == 200
    assert web.rows("SELECT b.name FROM trades t JOIN bots b USING (bot_id) WHERE status = 'closed'") == [("two",)]


def test_other_values_under_a_known_id_are_a_conflict_and_are_held(web: Web) -> None:
    send(web, TRADE)
    problem = send(web, TRADE | {"ticker": "BTC-USD"}, 409)
    (held,) = problem["errors"]
    assert (held["reason"], held["column"], held["row"]) == ("conflicting_trade", "source_trade_id", 1)
    assert "differs in ticker" in problem["detail"]
    assert web.rows("SELECT ticker FROM trades") == [("ETH-USD",)]
    assert web.json(f"/quarantine/{held['quarantine_id']}")["status"] == "held"


@pytest.mark.parametrize(
    ("changes", "reason", "column"),
    [
        ({"entry_price": -3110.0}, "bad_price", "entry_price"),
        ({"direction": "up"}, "unknown_direction", "direction"),
        ({"entry_time": "yesterday"}, "unreadable_value", "entry_time"),
        (CLOSING | {"exit_time": "2025-01-01T00:00:00Z"}, "exit_before_entry", "exit_time"),
        ({"signal_confidence": 80.0}, "confidence_out_of_range", "signal_confidence"),
    ],
)
def test_a_refused_trade_says_why_is_held_and_is_mended(
    web: Web, changes: dict[str, Any], reason: str, column: str
) -> None:
    problem = send(web, TRADE | changes, 422)
    (row,) = problem["errors"]
    assert (row["reason"], row["column"]) == (reason, column)
    assert row["message"] in problem["detail"]
    assert trades(web) == []
    number = row["quarantine_id"]
    still = web.client.post(f"/api/v1/quarantine/{number}/release", json={})
    assert (still.status_code, "stays in quarantine" in still.json()["detail"]) == (409, True)
    right = (
        {name: str((TRADE | CLOSING)[name]) for name in changes}
        if reason != "confidence_out_of_range"
        else {column: "0.8"}
    )
    answer = web.client.post(f"/api/v1/quarantine/{number}/release", json={"corrections": right})
    assert answer.json() == {"inserted": 1, "updated": 0, "unchanged": 0}
    assert len(trades(web)) == 1
    assert web.client.post(f"/api/v1/quarantine/{number}/release", json={}).status_code == 409  # settled already


def test_a_held_row_is_discarded_and_stays_on_record(web: Web) -> None:
    (row,) = send(web, TRADE | {"entry_price": -1.0}, 422)["errors"]
    path = f"/api/v1/quarantine/{row['quarantine_id']}/discard"
    assert web.client.post(path, json={"note": "a test"}).json()["status"] == "discarded"
    assert web.json("/quarantine")["data"] == []
    ((found),) = web.json("/quarantine?status=discarded")["data"]
    assert (found["note"], found["original"]["entry_price"]) == ("a test", "-1.0")
    assert web.client.post(path, json={}).status_code == 409


@pytest.mark.parametrize(
    ("trade", "field"),
    [
        ({}, "body.bot_id"),
        (TRADE | {"entry_price": "2000"}, "body.entry_price"),
        (TRADE | {"entry_price": True}, "body.entry_price"),
        (TRADE | {"colour": "blue"}, "body.colour"),
        (TRADE | {"ticker": ["BTC"]}, "body.ticker"),
    ],
)
def test_what_is_no_trade_by_its_shape_is_refused_by_field(web: Web, trade: Any, field: str) -> None:
    problem = send(web, trade, 422)
    assert field in [fault["field"].replace(".str", "").replace(".int", "") for fault in problem["errors"]]
    assert web.rows("SELECT count(*) FROM trade_quarantine") == [(0,)]


def parquet(rows: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    rows.to_parquet(sink)
    return sink.getvalue()


def arrow(rows: pd.DataFrame) -> bytes:
    table, sink = pa.Table.from_pandas(rows), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


FORMS = {
    "text/csv": lambda rows: rows.to_csv(index=False).encode(),
    "application/x-ndjson": lambda rows: rows.to_json(orient="records", lines=True).encode(),
    "application/json": lambda rows: rows.to_json(orient="records").encode(),
    "application/vnd.apache.parquet": parquet,
    "application/vnd.apache.arrow.stream": arrow,
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_taken_in_as_ingest_takes_it_in(web: Web, kind: str, packed: bool) -> None:
    body = FORMS[kind](pd.read_csv(io.StringIO(CSV)))
    headers = {"content-encoding": "gzip"} if packed else {}
    body = gzip.compress(body) if packed else body
    (found,) = bulk(web, body, kind=kind, name="mine", headers=headers)["data"]
    assert (found["rows_read"], found["inserted"], found["quarantined"]) == (3, 2, {"unknown_direction": 1})
    (row,) = found["refused"]
    assert (row["row"], row["column"], row["status"]) == (3, "side", "held")
    assert "write LONG or SHORT" in row["message"]
    assert trades(web) == [("table", "a", "closed", 1.0, 99.0), ("table", "b", "closed", 1.0, -101.0)]
    again = web.client.post(
        "/api/v1/trades/bulk", content=body, headers={"content-type": kind, **headers}, params={"name": "mine"}
    )
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    (known,) = web.json("/imports")["data"]
    assert (known["file_name"], known["content_hash"], known["held"]) == ("mine", hashlib.sha256(body).hexdigest(), 1)


def test_a_file_is_read_as_is_said(web: Web) -> None:
    body = b"nr,who,what,way,from,to,in,out,money\n1,7,BTC-EUR,long,2025-01-02 10:00,2025-01-02 11:00,100,110,1000\n"
    problem = bulk(web, body, 422)
    assert "no column for source_trade_id" in problem["detail"]
    assert problem["detail"].startswith("upload: ")
    names = {"nr": "source_trade_id", "who": "bot_id", "what": "ticker", "way": "direction", "from": "entry_time",
             "to": "exit_time", "in": "entry_price", "out": "exit_price", "money": "notional"}  # fmt: skip
    (found,) = bulk(web, body, map=[f"{c}={f}" for c, f in names.items()], timezone="Europe/Zurich", source="mine")[
        "data"
    ]
    assert found["source"] == "mine"
    assert web.rows("SELECT entry_time::text, quote_currency, pnl FROM trades") == [
        ("2025-01-02 09:00:00+00", "EUR", 100.0)
    ]
    assert bulk(web, body, 422, map="nr")["detail"] == "map: nr: write COLUMN=FIELD"
    assert bulk(web, body, 422, size="acres")["errors"][0]["field"] == "query.size"


def test_a_correction_replaces_what_was_recorded_and_undoing_it_brings_it_back(web: Web) -> None:
    bulk(web, CSV.encode())
    better = CSV.replace("100,110,1000,1\nb", "100,120,1000,1\nb")
    (found,) = bulk(web, better.encode(), 200)["data"]
    assert found["quarantined"] == {"conflicting_trade": 1, "unknown_direction": 1}
    (found,) = bulk(web, better.encode(), replace="true")["data"]
    assert found["replaced"] == 1
    assert web.rows("SELECT pnl FROM trades WHERE source_trade_id = 'a'") == [(199.0,)]
    undone = web.client.delete(f"/api/v1/imports/{found['import_id']}")
    assert (undone.status_code, undone.json()["restored"]) == (200, 1)
    assert web.rows("SELECT pnl FROM trades WHERE source_trade_id = 'a'") == [(99.0,)]
    assert web.client.delete(f"/api/v1/imports/{found['import_id']}").status_code == 409
    assert web.client.delete("/api/v1/imports/99").status_code == 404
    assert web.json(f"/imports/{found['import_id']}")["undone_by"] == "admin"


def test_where_every_row_is_refused_it_is_told_and_held(web: Web) -> None:
    problem = bulk(web, CSV.replace("buy", "up").replace("sell", "up").encode(), 422)
    assert [(row["row"], row["column"]) for row in problem["errors"]] == [(1, "side"), (2, "side"), (3, "side")]
    assert problem["detail"].startswith("All 3 rows were refused. Row 1: side 'up' is not a direction")
    assert len(web.json("/quarantine?reason=unknown_direction")["data"]) == 3


def test_parts_of_lists_make_the_whole(web: Web) -> None:
    for number in range(5):
        send(web, TRADE | {"source_trade_id": f"t-{number}", "entry_price": -1.0 - number}, 422)
    for path, key, order in (("imports", "import_id", -1), ("quarantine", "quarantine_id", 1)):
        following, found = f"/api/v1/{path}?limit=2", []
        while following:
            part = web.get(following).json()
            found += [row[key] for row in part["data"]]
            following = part["next"]
        assert found == [1, 2, 3, 4, 5][::order]


def nothing_was_written(web: Web) -> bool:
    return web.rows(
        "SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM imports), (SELECT count(*) FROM trade_quarantine)"
    ) == [(0, 0, 0)]


def bomb_of_parquet() -> bytes:
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, "int32")), pa.array(["x" * 10_000]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": long}), sink, store_schema=False)
    return sink.getvalue()


BAD = {
    "empty": (b"", "text/csv", 422),
    "cut gzip": (gzip.compress(CSV.encode() * 50)[:-20], "text/csv", 422),
    "cut parquet": (parquet(pd.read_csv(io.StringIO(CSV)))[:-30], "application/vnd.apache.parquet", 422),
    "cut arrow": (arrow(pd.read_csv(io.StringIO(CSV)))[:200], "application/vnd.apache.arrow.stream", 422),
    "cut json": (b'[{"id": "a", "bot": ', "application/json", 422),
    "no text": (bytes(range(256)) * 100, "text/csv", 422),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "text/csv", 422),
    "gzip bomb": (gzip.compress(bytes(2**28), 9), "text/csv", 422),
    "parquet bomb": (bomb_of_parquet(), "application/vnd.apache.parquet", 413),
    "many digits": (b'[{"a": ' + b"1" * 5000 + b"}]", "application/json", 422),
    "deep lines": (b'{"a": 1}\n{"a": ' + b"[" * 100_000, "application/x-ndjson", 422),
    "deep json": (b"[" * 100_000, "application/json", 422),
    "a type of another": (CSV.encode(), "text/html", 415),
    "no type": (CSV.encode(), "", 415),
    "a number": (b"12", "application/json", 422),
}


@pytest.mark.long
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_file_of_trades_is_refused_and_nothing_is_written(web: Web, name: str) -> None:
    body, kind, status = BAD[name]
    assert bulk(web, body, status, kind=kind)["detail"]
    assert nothing_was_written(web)
    assert bulk(web, CSV.encode())["data"][0]["inserted"] == 2  # and the next one is taken in


def test_a_name_that_no_file_could_have_is_refused(web: Web) -> None:
    assert "NUL" in bulk(web, CSV.encode(), 422, name="a\0b")["detail"]
    assert nothing_was_written(web)
    assert bulk(web, CSV.encode())["data"][0]["inserted"] == 2


@pytest.mark.long
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([*FORMS]),
    said=st.sampled_from([*FORMS]),
    packed=st.booleans(),
    cut=st.none() | st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
)
def test_damaged_bodies_are_refused_or_every_row_of_them_is_told_of(
    web: Web, kind: str, said: str, packed: bool, cut: float | None, flips: list[tuple[float, int]]
) -> None:
    body = bytearray(FORMS[kind](pd.read_csv(io.StringIO(CSV))))
    body = bytearray(gzip.compress(body, mtime=0)) if packed else body
    for place, value in flips:
        body[int(place * len(body))] = value
    body = body if cut is None else body[: int(cut * len(body))]
    imports = len(web.rows("SELECT FROM imports"))
    answer = web.client.post("/api/v1/trades/bulk", content=bytes(body), headers={"content-type": said})
    assert answer.status_code in (200, 201, 413, 422), answer.text
    told = answer.json()
    if answer.status_code < 300:
        for of in told["data"]:
            kinds = ("inserted", "updated", "replaced", "unchanged", "joined")
            assert of["rows_read"] == sum(of[name] for name in kinds) + sum(of["quarantined"].values())
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        for row in told.get("errors", []):
            assert web.rows("SELECT FROM trade_quarantine WHERE quarantine_id = %s", row["quarantine_id"])
        if "errors" not in told:
            assert len(web.rows("SELECT FROM imports")) == imports


def test_bodies_are_bounded(web: Web) -> None:
    def in_parts() -> Iterator[bytes]:
        for _ in range(70):
            yield bytes(2**20)

    assert "67,108,864 bytes" in bulk(web, bytes(2**26 + 1), 413)["detail"]
    answer = web.client.post("/api/v1/trades/bulk", content=in_parts(), headers={"content-type": "text/csv"})
    assert answer.status_code == 413
    assert (
        web.client.post(
            "/api/v1/trades", content=bytes(2**20 + 1), headers={"content-type": "application/json"}
        ).status_code
        == 413
    )
    assert bulk(web, CSV.encode(), 415, headers={"content-encoding": "br"})
    assert bulk(web, CSV.encode(), 400, headers={"content-encoding": "gzip"})
    assert web.client.post("/api/v1/trades", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert nothing_was_written(web)


def test_whoever_comes_too_many_is_told_when_to_come_again(web: Web) -> None:
    with ExitStack() as places:
        for _ in range(intake.MOST_AT_ONCE):
            places.enter_context(web.site.intake.place())
        answer = web.client.post("/api/v1/trades", json=TRADE)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    send(web, TRADE)


def test_many_at_the_same_time_record_each_trade_once(web: Web) -> None:
    answers: list[int] = []

    def bring(number: int) -> None:
        answers.append(
            web.client.post("/api/v1/trades", json=TRADE | {"source_trade_id": f"t-{number % 3}"}).status_code
        )

    threads = [threading.Thread(target=bring, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 200, 200, 201, 201, 201]
    assert len(trades(web)) == 3


def test_what_takes_too_long_is_refused_for_good(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    send(web, TRADE | {"source_trade_id": "t-0"})  # so that the recorder runs
    monkeypatch.setattr(intake, "LONGEST", 0.5)
    with connect(web.url) as other, other.transaction():
        other.execute("LOCK TABLE trades IN ACCESS EXCLUSIVE MODE")
        answer = web.client.post("/api/v1/trades", json=TRADE)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "retry-after" not in answer.headers
    assert "longer than 0.5 s" in answer.json()["detail"]
    assert "send it in parts, or load it as a file: knowdefeat ingest FILE" in answer.json()["detail"]
    monkeypatch.setattr(intake, "LONGEST", 60.0)
    send(web, TRADE)
    assert len(trades(web)) == 2


def test_a_recorder_that_is_killed_is_followed_by_another(web: Web) -> None:
    send(web, TRADE)
    recorder = web.site.intake._recorder
    assert recorder is not None
    os.kill(recorder.pid, signal.SIGKILL)
    recorder.wait()
    assert send(web, TRADE | CLOSING, 200)["updated"] == 1


@pytest.mark.parametrize(
    ("hard", "container", "expected"),
    [
        (-1, None, 2**31),
        (-1, "max", 2**31),
        (-1, str(2**31), 2**30),
        (-1, str(2**34), 2**31),
        (2**29, str(2**31), 2**29),
        (2**40, None, 2**31),
    ],
)
def test_the_recorder_takes_no_more_memory_than_it_is_let(
    hard: int, container: str | None, expected: int, tmp_path: Path
) -> None:
    if container is not None:
        (tmp_path / "of.slice").mkdir()
        (tmp_path / "of.slice" / "memory.max").write_text(f"{container}\n")
    assert recorder.most_memory(hard, tmp_path, "/of.slice") == expected


def test_a_recorder_starts_under_a_hard_limit(web: Web) -> None:
    program = [sys.executable, "-m", recorder.__name__]
    limited = ["prlimit", f"--data={2**30}:{2**30}", *program]
    done = subprocess.run(
        limited, input=b"", env=os.environ | handed_on(database_url=web.url), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_recorder_starts_where_our_own_address_stands_in_a_file(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database_url").write_text("postgresql://nobody@127.0.0.1:1/none")  # the pages' own, not the recorder's
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL_FILE", str(tmp_path / "database_url"))
    web.site.intake.close()
    assert send(web, TRADE)["inserted"] == 1


def test_a_connection_that_broke_is_replaced(web: Web) -> None:
    send(web, TRADE)
    recorder = web.site.intake._recorder
    assert recorder is not None
    of_the_recorder = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    assert web.rows(of_the_recorder, f"knowdefeat {recorder.pid}%") == [(True,)]
    assert send(web, TRADE | CLOSING, 200)["updated"] == 1


def test_each_write_needs_the_scope_for_it(web: Web) -> None:
    del web.client.headers["authorization"]
    reads, brings = web.token("read"), web.token("ingest")
    writes = (
        ("POST", "/trades", {"json": TRADE}, 201),
        ("POST", "/trades/bulk", {"content": CSV.encode(), "headers": {"content-type": "text/csv"}}, 201),
        ("POST", "/trades/bulk?replace=true", {"content": CSV.encode(), "headers": {"content-type": "text/csv"}}, 403),
        ("PATCH", "/trades/api/t-1", {"json": CLOSING}, 200),
        ("POST", "/quarantine/1/release", {"json": {"corrections": {"side": "buy"}}}, 200),
        ("POST", "/quarantine/1/discard", {"json": {}}, 403),
        ("DELETE", "/imports/1", {}, 403),
    )

    def status(method: str, path: str, options: dict[str, Any], headers: dict[str, str]) -> int:
        options = options | {"headers": options.get("headers", {}) | headers}
        answer: httpx.Response = web.client.request(method, f"/api/v1{path}", **options)
        return answer.status_code

    for method, path, options, expected in writes:
        assert status(method, path, options, {}) == 401
        assert status(method, path, options, reads) == 403
        assert status(method, path, options, brings) == expected, path
    assert len(trades(web)) == 4


def test_a_simulated_fleet_makes_room(own_web: Web) -> None:
    own_web.client.headers.update(own_web.token("ingest"))
    simulated = own_web.rows("SELECT count(*) FROM trades WHERE simulated")[0][0]
    assert send(own_web, TRADE)["removed"] == simulated


def test_the_types_that_are_taken_are_those_that_are_told() -> None:
    assert set(FORMS) == set(bodies.FILES)
