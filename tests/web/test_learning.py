"""What was learned of strategies, over HTTP: every figure is the table's, and Scanstream's clients find their endpoints."""

import json
import math
import random
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from knowdefeat_pipeline.core.schema import BELIEFS, CALIBRATION
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.store.tokens import new_token
from tests.web.conftest import LAST, Web, role_url, served

WIN = {
    "strategy_id": "enhanced_bounce",
    "entry_price": 100,
    "exit_price": 102,
    "direction": "LONG",
    "entry_time": "2024-01-01T10:00:00Z",
    "exit_time": "2024-01-01T11:00:00Z",
    "signal_confidence": 0.8,
}


def bearer(web: Web, scope: Any = "admin") -> dict[str, str]:
    with connect(web.url) as connection:
        return {"authorization": f"Bearer {new_token(connection, f'{scope} {random.random()}', scope)}"}


def learning(web: Web, path: str, status: int = 200) -> Any:
    answer = web.get(f"/api/learning/{path}", status)
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["success"] is (status == 200)
    return told


def post(web: Web, path: str, body: Any, scope: str | None = "admin") -> Any:
    return web.client.post(path, json=body, headers=bearer(web, scope) if scope else {})


def plain(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def test_the_strategies_are_those_of_the_tables(web: Web) -> None:
    found = web.json("/strategies")
    names = [figure.name for figure in BELIEFS]
    expected = web.rows(
        f"SELECT {', '.join('b.' + name for name in names)}, w.weight FROM strategy_beliefs AS b "
        "JOIN strategy_weights AS w USING (day, strategy_id) WHERE b.day = %s AND b.regime = '*' "
        "ORDER BY b.edge DESC, b.strategy_id",
        LAST,
    )
    assert [tuple(row[name] for name in (*names, "weight")) for row in found["data"]] == expected
    assert len(expected) == 4
    assert math.fsum(row["weight"] for row in found["data"]) == 1.0
    assert (found["day"], found["regime"]) == (str(LAST), "NEUTRAL")  # there is no market data
    assert found["regime_shares"] == {"TRENDING": 0.0, "RANGING": 0.0, "VOLATILE": 0.0}


@pytest.mark.parametrize("regime", ["TRENDING", "RANGING", "VOLATILE"])
def test_under_a_regime_they_have_its_weights(web: Web, regime: str) -> None:
    found = {row["strategy_id"]: row for row in web.json(f"/strategies?regime={regime}")["data"]}
    column = f"weight_{regime.lower()}"
    expected = dict(web.rows(f"SELECT strategy_id, {column} FROM strategy_weights WHERE day = %s", LAST))
    assert {name: row["weight"] for name, row in found.items()} == expected
    assert math.fsum(expected.values()) == 1.0


def test_one_strategy_and_its_history_are_those_of_the_tables(web: Web) -> None:
    found = web.json("/strategies/pairs")
    assert {row["regime"] for row in found["beliefs"]} == {"*", "TRENDING", "RANGING", "VOLATILE"}
    names = [figure.name for figure in CALIBRATION]
    statement = f"SELECT {', '.join(names)} FROM strategy_calibration WHERE day = %s AND strategy_id = 'pairs'"
    (expected,) = web.rows(statement, LAST)
    assert tuple(found["calibration"][name] for name in names) == expected
    days = web.json("/strategies/pairs/history?days=9")
    expected = web.rows(
        "SELECT day::text, edge, win_rate FROM strategy_beliefs WHERE strategy_id = 'pairs' AND regime = '*' "
        "AND day > %s::date - 9 ORDER BY day",
        LAST,
    )
    assert [(row["day"], row["edge"], row["win_rate"]) for row in days] == expected
    assert len(days) == 9
    for path in ("/strategies/nobody", "/strategies/nobody/history"):
        assert "There are: breakout" in web.get(f"/api/v1{path}", 404).json()["detail"]


def test_metrics_are_those_of_the_tables_and_weights_sum_to_1(web: Web) -> None:
    metrics = learning(web, "metrics")["metrics"]
    expected = dict(web.rows("SELECT strategy_id, weight FROM strategy_weights WHERE day = %s", LAST))
    assert metrics["adaptive_weights"] == metrics["regime_adjusted_weights"] == expected
    assert sum(metrics["adaptive_weights"].values()) == pytest.approx(1.0, abs=1e-12)
    for strategy, prior, posterior, confidence, samples in web.rows(
        "SELECT strategy_id, prior_win_rate, win_rate, confidence, effective_samples FROM strategy_beliefs "
        "WHERE day = %s AND regime = '*'",
        LAST,
    ):
        told = metrics["strategy_beliefs"][strategy]
        assert (told["prior_accuracy"], told["posterior_accuracy"]) == (prior, posterior)
        assert (told["confidence"], told["samples"]) == (confidence, samples)
        assert told["current_weight"] == expected[strategy]
        assert metrics["accuracy_improvements"][strategy] == told["accuracy_improvement"]
    ((velocity,),) = web.rows(
        "SELECT learning_velocity FROM strategy_calibration WHERE day = %s AND strategy_id = '*'", LAST
    )
    assert metrics["learning_velocity"] == velocity
    assert metrics["market_regime"] == "NEUTRAL"


def test_the_history_comes_latest_first_and_in_parts(web: Web) -> None:
    whole = learning(web, "history?days=3&limit=1000")
    expected = web.rows(
        "SELECT exit_time, strategy_id, pnl FROM closed_trades WHERE exit_time >= %s::date - 2 "
        "ORDER BY exit_time DESC, trade_id DESC",
        LAST,
    )
    assert [(row["timestamp"], row["strategy_id"], row["pnl"]) for row in whole["events"]] == [
        tuple(map(plain, row)) for row in expected
    ]
    assert (whole["total"], whole["count"]) == (len(expected), len(expected))
    part = learning(web, "history?days=3&limit=2&offset=3")
    assert part["events"] == whole["events"][3:5]
    assert (part["total"], part["count"], part["limit"], part["offset"]) == (len(expected), 2, 2, 3)
    own = learning(web, "history?days=3&strategy_id=pairs&limit=1000")["events"]
    assert own == [row for row in whole["events"] if row["strategy_id"] == "pairs"]
    assert own


def test_a_strategy_s_summary_and_weights_over_time(web: Web) -> None:
    summary = learning(web, "strategy/pairs")["summary"]
    ((samples, weight),) = web.rows(
        "SELECT effective_samples, weight FROM strategy_beliefs JOIN strategy_weights USING (day, strategy_id) "
        "WHERE day = %s AND strategy_id = 'pairs' AND regime = '*'",
        LAST,
    )
    assert (summary["samples_analyzed"], summary["current_weight"]) == (samples, weight)
    last = web.rows(
        "SELECT 100 * pnl / notional FROM closed_trades WHERE strategy_id = 'pairs' ORDER BY exit_time DESC, trade_id DESC LIMIT 100"
    )
    assert [of["pnl_percent"] for of in summary["recent_performance"]] == [of for (of,) in last[:10]]
    assert summary["avg_roi"] == pytest.approx(sum(of for (of,) in last) / len(last))
    told = learning(web, "weight-evolution/pairs?days=5")
    expected = web.rows(
        "SELECT weight FROM strategy_weights WHERE strategy_id = 'pairs' AND day > %s::date - 5 ORDER BY day", LAST
    )
    assert [point["weight"] for point in told["evolution"]] == [weight for (weight,) in expected]
    assert told["data_points"] == 5
    for path in ("strategy/nobody", "weight-evolution/nobody"):
        assert "There are: " in learning(web, path, 404)["error"]


def test_the_analysis_of_regimes_names_the_best_of_each(web: Web) -> None:
    analysis = learning(web, "regime-analysis")["analysis"]
    assert (analysis["current_regime"], analysis["regime_detection_confidence"]) == ("NEUTRAL", 0.0)
    for regime, told in analysis["historical_regime_performance"].items():
        ((strategy, win_rate),) = web.rows(
            "SELECT strategy_id, win_rate FROM strategy_beliefs WHERE day = %s AND regime = %s ORDER BY edge DESC LIMIT 1",
            LAST,
            regime,
        )
        assert (told["best_strategy"], told["performance"]) == (strategy, win_rate)
    assert analysis["recommendations"]


def test_the_guide_s_own_commands_pass(own_web: Web) -> None:
    """As Scanstream's guide writes them, with a token for what writes."""
    commands = """
        curl http://localhost:3000/api/learning/metrics
        curl http://localhost:3000/api/learning/strategy/pairs
        curl "http://localhost:3000/api/learning/history?days=7"
        curl http://localhost:3000/api/learning/history?days=7&limit=50
        curl -X POST http://localhost:3000/api/learning/trade-outcome -H "Content-Type: application/json" -d '%s'
    """
    for line in (commands % json.dumps(WIN)).strip().splitlines():
        words = shlex.split(line)
        (address,) = [word for word in words if word.startswith("http")]
        method = "POST" if "POST" in words else "GET"
        body = words[words.index("-d") + 1] if "-d" in words else None
        headers = {"content-type": "application/json", **bearer(own_web, "ingest"), "host": "localhost:3000"}
        answer = own_web.client.request(method, address, content=body, headers=headers)
        assert (answer.status_code, answer.json()["success"]) == (200, True), answer.text


def test_an_outcome_is_a_trade_and_the_same_again_changes_nothing(own_web: Web) -> None:
    web = own_web
    first = post(web, "/api/learning/trade-outcome", WIN, "ingest")
    assert first.json()["trade"]["pnl"] == pytest.approx(0.02)  # of one unit that was put in
    again = post(web, "/api/learning/trade-outcome", WIN, "ingest")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["trade"]["trade_id"] == first.json()["trade"]["trade_id"]
    ((source, bot, strategy, pnl, confidence, count),) = web.rows(
        "SELECT source, b.name, t.strategy_id, pnl, signal_confidence, count(*) OVER () FROM trades AS t JOIN bots AS b USING (bot_id) "
        "WHERE t.strategy_id = 'enhanced_bounce'"
    )
    assert (source, bot, strategy, confidence, count) == ("scanstream", "enhanced_bounce", "enhanced_bounce", 0.8, 1)
    assert pnl == pytest.approx(0.02)
    other = post(web, "/api/learning/trade-outcome", WIN | {"trade_id": "7", "exit_price": 103}, "ingest")
    assert other.status_code == 200
    differs = post(web, "/api/learning/trade-outcome", WIN | {"trade_id": "7", "exit_price": 104, "fees": 1}, "ingest")
    assert differs.status_code == 409
    assert (differs.json()["success"], differs.json()["differing"]) == (False, ["exit_price", "fees"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signal_confidence": 80}, "confidence_scale=100"),
        ({"signal_confidence": 800, "confidence_scale": 100}, "0..100"),
        ({"direction": "UP"}, "body.direction"),
        ({"entry_price": 0}, "body.entry_price"),
        ({"exit_time": "2024-01-01T09:00:00Z"}, "is earlier than the entry"),
        ({"exit_time": "2999-01-01T09:00:00Z"}, "lies in the future"),
        ({"entry_time": "2024-01-01T09:00:00"}, "timezone"),
        ({"ticker": "*"}, "ticker '*' cannot be read"),
        ({"strategy_id": None}, "body.strategy_id"),
    ],
)
def test_what_is_no_outcome_is_refused_with_a_remedy(own_web: Web, change: Any, words: str) -> None:
    answer = post(own_web, "/api/learning/trade-outcome", WIN | change, "ingest")
    assert (answer.status_code, answer.json()["success"]) == (422, False)
    assert words in answer.json()["error"]
    assert own_web.rows("SELECT count(*) FROM trades WHERE source = 'scanstream'") == [(0,)]


def test_a_confidence_of_80_is_one_of_100_where_that_is_declared(own_web: Web) -> None:
    body = WIN | {"signal_confidence": 80, "confidence_scale": 100}
    assert post(own_web, "/api/learning/trade-outcome", body, "ingest").status_code == 200
    assert own_web.rows("SELECT signal_confidence FROM trades WHERE source = 'scanstream'") == [(0.8,)]


def test_a_reset_is_an_entry_of_the_ledger(own_web: Web) -> None:
    web = own_web
    assert post(web, "/api/learning/reset", {}).status_code == 422
    told = post(web, "/api/learning/reset", {"reason": " anew ", "strategy_id": "pairs"}).json()
    assert told["success"] is True
    (entry,) = web.json("/ledger")
    assert (entry["kind"], entry["strategy_id"], entry["reason"]) == ("reset", "pairs", "anew")
    assert web.rows("SELECT kind, strategy_id, reason FROM belief_ledger") == [("reset", "pairs", "anew")]
    assert post(web, "/api/learning/reset", {"reason": "x", "strategy_id": "nobody"}).status_code == 404
    made = post(web, "/api/v1/strategies/trend/reset", {"reason": "other rules"}).json()
    assert [row["strategy_id"] for row in made] == ["trend", "pairs"]
    assert post(web, "/api/v1/strategies/nobody/reset", {"reason": "x"}).status_code == 404
    assert post(web, "/api/v1/strategies/reset", {"reason": "all of it"}).json()[0]["strategy_id"] is None


def test_a_backtest_is_withdrawn_once(own_web: Web) -> None:
    assert post(own_web, "/api/v1/backtests/sweep/withdraw", {"reason": "x"}).status_code == 422
    with connect(own_web.url) as connection:
        connection.execute(
            "INSERT INTO belief_ledger (kind, source, discount, content, reason, in_force_from) "
            "VALUES ('backtest', 'sweep', 0.3, 'abc', 'backtest sweep', '-infinity')"
        )
    made = post(own_web, "/api/v1/backtests/sweep/withdraw", {"reason": "overfitted"}).json()
    assert [(row["kind"], row["reason"]) for row in made] == [
        ("withdrawal", "overfitted"),
        ("backtest", "backtest sweep"),
    ]
    assert "already" in post(own_web, "/api/v1/backtests/sweep/withdraw", {"reason": "x"}).json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "needed"),
    [
        ("/api/learning/trade-outcome", WIN, "ingest"),
        ("/api/learning/reset", {"reason": "x"}, "admin"),
        ("/api/v1/strategies/reset", {"reason": "x"}, "admin"),
        ("/api/v1/strategies/pairs/reset", {"reason": "x"}, "admin"),
        ("/api/v1/backtests/sweep/withdraw", {"reason": "x"}, "admin"),
    ],
)
def test_writes_need_a_token(own_web: Web, path: str, body: Any, needed: str) -> None:
    assert post(own_web, path, body, None).status_code == 401
    for scope in ("read", "ingest"):
        if scope != needed:
            assert post(own_web, path, body, scope).status_code == 403
    assert own_web.rows("SELECT count(*) FROM belief_ledger") == [(0,)]


def test_metrics_cannot_be_set(web: Web) -> None:
    answer = web.client.post("/api/learning/update-metrics", json={"market_regime": "TRENDING"})
    assert answer.status_code == 410
    assert "POST /api/learning/trade-outcome" in answer.json()["error"]


def test_signals_agree_by_the_weights_of_their_strategies(web: Web) -> None:
    weights = dict(web.rows("SELECT strategy_id, weight FROM strategy_weights WHERE day = %s", LAST))
    signals = [
        {"strategy_id": "pairs", "direction": "LONG", "confidence": 80, "timeframe": "1h"},
        {"strategy_id": "scalper", "direction": "SHORT", "confidence": 60, "timeframe": "1d"},
    ]
    body = {"signals": signals, "timeframe_weights": {"1h": 1, "1d": 2}}
    found = web.client.post("/api/v1/consensus", json=body).json()
    long, short = 0.8 * weights["pairs"], 0.6 * weights["scalper"] * 2
    assert (found["long_score"], found["short_score"]) == pytest.approx((long, short))
    assert [row["contribution"] for row in found["contributions"]] == pytest.approx([long, short])
    unknown = {"signals": [signals[0] | {"strategy_id": "nobody"}]}
    told = web.client.post("/api/v1/consensus", json=unknown)
    assert (told.status_code, "Strategies with a weight: breakout" in told.json()["detail"]) == (422, True)


def test_a_size_follows_from_the_belief(web: Web) -> None:
    body = {"strategy_id": "pairs", "base": 500, "confidence": 75, "cap": 100000}
    found = web.client.post("/api/v1/sizes", json=body).json()
    ((win_rate, prior),) = web.rows(
        "SELECT win_rate, prior_win_rate FROM strategy_beliefs WHERE day = %s AND strategy_id = 'pairs' AND regime = '*'",
        LAST,
    )
    assert found["size"] == pytest.approx(500 * win_rate / prior * 0.75)
    assert web.client.post("/api/v1/sizes", json=body | {"cap": 100}).json()["size"] == 100
    for wrong in ({"base": -1}, {"base": 1e-300}, {"confidence": 101}, {"strategy_id": "nobody"}):
        assert web.client.post("/api/v1/sizes", json=body | wrong).status_code == 422


def test_of_an_empty_database_nothing_was_learned(empty_web: Web) -> None:
    for path in ("metrics", "strategy/pairs", "history", "weight-evolution/pairs", "regime-analysis"):
        assert "knowdefeat run" in learning(empty_web, path, 404)["error"]
    assert empty_web.json("/ledger") == []
    assert empty_web.get("/api/v1/strategies", 404).json()["status"] == 404


def test_the_role_of_the_pages_may_record_outcomes_and_resets(own_web: Web, tmp_path: Path) -> None:
    with served(own_web.url, role_url(own_web.url, Passwords(tmp_path))) as web:
        assert post(web, "/api/learning/trade-outcome", WIN, "ingest").status_code == 200
        assert post(web, "/api/learning/reset", {"reason": "x"}).status_code == 200
