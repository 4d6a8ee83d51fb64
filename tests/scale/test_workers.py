"""Where shards are computed: other processes only for work that is worth their start."""

from __future__ import annotations

import pytest

from knowdefeat_pipeline.scale.costs import MB, ROWS_S, START_S, TRADES_S, shard_seconds
from knowdefeat_pipeline.scale.workers import START_SHARE, Workers

ENOUGH = START_S / START_SHARE  # CPU seconds of work


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 1), (0.99 * ENOUGH, 1), (1.01 * ENOUGH, 8), (1e9, 8), (float("inf"), 8)]
)
def test_processes_are_begun_for_work_that_is_worth_it(seconds: float, expected: int) -> None:
    found = Workers(processes=8)
    assert found.local_processes(seconds) == expected
    where = "one after another by the run itself" if expected == 1 else f"in {expected} processes of this machine"
    assert found.place(seconds) == where
    assert Workers(processes=1).local_processes(seconds) == 1


def test_a_cluster_is_used_whatever_the_work() -> None:
    assert Workers(scheduler="tls://dask:8786").place(0.0) == "on the Dask cluster at tls://dask:8786"


def test_items_that_are_not_worth_it_are_worked_on_here_in_their_order() -> None:
    here = Workers(processes=8).map(lambda url, item: (url, item), "url", [3, 1, 2], seconds=0.0)  # could not be sent
    assert [*here] == [(3, ("url", 3)), (1, ("url", 1)), (2, ("url", 2))]


def test_seconds_of_shards_are_those_of_their_trades_and_rows() -> None:
    assert shard_seconds(MB, 0) == TRADES_S
    assert shard_seconds(0, 2 * MB) == 2 * ROWS_S
