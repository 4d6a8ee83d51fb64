"""The recorder by itself, which no request ends: what nobody foresaw is logged and told, and the next one is answered."""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.web.problems import told_of_database
from knowdefeat_pipeline.web.recorder import FAULT, Recorder, _bare, answer


class Broken(Recorder):
    """One whose reader raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__("postgresql://nowhere")
        self.error = error

    def preview_file(self, path: str, name: str, how: Mapping[str, Any]) -> list[dict[str, Any]]:
        raise self.error


LINE = json.dumps({"deed": "preview_file", "path": "p", "name": "n", "how": {}}).encode()


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), RecursionError("deep"), IndexError("range")])
def test_what_nobody_foresaw_is_logged_and_refused(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    assert answer(Broken(error), LINE) == {"refused": 500, "text": FAULT}
    assert "preview_file failed" in caplog.text
    assert str(error) in caplog.text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), "The disk of the database is full"),
        (
            psycopg.errors.TooManyConnections("sorry, too many clients already"),
            "All connections of the database are taken",
        ),
        (psycopg.OperationalError("connection refused"), "The database cannot be reached"),
    ],
)
def test_what_ails_the_database_is_told(error: Exception, words: str) -> None:
    told = answer(Broken(error), LINE)
    assert told["refused"] == 503
    assert told["text"].startswith(words)
    assert "run the command" not in told["text"]  # who sent it by HTTP ran none
    assert told_of_database(error) == told["text"]  # as the pages tell it


def test_what_was_foreseen_is_told_and_memory_that_ends_ends_it() -> None:
    assert answer(Broken(SourceError("no table")), LINE) == {"refused": 422, "text": "no table"}
    with pytest.raises(MemoryError):
        answer(Broken(MemoryError()), LINE)


@pytest.mark.parametrize(
    ("name", "bare"),
    [("a.csv", "a.csv"), ("../../etc/alpha.csv", "alpha.csv"), ("C:\\\\me\\\\b.csv", "b.csv"), ("x/", "upload")],
)
def test_the_folders_of_a_client_are_none_of_ours(name: str, bare: str) -> None:
    assert str(_bare(name)) == bare
