"""Exports of other programs: each sample gives the trades that are expected of it, in whatever shape the file comes."""

import gzip
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.sources import formats
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import Reading

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TEXTS = ("ticker", "direction", "status", "quote_currency", "strategy_id")


@dataclass(frozen=True)
class Sample:
    """`options`: what the file truly does not say. `source`: where it is recorded. `bots`: the names of its bots."""

    file: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """The file of the trades expected."""
        return f"{self.file.rsplit('.', 1)[0]}.expected.csv"


SAMPLES = [
    Sample("freqtrade_tradesv3.sqlite", "freqtrade"),
    Sample("freqtrade_backtest_result.json", "freqtrade_backtest"),
    Sample("freqtrade_backtest_result.zip", "freqtrade_backtest"),
]
NAMES = [sample.file for sample in SAMPLES]
TABLES = [sample for sample in SAMPLES if sample.file.endswith(".csv")]


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "formats"


def read(path: Path, **options: Any) -> Reading:
    return read_trades(path, now=NOW, **options)


def assert_trades(reading: Reading, expected: Path, rows: slice = slice(None)) -> None:
    """That a reading holds these trades: times to the microsecond, amounts to 1e-9, bots by their grouping."""
    wanted = pd.read_csv(expected, dtype=dict.fromkeys(["source_trade_id", "bot_id", "strategy_id"], "str"))[rows]
    found = reading.valid.set_index("source_trade_id").loc[wanted["source_trade_id"]].reset_index()
    assert len(reading.valid) == len(wanted)
    for name in TEXTS:
        assert found[name].fillna("").tolist() == wanted[name].fillna("").tolist(), name
    for name in ("entry_time", "exit_time"):
        moments = pd.to_datetime(wanted[name], utc=True, format="ISO8601")
        assert (
            found[name].fillna(pd.Timestamp(0, tz="UTC")).tolist() == moments.fillna(pd.Timestamp(0, tz="UTC")).tolist()
        )
    amounts = found.assign(fees=found["fees"] - found["funding"])
    for name in ("entry_price", "exit_price", "notional", "fees", "pnl"):
        np.testing.assert_allclose(amounts[name], wanted[name].astype(float), rtol=1e-12, atol=1e-9, err_msg=name)
    pairs = {*zip(found["bot_id"], wanted["bot_id"], strict=True)}
    assert len(pairs) == found["bot_id"].nunique() == wanted["bot_id"].nunique()


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_samples_give_their_trades(folder: Path, tmp_path: Path, sample: Sample):
    for path in (
        folder / sample.file,
        _renamed(folder / sample.file, tmp_path),
        _zipped(folder / sample.file, tmp_path),
    ):
        reading = read(path, **sample.options)
        assert reading.source.split(":")[0] == sample.source
        assert reading.refused.empty
        assert_trades(reading, folder / sample.expected)


def _renamed(path: Path, folder: Path) -> Path:
    """Under a name that says nothing of what it is."""
    other = folder / "export.bin"
    other.write_bytes(path.read_bytes())
    return other


def _zipped(path: Path, folder: Path) -> Path:
    other = folder / f"{path.name}.gz"
    other.write_bytes(gzip.compress(path.read_bytes()))
    return other


def test_every_format_has_a_sample():
    assert {sample.source for sample in SAMPLES} == {one.name for one in formats.known()}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


RESHAPED: dict[str, Callable[[Path], bytes]] = {
    "windows": lambda path: b"\xef\xbb\xbf" + "\r\n".join([*_lines(path), ""]).encode(),
    "columns reversed": lambda path: _reversed(path),
}


def _reversed(path: Path) -> bytes:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, sep=None, engine="python", encoding="utf-8-sig")
    return table[table.columns[::-1]].to_csv(index=False).encode()


@pytest.mark.parametrize("shape", RESHAPED)
@pytest.mark.parametrize("sample", TABLES, ids=[sample.file for sample in TABLES])
def test_tables_in_another_shape_give_the_same(folder: Path, tmp_path: Path, sample: Sample, shape: str):
    path = tmp_path / sample.file
    path.write_bytes(RESHAPED[shape](folder / sample.file))
    reading = read(path, **sample.options)
    assert reading.refused.empty
    assert_trades(reading, folder / sample.expected)


def test_a_database_of_freqtrade_of_thousands_of_trades(shared_data: Path):
    path = shared_data / "freqtrade" / "tradesv3.sqlite"
    reading = read(path)
    closed = reading.valid[reading.valid["status"] == "closed"]
    assert (len(closed), len(reading.valid) - len(closed), len(reading.refused)) == (5701, 38, 0)
    assert closed["pnl"].sum() == pytest.approx(3533.14481605, abs=1e-8)
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        stated = dict(connection.execute("SELECT id, close_profit_abs FROM trades WHERE NOT is_open").fetchall())
    ids = closed["source_trade_id"].astype(int)
    np.testing.assert_allclose(closed["pnl"], ids.map(stated), rtol=0, atol=1e-12)
    assert reading.valid["bot_id"].nunique() == reading.valid["strategy_id"].nunique() == 19


def test_backtests_of_freqtrade_equal_its_own_figures(shared_data: Path):
    own = pd.read_csv(shared_data / "freqtrade" / "freqtrade_reference.csv")
    bots = set()
    for row in own.itertuples():
        reading = read(shared_data / "freqtrade" / "backtests" / str(row.file))
        pnl = reading.valid["pnl"]
        assert (len(pnl), (pnl > 0).sum(), (pnl < 0).sum()) == (row.n, row.wins, row.losses)
        assert pnl.sum() == pytest.approx(row.profit_total_abs, abs=1e-9)
        assert [*reading.capital.values()] == [row.sb]
        bots |= {*reading.valid["bot_id"]}
    assert len(bots) == 8  # one strategy was run twice


@pytest.mark.parametrize(
    ("name", "bot"),
    [
        ("bots/alpha/tradesv3.sqlite", "alpha A"),
        ("bots/alpha/user_data/tradesv3.sqlite", "alpha A"),
        ("bots/alpha.sqlite", "alpha A"),
        ("bots/beta/tradesv3.dryrun.sqlite", "beta (dry_run) A"),
    ],
)
def test_a_database_of_freqtrade_is_a_bot_named_after_its_place(folder: Path, tmp_path: Path, name: str, bot: str):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM orders")
        connection.execute("DELETE FROM trades WHERE id > 1")
        connection.execute("UPDATE trades SET strategy = 'A'")
        connection.commit()
    reading = read(path)
    assert reading.valid["bot_id"].tolist() == [bot]
    assert reading.source == ("freqtrade:dry_run" if "dry" in bot else "freqtrade")


def test_a_dry_run_is_known_by_its_orders(folder: Path, tmp_path: Path):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE orders SET order_id = 'dry_run_' || order_id WHERE ft_trade_id <> 1")
        connection.commit()
        with pytest.raises(SourceError, match="mixes trades of a dry run with live ones"):
            read(path)
        assert read(path, account="both").source == "freqtrade:both"
        connection.execute("UPDATE orders SET order_id = 'dry_run_' || order_id WHERE ft_trade_id = 1")
        connection.commit()
    reading = read(path)
    assert reading.source == "freqtrade:dry_run"
    assert {*reading.valid["bot_id"]} == {"alpha (dry_run) SampleA", "alpha (dry_run) SampleB"}


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_database_is_read_while_a_writer_holds_it(folder: Path, tmp_path: Path, journal: str):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        writer.execute(f"PRAGMA journal_mode = {journal}")
        writer.execute("UPDATE trades SET strategy = 'New' WHERE id = 1")
        if journal == "wal":
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE trades SET strategy = 'Not yet' WHERE id = 1")
        reading = read(path)
        if journal == "wal":
            writer.execute("COMMIT")
        writer.execute("DELETE FROM trades WHERE id = 1")  # no lock is left over, and there is no waiting for one
    assert reading.valid.set_index("source_trade_id")["strategy_id"]["1"] == "New"


def test_the_database_is_not_written_nor_anything_beside_it(folder: Path, tmp_path: Path):
    path = tmp_path / "alpha.sqlite"
    path.write_bytes((folder / "freqtrade_tradesv3.sqlite").read_bytes())
    before = path.read_bytes()
    read(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["alpha.sqlite"]
