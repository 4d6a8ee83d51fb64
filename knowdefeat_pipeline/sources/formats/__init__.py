"""One module per export, each with its `FORMAT`: how it is recognised, what its fields mean, what in it is no trade.

What they declare is described in `sources.format`; how to add one, in docs/formats.md.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from knowdefeat_pipeline.sources.format import Format


@cache
def known() -> tuple[Format, ...]:
    """Every format, the one that is meant first where several fit."""
    found: list[Format] = [import_module(f"{__name__}.{module.name}").FORMAT for module in iter_modules(__path__)]
    return tuple(sorted(found, key=lambda one: (-one.rank, one.name)))


def recognised(columns: Sequence[str]) -> Format | None:
    """The format of a table of these columns."""
    return next((one for one in known() if one.fits(columns)), None)


def beside(columns: Sequence[str]) -> Sequence[str]:
    """The other tables of a database that the format of a table of these columns takes."""
    found = recognised(columns)
    return found.beside if found else ()


def rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The rows of a JSON document of a format that is no plain array of objects."""
    return next((rows for one in known() if (rows := one.rows_of(document)) is not None), None)
