"""What Prometheus is told: by its own parser, and equal to the tables."""

import re
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.postgres.last_backup import note_backup, origin_of
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.locks import LISTENER_LOCK, listener_lock
from knowdefeat_pipeline.web.gauges import GAUGES, PREFIX
from tests.web.conftest import LAST, NASTY, Web

Samples = dict[tuple[str, ...], float]


def scraped(web: Web, path: str = "/api/v1/metrics") -> dict[str, Samples]:
    """Of each metric of ours its samples, by the values of their labels."""
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(web.get(path).text):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                found.setdefault(sample.name.removeprefix(PREFIX), {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_fleet_is_that_of_the_tables(web: Web) -> None:
    found = scraped(web)
    ((bots, active, ranked, day, week, month, funds, allocated),) = web.rows(
        "SELECT count(*), count(*) FILTER (WHERE r.is_active), count(r.rank), sum(one_day_performance), sum(one_week_performance), sum(total_pnl), "
        "(SELECT funds FROM fund_allocation_days WHERE day = %s), (SELECT sum(amount) FROM fund_allocations WHERE day = %s) "
        "FROM bot_metrics AS m JOIN bot_rankings AS r USING (day, bot_id) WHERE m.day = %s AND m.ticker = '*'",
        LAST,
        LAST,
        LAST,
    )
    expected = {"bots": bots, "active_bots": active, "ranked_bots": ranked, "funds": float(funds), "allocated_funds": float(allocated),
                "halted_bots": web.rows("SELECT count(*) FROM fund_allocations WHERE decision = 'halted' AND day = %s", LAST)[0][0], "open_trades": web.rows("SELECT count(*) FROM trades WHERE status = 'open'")[0][0]}  # fmt: skip
    for name, number in expected.items():
        assert found[name] == {("USD",): number}, name
    for name, number in (("pnl_1d", day), ("pnl_7d", week), ("pnl_30d", month)):
        assert found[name] == {("USD",): pytest.approx(number)}
    ((held,),) = web.rows("SELECT count(*) FROM trade_quarantine WHERE status = 'held'")
    assert held > 0
    assert found["held_rows"] == {(): held}
    assert found["viewers"] == {(): 0}
    assert not any(name.startswith("bot_") for name in found)


def test_freshness_is_that_of_the_marks(web: Web) -> None:
    found = scraped(web)
    rows = web.rows("SELECT asset, count(*), max(as_of), max(refreshed_at) FROM refreshed_days GROUP BY asset")
    assert {(asset,): days for asset, days, _, _ in rows} == found["asset_days"]
    for name, place in (("asset_as_of_timestamp_seconds", 2), ("asset_refreshed_timestamp_seconds", 3)):
        assert found[name] == {(row[0],): pytest.approx(row[place].timestamp(), abs=1e-3) for row in rows}


def test_bots_are_told_of_when_they_are_asked_for_the_best_first(web: Web) -> None:
    found = scraped(web, "/api/v1/metrics?bots=4")
    rows = web.rows(
        "SELECT b.name, r.rank, r.rank_score, total_pnl, k.p_skill, amount FROM bot_rankings AS r JOIN bots AS b USING (bot_id) "
        "JOIN bot_metrics AS m USING (day, bot_id) LEFT JOIN bot_skill AS k ON (k.day, k.bot_id, k.time_window) = (r.day, r.bot_id, 'lifetime') "
        "LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (r.day, r.bot_id) WHERE r.day = %s AND m.ticker = '*' AND r.rank <= 4",
        LAST,
    )
    assert len(rows) == 4
    names = ("bot_rank", "bot_rank_score", "bot_pnl_30d", "bot_skill_probability", "bot_funds")
    for place, name in enumerate(names, 1):
        assert found[name] == {(row[0], "USD"): pytest.approx(float(row[place])) for row in rows if row[place] is not None}  # fmt: skip
    assert len(scraped(web, "/api/v1/metrics?bots=1000")["bot_rank"]) == len(
        web.rows("SELECT FROM bot_rankings WHERE day = %s AND rank IS NOT NULL", LAST)
    )
    web.get("/api/v1/metrics?bots=1001", 422)


def test_a_name_from_outside_is_a_label_and_nothing_else(own_web: Web) -> None:
    nasty = 'a"} 1\nknowdefeat_bots 7\\'
    with connect(own_web.url) as connection:
        connection.execute("UPDATE bots SET name = %s WHERE bot_id = 1", (nasty.replace("\n", ""),))
    found = scraped(own_web, "/api/v1/metrics?bots=1000")
    assert {nasty.replace("\n", ""), NASTY} <= {bot for bot, _ in found["bot_pnl_30d"]}
    assert found["bots"] == {("USD",): 9}


def test_a_listener_and_a_backup_are_seen(own_web: Web, tmp_path: Path) -> None:
    own_web.site.settings = Settings(home=tmp_path)
    before = scraped(own_web)
    assert before["listener_running"] == {(): 0}
    assert "last_backup_timestamp_seconds" not in before
    with connect(own_web.url) as connection, listener_lock(connection) as alone:
        assert alone
        note_backup(tmp_path, tmp_path / "a.backup", origin_of(connection))
        after = scraped(own_web)
    assert after["listener_running"] == {(): 1}
    assert after["last_backup_timestamp_seconds"][()] == pytest.approx(datetime.now(UTC).timestamp(), abs=60)


def test_every_metric_stands_in_the_table_and_is_told_with_its_meaning(web: Web) -> None:
    with connect(web.url) as connection:
        rows = connection.execute(query("web/gauges"), {"lock": LISTENER_LOCK, "bots": 5}).fetchall()
    labels = {gauge.name: len(gauge.labels) for gauge in GAUGES}
    assert {name for name, *_ in rows} | {"viewers", "last_backup_timestamp_seconds"} == labels.keys()
    assert all(len(values) == labels[name] for name, values, _ in rows)
    text = web.get("/api/v1/metrics").text
    for gauge in GAUGES:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", gauge.name)
        if f"\n{PREFIX}{gauge.name}" in text:
            assert f"# HELP {PREFIX}{gauge.name} {gauge.meaning}\n# TYPE {PREFIX}{gauge.name} gauge\n" in text
    assert "process_resident_memory_bytes" in text


def test_it_is_open_metrics_to_whom_asks_for_it(web: Web) -> None:
    answer = web.get("/api/v1/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert f"{PREFIX}bots" in {family.name for family in open_metrics(answer.text)}
    assert web.get("/api/v1/metrics").headers["content-type"].startswith("text/plain; version=")


def test_a_scrape_is_one_statement(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = psycopg.Connection.execute

    def execute(connection: psycopg.Connection, statement: object, *more: object, **options: object) -> object:
        asked.append(str(statement))
        return real(connection, statement, *more, **options)  # type: ignore[arg-type]

    web.get("/api/v1/metrics")
    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    web.get("/api/v1/metrics?bots=50")
    # Beside it, the pool looks whether the connection lives, and the transaction begins.
    assert [text for text in asked if text and not text.startswith("SET TRANSACTION")] == [query("web/gauges")]


def test_it_stands_behind_the_guard(web: Web) -> None:
    web.get("/api/v1/metrics", 403, headers={"host": "evil.example"})
    web.get("/api/v1/metrics", 403, headers={"origin": "http://evil.example"})
    web.get("/api/v1/metrics", 401, headers={"authorization": "Bearer none"})


def test_of_an_empty_database_there_is_a_scrape_too(empty_web: Web) -> None:
    found = scraped(empty_web, "/api/v1/metrics?bots=10")
    assert found.keys() == {"held_rows", "database_size_bytes", "listener_running", "viewers"}
