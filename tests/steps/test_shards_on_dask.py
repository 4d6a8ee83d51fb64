"""The same plan on a Dask cluster: bit-equal, whoever is killed.

KNOWDEFEAT_SHARD_KILLS=30 python -m pytest -n 0 tests/steps/test_shards_on_dask.py -k whatever_is_killed

kills a worker, the scheduler and the run's own process in turn as often, at random instants; by default once each.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from knowdefeat_pipeline.scale import workers
from knowdefeat_pipeline.scale.workers import Workers, WorkersLost
from knowdefeat_pipeline.settings import handed_on
from tests.steps.test_shards import (
    NOTHING_STAGED,
    PATIENCE,
    Shards,
    bytes_for,
    copy,
    empty,
    fleet,
    kill_at_random,
    refresh,
    staged,
    tables,
    whole,
)

__all__ = ["copy", "fleet", "whole"]  # fixtures
pytest.importorskip("distributed", reason="Dask is not installed: it is the extra `scale`")

Copy = Callable[[], AbstractContextManager[str]]
Tables = dict[str, list[str]]
SHARDS = 7
KILLS = int(os.environ.get("KNOWDEFEAT_SHARD_KILLS", "3"))
VICTIMS = ("worker", "scheduler", "run")


class Cluster:
    """A scheduler and three workers, as processes of their own."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.folder, self.url, self.stack = folder, url, stack
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Begin the scheduler, on a port of its own, and three workers."""
        self.file = self.folder / f"scheduler-{random.randrange(10**9)}.json"
        self.scheduler = self._program("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.workers = [self.begin_worker() for _ in range(3)]

    def begin_worker(self) -> subprocess.Popen[bytes]:
        return self._program(
            "worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)
        )

    def _program(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self.file), *options]
        with (self.folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=os.environ | handed_on(database_url=self.url), stdout=log, stderr=log, cwd=self.folder
            )
        self.stack.callback(_end, process)
        return process

    def kill_worker(self, run: subprocess.Popen[str]) -> None:
        """Kill one of them."""
        self.workers[0].kill()

    def kill_scheduler(self, run: subprocess.Popen[str]) -> None:
        """Kill it; its workers end by themselves."""
        self.scheduler.kill()

    def kill_run(self, run: subprocess.Popen[str]) -> None:
        """Kill a run of which this is the cluster."""
        run.kill()

    def replace(self) -> None:
        """Begin anew what is gone."""
        if self.scheduler.poll() is not None:
            for worker in self.workers:
                worker.wait(PATIENCE)
            self.start()
        self.workers = [worker if worker.poll() is None else self.begin_worker() for worker in self.workers]

    @property
    def address(self) -> str:
        """The scheduler's address, once it has one."""
        from distributed import Client

        with Client(scheduler_file=str(self.file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)
            return str(client.scheduler.address)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextmanager
def cluster(folder: Path, url: str) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(folder, url, stack)


@pytest.mark.long
def test_a_cluster_leaves_what_one_piece_leaves_again_and_again(copy: Copy, whole: Tables, tmp_path: Path) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:
        for shards in (1, 2, SHARDS, 64):
            refresh(url, Shards(bytes_each=bytes_for(url, shards), scheduler=dask.address))
            assert tables(url) == whole
            assert staged(url) == NOTHING_STAGED


@pytest.mark.long
def test_a_worker_that_is_killed_costs_nothing_but_its_shard(copy: Copy, whole: Tables, tmp_path: Path) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:
        killed = []

        def kill(told: str) -> None:
            if told.startswith("Shard 2 ") and not killed:
                dask.workers[0].send_signal(signal.SIGKILL)
                killed.append(dask.workers[0].wait())

        refresh(url, Shards(bytes_each=bytes_for(url, 64), scheduler=dask.address, report=kill))
        assert killed == [-signal.SIGKILL]
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED


@pytest.mark.long
def test_without_its_scheduler_a_refresh_publishes_nothing_and_is_done_again(
    copy: Copy, whole: Tables, tmp_path: Path
) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:

        def kill(told: str) -> None:
            if told.startswith("Shard 2 "):
                dask.scheduler.kill()

        lost = Shards(bytes_each=bytes_for(url, 64), scheduler=dask.address, report=kill)
        with pytest.raises(WorkersLost, match="Nothing was published; run it again"):
            refresh(url, lost)
        assert tables(url)["bot_metrics_rows"] == []
        dask.start()
        refresh(url, Shards(bytes_each=bytes_for(url, 64), scheduler=dask.address))
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED


@pytest.mark.long
def test_a_scheduler_without_workers_is_named(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:
        address = dask.address
        for worker in dask.workers:
            _end(worker)
        monkeypatch.setattr(workers, "START_UP", 5)
        with pytest.raises(WorkersLost, match=r"has no worker\. Start one"):
            [*Workers(scheduler=address).map(print, url, [1])]


@pytest.mark.long
def test_an_address_without_a_scheduler_is_named(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "START_UP", 2)
    with copy() as url, pytest.raises(WorkersLost, match=r"tcp://127\.0\.0\.1:9 \(KNOWDEFEAT_DASK_SCHEDULER\)"):
        [*Workers(scheduler="tcp://127.0.0.1:9").map(print, url, [1])]


@pytest.mark.long
def test_whatever_is_killed_and_whenever_the_tables_are_complete_and_nothing_is_left(
    copy: Copy, whole: Tables, tmp_path: Path
) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:
        for number in range(KILLS):
            chance, victim = random.Random(number), VICTIMS[number % len(VICTIMS)]
            empty(url)
            is_done = kill_at_random(url, chance, dask.address, getattr(dask, f"kill_{victim}"))
            assert is_done or victim != "worker"
            dask.replace()
            if not is_done:
                refresh(url, Shards(bytes_each=bytes_for(url, SHARDS), scheduler=dask.address))
            assert tables(url) == whole, (number, victim)
            assert staged(url) == NOTHING_STAGED, (number, victim)


@pytest.mark.long
def test_a_worker_of_another_version_is_refused(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with copy() as url, cluster(tmp_path, url) as dask:
        monkeypatch.setattr(workers, "code", lambda: "another")
        with pytest.raises(WorkersLost, match="another version of knowdefeat-pipeline"):
            refresh(url, Shards(bytes_each=bytes_for(url, 2), scheduler=dask.address))
        assert staged(url) == NOTHING_STAGED
