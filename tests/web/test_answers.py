"""Answers are computed once a version, and nothing is held of what could not be answered."""

import pytest

from knowdefeat_pipeline.web.answers import Answer, AnswerCache


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
