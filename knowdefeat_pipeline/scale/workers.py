"""Where shards are computed: one after another in this process, in processes of this machine, or on a Dask cluster.

What is computed does not depend on it. Dask is the extra `scale`, imported only where it is used; without it a plan is
carried out in this process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.scale.costs import START_S
from knowdefeat_pipeline.settings import ROOT, Settings, handed_on

if TYPE_CHECKING:
    from distributed import Client

# Its nanny has the C library give memory back to the kernel at once, which costs as much CPU again as the work itself
# (docs/scale.md). A variable of the environment would not do: Dask reads the names of its own in small letters.
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(2**28), "MALLOC_MMAP_THRESHOLD_": str(2**27)}
START_UP = 30  # seconds
RETRIES = 2  # of a shard whose database was away for a moment
START_SHARE = 0.3  # of the CPU seconds of the work is what to begin processes for it may cost
PARTS = 3  # at least so many shards are a plan that is cut

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Work = Callable[[str, Item], Answer]
"""Of the database's URL and an item; a function that other processes can import by its name."""


class ClusterLost(KnowDefeatError):
    """Workers that cannot be reached, or are of another version; the message says what to do."""

    page = "scale.md#where-shards-are-computed"


def unheard(told: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Workers:
    """Where a plan is carried out, and how large it may be in one piece.

    `scheduler`: the address of a Dask cluster, None = so many `processes` of this machine, where the work is worth
    their start; one, or Dask not being installed, is this process. `whole_mb`: what the trades and rows
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
        return self.processes if _has_dask() and START_SHARE * seconds >= START_S else 1

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

        Whoever closes it stops the work: what has not begun never does. Raises ClusterLost.
        """
        processes = min(self.local_processes(seconds), len(items))
        if self.scheduler is None and processes == 1:
            for item in items:
                yield item, work(url, item)
            return
        with _remote(self.scheduler) if self.scheduler else _local(processes, url, work.__module__) as client:
            yield from _on_dask(client, work, items, self.scheduler is not None)


def _has_dask() -> bool:
    return importlib.util.find_spec("distributed") is not None


@contextmanager
def _remote(scheduler: str) -> Iterator[Client]:
    """A cluster that is there."""
    try:
        from distributed import Client
    except ImportError:
        raise ClusterLost(
            "KNOWDEFEAT_DASK_SCHEDULER is set, and Dask is not installed here. Install requirements-scale.lock."
        ) from None

    try:
        client = Client(scheduler, timeout=START_UP, set_as_default=False)
    except OSError as error:
        raise ClusterLost(
            f"No Dask scheduler answers at {scheduler} (KNOWDEFEAT_DASK_SCHEDULER): {error}. Start it, or unset "
            "the variable to compute on this machine."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=START_UP)
        except TimeoutError:
            raise ClusterLost(
                f"The Dask scheduler at {scheduler} has no worker. Start one, or unset KNOWDEFEAT_DASK_SCHEDULER."
            ) from None
        yield client


@contextmanager
def _local(processes: int, url: str, module: str) -> Iterator[Client]:
    """Processes of this machine, forked off one that has imported Dask and the module: each by itself would take
    another second of CPU to import them, and half a second to end."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import get_mp_context

    chosen = {
        "distributed.nanny.pre-spawn-environ": ALLOCATOR,
        "distributed.worker.multiprocessing-method": "forkserver",
        "distributed.comm.timeouts.connect": f"{START_UP}s",
    }
    # TLS with keys of its own: whoever else is on this machine could have our workers run what he likes. Its page takes
    # a free port, as several runs may go on at once.
    with dask.config.set(chosen):
        get_mp_context().set_forkserver_preload(["__main__", "distributed", module])
        with (
            LocalCluster(
                processes, threads_per_worker=1, host="127.0.0.1", memory_limit=0, dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False}, security=True, env=handed_on(database_url=url),
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):  # fmt: skip
            yield client


def _on_dask(
    client: Client, work: Work[Item, Answer], items: Sequence[Item], is_remote: bool
) -> Iterator[tuple[Item, Answer]]:
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
        raise ClusterLost(
            f"The Dask scheduler{'' if is_remote else ' of this run'} went away: {error}. Nothing was published; run "
            "it again."
        ) from error
    finally:
        client.cancel(futures, force=True)


def _there(work: Callable[[str, Any], Any], asked_by: str, item: Any) -> Any:
    """Within a worker, which finds the database by itself: no password travels."""
    if asked_by != code():
        raise ClusterLost(
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
