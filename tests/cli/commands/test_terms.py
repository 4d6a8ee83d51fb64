"""`ingest` of files whose columns may mean several things."""

from pathlib import Path

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

HEADER = "trade_id,bot,symbol,side,status,open_time,close_time,open_price,close_price,qty,fee,pnl\n"
FUTURE = "{},12,ESZ6,{},closed,2026-11-02 14:30:00,2026-11-02 16:30:00,5800,5802,1,4.5,{}\n"


@pytest.fixture
def futures(tmp_path: Path) -> Path:
    path = tmp_path / "es.csv"
    path.write_text(HEADER + FUTURE.format(1, "buy", 95.5) + FUTURE.format(2, "sell", -104.5))
    return path


def trades(shell: Shell, columns: str) -> list[tuple]:
    with connect(shell.database) as connection:
        return connection.execute(f"SELECT {columns} FROM trades ORDER BY source_trade_id").fetchall()


def test_a_file_that_no_reading_explains_is_refused_and_its_proposal_can_be_pasted(shell: Shell, futures: Path) -> None:
    told = shell("ingest", futures, status=1)
    assert "es.csv: no reading gives the pnl in 'pnl' in 99 of 100 closed trades." in " ".join(told.split())
    assert "Nothing was written." in told
    proposal = "--multiplier ESZ6=50"
    assert f"  {proposal}\n" in told
    assert trades(shell, "*") == []
    shown = shell("ingest", futures, *proposal.split())
    assert "one contract of ESZ6 is 50 units" in shown.replace("\n", " ")
    assert trades(shell, "pnl, notional, contract_multiplier, pnl_basis") == [
        (95.5, 290_000.0, 50.0, "computed"),
        (-104.5, 290_000.0, 50.0, "computed"),
    ]


def test_a_stated_pnl_may_be_taken_at_its_word(shell: Shell, futures: Path) -> None:
    shell("ingest", futures, "--pnl", "stated")
    assert trades(shell, "pnl, pnl_basis") == [(95.5, "stated"), (-104.5, "stated")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--size", "lots"), "--size lots: notional or quantity or margin"),
        (("--multiplier", "ESZ6"), "--multiplier ESZ6: write TICKER=NUMBER"),
        (("--multiplier", "ESZ6=fifty"), "--multiplier fifty: write a number above 0"),
        (("--leverage", "0"), "--leverage 0"),
    ],
)
def test_options_that_mean_nothing(shell: Shell, futures: Path, options: tuple[str, ...], message: str) -> None:
    assert message in " ".join(shell("ingest", futures, *options, status=2).replace("│", " ").split())
    assert trades(shell, "*") == []
