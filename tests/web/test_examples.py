"""The examples in the docstrings of these rooms come out as written."""

import doctest
import importlib

import pytest

MODULES = (
    "store.outbox",
    "store.tokens",
    "web.answers",
    "web.api.cursors",
    "web.pages.docs",
    "web.pages.drawing",
    "web.pages.rendering",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_come_out_as_written(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"knowdefeat_pipeline.{name}"))
    assert (failed, tried > 0) == (0, True)
