"""Bots by their names on the command line, and the marks of what rests on an estimated capital."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell

HEADER = "trade_id,bot,symbol,side,status,open_time,close_time,open_price,close_price,notional,fee"


def file(folder: Path) -> Path:
    path = folder / "trades.csv"
    rows = [
        f"{bot}-{n},{bot},BTC-X,buy,closed,2025-01-0{n + 1} 09:00,2025-01-0{n + 1} 10:00,100,{price},0.5,0"
        for bot in ("grid-eth-01", "7")
        for n, price in enumerate((101, 90, 102, 101, 103, 101))
    ]
    path.write_text("\n".join([HEADER, *rows]))
    return path


@pytest.mark.long
def test_bots_are_named_and_their_capital_is_stated(shell: Shell, tmp_path: Path) -> None:
    shell("run", "--trades", file(tmp_path), "--currency", "BTC")
    shown = shell("metrics", "--bot", "grid-eth-01")
    assert "Bot grid-eth-01 as of" in shown
    # 10 % of 0.5 BTC are lost, from a peak of 0.505: the capital is what was open at once.
    assert "~9.90" in shown
    assert "~0.50000000" in shown
    assert "~ rests on an estimated capital" in shown
    assert "-0.05000000" in shown
    (row,) = [row for row in shell.json("metrics", "--bot", "grid-eth-01") if row["ticker"] == "*"]
    assert (row["bot"], row["capital"], row["capital_is_estimated"]) == ("grid-eth-01", 0.5, True)
    assert {row["bot"] for row in shell.json("rankings")} == {"7", "grid-eth-01"}

    said = shell.json("bots", "set", "grid-eth-01", "--name", "Grid ETH", "--capital", "2", "--account", "main")
    assert (said["bot"], said["capital"], said["capital_is_estimated"]) == ("Grid ETH", 2, False)
    shell("run")
    (row,) = [row for row in shell.json("metrics", "--bot", "grid-eth-01") if row["ticker"] == "*"]
    assert (row["bot"], row["capital"], row["capital_is_estimated"]) == ("Grid ETH", 2, False)
    shown = shell("bots")
    assert "Grid ETH" in shown
    assert "2.00000000" in shown
    assert "~0.50000000" in shown
    assert "Bot Grid ETH was deactivated" in shell("bots", "deactivate", "Grid ETH", "--reason", "x")
    assert "Grid ETH" in shell("bots", "history", "--bot", "grid-eth-01")


@pytest.mark.long
def test_funds_in_a_currency_of_eight_decimals(shell: Shell, tmp_path: Path) -> None:
    shell("run", "--trades", file(tmp_path), "--currency", "BTC", "--capital", "1")
    answer = shell.json("allocate", "--funds", "0.00000003", "--cap", "100%", "--method", "equal", "--drawdown-limit", "50%",
                        "--daily-loss-limit", "50%", "--caution", "0", "--same-edge-limit", "1")  # fmt: skip
    (division,) = answer["currencies"]
    assert sorted(row["amount"] for row in division["allocations"]) == [1e-8, 2e-8]
    assert division["allocated"] == 3e-8
    shown = shell("allocate", "--funds", "1.5", "--cap", "50%")
    assert "1.50000000 BTC" in shown
    assert "has 8 decimals" in shell("allocate", "--funds", "0.000000001", status=1)


def test_what_cannot_be_said_of_a_bot_is_a_message(shell: Shell, tmp_path: Path) -> None:
    shell("ingest", file(tmp_path))
    assert "There is no bot grid-eth-1. Did you mean grid-eth-01?" in shell(
        "bots", "history", "--bot", "grid-eth-1", status=1
    )
    assert "Say what to set" in shell("bots", "set", "7", status=1)
    assert "--capital -5: write an amount above 0" in shell("bots", "set", "7", "--capital=-5", status=1)
    assert "has trades in USD" in shell("bots", "set", "7", "--currency", "EUR", status=1)
    assert "Another bot has or had the name" in shell("bots", "set", "7", "--name", "grid-eth-01", status=1)
