"""The pages Weights and Learning centre without a script: every figure is the table's, and what is typed is never lost."""

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from knowdefeat_pipeline.core.ranking.weight_set import normalise
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.postgres.connection import connect
from tests.steps import days
from tests.web.conftest import CODE, END, LAST, Web
from tests.web.test_pages import Figures, shown, value
from tests.web.test_weights import BOLDER, STEADIER

FORM = {"content-type": "application/x-www-form-urlencoded"}


def send(web: Web, path: str, status: int, **fields: Any) -> Any:
    answer = web.client.post(path, content=urlencode(fields), headers=FORM)
    assert answer.status_code == status, answer.text[:2000]
    return answer


def typed(page: str) -> dict[str, str]:
    """What the fields of the weights' form hold."""
    form = page[page.index('<form id="weights"') :]
    found = dict(re.findall(r'<input type="number" id="\w+" name="(\w+)"[^>]*? value="([^"]*)"', form))
    for name in ("based_on", "reason"):
        (found[name],) = re.findall(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', form[: form.index("</form>")])
    return {name: html.unescape(text) for name, text in found.items()}


def numbers(fields: dict[str, str]) -> dict[str, float]:
    return {name: float(fields[name]) for name in VARIABLE_NAMES}


@pytest.fixture
def logged_in(own_web: Web) -> Web:
    own_web.get(f"/login?code={CODE}", 303)
    return own_web


def assert_previewed(page: str, rows: list[Any]) -> None:
    found = Figures(page).found
    decimals = {"rank": 0, "rank_before": 0, "moved": 0, "rank_score": 1, "rank_score_before": 1}
    for row in rows:
        for name, places in decimals.items():
            assert value(found[f"bot-{row['bot_id']}", name]) == shown(row[name], places), (row, name)


def test_the_page_ranks_with_the_weights_of_its_address(web: Web) -> None:
    page = web.get("/weights").text
    assert numbers(typed(page)) == DEFAULT_WEIGHTS
    rows = web.client.post("/api/v1/weights/preview", json={"weights": DEFAULT_WEIGHTS}).json()["data"]
    assert_previewed(page, rows)
    recorded = web.rows("SELECT bot_id, rank_score FROM bot_rankings WHERE day = %s", LAST)
    found = Figures(page).found
    for bot, score in recorded:
        assert value(found[f"bot-{bot}", "rank_score"]) == shown(score, 1)
    other = web.get(f"/weights?{urlencode(STEADIER)}&reason=why+not").text
    told = web.client.post("/api/v1/weights/preview", json={"weights": STEADIER}).json()
    assert_previewed(other, told["data"])
    assert typed(other)["reason"] == "why not"
    by_name = {name: text for (_, name), text in Figures(other).found.items()}
    assert value(by_name["moved_bots"]) == told["moved"] > 0


def test_sets_versions_and_scaling_are_addresses(web: Web) -> None:
    assert numbers(typed(web.get("/weights?set=know_defeat").text)) == DEFAULT_WEIGHTS
    recommended = numbers(typed(web.get("/weights?set=recommended").text))
    assert (recommended["quarter_result"], sum(map(abs, recommended.values()))) == (25.0, pytest.approx(100.0))
    scaled = numbers(typed(web.get("/weights?avg_win_rate=40&scale=true").text))
    assert scaled == normalise(DEFAULT_WEIGHTS | {"avg_win_rate": 40.0})
    assert numbers(typed(web.get("/weights?version=1&avg_win_rate=9").text)) == DEFAULT_WEIGHTS | {"avg_win_rate": 9.0}
    for query, status in (("set=best", 404), ("version=7", 404), ("avg_win_rate=much", 422), ("avg_win_rate=1e9", 422)):
        assert web.get(f"/weights?{query}", status).headers["content-type"].startswith("text/html")


def test_a_file_holds_the_ranking_that_is_shown(web: Web) -> None:
    told = web.get(f"/weights?{urlencode(STEADIER)}&rows=4&format=json").json()
    rows = web.client.post("/api/v1/weights/preview", json={"weights": STEADIER}).json()["data"]
    assert told == rows[:4]


def test_weights_are_saved_by_who_is_logged_in(logged_in: Web) -> None:
    web = logged_in
    answer = send(web, "/weights", 303, based_on=1, reason=" steadier ", **STEADIER)
    assert answer.headers["location"] == "/weights?saved=2"
    assert web.rows("SELECT author, reason FROM weight_versions WHERE version = 2") == [("manual", "steadier")]
    page = web.get("/weights?saved=2").text
    assert "Version 2 is saved." in page
    assert "Save as version 3" in page
    assert numbers(typed(page)) == STEADIER
    assert "is saved" not in web.get("/weights?saved=1").text


def test_who_is_not_logged_in_is_told_and_what_was_typed_stays(own_web: Web) -> None:
    page = send(own_web, "/weights", 401, based_on=1, reason="steadier", **STEADIER).text
    assert "not logged in" in page
    assert numbers(typed(page)) == STEADIER
    assert typed(page)["reason"] == "steadier"
    assert own_web.rows("SELECT count(*) FROM weight_versions") == [(1,)]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({}, "", "Say why"),
        ({"avg_win_rate": 15.0}, "x", "sum to 101.0, not 100.0"),
        ({"avg_win_rate": 13.99, "one_hour_performance": 11.01}, "x", "one decimal"),
    ],
)
def test_what_cannot_be_saved_is_told_and_what_was_typed_stays(
    logged_in: Web, change: Any, reason: str, words: str
) -> None:
    page = send(logged_in, "/weights", 422, based_on=1, reason=reason, **STEADIER | change).text
    assert words in page
    assert numbers(typed(page)) == STEADIER | change
    assert logged_in.rows("SELECT count(*) FROM weight_versions") == [(1,)]


def test_who_comes_second_sees_both_and_may_save_on_top(logged_in: Web) -> None:
    web = logged_in
    send(web, "/weights", 303, based_on=1, reason="steadier", **STEADIER)
    page = send(web, "/weights", 412, based_on=1, reason="bolder <b>", **BOLDER).text
    table = page[page.index('id="conflict"') :]
    rows = re.findall(r'<th scope="row">(\w+)</th>((?:<td.*?</td>)+)', table[: table.index("</table>")])
    cells = {name: [value(re.sub("<.*?>", "", cell)) for cell in re.findall("<td.*?</td>", row)] for name, row in rows}
    assert cells == {"one_day_performance": [10.0, 10.0, 14.0], "avg_win_rate": [10.0, 14.0, 10.0]}
    fields = typed(page)
    assert (numbers(fields), fields["reason"], fields["based_on"]) == (BOLDER, "bolder <b>", "2")
    assert "<b>" not in page
    assert web.rows("SELECT count(*) FROM weight_versions") == [(2,)]
    send(web, "/weights", 303, **fields)
    assert web.rows(
        "SELECT version, reason, one_day_performance FROM weight_versions ORDER BY version DESC LIMIT 1"
    ) == [(3, "bolder <b>", 14)]


def test_forms_are_taken_as_forms_alone(logged_in: Web) -> None:
    web = logged_in
    assert web.client.post("/weights", json=STEADIER).status_code == 415
    assert send(web, "/weights", 413, reason="x" * 100_000).text
    assert send(web, "/weights", 422, reason="x", **STEADIER).text  # builds on nothing


def test_the_learner_is_switched_on_the_page(logged_in: Web) -> None:
    web = logged_in
    assert send(web, "/weights/learner", 422, ai_enabled="no", reason=" ").text
    send(web, "/weights/learner", 303, ai_enabled="no", reason="holidays")
    assert web.rows("SELECT ai_enabled, reason FROM weight_settings ORDER BY setting DESC LIMIT 1") == [
        (False, "holidays")
    ]
    days.adjust(web.url, LAST, LAST, END)
    page = web.get("/weights").text
    assert "<td>disabled</td>" in page
    assert "Switch it on" in page


def test_every_figure_of_the_learning_centre_is_that_of_the_table(web: Web) -> None:
    found = Figures(web.get("/learning").text).found
    rows = web.rows(
        "SELECT w.weight, b.edge, b.win_rate, b.prior_win_rate, b.confidence, b.effective_samples, w.weight_trending, "
        "w.weight_ranging, w.weight_volatile, c.learning_velocity, c.brier_score, c.calibration_error "
        "FROM strategy_beliefs AS b JOIN strategy_weights AS w USING (day, strategy_id) "
        "LEFT JOIN strategy_calibration AS c USING (day, strategy_id) "
        "WHERE b.day = %s AND b.regime = '*' ORDER BY b.edge DESC, b.strategy_id",
        LAST,
    )
    assert len(rows) == 4
    forms = {"weight": (100, 1), "edge": (1, 3), "win_rate": (100, 1), "prior_win_rate": (100, 1), "confidence": (100, 0),
             "effective_samples": (1, 0), "weight_trending": (100, 1), "weight_ranging": (100, 1), "weight_volatile": (100, 1),
             "learning_velocity": (1, 1), "brier_score": (1, 3), "calibration_error": (1, 3)}  # fmt: skip
    for place, row in enumerate(rows, start=1):
        for (name, (factor, decimals)), number in zip(forms.items(), row, strict=True):
            expected = None if number is None else factor * number
            assert value(found[f"strategy-{place}", name]) == shown(expected, decimals), (place, name)
    ((exposure,),) = web.rows("SELECT max(exposure) FROM strategy_weights WHERE day = %s", LAST)
    assert value(found["", "exposure"]) == shown(100 * exposure, 1)


def test_one_strategy_is_looked_into(web: Web) -> None:
    found = Figures(web.get("/learning?strategy=pairs&days=30").text).found
    rows = web.rows(
        "SELECT b.day, w.weight, b.edge, b.win_rate FROM strategy_beliefs AS b JOIN strategy_weights AS w USING (day, strategy_id) "
        "WHERE b.strategy_id = 'pairs' AND b.regime = '*' AND b.day > %s::date - 10",
        LAST,
    )
    assert len(rows) == 10
    for day, weight, edge, win_rate in rows:
        assert value(found[f"day-{day}", "weight"]) == shown(100 * weight, 1)
        assert value(found[f"day-{day}", "edge"]) == shown(edge, 3)
        assert value(found[f"day-{day}", "win_rate"]) == shown(100 * win_rate, 1)
    for regime, edge, samples in web.rows(
        "SELECT regime, edge, effective_samples FROM strategy_beliefs WHERE day = %s AND strategy_id = 'pairs' AND regime <> '*'",
        LAST,
    ):
        assert value(found[f"regime-{regime}", "edge"]) == shown(edge, 3)
        assert value(found[f"regime-{regime}", "effective_samples"]) == shown(samples, 0)
    assert web.get("/learning?strategy=nobody", 404).headers["content-type"].startswith("text/html")


def test_the_calculators_say_what_the_api_says(web: Web) -> None:
    query = {
        "strategy": "pairs",
        "signals": "pairs LONG 80\nscalper short 60\n",
        "base": 500,
        "confidence": 75,
        "cap": 9000,
    }
    found = {name: text for (_, name), text in Figures(web.get(f"/learning?{urlencode(query)}").text).found.items()}
    signals = [
        {"strategy_id": "pairs", "direction": "LONG", "confidence": 80},
        {"strategy_id": "scalper", "direction": "SHORT", "confidence": 60},
    ]
    agreed = web.client.post("/api/v1/consensus", json={"signals": signals}).json()
    assert found["direction"] == agreed["direction"]
    assert value(found["agreement"]) == shown(100 * agreed["agreement"], 1)
    body = {"strategy_id": "pairs", "base": 500, "confidence": 75, "cap": 9000}
    sized = web.client.post("/api/v1/sizes", json=body).json()
    assert value(found["size"]) == shown(sized["size"], 2)
    assert value(found["kelly_size"]) == shown(sized["kelly_size"], 2)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"signals": "pairs"}, "Write a line per signal"),
        ({"signals": "pairs UP 80"}, "signals.1.direction"),
        ({"signals": "pairs LONG 800"}, "signals.1.confidence"),
        ({"signals": "nobody LONG 80"}, "Strategies with a weight"),
        ({"base": "5"}, "confidence"),
        ({"base": "5", "confidence": "101"}, "confidence"),
        ({"base": "1e-300", "confidence": "50"}, "base: write 0"),
    ],
)
def test_what_cannot_be_calculated_is_told_beside_what_was_typed(web: Web, query: Any, words: str) -> None:
    page = web.get(f"/learning?{urlencode(query)}").text
    assert words in html.unescape(page)
    for text in query.values():
        assert text in page


def test_what_was_learned_is_forgotten_by_who_is_logged_in(logged_in: Web) -> None:
    web = logged_in
    assert send(web, "/learning/reset", 422, strategy="pairs", reason="").text
    assert send(web, "/learning/reset", 404, strategy="nobody", reason="x").text
    send(web, "/learning/reset", 303, strategy="pairs", reason="other <b>rules</b>")
    with connect(web.url) as connection:
        connection.execute(
            "INSERT INTO belief_ledger (kind, source, discount, content, reason, in_force_from) "
            "VALUES ('backtest', 'sweep', 0.3, 'abc', 'backtest sweep', '-infinity')"
        )
    page = web.get("/learning").text
    assert "other &lt;b&gt;rules&lt;/b&gt;" in page
    assert "Withdraw the backtest sweep" in page
    send(web, "/learning/withdraw", 303, source="sweep", reason="overfitted")
    assert "Withdraw the backtest" not in web.get("/learning").text
    assert [row[0] for row in web.rows("SELECT kind FROM belief_ledger ORDER BY entry_id")] == ["reset", "backtest", "withdrawal"]  # fmt: skip


def test_nobody_decides_without_being_logged_in(own_web: Web) -> None:
    for path in ("/learning/reset", "/learning/withdraw", "/weights/learner"):
        send(own_web, path, 401, reason="x", source="sweep", ai_enabled="no")
    assert own_web.rows("SELECT count(*) FROM belief_ledger") == [(0,)]


def test_the_fleet_shows_what_was_learned(own_web: Web) -> None:
    web = own_web
    found = Figures(web.get("/").text).found
    rows = web.rows(
        "SELECT w.weight, b.edge, b.win_rate, b.confidence FROM strategy_weights AS w JOIN strategy_beliefs AS b USING (day, strategy_id) "
        "WHERE w.day = %s AND b.regime = '*' ORDER BY w.weight DESC",
        LAST,
    )
    for place, (weight, *_) in enumerate(rows, start=1):
        assert value(found[f"learned-{place}", "weight"]) == shown(100 * weight, 1)
    shown_edges = sorted(value(found[f"learned-{place}", "edge"]) for place in range(1, 5))
    assert shown_edges == [shown(edge, 3) for edge in sorted(row[1] for row in rows)]
    days.adjust(web.url, LAST, LAST, END)
    assert "The daily adjustment of Fri 28 Feb 2025: " in web.get("/").text
