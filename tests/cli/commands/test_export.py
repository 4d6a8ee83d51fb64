"""`export`: what leaves as a file comes back as it was, and does nothing in a spreadsheet."""

import csv
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.cli.files import write_batches
from knowdefeat_pipeline.core.escaping import for_csv, from_csv
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.postgres.connection import connect, query, quoted
from knowdefeat_pipeline.sources.exported import EXPORTED
from tests.cli.conftest import Shell

START = datetime(2026, 1, 5, tzinfo=UTC)
BOTS = ("7", "=1+1", "+44", "-5", "@bot", "'=q", "-grid", 'a"b,c;d', "007")


def trades(count: int, seed: int = 3) -> list[dict[str, object]]:
    """Trades of every kind, in numbers of all digits: of two sources that use the same ids."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        entry = START + timedelta(microseconds=int(rng.integers(0, 20 * 86_400_000_000)))
        closed, stated, inverse = rng.random() < 0.9, rng.random() < 0.2, rng.random() < 0.3
        price, leave = (float(value) for value in rng.lognormal(3, 1, 2))
        quantity, ends = float(rng.lognormal(0, 2)), rng.random() < 0.5
        row: dict[str, object] = {
            "source": ("bot", "table:=SUM(A1)")[n % 2], "source_trade_id": str(n // 2), "bot_name": str(rng.choice(BOTS)),
            "strategy_id": rng.choice([None, "@trend"]), "ticker": str(rng.choice(["=BTC", "ETHUSD"])),
            "direction": str(rng.choice(["LONG", "SHORT"])), "status": "closed" if closed else "open",
            "entry_time": entry, "entry_price": price, "quantity": quantity,
            "contract_type": "inverse" if inverse else "linear", "contract_multiplier": float(rng.choice([1.0, 0.1])),
            "funding": float(rng.normal()) / 7, "fee_currency": rng.choice([None, "BNB"]), "exits": int(rng.integers(1, 4)),
            "signal_confidence": float(rng.random()), "exit_reason": rng.choice([None, "-1", "=HYPERLINK(\"http://a\")"]),
        }  # fmt: skip
        fees = {name: float(rng.random()) / 3 for name in (("entry_fee", "exit_fee") if ends else ("fees",))}
        if closed:
            row |= {"exit_time": entry + timedelta(microseconds=int(rng.integers(0, 10**10))), "exit_price": leave}
            row |= {"reported_pnl": float(rng.normal())} if stated else {}
            row |= {"pnl_basis": "stated"} if stated else {}
        rows.append(row | fees)
    return rows


def insert(url: str, rows: list[dict[str, object]]) -> None:
    with connect(url) as connection:
        for row in rows:
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            connection.execute(f"INSERT INTO trades ({names}) VALUES ({values})", row)


def closed(url: str, view: str = "closed_trades") -> pd.DataFrame:
    """All that the view has of its trades, but the keys that a database gives and when it did."""
    with connect(url) as connection, connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        statement = (
            f"SELECT t.source, t.source_trade_id, b.name AS bot, v.* FROM {view} AS v JOIN trades AS t USING (trade_id) "
            "JOIN bots AS b ON b.bot_id = v.bot_id"
        )
        frame = pd.DataFrame(cursor.execute(statement).fetchall())
    own = ["trade_id", "bot_id", "recorded_at", "recorded_xid", "import_id", "simulated", "bot_name"]
    frame = frame.loc[:, ~frame.columns.duplicated()].drop(columns=own, errors="ignore")
    return frame.sort_values(["source", "bot", "source_trade_id"], ignore_index=True)


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_trades_come_back_to_the_bit(
    form: str, shell: Shell, tmp_path: Path, cloned: Callable[[str], AbstractContextManager[str]], template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    insert(shell.database, trades(300))
    file = tmp_path / f"trades.{form}"
    assert shell("export", "trades", "--out", file).split() == [str(file), "300", "trades"]
    assert [path.name for path in tmp_path.glob("trades*")] == [file.name]
    with cloned(template) as second:
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", second)
        first, other = shell.json("ingest", file)
        assert {first["source"], other["source"]} == {"bot", "table:=SUM(A1)"}
        assert (first["inserted"], other["inserted"]) == (150, 150)
        assert (first["pnl_disagreements"], other["pnl_disagreements"]) == (0, 0)
        pd.testing.assert_frame_equal(closed(second), closed(shell.database), check_exact=True)
        amounts = ["notional", "quantity", "fees", "entry_fee", "exit_fee", "funding", "reported_pnl", "pnl", "pnl_basis",
                   "exits", "exit_reason", "fee_currency", "mark_price", "status", "contract_type"]  # fmt: skip
        found, expected = closed(second, "trades")[amounts], closed(shell.database, "trades")[amounts]
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
        again = shell.json("ingest", file)
        assert [(report["inserted"], report["unchanged"]) for report in again] == [(0, 150), (0, 150)]


def test_no_cell_of_a_csv_file_begins_a_formula(shell: Shell, tmp_path: Path) -> None:
    insert(shell.database, trades(100))
    rows = list(csv.reader(shell("export", "trades").splitlines()))
    assert len(rows) == 101
    cells = {cell for row in rows for cell in row}
    dangerous = {cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")}
    assert all(float(cell) is not None for cell in dangerous)  # numbers are none
    assert {"'=1+1", "''=q", "'=BTC", "'@bot", "'@trend", "'-grid", "-1"} <= cells


@pytest.mark.long
@given(st.text() | st.text(alphabet="'=+-@\t1a", max_size=6))
def test_every_text_is_found_back_and_is_no_formula(text: str) -> None:
    cell = for_csv(text)
    assert from_csv(cell) == text
    assert cell[:1] not in ("=", "@", "\t", "\r")


def test_days_and_bots(shell: Shell) -> None:
    rows = trades(60)
    insert(shell.database, rows)
    when = [row.get("exit_time", row["entry_time"]) for row in rows]
    first, last = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC)
    inside = [row for row, time in zip(rows, when, strict=True) if first <= time < last]
    found = json.loads(shell("export", "trades", "--format", "json", "--from", "2026-01-10", "--to", "2026-01-14"))
    assert {(row["source"], row["source_trade_id"]) for row in found} == {
        (row["source"], row["source_trade_id"]) for row in inside
    }
    of_one = json.loads(shell("export", "trades", "--format", "json", "--bot", "@bot"))
    assert len(of_one) == sum(row["bot_name"] == "@bot" for row in rows) > 0
    assert {row["bot_id"] for row in of_one} == {"@bot"}


@pytest.mark.long
def test_results_are_those_of_the_tables(shell: Shell, tmp_path: Path) -> None:
    shell("simulate", "--bots", "5", "--days", "6")
    shell("run", "--all")
    with connect(shell.database) as connection:
        for what, table in (("rankings", "bot_rankings"), ("metrics", "bot_metrics"), ("weights", "variable_weights"),
                            ("allocations", "fund_allocations")):  # fmt: skip
            file = tmp_path / f"{what}.parquet"
            shell("export", what, "--out", file)
            frame = pa.parquet.read_table(file).to_pandas()
            ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert len(frame) == rows
            assert not [name for name in frame.columns.intersection(VARIABLE_NAMES) if frame[name].dtype.kind != "f"]
    weights = pa.parquet.read_table(tmp_path / "weights.parquet").to_pandas()
    assert weights.groupby("day")["weight"].apply(lambda of_day: of_day.abs().sum()).round(9).eq(100).all()
    ranked = (
        pd.read_csv(tmp_path / "rankings.csv")
        if shell("export", "rankings", "--out", tmp_path / "rankings.csv")
        else None
    )
    told = shell.json("rankings")
    assert ranked["rank_score"].tail(len(told)).tolist() == [row["rank_score"] for row in told]


def test_what_cannot_be_written_is_told(shell: Shell, tmp_path: Path) -> None:
    assert "leave out --bot" in shell("export", "weights", "--bot", "7", status=1)
    assert "--out FILE" in shell("export", "trades", "--format", "parquet", status=1)
    assert "There is no bot nobody" in shell("export", "trades", "--bot", "nobody", status=1)
    assert "a folder that exists" in shell("export", "trades", "--out", tmp_path / "no" / "trades.csv", status=1)


@pytest.mark.long
def test_a_file_that_could_not_be_written_whole_leaves_what_was(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(shell.database, trades(3))
    file = tmp_path / "trades.csv"
    file.write_text("what was")
    module = sys.modules["knowdefeat_pipeline.cli.commands.export"]

    def full(batches: pa.RecordBatchReader, target: object, form: str) -> int:
        write_batches(batches, target, form)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_batches", full)
    shell("export", "trades", "--out", file, status=130)
    assert file.read_text() == "what was"
    assert [path.name for path in tmp_path.glob("trades*")] == ["trades.csv"]


def test_the_columns_are_those_that_ingest_knows(database: str) -> None:
    with connect(database) as connection:
        cursor = connection.execute(quoted(query("exports/trades"), (None, None, None)))
        assert sorted(column.name for column in cursor.description or []) == sorted(EXPORTED)
