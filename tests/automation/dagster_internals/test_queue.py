"""What leaves the queue first, by the daemon's own rules."""

from collections.abc import Callable, Mapping

import dagster as dg
import pytest

# The queue is configured by us in dagster.yaml; who leaves it can only be asked of the daemon that empties it.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from knowdefeat_pipeline.assets.tags import PRIORITY
from knowdefeat_pipeline.build import build_defs

BACKFILL = "dagster/backfill"
Queue = Callable[..., str]


@pytest.fixture
def queue(instance: dg.DagsterInstance) -> Queue:
    """Puts a run into the queue; its id."""
    job = build_defs().resolve_job_def("refresh")
    location = RegisteredCodeLocationOrigin("knowdefeat_pipeline")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job.name)

    def put(tags: Mapping[str, str] | None = None) -> str:
        return instance.create_run_for_job(
            job,
            tags=tags,
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=origin,
        ).run_id

    return put


def dequeue(instance: dg.DagsterInstance) -> list[str]:
    """The runs that the daemon would launch now; they count as started from then on."""
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
        runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    for run in runs:
        event = dg.DagsterEvent(event_type_value="PIPELINE_STARTING", job_name=run.job_name)
        instance.report_dagster_event(event, run_id=run.run_id)
    return [run.run_id for run in runs]


@pytest.mark.long
def test_a_refresh_leaves_the_queue_at_once_however_long_the_backfill(
    instance: dg.DagsterInstance, queue: Queue
) -> None:
    backfill = [queue({BACKFILL: "abcdefgh"}) for _ in range(120)]  # more than a page of the queue
    assert dequeue(instance) == backfill[:2]
    assert dequeue(instance) == []
    refresh = queue({PRIORITY: "10"})
    assert dequeue(instance) == [refresh]
    another = queue({PRIORITY: "10"})
    assert dequeue(instance) == [another]


def test_two_backfills_share_the_places_of_one(instance: dg.DagsterInstance, queue: Queue) -> None:
    first, second, third = (queue({BACKFILL: name}) for name in ("one", "two", "three"))
    assert dequeue(instance) == [first, second]
    for run_id in (first, second):
        instance.report_run_failed(instance.get_run_by_id(run_id))
    assert dequeue(instance) == [third]
