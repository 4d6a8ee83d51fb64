"""Weights over HTTP: nobody's change is lost, and what a preview shows is what a run would write."""

import random
from typing import Any

import numpy as np
import pytest

from knowdefeat_pipeline.core.ranking.ranking import rank_numbers, ranked_variables
from knowdefeat_pipeline.core.schema import DECISIONS, DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.store.learning import add_version, record_adjustment, weight_versions
from knowdefeat_pipeline.store.ranking import ranked_by
from knowdefeat_pipeline.store.tokens import new_token
from tests.steps import days
from tests.web.conftest import END, LAST, Web, role_url, served

STEADIER = DEFAULT_WEIGHTS | {"avg_win_rate": 14.0, "one_hour_performance": 11.0}
BOLDER = DEFAULT_WEIGHTS | {"one_day_performance": 14.0, "one_hour_performance": 11.0}
HEADERS = {"if-match": '"1"'}


def bearer(web: Web, scope: Any = "admin") -> dict[str, str]:
    with connect(web.url) as connection:
        return {"authorization": f"Bearer {new_token(connection, f'{scope} {random.random()}', scope)}"}


def put(web: Web, weights: Any, status: int = 200, reason: str = "steadier", **headers: str) -> Any:
    token = bearer(web)
    body = {"weights": weights, "reason": reason}
    answer = web.client.put("/api/v1/weights", json=body, headers=token | {k.replace("_", "-"): v for k, v in headers.items()})  # fmt: skip
    assert answer.status_code == status, answer.text
    return answer


def test_the_weights_are_the_latest_version_s_and_its_number_is_their_etag(web: Web) -> None:
    answer = web.get("/api/v1/weights")
    assert answer.headers["etag"] == '"1"'
    found = answer.json()
    assert (found["version"], found["author"], found["in_force_from"], found["moved"]) == (1, "default", None, None)
    assert found["weights"] == DEFAULT_WEIGHTS
    assert web.get("/api/v1/weights", 304, headers={"if-none-match": '"1"'}).content == b""


def test_a_change_is_a_version_in_force_from_now(own_web: Web) -> None:
    web = own_web
    answer = put(web, STEADIER, if_match='"1"', reason=" steadier ")
    assert answer.headers["etag"] == '"2"'
    made = answer.json()
    assert (made["version"], made["author"], made["reason"], made["moved"]) == (2, "manual", "steadier", 8.0)
    assert made["weights"] == STEADIER
    ((version, author, reason, win_rate),) = web.rows(
        "SELECT version, author, reason, avg_win_rate::float8 FROM weight_versions ORDER BY version DESC LIMIT 1"
    )
    assert (version, author, reason, win_rate) == (2, "manual", "steadier", 14.0)
    assert [row["version"] for row in web.json("/weights/versions")["data"]] == [2, 1]
    evidence = web.json("/weights/versions/2")["evidence"]
    assert (evidence["based_on"], evidence["by"].startswith("admin 0.")) == (1, True)  # the token's name
    assert web.get("/api/v1/weights/versions/3", 404).json()["detail"] == "There is no version 3 of the weights."


def test_without_saying_what_it_builds_on_no_change_is_taken(own_web: Web) -> None:
    problem = put(own_web, STEADIER, 428).json()
    assert 'If-Match: "1"' in problem["detail"]
    assert own_web.rows("SELECT count(*) FROM weight_versions") == [(1,)]


@pytest.mark.parametrize("tag", ['"1"', '"77"', '"nonsense"', 'W/"2"', "2"])
def test_who_comes_second_is_told_what_differs_and_nothing_is_lost(own_web: Web, tag: str) -> None:
    web = own_web
    put(web, STEADIER, if_match='"1"')
    answer = put(web, BOLDER, 412, if_match=tag)
    assert answer.headers["etag"] == '"2"'
    problem = answer.json()
    assert (problem["latest"]["version"], problem["latest"]["weights"]) == (2, STEADIER)
    if tag == '"1"':
        assert problem["differing"] == [
            {"variable": "one_day_performance", "was": 10.0, "latest": 10.0, "yours": 14.0},
            {"variable": "avg_win_rate", "was": 10.0, "latest": 14.0, "yours": 10.0},
        ]
    assert len(problem["differing"]) == 2
    assert web.rows("SELECT count(*) FROM weight_versions") == [(2,)]
    assert put(web, BOLDER, if_match=f'"1", {answer.headers["etag"]}', reason="bolder").json()["version"] == 3


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (DEFAULT_WEIGHTS | {"avg_win_rate": 14.0}, "sum to 104.0, not 100.0"),
        (DEFAULT_WEIGHTS | {"avg_win_rate": 10.05}, "one decimal"),
        (DEFAULT_WEIGHTS | {"win_rate": 1.0}, "unknown: win_rate"),
        ({"avg_win_rate": 100.0}, "missing: one_hour_performance"),
        (DEFAULT_WEIGHTS, "nothing to change"),
        ({"avg_win_rate": "many"}, "body.weights.avg_win_rate"),
    ],
)
def test_what_are_no_weights_is_refused(own_web: Web, weights: Any, words: str) -> None:
    assert words in put(own_web, weights, 422, if_match='"1"').json()["detail"]
    assert own_web.rows("SELECT count(*) FROM weight_versions") == [(1,)]


def test_weights_of_any_sum_are_scaled_if_that_is_asked(own_web: Web) -> None:
    body = {"weights": dict.fromkeys(VARIABLE_NAMES, 1.0), "reason": "no opinion", "normalise": True}
    made = own_web.client.put("/api/v1/weights", json=body, headers=bearer(own_web) | HEADERS).json()
    assert sorted(made["weights"].values()) == [5.2] * 7 + [5.3] * 12


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/weights", {"weights": STEADIER, "reason": "x"}),
        ("POST", "/weights/rollback", {"version": 1}),
        ("PATCH", "/weights/learner", {"ai_enabled": False, "reason": "x"}),
    ],
)
def test_writes_need_a_token_of_the_scope_admin(own_web: Web, method: str, path: str, body: Any) -> None:
    for scope, status in ((None, 401), ("read", 403), ("ingest", 403)):
        token = bearer(own_web, scope) if scope else {}
        assert (
            own_web.client.request(method, f"/api/v1{path}", json=body, headers=token | HEADERS).status_code == status
        )
    assert own_web.rows("SELECT count(*) FROM weight_versions") == [(1,)]
    assert own_web.rows("SELECT count(*) FROM weight_settings") == [(1,)]


def test_a_rollback_is_a_new_version(own_web: Web) -> None:
    web = own_web
    put(web, STEADIER, if_match='"1"')
    token = bearer(web)

    def roll_back(version: int, etag: str) -> Any:
        return web.client.post(
            "/api/v1/weights/rollback", json={"version": version}, headers=token | {"if-match": etag}
        )

    assert roll_back(1, '"1"').status_code == 412
    assert roll_back(7, '"2"').status_code == 404
    made = roll_back(1, '"2"').json()
    assert (made["version"], made["reason"], made["weights"]) == (3, "Rollback to version 1", DEFAULT_WEIGHTS)


def test_the_learner_is_switched_and_its_attempts_are_shown(own_web: Web) -> None:
    web = own_web
    assert web.json("/weights/learner")["ai_enabled"] is True
    body = {"ai_enabled": False, "reason": "holidays"}
    done = web.client.patch("/api/v1/weights/learner", json=body, headers=bearer(web)).json()
    assert (done["ai_enabled"], done["author"], done["reason"]) == (False, "manual", "holidays")
    days.adjust(web.url, LAST, LAST, END)
    (row,) = web.json("/weights/adjustments")
    ((day, outcome, reason),) = web.rows("SELECT day::text, outcome, reason FROM weight_adjustments")
    assert (row["day"], row["outcome"], row["reason"]) == (day, outcome, reason) == ("2025-02-28", "disabled", reason)
    assert "holidays" in reason


def test_parts_of_the_versions_make_the_whole(own_web: Web) -> None:
    web = own_web
    for version in range(1, 5):
        put(web, STEADIER if version % 2 else BOLDER, if_match=f'"{version}"')
    found: list[int] = []
    following: str | None = "/api/v1/weights/versions?limit=2"
    while following:
        answer = web.get(following).json()
        found, following = found + [row["version"] for row in answer["data"]], answer["next"]
    assert found == [5, 4, 3, 2, 1]
    assert web.get("/api/v1/weights/versions?cursor=WyJ4Il0", 400).json()["status"] == 400


def test_the_preview_of_the_weights_in_force_is_the_recorded_ranking_to_the_last_bit(web: Web) -> None:
    body = {"weights": DEFAULT_WEIGHTS}
    found = web.client.post("/api/v1/weights/preview", json=body).json()
    assert (found["day"], found["weight_version"], found["moved"], found["newcomers"]) == ("2025-02-28", 1, 0, 0)
    expected = web.rows(
        "SELECT bot_id, rank, rank_score FROM bot_rankings WHERE day = %s ORDER BY rank NULLS LAST, bot_id", LAST
    )
    assert [(row["bot_id"], row["rank"], row["rank_score"]) for row in found["data"]] == expected


def test_the_preview_of_other_weights_is_what_a_run_writes_to_the_last_bit(own_web: Web) -> None:
    web = own_web
    found = web.client.post("/api/v1/weights/preview", json={"weights": STEADIER}).json()
    before = web.rows("SELECT bot_id, rank, rank_score FROM bot_rankings WHERE day = %s", LAST)
    known = {bot: (rank, score) for bot, rank, score in before}
    for row in found["data"]:
        assert (row["rank_before"], row["rank_score_before"]) == known[row["bot_id"]]
        assert row["moved"] == row["rank_before"] - row["rank"]
    assert found["moved"] == sum(row["moved"] != 0 for row in found["data"]) > 0
    with connect(web.url) as connection:  # in force before the day's end, as if it had been set then
        latest = weight_versions(connection)[-1].version
        add_version(
            connection, STEADIER, based_on=latest, author="manual", reason="x", in_force_from=END.replace(year=2024)
        )
    days.refresh(web.url, LAST, LAST, END)
    expected = web.rows("SELECT bot_id, rank, rank_score FROM bot_rankings WHERE day = %s ORDER BY rank", LAST)
    assert [(row["bot_id"], row["rank"], row["rank_score"]) for row in found["data"]] == expected


def test_ranks_travel_as_whole_numbers_without_losing_a_bit(web: Web) -> None:
    with connect(web.url) as connection:
        metrics = ranked_by(connection, LAST)
    numbers, steps = rank_numbers(metrics)
    assert (numbers / 2 / steps - 0.5).tobytes() == ranked_variables(metrics).tobytes()
    told = web.json("/weights/ranks")
    assert told["variables"] == list(VARIABLE_NAMES)
    assert (told["numbers"], told["steps"]) == (numbers.tolist(), steps.tolist())
    assert told["bot_id"] == metrics["bot_id"].tolist()
    assert np.all(numbers >= 0)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({}, "differ from 0"),
        ({"avg_win_rate": 101}, "101"),
        ({"pnl": 3}, "pnl: no variable"),
        ({"avg_win_rate": 0}, "0"),
    ],
)
def test_nothing_is_ranked_with_what_are_no_weights(web: Web, weights: Any, words: str) -> None:
    answer = web.client.post("/api/v1/weights/preview", json={"weights": weights})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_the_role_of_the_pages_may_change_weights(own_web: Web, tmp_path: Any) -> None:
    with served(own_web.url, role_url(own_web.url, Passwords(tmp_path))) as web:
        assert put(web, STEADIER, if_match='"1"').json()["version"] == 2
        body = {"ai_enabled": False, "reason": "x"}
        assert web.client.patch("/api/v1/weights/learner", json=body, headers=bearer(web)).status_code == 200


@pytest.mark.parametrize("table", DECISIONS)
def test_what_is_read_of_decisions_is_defined_and_commented(web: Web, table: str) -> None:
    columns = dict(
        web.rows(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0",
            table,
        )
    )
    for figure in DECISIONS[table]:
        assert columns[figure.name] == figure.description
    assert [figure["name"] for figure in web.json("/definitions")[table]] == [f.name for f in DECISIONS[table]]


def test_the_evidence_of_a_version_is_that_of_the_table(own_web: Web) -> None:
    evidence = {"statement": "It can be told from luck.", "ic": {"learned": {"mean": None}}}
    with connect(own_web.url) as connection:
        version = add_version(connection, STEADIER, based_on=1, author="ai", reason="learned", in_force_from=END, evidence=evidence)  # fmt: skip
        record_adjustment(connection, day=LAST, as_of=END, outcome="published", reason="learned", evidence=evidence, version=version)  # fmt: skip
    assert own_web.json("/weights/versions/2")["evidence"] == {"based_on": 1, **evidence}
    assert own_web.json("/weights/adjustments")[0]["evidence"] == evidence
