"""Whether a part of ours gets on, by exit status, for a container's health check:

    python -m knowdefeat_pipeline.automation.healthy http://127.0.0.1:3000/api/v1/health
    python -m knowdefeat_pipeline.automation.healthy grpc://127.0.0.1:4000
    python -m knowdefeat_pipeline.automation.healthy daemon

It is asked every half minute, so that it imports no more than it needs: tenths of a second of CPU, where Dagster's own
checks take seconds.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT = 5.0  # seconds


def main() -> None:
    """Say what was found; exit status 1 where it is not well."""
    (asked,) = sys.argv[1:]
    try:
        found = _daemon() if asked == "daemon" else _code(asked) if asked.startswith("grpc:") else _page(asked)
    except OSError as error:  # urllib's errors are such
        sys.exit(f"{asked} does not answer: {error}")
    if not found:
        sys.exit(f"{asked} is not well")


def _page(address: str) -> bool:
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 (an address of the operator's)
        return bool(answer.status == 200)


def _code(address: str) -> bool:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(urlsplit(address).netloc) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=TIMEOUT
            )
        except grpc.RpcError as error:
            raise ConnectionError(error.details()) from None
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _daemon() -> bool:
    from knowdefeat_pipeline.errors import KnowDefeatError
    from knowdefeat_pipeline.postgres.address import database_url
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.postgres.liveness import daemon_is_alive
    from knowdefeat_pipeline.settings import Settings

    try:
        with connect(database_url(Settings.from_environment())) as connection:
            return daemon_is_alive(connection)
    except KnowDefeatError as error:
        raise ConnectionError(str(error)) from None


if __name__ == "__main__":
    main()
