"""What open pages hear: new results at once, a database that is away, and the end of the process in time."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from socket import create_server

import httpx
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.web.live import LiveResults
from tests.web.conftest import await_answer, environment_of

PATIENCE = 60.0


async def next_event(stream: AsyncIterator[bytes]) -> tuple[str, str]:
    """The next event's name and data; signs of life are passed over."""
    while True:
        lines = dict(
            line.split(": ", 1) for line in (await anext(stream)).decode().splitlines() if line and line[0] != ":"
        )
        if "event" in lines:
            return lines["event"], lines["data"]


@pytest.mark.long
def test_viewers_hear_of_new_results_by_one_connection(database: str) -> None:
    async def listen() -> None:
        live = LiveResults(database)
        streams = [live.stream() for _ in range(30)]
        hearing = asyncio.create_task(live.hear())
        for stream in streams:
            while (await asyncio.wait_for(next_event(stream), PATIENCE))[0] != "results":
                pass
        assert live.viewers == 30
        with connect(database) as writer:
            begun = time.monotonic()
            writer.execute(
                "INSERT INTO refreshed_days (asset, day, as_of, seen) VALUES ('bot_metrics', '2025-01-01', '2025-01-02', pg_current_snapshot())"
            )
        told = await asyncio.wait_for(asyncio.gather(*(next_event(stream) for stream in streams)), PATIENCE)
        assert time.monotonic() - begun < 5
        assert {event for event, _ in told} == {"results"}
        assert len({data for _, data in told}) == 1
        with connect(database) as reader:
            ((sessions,),) = reader.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            ).fetchall()
        assert sessions == 1
        live.end()
        for stream in streams:
            async for _ in stream:
                pass
        assert live.viewers == 0
        hearing.cancel()

    asyncio.run(listen())


def test_a_connection_that_breaks_is_told_and_made_again(database: str) -> None:
    async def listen() -> None:
        live = LiveResults(database)
        stream = live.stream()
        hearing = asyncio.create_task(live.hear())
        while (await asyncio.wait_for(next_event(stream), PATIENCE))[0] != "results":
            pass
        with connect(database) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        told = await asyncio.wait_for(next_event(stream), PATIENCE)
        assert told[0] == "away"
        assert live.version is None or live.away_since is None
        assert (await asyncio.wait_for(next_event(stream), PATIENCE))[0] == "results"
        assert live.version is not None
        hearing.cancel()

    asyncio.run(listen())


@pytest.mark.long
def test_the_process_ends_in_time_with_streams_open(database: str, tmp_path: Path) -> None:
    with closing(create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    environment = environment_of(database, tmp_path)
    command = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    address = f"http://127.0.0.1:{port}/api/v1"
    try:
        await_answer(process, f"http://127.0.0.1:{port}")
        with httpx.Client(timeout=PATIENCE) as client, client.stream("GET", f"{address}/events") as events:
            lines = events.iter_lines()
            while not next(lines).startswith("event:"):
                pass
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            for _ in lines:
                pass
            _, said = process.communicate(timeout=PATIENCE)
            took = time.monotonic() - begun
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode in (0, -signal.SIGTERM), said
    assert took < 4, said  # 2 s on a quiet machine


def test_the_pages_are_served_on_loopback_alone(database: str, tmp_path: Path) -> None:
    environment = environment_of(database, tmp_path)
    command = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", "1", "--host", "0.0.0.0"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "0.0.0.0 is no loopback address" in done.stderr
