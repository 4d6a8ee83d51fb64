"""Regimes: every label and figure is the table's, and parts of a history make the whole."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from knowdefeat_pipeline.core.schema import REGIME_BAR, REGIME_NOW
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store import reads
from knowdefeat_pipeline.web.pages.regimes import runs_of
from tests.web.conftest import END, LAST, NASTY, Web
from tests.web.test_api import as_json
from tests.web.test_pages import Figures, shown, value

HOUR = timedelta(hours=1)


def test_the_regimes_now_are_those_that_the_command_tells(web: Web) -> None:
    with connect(web.url) as connection:
        expected = reads.regimes(connection, None, None)
    assert [row["ticker"] for row in expected] == [NASTY, "DOGE-USD"]
    names = [figure.name for figure in REGIME_NOW]
    assert web.json("/regimes") == [{name: as_json(row[name]) for name in names} for row in expected]
    (doge,) = web.json("/regimes?ticker=DOGE-USD")
    ((label, p_trending, true_range),) = web.rows(
        "SELECT label, p_trending, average_true_range FROM market_regimes WHERE ticker = 'DOGE-USD' ORDER BY open_time DESC LIMIT 1"
    )
    assert (doge["label"], doge["p_trending"], doge["average_true_range"]) == (label, p_trending, true_range)
    assert doge["as_of"] == "2025-03-01T00:00:00Z"
    assert web.json("/regimes?timeframe=1d") == []


def test_parts_of_the_history_make_the_whole(web: Web) -> None:
    found: list[Any] = []
    following: str | None = "/api/v1/regimes/DOGE-USD/history?limit=400"
    while following:
        answer = web.get(following)
        found += answer.json()["data"]
        following = answer.json()["next"]
        assert answer.headers.get("link") == (f'<{following}>; rel="next"' if following else None)
    expected = web.rows(
        "SELECT open_time, label, p_trending, p_ranging, p_volatile, average_true_range, open, high, low, close, volume "
        "FROM market_regimes JOIN price_bars USING (ticker, timeframe, open_time) WHERE ticker = 'DOGE-USD' ORDER BY open_time DESC"
    )
    assert len(expected) == 960
    names = [figure.name for figure in REGIME_BAR if figure.name != "as_of"]
    assert [tuple(row[name] for name in names) for row in found] == [tuple(map(as_json, row)) for row in expected]
    assert all(datetime.fromisoformat(row["as_of"]) - datetime.fromisoformat(row["open_time"]) == HOUR for row in found)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/regimes/NOTHING/history", 404, "There is no regime of NOTHING"),
        ("/regimes/DOGE-USD/history?timeframe=1d", 404, "There is no regime of DOGE-USD of 1d"),
        ("/regimes/DOGE-USD/history?cursor=WyJzb29uIl0", 400, "take it from next"),
        ("/regimes/DOGE-USD/history?limit=0", 422, "query.limit"),
    ],
)
def test_what_cannot_be_answered_is_told(web: Web, path: str, status: int, words: str) -> None:
    assert words in web.get(f"/api/v1{path}", status).json()["detail"]


def test_every_figure_of_the_page_is_that_of_the_table(web: Web) -> None:
    text = web.get("/regimes?ticker=DOGE-USD").text
    found = Figures(text).found
    rows = web.json("/regimes")
    for number, row in enumerate(rows, 1):
        place = f"series-{number}"
        assert found[place, "label"] == row["label"].lower()
        since = datetime.fromisoformat(row["since"]).astimezone(UTC)
        assert found[place, "since"] == f"{since:%Y-%m-%d %H:%M}"
        for name in ("p_trending", "p_ranging", "p_volatile"):
            assert value(found[place, name]) == shown(None if row[name] is None else 100 * row[name], 0)
    runs = web.rows(
        "SELECT min(open_time), count(*) FROM (SELECT open_time, count(*) FILTER (WHERE changed) OVER (ORDER BY open_time) AS run FROM "
        "(SELECT open_time, label IS DISTINCT FROM lag(label) OVER (ORDER BY open_time) AS changed FROM market_regimes WHERE ticker = 'DOGE-USD' AND open_time >= %s) AS l) AS r "
        "GROUP BY run ORDER BY 1 DESC LIMIT 12",
        END - timedelta(days=30),
    )
    for number, (first, bars) in enumerate(runs, 1):
        assert found[f"run-{number}", "since"] == f"{(first + HOUR).astimezone(UTC):%Y-%m-%d %H:%M}"
        assert value(found[f"run-{number}", "bars"]) == bars
    assert len(re.findall(r'<rect class="band (?:trending|ranging|volatile|neutral)" [^>]*><title>', text)) >= len(runs)


def test_strategies_that_suit_are_those_with_the_largest_edge_in_this_regime(web: Web) -> None:
    (doge,) = web.json("/regimes?ticker=DOGE-USD")
    found = Figures(web.get("/regimes?ticker=DOGE-USD").text).found
    edges = web.rows(
        "SELECT edge FROM strategy_beliefs WHERE day = %s AND regime = %s AND effective_samples >= 0.05 ORDER BY edge DESC, strategy_id LIMIT 8",
        LAST,
        doge["label"],
    )
    assert edges or doge["label"] == "NEUTRAL"
    assert [value(found[f"suit-{n}", "edge"]) for n in range(1, len(edges) + 1)] == [shown(e, 3) for (e,) in edges]


def test_runs_hold_until_the_next_one_begins() -> None:
    at = [END + n * HOUR for n in range(5)]
    labels = ("NEUTRAL", "RANGING", "RANGING", "VOLATILE", "VOLATILE")
    bars = [{"as_of": time, "label": label} for time, label in zip(at, labels, strict=True)]
    assert runs_of(bars) == [
        ("NEUTRAL", at[0], at[1], 1),
        ("RANGING", at[1], at[3], 2),
        ("VOLATILE", at[3], at[4], 2),
    ]
    assert runs_of([]) == []


def test_files_hold_the_bars_that_are_shown(web: Web) -> None:
    rows = web.get("/regimes?ticker=DOGE-USD&days=7&format=json").json()
    assert len(rows) == 7 * 24
    assert [row["as_of"] for row in rows] == sorted(row["as_of"] for row in rows)


def test_without_bars_the_page_says_what_to_type(empty_web: Web) -> None:
    assert "knowdefeat ingest-bars FILE" in empty_web.get("/regimes").text
    assert empty_web.json("/regimes") == []
