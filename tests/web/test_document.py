"""The OpenAPI document holds: whatever is sent, each route answers as it says there, and none fails."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.conftest import Web, served

EXAMPLES = 8  # of each route and kind
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ENDLESS = "/api/v1/events"  # a stream


@pytest.fixture(scope="module")
def fuzzed(fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]) -> Iterator[Web]:
    """The app over a copy of the fleet, its client with a token that lets do everything."""
    with cloned(fleet_url) as url, served(url) as web:
        web.client.headers.update(web.token("admin"))
        yield web


def ask(web: Web, case: schemathesis.Case) -> httpx.Response:
    """What the case asks for, as it would be sent."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1:3000")).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body
    answer = web.client.request(str(sent.method), str(sent.url), headers={**sent.headers}, content=body)
    answer.elapsed = timedelta(0)  # which nobody measured
    return answer


@pytest.mark.long
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
def test_each_route_answers_as_it_says(fuzzed: Web, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(fuzzed.get("/openapi.json").json())
    failures: list[str] = []
    for found in schema.get_all_operations():
        operation: Any = found.ok()
        if operation.path == ENDLESS:
            continue

        @settings(max_examples=EXAMPLES, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy(generation_mode=mode))
        def fuzz(case: schemathesis.Case) -> None:
            case.validate_response(ask(fuzzed, case), checks=CHECKS)

        try:
            fuzz()
        except Unsatisfiable:  # it takes nothing that could be wrong
            assert mode is GenerationMode.NEGATIVE
        except (FailureGroup, Failure) as failure:
            failures.append(f"{operation.label}: {failure!r} {getattr(failure, 'exceptions', '')}")
    assert not failures, "\n".join(failures)
