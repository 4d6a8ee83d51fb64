"""Rows as plain columns: what is put in whose place, what differs, and what frames and tables are made of them."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.rows import Columns, as_arrow, as_frame, differing, joined, replaced
from knowdefeat_pipeline.core.units import NEVER


def rows(bots: list[int], pnl: list[float], tickers: list[str | None], as_of: int = 0) -> Columns:
    return {
        "as_of": np.full(len(bots), as_of),
        "bot_id": np.array(bots),
        "pnl": np.array(pnl),
        "ticker": np.array(tickers, dtype=object),
    }


def shown(columns: Columns) -> list[tuple]:
    return list(zip(*(columns[name].tolist() for name in ("bot_id", "pnl", "ticker")), strict=True))


def test_rows_of_bots_take_the_place_of_those_that_they_had() -> None:
    known = rows([1, 1, 3, 3, 4], [1.0, 2.0, 3.0, 4.0, 5.0], ["*", "A", "*", "A", "*"])
    fresh = rows([2, 3, 3, 3], [6.0, 7.0, 8.0, 9.0], ["*", "*", "A", "B"])
    found = replaced(known, np.array([2, 3, 4]), fresh)
    expected = [(1, 1.0, "*"), (1, 2.0, "A"), (2, 6.0, "*"), (3, 7.0, "*"), (3, 8.0, "A"), (3, 9.0, "B")]
    assert shown(found) == expected
    assert shown(joined([known, fresh])) == shown(known) + shown(fresh)


def test_what_differs_is_found_in_whatever_order_the_rows_come() -> None:
    known = rows([1, 2, 3, 4], [1.0, np.nan, 3.0, np.nan], ["A", None, "C", "D"])
    later = rows([4, 3, 2, 1], [np.nan, 3.0, np.nan, 1.0], ["D", "C", None, "A"], as_of=7)
    assert differing(later, known).tolist() == []
    changed = later | {"pnl": np.array([4.0, 3.0, np.nan, 1.0]), "ticker": np.array(["D", "C", "B", "A"], object)}
    assert differing(changed, known).tolist() == [2, 4]
    assert differing(rows([1, 2], [1.0, np.nan], ["A", None]), known) is None


def test_what_there_is_none_of_is_null() -> None:
    columns = rows([1, 2], [np.nan, 2.0], [None, "A"], as_of=86_400_000_000)
    columns |= {"last_exit": np.array([NEVER, 1]), "rank": np.array([np.nan, 2.0])}
    day = datetime(1970, 1, 2, tzinfo=UTC)
    assert as_arrow(columns).to_pydict() == {
        "as_of": [day, day],
        "bot_id": [1, 2],
        "pnl": [None, 2.0],
        "ticker": [None, "A"],
        "last_exit": [None, datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
        "rank": [None, 2.0],
    }
    frame = as_frame(columns)
    assert frame.isna().to_numpy().tolist()[0] == [False, False, True, True, True, True]
    assert [str(frame[name].dtype) for name in ("as_of", "ticker", "rank")] == ["datetime64[us, UTC]", "str", "Int32"]
    assert frame["rank"].tolist() == [pd.NA, 2]


def test_types_do_not_depend_on_what_is_in_the_rows() -> None:
    none = rows([], [], [])
    none["bot_id"] = none["bot_id"].astype(np.int64)
    assert as_arrow(none).schema.field("ticker").type == pa.string()
    assert as_arrow(none).schema == as_arrow(rows([1], [1.0], ["A"])).schema
    assert as_frame(none).dtypes.tolist() == as_frame(rows([1], [1.0], [None])).dtypes.tolist()
