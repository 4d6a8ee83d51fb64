"""Answers are computed once a version, and nothing is held of what could not be answered."""

import gzip

import pytest
from fastapi import Request

from knowdefeat_pipeline.web import answers
from knowdefeat_pipeline.web.answers import Answer, AnswerCache, respond


def test_computed_once_a_version() -> None:
    cache, computed = AnswerCache(), list[int]()

    def compute() -> Answer:
        computed.append(1)
        return Answer(b"%d" % len(computed))

    def body(version: int | None) -> bytes:
        return cache.get("/a", lambda: version, compute)[0].body

    assert [body(1), body(1), body(2), body(2)] == [b"1", b"1", b"2", b"2"]
    assert [body(None), body(2)] == [b"3", b"4"]


def test_what_cannot_be_answered_is_not_held() -> None:
    cache = AnswerCache()

    def fail() -> Answer:
        raise KeyError("no such bot")

    for number in range(3):
        with pytest.raises(KeyError):
            cache.get(f"/bots/{number}", lambda: 1, fail)
    assert not cache._locks
    assert not cache._held
    assert cache.get("/bots/1", lambda: 1, lambda: Answer(b"found"))[0].body == b"found"


def test_no_more_is_held_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_BYTES", 100)
    cache, computed = AnswerCache(), list[str]()

    def ask(path: str) -> None:
        def compute() -> Answer:
            computed.append(path)
            return Answer(b"x" * 45)

        cache.get(path, lambda: 1, compute)

    for path in ("a", "b", "a", "c", "a", "b"):
        ask(path)
    assert computed == ["a", "b", "c", "b"]  # with c went b, which was not asked for as lately as a
    assert cache._bytes == sum(len(held.answer.body) for held in cache._held.values()) == 90
    assert cache._locks.keys() == cache._held.keys()


@pytest.mark.parametrize(("accepts", "body", "packed"), [("br, gzip", b"a" * 2000, True), ("gzip;q=0.5", b"a" * 2000, True), ("br, gzip;q=0", b"a" * 2000, False), ("gzip;q=0.0, br", b"a" * 2000, False), ("gzip", b"a", False), ("", b"a" * 2000, False)])  # fmt: skip
def test_a_body_is_gzipped_for_who_takes_it_so(accepts: str, body: bytes, packed: bool) -> None:
    headers = [(b"accept-encoding", accepts.encode())]
    told = Answer(body)
    answer = respond(Request({"type": "http", "headers": headers}), told, told.etag)
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert (answer.headers.get("vary") == "Accept-Encoding") is (len(body) >= 1000)
    assert (gzip.decompress(bytes(answer.body)) if packed else answer.body) == body
    assert answer.headers["content-length"] == str(len(answer.body))
    assert told.packed is told.packed  # once for all
