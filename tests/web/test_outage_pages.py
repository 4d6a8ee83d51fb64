"""What is shown of a database that is away: a page that asks again, unless asking again would do something twice."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from knowdefeat_pipeline.web.pages.rendering import error_page
from tests.web.conftest import CODE, Web, served

AGAIN = "This page asks again by itself"


@pytest.fixture
def away(fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]) -> Iterator[Web]:
    """The app over a database whose connections all fail."""
    with cloned(fleet_url) as url, served(url) as web:
        web.get(f"/login?code={CODE}", 303)
        web.site.pool.close()
        yield web


def test_a_page_that_was_read_asks_again_and_one_that_was_sent_does_not(away: Web) -> None:
    read = away.client.get("/ranking")
    assert read.status_code == 503
    assert AGAIN in read.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in read.text
    assert '<main id="page" data-lacks>' in read.text
    own = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}
    sent = away.client.post("/weights/learner", data={"ai_enabled": "yes", "reason": "x"}, headers=own)
    assert sent.status_code == 503
    for sign in (AGAIN, "refresh", "data-lacks"):
        assert sign not in sent.text.replace("#page", "")
    assert AGAIN not in error_page(404, "There is nothing")


def test_errors_are_not_swapped_in(web: Web) -> None:
    for path in ("/", "/ranking", "/docs"):
        text = web.get(path).text
        assert """<meta name="htmx-config" content='{"noSwap": [204, 304, "4xx", "5xx"]}'>""" in text
        assert "data-lacks" not in text
