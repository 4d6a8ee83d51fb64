"""Where shards are computed: one after another in this process, in processes of this machine, or on a Dask cluster.

What is computed does not depend on it. Dask is the extra `scale`, imported only where there is a cluster of it.
Processes of this machine need no scheduler, whose start costs as much CPU as a million trades (docs/scale.md).
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.scale.costs import START_S
from knowdefeat_pipeline.settings import ROOT, Settings

if TYPE_CHECKING:
    from distributed import Client

START_UP = 30  # seconds
RETRIES = 2  # of a shard whose database was away for a moment
ATTEMPTS = 3  # with processes of this machine, one of which is killed each time
ARROW_DRIVER = "adbc_driver_postgresql.dbapi"  # takes a third of a second of CPU to import
START_SHARE = 0.3  # of the CPU seconds of the work is what to begin processes for it may cost
PARTS = 3  # at least so many shards are a plan that is cut

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Work = Callable[[str, Item], Answer]
"""Of the database's URL and an item; a function that other processes can import by its name."""


class WorkersLost(KnowDefeatError):
    """Workers that cannot be reached, are of another version or were killed; the message says what to do."""

    page = "scale.md#where-shards-are-computed"


def unheard(told: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Workers:
    """Where a plan is carried out, and how large it may be in one piece.

    `scheduler`: the address of a Dask cluster, None = so many `processes` of this machine, where the work is worth
    their start; one is this process. `whole_mb`: what the trades and rows
    of a refresh may take for it to be computed in one piece; else each shard takes a part of that at most. `report`
    hears of each shard that is done.
    """

    scheduler: str | None = None
    processes: int = 1
    whole_mb: int = 450
    report: Callable[[str], None] = unheard

    @classmethod
    def of(cls, settings: Settings, report: Callable[[str], None] = unheard) -> Workers:
        """As the environment says."""
        return cls(settings.dask_scheduler, settings.workers or os.cpu_count() or 1, settings.whole_mb, report)

    def place(self, seconds: float) -> str:
        """Where shards of so many CPU seconds are computed, in words."""
        if self.scheduler:
            return f"on the Dask cluster at {self.scheduler}"
        processes = self.local_processes(seconds)
        return "one after another by the run itself" if processes == 1 else f"in {processes} processes of this machine"

    def local_processes(self, seconds: float) -> int:
        """In how many processes of this machine work of so many CPU seconds is done: 1 is this one alone, as to begin
        others would cost too much of it."""
        return self.processes if START_SHARE * seconds >= START_S else 1

    @property
    def whole_bytes(self) -> int:
        """Up to how many bytes nothing is cut."""
        return self.whole_mb * 1_000_000

    @property
    def shard_bytes(self) -> int:
        """What a shard takes at most."""
        return self.whole_bytes // PARTS

    def map(
        self, work: Work[Item, Answer], url: str, items: Sequence[Item], seconds: float = math.inf
    ) -> Generator[tuple[Item, Answer], None, None]:
        """Each item with its answer, in the order in which they are done; what `work` raises is raised. They
        take `seconds` of CPU together.

        Whoever closes it stops the work: what has not begun never does. Raises WorkersLost.
        """
        if self.scheduler:
            with _cluster(self.scheduler) as client:
                yield from _on_dask(client, work, items)
        elif (processes := min(self.local_processes(seconds), len(items))) > 1:
            yield from _in_processes(processes, work, url, items)
        else:
            for item in items:
                yield item, work(url, item)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Client]:
    """A cluster that is there."""
    try:
        from distributed import Client
    except ImportError:
        raise WorkersLost(
            "KNOWDEFEAT_DASK_SCHEDULER is set, and Dask is not installed here. Install requirements-scale.lock."
        ) from None

    try:
        client = Client(scheduler, timeout=START_UP, set_as_default=False)
    except OSError as error:
        raise WorkersLost(
            f"No Dask scheduler answers at {scheduler} (KNOWDEFEAT_DASK_SCHEDULER): {error}. Start it, or unset "
            "the variable to compute on this machine."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=START_UP)
        except TimeoutError:
            raise WorkersLost(
                f"The Dask scheduler at {scheduler} has no worker. Start one, or unset KNOWDEFEAT_DASK_SCHEDULER."
            ) from None
        yield client


def _in_processes(
    processes: int, work: Work[Item, Answer], url: str, items: Sequence[Item]
) -> Generator[tuple[Item, Answer], None, None]:
    """In processes of this machine. What one that is killed leaves undone is begun again by others."""
    left = [*items]
    for _ in range(ATTEMPTS):
        with suppress(BrokenProcessPool), closing(_in_a_pool(processes, work, url, tuple(left))) as answers:
            for item, answer in answers:
                left.remove(item)
                yield item, answer
            return
    raise WorkersLost(
        f"A process that computes shards was killed, {ATTEMPTS} times, as by a system that is out of memory. Nothing "
        "was published. Have fewer of them (KNOWDEFEAT_WORKERS), or smaller shards (KNOWDEFEAT_WHOLE_MB), and run it "
        "again."
    )


def _in_a_pool(
    processes: int, work: Work[Item, Answer], url: str, items: Sequence[Item]
) -> Generator[tuple[Item, Answer], None, None]:
    """Forked off a process that has imported what they need: each by itself would take half a second of CPU for it, and
    this one has threads, which do not survive that."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", ARROW_DRIVER, work.__module__])
    others = {*multiprocessing.active_children()}
    pool = ProcessPoolExecutor(processes, context, _end_with_the_run)
    try:
        futures = {pool.submit(work, url, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        # Whoever asks them to end waits for ever, if one was killed while it held the lock of what they are asked by.
        for process in {*multiprocessing.active_children()} - others:
            process.kill()
        pool.shutdown(cancel_futures=True)


def _end_with_the_run() -> None:
    """Within a process of a pool: it would wait for more work if the run were killed. The run alone is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_await_its_end, daemon=True).start()


def _await_its_end() -> None:
    run = multiprocessing.parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _on_dask(client: Client, work: Work[Item, Answer], items: Sequence[Item]) -> Iterator[tuple[Item, Answer]]:
    from distributed import CancelledError, as_completed
    from distributed.comm import CommClosedError

    futures = client.map(
        partial(_there, work, code()), items, pure=False, retries=RETRIES, key=f"shards-{os.urandom(8).hex()}"
    )
    item_of = {future.key: item for future, item in zip(futures, items, strict=True)}
    try:
        for future in as_completed(futures, loop=client.loop):
            yield item_of[future.key], future.result()
    except (CancelledError, CommClosedError) as error:
        raise WorkersLost(f"The Dask scheduler went away: {error}. Nothing was published; run it again.") from error
    finally:
        client.cancel(futures, force=True)


def _there(work: Callable[[str, Any], Any], asked_by: str, item: Any) -> Any:
    """Within a worker, which finds the database by itself: no password travels."""
    if asked_by != code():
        raise WorkersLost(
            "This worker runs another version of knowdefeat-pipeline than the run that asks it. Figures of two "
            "versions in one day would be of none: give all parts the same image."
        )
    return work(_url(), item)


@cache
def _url() -> str:
    return database_url(Settings.from_environment())


@cache
def code() -> str:
    """A name of the code that computes, the same wherever it is the same."""
    package = Path(__file__).parents[1]
    files = sorted([*package.rglob("*.py"), *(ROOT / "sql" / "queries").rglob("*.sql")])
    digest = hashlib.sha256()
    for path in files:
        base = package if path.is_relative_to(package) else ROOT
        digest.update(str(path.relative_to(base)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
