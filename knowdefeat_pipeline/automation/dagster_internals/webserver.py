"""Dagster's web server with something around it. `dagster-webserver` itself offers no place for a middleware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

# The context of a workspace has no public name; Dagster's own command makes its app from it in the same way.
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance

STATEMENT_TIMEOUT = 15_000  # ms, recycling and overflow of connections: the defaults of Dagster's own command
POOL_RECYCLE = 3600
POOL_OVERFLOW = 20
GRACE = 2  # seconds for requests that are under way when the process is to end; a browser keeps a websocket open


def serve(workspace: Path, host: str, port: int, around: Callable[[Any], Any]) -> None:
    """Serve Dagster's UI over the workspace file, with `around` around its app, until SIGINT or SIGTERM."""
    with open_instance() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW)
        target = WorkspaceFileTarget(paths=[str(workspace)])
        with WorkspaceProcessContext(instance, target, version=__version__) as context:
            app = around(create_app_from_workspace_process_context(context, live_data_poll_rate=2000))
            uvicorn.run(
                app, host=host, port=port, log_level="warning", server_header=False, timeout_graceful_shutdown=GRACE
            )
