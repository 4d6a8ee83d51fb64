"""The same plan in processes of this machine: bit-equal, whoever is killed.

KNOWDEFEAT_SHARD_KILLS=30 python -m pytest -n 0 -m long tests/steps/test_shards_in_processes.py -k whatever_is_killed

kills one of them, what they are forked off and the run in turn as often, at random instants; by default once each.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest

from knowdefeat_pipeline.scale.workers import ATTEMPTS, Workers, WorkersLost
from tests.steps.test_shards import (
    NOTHING_STAGED,
    Shards,
    begun,
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
pytestmark = pytest.mark.long

Copy = Callable[[], AbstractContextManager[str]]
Tables = dict[str, list[str]]
SHARDS = 7
KILLS = int(os.environ.get("KNOWDEFEAT_SHARD_KILLS", "3"))


@pytest.mark.parametrize("shards", [2, SHARDS, 64])
def test_they_leave_what_one_piece_leaves(copy: Copy, whole: Tables, shards: int) -> None:
    told: list[str] = []
    with copy() as url:
        refresh(url, Shards(bytes_each=bytes_for(url, shards), processes=2, report=told.append))
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED
    assert sum(line.startswith("Shard ") for line in told) >= min(shards, SHARDS)
    assert multiprocessing.active_children() == []


def test_one_that_is_killed_costs_nothing_but_its_shard(copy: Copy, whole: Tables) -> None:
    killed: list[int | None] = []

    def kill(told: str) -> None:
        if told.startswith("Shard 2 ") and not killed:
            killed.extend(process.pid for process in multiprocessing.active_children())
            os.kill(killed[0] or 0, signal.SIGKILL)

    with copy() as url:
        refresh(url, Shards(bytes_each=bytes_for(url, 64), processes=2, report=kill))
        assert len(killed) == 2
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED


def end_at_once(url: str, item: int) -> None:
    """As what takes more memory than there is."""
    with Path(url).open("a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)


def test_those_that_are_killed_again_and_again_are_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(WorkersLost, match=f"was killed, {ATTEMPTS} times.*KNOWDEFEAT_WORKERS"):
        [*Workers(processes=2).map(end_at_once, str(log), [1, 2])]
    assert ATTEMPTS <= log.read_text().count("begun") <= 2 * ATTEMPTS
    assert multiprocessing.active_children() == []


def raise_one(url: str, item: int) -> int:
    """A failure of the third item."""
    if item == 3:
        raise ZeroDivisionError(url)
    return item


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError, match="the address"):
        [*Workers(processes=2).map(raise_one, "the address", [1, 2, 3, 4])]
    found = Workers(processes=2).map(raise_one, "the address", [1, 2, 4, 5])
    assert sorted(found) == [(1, 1), (2, 2), (4, 4), (5, 5)]


def test_a_refresh_that_is_cancelled_ends_them_and_leaves_nothing(copy: Copy, whole: Tables) -> None:
    theirs: list[multiprocessing.process.BaseProcess] = []
    told: list[str] = []

    def cancel(line: str) -> None:
        told.append(line)
        if line.startswith("Shard 1 "):
            theirs[:] = multiprocessing.active_children()
            raise KeyboardInterrupt

    with copy() as url:
        with pytest.raises(KeyboardInterrupt):
            refresh(url, Shards(bytes_each=bytes_for(url, 64), processes=2, report=cancel))
        assert len(theirs) == 2
        assert multiprocessing.active_children() == []
        assert staged(url) == NOTHING_STAGED
        assert tables(url)["bot_metrics_rows"] == []
    assert sum(line.startswith("Shard ") for line in told) == 1


def test_a_refresh_that_is_killed_takes_them_with_it(copy: Copy, whole: Tables) -> None:
    with copy() as url:
        with begun(url, "2") as process:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("Shard 1 "):
                pass
            theirs = psutil.Process(process.pid).children(recursive=True)
            process.kill()
        assert len(theirs) >= 3  # what they are forked off, and two of them
        assert psutil.wait_procs(theirs, timeout=60)[1] == []
        refresh(url, Shards(bytes_each=bytes_for(url, SHARDS)))
        assert tables(url) == whole
        assert staged(url) == NOTHING_STAGED


def kill_one(run: subprocess.Popen[str]) -> None:
    """Kill a process that computes shards, if there is one."""
    kill_child(run, of_them=True)


def kill_their_origin(run: subprocess.Popen[str]) -> None:
    """Kill what they are forked off, if it is there."""
    kill_child(run, of_them=False)


def kill_child(run: subprocess.Popen[str], of_them: bool) -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(run.pid).children(recursive=True):
            parent = child.parent()
            is_one = parent is not None and parent.pid != run.pid
            if is_one == of_them and (is_one or child.children()):
                child.kill()
                return


VICTIMS = (kill_one, kill_their_origin, subprocess.Popen.kill)


def test_whatever_is_killed_and_whenever_the_tables_are_complete_and_nothing_is_left(copy: Copy, whole: Tables) -> None:
    with copy() as url:
        for number in range(KILLS):
            victim = VICTIMS[number % len(VICTIMS)]
            empty(url)
            is_done = kill_at_random(url, random.Random(number), "2", victim)
            assert is_done or victim is subprocess.Popen.kill
            if not is_done:
                refresh(url, Shards(bytes_each=bytes_for(url, SHARDS)))
            assert tables(url) == whole, (number, victim)
            assert staged(url) == NOTHING_STAGED, (number, victim)
