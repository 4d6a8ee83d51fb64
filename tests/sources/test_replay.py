"""Histories read from files: what is not readable is named with its row, column and remedy."""

from pathlib import Path

import pandas as pd
import pytest

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.replay import read_table

COLUMNS = {"time": "clock", "strategy_id": "text", "result": "amount"}


def read(path: Path, text: str, **optional: str) -> pd.DataFrame:
    path = path / "history.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path, COLUMNS, optional or {"regime": "text"})


def test_numbers_or_timestamps_as_time(tmp_path: Path) -> None:
    plain = read(tmp_path, "time,strategy_id,result\n1,a,2.5\n10.5,7,-1\n")
    assert plain.values.tolist() == [[1.0, "a", 2.5], [10.5, "7", -1.0]]
    stamped = read(
        tmp_path, "time,strategy_id,result,other\n2025-01-02 03:04:05,a,1,x\n2025-01-02T05:04:05+01:00,b,2,y\n"
    )
    assert stamped["time"].tolist() == [pd.Timestamp("2025-01-02 03:04:05Z"), pd.Timestamp("2025-01-02 04:04:05Z")]
    assert list(stamped.columns) == list(COLUMNS)


def test_parquet_like_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2025-01-01", "2025-01-02"], utc=True),
            "strategy_id": ["a", "b"],
            "result": [1, 2],
            "regime": ["calm", None],
        }
    )
    path = tmp_path / "history.parquet"
    frame.to_parquet(path, index=False)
    found = read_table(path, COLUMNS, {"regime": "text"})
    assert found["time"].tolist() == frame["time"].tolist()
    assert found["result"].tolist() == [1.0, 2.0]
    assert found["regime"].isna().tolist() == [False, True]


def test_cells_that_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("time,x,y\n1,,2\n2,3,\n", encoding="utf-8")
    found = read_table(path, {"time": "clock", "x": "amount"}, {"y": "integer", "z": "amount"}, gaps=["x"])
    assert found.isna().values.tolist() == [[False, True, False], [False, False, True]]
    assert list(found.columns) == ["time", "x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,strategy,result\n1,a,2\n", "no column strategy_id; the columns are time, strategy, result"),
        (
            "time,strategy_id,result\n1,a,2\n2,b,much\n",
            "row 2, column 'result': 'much' cannot be read as a finite number",
        ),
        ("time,strategy_id,result\n1,a,2\n2,b,inf\n", "row 2, column 'result': 'inf' is not finite"),
        (
            "time,strategy_id,result\n1,a,2\n2,b,1e30\n",
            "row 2, column 'result': '1e30' cannot be computed with: numbers are 0 or from 1e-100 to below 1e+30 in size",
        ),
        ("time,strategy_id,result\n1,a,-1e-101\n", "row 1, column 'result': '-1e-101' cannot be computed with"),
        ("time,strategy_id,result\n1,a,\n", "row 1, column 'result': '' is no value"),
        ("time,strategy_id,result\n1,a\x07,2\n", "row 1, column 'strategy_id': 'a�' is no plain name; write one of at"),
        ("time,strategy_id,result\n1,,2\n", "row 1, column 'strategy_id': '' is no value"),
        ("time,strategy_id,result\n1,a,2\n2025-01-01,a,2\n", "row 2, column 'time': '2025-01-01' cannot be read"),
        ("time,strategy_id,result\n2025-01-01,a,2\n7,a,2\n", "row 2, column 'time': '7' cannot be read as a time"),
        ("time,strategy_id,result\n1,a,2\n1,a\n", "row 2 has another number of fields than the header"),
        ("time,strategy_id,result\n1,a,2,9\n1,a,2\n", "row 1 has another number of fields"),
        ("time,strategy_id,result\n", "the table is empty"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "history.csv"))
    assert message in str(refused.value)


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_table(tmp_path / "none.csv", COLUMNS, {})
    (tmp_path / "history.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SourceError, match="there is no array with rows in it"):
        read_table(tmp_path / "history.json", COLUMNS, {})
