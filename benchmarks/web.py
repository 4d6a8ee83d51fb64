"""The pages and the API over a whole fleet, each answer beside the bare SQL of the same content.

    python -m benchmarks.web [--bots 1000] [--per-bot 1000] [--repeat 20] [--requests 10000] [--json]

Real processes: the web server and the live listener over a database of their own, and Chromium, where one is installed.

- every GET of the API and every page: computed anew, as after each new result, and held; beside it what its own
  statements take on a bare connection;
- the ranking page, cold: first paint, data visible, bytes;
- from a trade's commit to its row in an open page;
- viewers who all ask at each new result: computations a result, and what they wait for;
- the process's memory after a tenth of the requests and after all;
- one trade brought by HTTP after another, and many as one file.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import psycopg

from benchmarks.common import database, fleet, report, store
from benchmarks.live import INSERT, _resident_mb, program, quantiles

DAYS = 365
VIEWERS = 30
SETTLED = 0.03  # seconds until the server has heard of what was notified
SAMPLES = {"bot": "7", "ticker": "BTC", "days": "30", "bots": "1&bots=2&bots=3", "strategy": "s1", "currency": "USD"}
STRATEGIES = 6
COMPUTED_DAYS = 90  # all that are not too old to be computed by themselves
FUNDS = 10**9  # cents
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAINTS = "() => Object.fromEntries(performance.getEntriesByType('paint').map(e => [e.name, e.startTime]))"
ROW, ROWS = "#bot-{bot}", "table.ranking tbody tr"


@contextmanager
def server(url: str) -> Iterator[tuple[str, int]]:
    """The web server's address and its process."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)],
        env=os.environ | {"KNOWDEFEAT_DATABASE_URL": url},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{address}/api/v1/health").status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the web server did not start")
            time.sleep(0.05)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def paths(address: str, today: str) -> list[str]:
    """Every GET of the API that answers at once, and every page, of a bot and a day that there are."""
    described = httpx.get(f"{address}/openapi.json").json()["paths"]
    samples = SAMPLES | {"day": today}
    found = ["/", "/ranking", "/bots/7", "/compare?bots=1&bots=2&bots=3", "/weights", "/learning", "/docs"]
    for path, methods in described.items():
        asked = methods.get("get")
        if asked and not path.endswith("/events"):  # a stream does not end
            needed = [p["name"] for p in asked.get("parameters", []) if p["in"] == "query" and p.get("required")]
            query = "&".join(f"{name}={samples.get(name, '1')}" for name in needed)
            found.append(
                re.sub(r"{(\w+)}", lambda m: str(samples.get(m[1], "1")), path) + (f"?{query}" if query else "")
            )
    found += ["/data", "/funds", "/regimes", "/operations"]
    # Of imports and bars this fleet has none.
    return [path for path in found if httpx.get(f"{address}{path}", timeout=60).status_code != 404]


def answers(address: str, url: str, asked: list[str], repeat: int) -> dict[str, dict[str, Any]]:
    """Of each path: seconds computed anew, held, and of its statements alone; bytes as they travel."""
    found = {}
    with httpx.Client(base_url=address, timeout=60) as client, psycopg.connect(url, autocommit=True) as connection:
        for path in asked:
            client.get(path)
            anew, held = [], []
            for _ in range(repeat):
                connection.execute("NOTIFY knowdefeat_results")
                time.sleep(SETTLED)
                anew.append(_seconds(lambda path=path: client.get(path).raise_for_status()))
                held.append(_seconds(lambda path=path: client.get(path).raise_for_status()))
            answer = client.get(path)
            found[path] = {"anew": quantiles(anew), "held": quantiles(held), "status": answer.status_code,
                           "bytes": int(answer.headers.get("content-length", 0))}  # fmt: skip
    for path, seconds in _bare(url, asked, repeat).items():
        found[path]["sql"] = seconds
    return found


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _bare(url: str, asked: list[str], repeat: int) -> dict[str, float]:
    """The median of the seconds that the statements of each path take by themselves, their rows fetched."""
    from starlette.testclient import TestClient

    from knowdefeat_pipeline.postgres.connection import open_pool
    from knowdefeat_pipeline.web.app import make_app
    from knowdefeat_pipeline.web.intake import Intake
    from knowdefeat_pipeline.web.live import LiveResults
    from knowdefeat_pipeline.web.site import Site

    heard: list[tuple[Any, Any]] = []
    plain = psycopg.Cursor.execute

    def listening(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        heard.append((query, params))
        return plain(self, query, params, **options)

    found = {}
    app = make_app(Site(open_pool(url, 2), LiveResults(url), Intake(url)))
    with TestClient(app, base_url="http://127.0.0.1") as client, psycopg.connect(url) as connection:
        for path in asked:
            heard.clear()
            psycopg.Cursor.execute = listening  # type: ignore[method-assign]
            try:
                client.get(path)
            finally:
                psycopg.Cursor.execute = plain  # type: ignore[method-assign]
            reads = [(query, params) for query, params in heard if not str(query).lstrip().startswith(("SET", "BEGIN"))]

            def work(reads: list[tuple[Any, Any]] = reads) -> None:
                for query, params in reads:
                    cursor = connection.execute(query, params)
                    if cursor.description:
                        cursor.fetchall()

            work()
            found[path] = float(np.median([_seconds(work) for _ in range(repeat)]))
            connection.rollback()
    return found


def in_browser(address: str, url: str, trials: int) -> dict[str, Any]:
    """The ranking page in Chromium: cold, and from a trade's commit to its row."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        return {}
    flags = ["--disable-gpu", "--no-sandbox"] if os.geteuid() == 0 else ["--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        cold = [_cold(browser, address) for _ in range(max(3, trials // 4))]
        page = browser.new_page()
        page.goto(f"{address}/ranking")
        with psycopg.connect(url, autocommit=True) as connection:
            rows = page.eval_on_selector_all(ROWS, "rows => rows.map(row => Number(row.id.slice(4)))")
            shown = [_shown(page, connection, rows[trial % 5]) for trial in range(trials + 1)][1:]
        browser.close()
    medians = {name: float(np.median([one[name] for one in cold])) for name in cold[0]}
    return medians | {"row": quantiles(shown)}


def _cold(browser: Any, address: str) -> dict[str, float]:
    context = browser.new_context()
    page = context.new_page()
    bytes_: list[int] = []
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    client.on("Network.loadingFinished", lambda told: bytes_.append(told["encodedDataLength"]))
    begun = time.perf_counter()
    page.goto(f"{address}/ranking", wait_until="commit")
    page.wait_for_selector("table tbody tr td")
    visible = time.perf_counter() - begun
    page.wait_for_load_state("load")
    _await(page, lambda: len(page.evaluate(PAINTS)) > 1)
    painted = page.evaluate(PAINTS)["first-contentful-paint"] / 1e3
    context.close()
    return {"painted": painted, "visible": visible, "bytes": float(sum(bytes_))}


def _shown(page: Any, connection: psycopg.Connection, bot: int) -> float:
    """Seconds from a commit until the bot's row in the open page is another one."""
    row = ROW.format(bot=bot)
    before = page.inner_text(row)
    time.sleep(1.3)  # the listener leaves a second between batches
    connection.execute(INSERT, (bot, bot))
    begun = time.perf_counter()
    _await(page, lambda: page.inner_text(row) != before)
    return time.perf_counter() - begun


def _await(page: Any, done: Callable[[], bool]) -> None:
    """Look until it is so; the page's policy lets playwright's own waiting evaluate nothing there."""
    deadline = time.monotonic() + 60
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing happened on the page within 60 s")
        page.wait_for_timeout(5)


def watched(address: str, url: str, results: int) -> dict[str, Any]:
    """Viewers who each ask for the ranking page at each new result: what they wait, and statements a result."""
    waits: list[float] = []
    ready, go = threading.Barrier(VIEWERS + 1), threading.Barrier(VIEWERS + 1)

    def view() -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            for _ in range(results):
                ready.wait()
                go.wait()
                waits.append(_seconds(lambda: client.get("/ranking").raise_for_status()))

    viewers = [threading.Thread(target=view) for _ in range(VIEWERS)]
    for viewer in viewers:
        viewer.start()
    with psycopg.connect(url, autocommit=True) as connection:
        reads = "SELECT sum(idx_scan) + sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'bot_rankings_rows'"
        ((before,),) = connection.execute(reads).fetchall()
        for _ in range(results):
            ready.wait()
            connection.execute("NOTIFY knowdefeat_results")
            time.sleep(SETTLED)
            go.wait()
        for viewer in viewers:
            viewer.join()
        time.sleep(1.5)  # until the server's connections have told their counts
        ((after,),) = connection.execute(reads).fetchall()
    return {"wait": quantiles(waits), "scans": int(after - before), "results": results}


def memory(address: str, pid: int, asked: list[str], requests: int) -> dict[str, float]:
    """Resident MB of the web process after a tenth of the requests, of all paths in turn, and after all."""
    found = {}
    with httpx.Client(base_url=address) as client:
        for number in range(1, requests + 1):
            client.get(asked[number % len(asked)])
            if number in (max(1, requests // 10), requests):
                found[number] = _resident_mb(pid)
    early, late = (found[number] for number in sorted(found))
    return {"requests": requests, "early_mb": early, "late_mb": late}


def brought(address: str, url: str, trials: int, rows: int) -> dict[str, Any]:
    """Seconds from a trade's POST to its answer, and from that of a Parquet file of so many trades."""
    import pyarrow.parquet as pq

    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.store.tokens import new_token

    with connect(url) as connection:
        token = new_token(connection, "benchmark", "ingest")
    # Of other instants than the fleet's own, whose copies they would be.
    table = fleet(100, rows // 100, DAYS, seed=2, end=datetime.now(UTC) - timedelta(minutes=5)).drop(["source", "pnl"])
    one = table.slice(0, 1).to_pylist()[0] | {"bot_id": 1}
    one |= {name: one[name].isoformat() for name in ("entry_time", "exit_time")}
    sink = io.BytesIO()
    pq.write_table(table, sink)
    headers = {"authorization": f"Bearer {token}"}
    parquet = headers | {"content-type": "application/vnd.apache.parquet"}
    with httpx.Client(base_url=address, headers=headers, timeout=300) as client:

        def post(number: int) -> None:
            trade = one | {"source_trade_id": f"one-{number}", "entry_price": 100.0 + number}
            client.post("/api/v1/trades", json=trade).raise_for_status()

        post(0)  # which starts what records
        singly = [_seconds(lambda number=number: post(number)) for number in range(1, trials + 1)]
        file = {"content": sink.getvalue(), "params": {"source": "bulk"}, "headers": parquet}
        whole = _seconds(lambda: client.post("/api/v1/trades/bulk", **file).raise_for_status())
    return {"one": quantiles(singly), "rows": len(table), "bulk": whole}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures, over a database with the whole fleet, up to now."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=home)
        from knowdefeat_pipeline.core.funds.settings import FundSettings
        from knowdefeat_pipeline.steps.beliefs import compute_beliefs, compute_strategy_weights
        from knowdefeat_pipeline.steps.chain import refresh
        from knowdefeat_pipeline.steps.funds import compute_allocations
        from knowdefeat_pipeline.store.funds import save_settings
        from knowdefeat_pipeline.store.session import open_session
        from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, settle, stale_days

        now = datetime.now(UTC)
        store(url, fleet(chosen.bots, chosen.per_bot, DAYS, end=now - timedelta(minutes=1)))
        with open_session(url) as session:
            session.connection.execute("UPDATE bots SET strategy_id = 's' || bot_id %% %s", (STRATEGIES,))
            save_settings(session.connection, FundSettings("USD", FUNDS), "the benchmark", "the benchmark")
            first = now.date() - timedelta(days=COMPUTED_DAYS)
            refresh(session, first, now.date(), now)
            for compute in (compute_beliefs, compute_strategy_weights, compute_allocations):
                compute(session, first, now.date())
            for family in (RANKING, BELIEFS):  # as the listener does, which has followed every change
                settle(session.connection, stale_days(session.connection, family, datetime.now(UTC)))
            session.connection.execute("VACUUM ANALYZE")
        with server(url) as (address, pid):
            asked = paths(address, now.date().isoformat())
            figures: dict[str, Any] = {"answers": answers(address, url, asked, chosen.repeat)}
            figures["viewers"] = watched(address, url, chosen.repeat)
            with program("knowdefeat", "live", ready="Listening", home=home):
                figures["browser"] = in_browser(address, url, chosen.repeat)
            figures["memory"] = memory(address, pid, asked, chosen.requests)
            figures["brought"] = brought(address, url, max(20, chosen.repeat), chosen.bulk)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--per-bot", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--bulk", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen)
    rows = []
    for path, of in sorted(figures["answers"].items(), key=lambda item: -item[1]["anew"]["p95"]):
        anew, held = of["anew"], of["held"]
        rows.append(
            (
                path,
                f"p50 {1e3 * anew['p50']:4.0f} ms, p95 {1e3 * anew['p95']:4.0f} ms; held {1e3 * held['p95']:3.0f} ms;"
                f" SQL {1e3 * of['sql']:4.0f} ms, {anew['p50'] / of['sql']:4.1f} ×; {of['bytes'] / 1e3:5.0f} kB",
            )
        )
    seen, of, sent = figures["viewers"], figures["memory"], figures["brought"]
    if page := figures["browser"]:
        rows += [
            ("ranking in Chromium", f"painted {page['painted']:.2f} s, visible {page['visible']:.2f} s,"
             f" {page['bytes'] / 1e3:.0f} kB with all that it loads"),
            ("commit → row in the page", f"p50 {page['row']['p50']:.2f} s, p95 {page['row']['p95']:.2f} s"),
        ]  # fmt: skip
    rows += [
        (f"{VIEWERS} viewers", f"p50 {seen['wait']['p50']:.2f} s, p95 {seen['wait']['p95']:.2f} s;"
         f" {seen['scans'] / seen['results']:.1f} scans of the rankings a result"),
        ("memory of the process", f"{of['early_mb']:.0f} MB after {of['requests'] // 10:,} requests,"
         f" {of['late_mb']:.0f} MB after {of['requests']:,}"),
        ("POST of one trade", f"p50 {1e3 * sent['one']['p50']:.0f} ms, p95 {1e3 * sent['one']['p95']:.0f} ms"),
        ("POST of a file", f"{sent['bulk']:.1f} s for {sent['rows']:,} trades"),
    ]  # fmt: skip
    report(f"{chosen.bots:,} bots × {chosen.per_bot:,} trades, pages and API", rows, figures, chosen.json)


if __name__ == "__main__":
    main()
