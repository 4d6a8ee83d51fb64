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


def alike(columns: Sequence[str]) -> str | None:
    """What to say of a table that is no known format and looks like one: which, what of it is there and what it lacks.

    One of which half of the headings are there, and among them one that is no usual name of a field; or all headings
    that it has in every language.
    """
    nearest = max(known(), key=lambda one: one.likeness(columns))
    if not nearest.likeness(columns):
        return None
    there, missing = nearest.headings_of(columns)
    return (
        f"this looks like {nearest.title}: its columns {', '.join(there)} are here, but not {', '.join(missing)}. "
        "Export it again with all of its columns and with headings in English, or give them these names."
    )


def beside(columns: Sequence[str]) -> Sequence[str]:
    """The other tables of a database that the format of a table of these columns takes."""
    found = recognised(columns)
    return found.beside if found else ()


def rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The rows of a JSON document of a format that is no plain array of objects."""
    return next((rows for one in known() if (rows := one.rows_of(document)) is not None), None)
