"""A pod for every run: whether a run lives is asked of the database, also of one that Kubernetes never heard of."""

from typing import Any

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import liveness
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.liveness import show_alive

pytest.importorskip("dagster_k8s", reason="the extra kubernetes is not installed")

from dagster_k8s import launcher as stock

from knowdefeat_pipeline.automation.dagster_internals.kubernetes import KubernetesLauncher


class Cluster:
    """Kubernetes' API, which nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Kubernetes was asked: {name}")


def test_run_monitoring_leaves_a_run_alone_whose_session_lives_and_fails_it_when_that_ends(
    url: str,
    instance: dg.DagsterInstance,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0)
    monkeypatch.setattr(stock, "load_kubernetes_config", lambda **_: None)
    monkeypatch.setattr(stock.DagsterKubernetesClient, "production_client", lambda **_: Cluster())
    ours = KubernetesLauncher(service_account_name="dagster", instance_config_map="i", dagster_home="/opt/dagster")
    assert ours.supports_check_run_worker_health
    run = instance.create_run_for_job(
        build_defs().resolve_job_def("refresh"), status=dg.DagsterRunStatus.STARTED, tags={}
    )
    with connect(url) as session:
        show_alive(session, run.run_id)
        assert ours.check_run_worker_health(run).status.name == "RUNNING"
        session.execute("SELECT pg_advisory_unlock_all()")
    found = ours.check_run_worker_health(run)
    assert (found.status.name, found.msg) == (
        "FAILED",
        "The run's process exited without a result (killed or crashed).",
    )
