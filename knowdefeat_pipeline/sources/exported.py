"""Our own export of trades: fields under their names and canonical terms, and the source of each trade.

Nothing is to be proved or decided in it, so that what was written is what is read, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.escaping import from_csv
from knowdefeat_pipeline.sources.fields import COLUMNS, FIELDS
from knowdefeat_pipeline.sources.layout import EXPORT, Layout, SourceError
from knowdefeat_pipeline.sources.raw import RawTable

SOURCE = "source"
EXPORTED = (SOURCE, *COLUMNS, "fee_rate", "capital", "pnl")
"""Its columns, in any order; as sql/queries/exports/trades.sql writes them. `pnl` is for who reads the file."""
TEXTS = (SOURCE, *(name for name, field in FIELDS.items() if field.kind in ("text", "bot")))


def is_export(columns: Sequence[str]) -> bool:
    """Whether a table of these columns is one."""
    return set(columns) == {*EXPORTED}


def layout() -> Layout:
    """How one is read."""
    return Layout(EXPORT, {name: name for name in FIELDS if name in EXPORTED})


def as_exported(raw: RawTable) -> RawTable:
    """The table with its texts as they were before they were written as cells of a CSV file."""
    if raw.origin.separator is None:
        return raw
    table = raw.table
    for name in TEXTS:
        if name in table.column_names:
            column = pc.dictionary_encode(table[name].combine_chunks())
            texts = [None if text is None else from_csv(text) for text in column.dictionary.to_pylist()]
            found = pa.array(texts, pa.string()).take(column.indices)
            table = table.set_column(table.column_names.index(name), name, found)
    return replace(raw, table=table)


def of_source(raw: RawTable, source: str | None) -> tuple[RawTable, str, list[str]]:
    """The rows of a source, None: the first one; which it is, and what other sources there are.

    Rows that do not fit the header, or name no source, go with the first.
    """
    named = pc.fill_null(raw.table[SOURCE], "")
    known = [str(name) for name in pc.unique(named).to_pylist() if name]
    if not known:
        raise SourceError(
            f"the column '{SOURCE}' of this export is empty; say what to record the trades under: --source NAME"
        )
    first, name = known[0], source or known[0]
    kept = raw.keep(np.asarray(pc.equal(pc.if_else(pc.equal(named, ""), first, named), name)))
    misshapen = raw.misshapen if name == first else ()
    return replace(kept, misshapen=misshapen), name, [other for other in known if other != name]
