"""The API: every figure is that of the tables, parts of lists fit together, and what is unchanged costs nothing."""

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from knowdefeat_pipeline.core.schema import RANKING, TABLES, VARIABLES
from knowdefeat_pipeline.postgres.connection import connect
from tests.web.conftest import CODE, FORMULA, LAST, NASTY, Web


def test_the_ranking_is_that_of_the_tables(web: Web) -> None:
    found = web.json("/rankings?explain=true&limit=1000")
    assert (found["day"], found["as_of"], found["next"]) == ("2025-02-28", "2025-03-01T00:00:00Z", None)
    columns = [figure.name for figure in RANKING]
    expected = web.rows(
        f"SELECT bot_id, {', '.join(columns)} FROM bot_rankings WHERE day = %s ORDER BY rank NULLS LAST, bot_id", LAST
    )
    assert [tuple(row[name] for name in ("bot_id", *columns)) for row in found["data"]] == expected
    assert found["count"] == len(expected) == 9
    metrics = "SELECT bot_id, one_day_performance, one_week_performance, total_pnl, open_pnl, trades, profit_factor FROM bot_metrics WHERE day = %s AND ticker = '*'"
    beside = {row[0]: row[1:] for row in web.rows(metrics, LAST)}
    skill = dict(web.rows("SELECT bot_id, p_skill FROM bot_skill WHERE day = %s AND time_window = 'lifetime'", LAST))
    for row in found["data"]:
        shown = tuple(row[name] for name in ("pnl_1d", "pnl_7d", "pnl", "open_pnl", "trades", "profit_factor"))
        assert shown == beside[row["bot_id"]]
        assert row["p_skill"] == skill[row["bot_id"]]
        points = [row[f"{variable.name}_points"] or 0.0 for variable in VARIABLES]
        assert math.fsum(points) == pytest.approx(row["rank_score"] - 50, abs=1e-9)


def test_places_of_before_are_those_of_the_day_and_of_the_week_before(web: Web) -> None:
    before = dict(web.rows("SELECT bot_id, rank FROM bot_rankings WHERE day = %s::date - 1", LAST))
    week = dict(web.rows("SELECT bot_id, rank FROM bot_rankings WHERE day = %s::date - 7", LAST))
    for row in web.json("/rankings")["data"]:
        assert (row["rank_1d"], row["rank_7d"]) == (before[row["bot_id"]], week[row["bot_id"]])
        assert row["moved_1d"] == before[row["bot_id"]] - row["rank"]


@pytest.mark.parametrize(
    "sort", ["rank", "-rank_score", "pnl", "-pnl", "-open_pnl", "open_pnl", "bot", "-bot", "-funds"]
)
def test_parts_of_a_list_make_the_whole_in_any_order(web: Web, sort: str) -> None:
    whole = web.json(f"/rankings?sort={sort}&limit=1000")["data"]
    parts: list[Any] = []
    following: str | None = f"/api/v1/rankings?sort={sort}&limit=4"
    sizes = []
    while following:
        answer = web.get(following)
        parts += answer.json()["data"]
        sizes.append(len(answer.json()["data"]))
        following = answer.json()["next"]
        assert answer.headers.get("link") == (f'<{following}>; rel="next"' if following else None)
    assert parts == whole
    assert sizes == [4, 4, 1]
    name = sort.removeprefix("-")
    known = [row[name] for row in whole if row[name] is not None]
    folded = [value.casefold() if isinstance(value, str) else value for value in known]
    assert folded == sorted(folded, reverse=sort.startswith("-"))
    assert [row[name] for row in whole][: len(known)] == known  # those without it come last


def test_filters_choose_what_they_say(web: Web) -> None:
    def bots(query: str) -> set[int]:
        return {row["bot_id"] for row in web.json(f"/rankings?{query}")["data"]}

    everyone = bots("limit=100")
    assert bots("state=inactive") == {3}
    assert bots("state=active") == everyone - {3}
    assert bots("bot=SCRIPT") == {2}
    assert web.client.get("/api/v1/rankings", params={"strategy": FORMULA}).json()["data"][0]["bot"] == NASTY
    tickers = dict(web.rows("SELECT bot_id, main_ticker FROM bot_metrics WHERE day = %s AND ticker = '*'", LAST))
    ticker = tickers[1]
    assert bots(f"ticker={ticker}") == {bot for bot, of in tickers.items() if of == ticker}
    assert bots("bot=nobody") == set()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/rankings?sort=secrets", 422, "sort: secrets is none of rank, rank_score"),
        ("/rankings?limit=0", 422, "query.limit"),
        ("/rankings?day=yesterday", 422, "query.day"),
        ("/rankings?cursor=%25%25", 400, "take it from next"),
        ("/rankings?cursor=bnVsbA", 400, "take it from next"),
        ("/bots/nobody", 404, "There is no bot nobody"),
        ("/bots/nobody/metrics", 404, "There is no bot nobody"),
        ("/bots/1/trades?cursor=WyJ4IiwgInkiXQ", 400, "take it from next"),
        ("/correlations?bots=1&bots=nobody", 404, "There is no bot nobody"),
        ("/correlations?bots=%00", 422, "A text holds a NUL character"),
        ("/nothing", 404, "See: /docs"),
    ],
)
def test_what_cannot_be_answered_is_told_as_problem_details(web: Web, path: str, status: int, words: str) -> None:
    answer = web.get(f"/api/v1{path}", status)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["instance"] == f"/api/v1{path}".split("?")[0]
    assert words in problem["detail"]


def test_a_bot_s_tables_are_those_of_the_database(web: Web) -> None:
    for path, table in (("metrics", "bot_metrics"), ("streaks", "win_streaks"), ("skill", "bot_skill")):
        found = web.json(f"/bots/1/{path}")
        names = [figure.name for figure in TABLES[table]]
        expected = web.rows(f"SELECT {', '.join(names)} FROM {table} WHERE bot_id = 1 AND day = %s ORDER BY 4", LAST)
        assert [tuple(row[name] for name in names) for row in found] == [tuple(map(as_json, row)) for row in expected]
        assert {row["bot"] for row in found} == {"1"}
    assert web.json("/bots/1")["bot_id"] == 1
    assert len(web.json("/bots")["data"]) == 9


def as_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def test_equity_ends_at_capital_and_all_that_was_earned(web: Web) -> None:
    found = web.json("/bots/4/equity")
    ((capital, lifetime, open_pnl),) = web.rows(
        "SELECT capital, lifetime_pnl, open_pnl FROM bot_metrics WHERE bot_id = 4 AND ticker = '*' AND day = %s", LAST
    )
    assert found[-1]["equity"] == capital + lifetime
    assert open_pnl == pytest.approx(-3.0)
    assert found[-1]["equity_with_open"] == pytest.approx(capital + lifetime - 3.0)
    assert found[-2]["equity_with_open"] is None
    assert [row["day"] for row in found] == sorted({row["day"] for row in found})


@pytest.mark.parametrize("by_ticker", ["false", "true"])
def test_a_bot_s_days_are_those_of_its_trades(web: Web, by_ticker: str) -> None:
    found: list[Any] = []
    following: str | None = f"/api/v1/bots/1/days?limit=7&by_ticker={by_ticker}"
    while following:
        answer = web.get(following).json()
        found, following = found + answer["data"], answer["next"]
    ticker = "ticker" if by_ticker == "true" else "'*'"
    expected = web.rows(
        f"SELECT day_of(exit_time)::text, {ticker}, count(*), sum(pnl), sum(fees) FROM trades WHERE bot_id = 1 AND status = 'closed' "
        "AND day_of(exit_time) > %s::date - 36 GROUP BY 1, 2 ORDER BY 1 DESC, 2",
        LAST,
    )
    assert [(row["day"], row["ticker"], row["trades"]) for row in found] == [row[:3] for row in expected]
    assert [row["pnl"] for row in found] == pytest.approx([row[3] for row in expected])
    assert [row["fees"] for row in found] == pytest.approx([row[4] for row in expected])


def test_trades_come_latest_first_and_each_once(web: Web) -> None:
    found: list[Any] = []
    following: str | None = "/api/v1/bots/1/trades?limit=50"
    while following:
        answer = web.get(following).json()
        found, following = found + answer["data"], answer["next"]
    statement = (
        "SELECT trade_id, pnl FROM trades WHERE bot_id = 1 AND status = 'closed' ORDER BY exit_time DESC, trade_id DESC"
    )
    assert [(row["trade_id"], row["pnl"]) for row in found] == web.rows(statement)
    of_the_day = web.json(f"/trades?day={LAST}&limit=1000")["data"]
    assert len(of_the_day) == web.rows("SELECT count(*) FROM trades WHERE day_of(exit_time) = %s", LAST)[0][0]


def test_correlations_are_those_of_the_daily_results(web: Web) -> None:
    found = web.json("/correlations?bots=1&bots=4&bots=5&days=30")
    assert sorted(found["bots"]) == ["1", "4", "5"]
    made: dict[str, dict[date, float]] = {}
    for bot, day, pnl in web.rows(
        "SELECT bot_id::text, day_of(exit_time), sum(pnl) FROM trades WHERE bot_id IN (1, 4, 5) AND status = 'closed' "
        "AND day_of(exit_time) > %s::date - 30 GROUP BY 1, 2",
        LAST,
    ):
        made.setdefault(bot, {})[day] = pnl
    matrix = found["correlation"]
    for n, one in enumerate(found["bots"]):
        for k, other in enumerate(found["bots"]):
            common = sorted(made[one].keys() & made[other].keys())
            assert len(common) >= 10
            expected = np.corrcoef([made[one][day] for day in common], [made[other][day] for day in common])[0, 1]
            assert matrix[n][k] == pytest.approx(expected, abs=1e-9)
    assert found["effective_bets"] == pytest.approx(9 / np.sum(np.square(matrix)))


def test_what_is_unchanged_is_answered_with_304_until_results_change(own_web: Web) -> None:
    web = own_web
    wait_for_version(web, 1)
    first = web.get("/api/v1/rankings?limit=3")
    etag = first.headers["etag"]
    again = web.get("/api/v1/rankings?limit=3", 304, headers={"if-none-match": etag})
    assert (again.content, again.headers["etag"]) == (b"", etag)
    before = web.site.live.version
    with connect(web.url) as connection:
        connection.execute(
            "UPDATE bots SET name = 'renamed' WHERE bot_id = (SELECT bot_id FROM bot_rankings_rows WHERE day = %s AND rank = 1)",
            (LAST,),
        )
    wait_for_version(web, (before or 0) + 1)
    changed = web.get("/api/v1/rankings?limit=3", headers={"if-none-match": etag})
    assert changed.headers["etag"] != etag
    assert changed.json()["data"][0]["bot"] == "renamed"


def wait_for_version(web: Web, least: int) -> None:
    """Until the process has heard of a change: its stream of events tells, which this looks at from outside."""
    import time

    until = time.monotonic() + 30
    while (web.site.live.version or 0) < least:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_answer_is_computed_once_a_version(own_web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    from knowdefeat_pipeline.web import rankings

    wait_for_version(own_web, 1)
    asked: list[date] = []
    real = rankings.ranked_bots
    monkeypatch.setattr(rankings, "ranked_bots", lambda connection, day: asked.append(day) or real(connection, day))
    for _ in range(5):
        own_web.get("/ranking?sort=pnl")
    assert asked == [LAST]


def test_of_an_empty_database_there_is_nothing_to_tell(empty_web: Web) -> None:
    assert (
        empty_web.get("/api/v1/rankings", 404).json()["detail"] == "Nothing has been computed yet. Run: knowdefeat run"
    )
    assert empty_web.json("/bots") == {"data": []}
    assert empty_web.json("/trades") == {"next": None, "data": []}
    assert empty_web.json("/status")["assets"] == []
    assert empty_web.json("/health") == {"status": "ok"}
    for path in ("/", "/ranking", "/compare", "/weights", "/learning", "/funds", "/regimes"):
        page = empty_web.get(path).text
        assert "knowdefeat run</code>" in page
    assert empty_web.get("/bots/1", 404).headers["content-type"].startswith("text/html")


def test_the_openapi_document_describes_each_figure_as_the_definitions_do(web: Web) -> None:
    document = web.get("/openapi.json").json()
    schema = document["components"]["schemas"]["Metrics"]["properties"]
    for figure in TABLES["bot_metrics"]:
        assert schema[figure.name]["description"] == figure.description
        assert schema[figure.name].get("unit", "") == figure.unit
    row = web.json("/rankings?explain=true")["data"][0]
    assert row.keys() == document["components"]["schemas"]["RankedBot"]["properties"].keys()
    told = web.json("/definitions")["bot_rankings"]
    assert [figure["name"] for figure in told] == [figure.name for figure in TABLES["bot_rankings"]]
    page = web.get("/docs").text
    assert all(path in page for path in document["paths"])
    assert "<script>" not in page
    assert CODE not in page


@pytest.mark.long
def test_the_page_of_the_api_tells_what_each_route_takes(web: Web) -> None:
    page = web.get("/docs").text

    def section(route: str) -> str:
        part = page[page.index(f"<code>{route}</code>") :]
        return part[: part.index("</section>")]

    bulk = section("POST /api/v1/trades/bulk")
    for kind in ("text/csv", "application/x-ndjson", "application/vnd.apache.parquet"):
        assert f"<code>{kind}</code>" in bulk
    assert "A file, gzipped or not" in bulk
    assert "<code>replace</code>" in bulk
    trade = section("POST /api/v1/trades")
    assert re.search(r"<code>entry_price</code> <span class=\"unit\">number</span></dt><dd>[^<]* Needed\.</dd>", trade)
    assert re.search(r"<code>fees</code> <span class=\"unit\">number</span></dt><dd>[^<]*(?<!Needed\.)</dd>", trade)
    documented = web.get("/openapi.json").json()["paths"]
    for path, operations in documented.items():
        for method, operation in operations.items():
            told = section(f"{method.upper()} {path}")
            for name in _taken(web, operation):
                assert f"<code>{name}</code>" in told, (path, name)


def _taken(web: Web, operation: Any) -> list[str]:
    """The fields of a JSON body that a route takes."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return [*web.get("/openapi.json").json()["components"]["schemas"][name]["properties"]] if name else []
