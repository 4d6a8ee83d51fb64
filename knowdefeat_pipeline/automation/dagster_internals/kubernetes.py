"""A pod for every run: the launcher of Dagster's own package, with our answer to whether a run lives.

It needs the extra `kubernetes`. `deploy/kubernetes/values.yaml` names it.
"""

from __future__ import annotations

from dagster_k8s import K8sRunLauncher

from knowdefeat_pipeline.automation.dagster_internals.instance import AliveByLock


class KubernetesLauncher(AliveByLock, K8sRunLauncher):
    """Starts, stops and resumes runs as jobs of Kubernetes."""
