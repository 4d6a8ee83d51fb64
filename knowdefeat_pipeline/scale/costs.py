"""What a refresh costs, by constants that `python -m benchmarks.scale --law` measured.

They are of one machine. What counts is how they grow: with the trades that are read and the rows that are put out. In
how many days' windows a trade lies hardly shows.
"""

from __future__ import annotations

from dataclasses import dataclass

# Memory of a process: what it holds before it reads, and for each trade of the window and each row of `bot_metrics`.
PROCESS_MB = 210
TRADE_BYTES = 145
ROW_BYTES = 425

# CPU seconds: of a refresh, for a million trades that are read and for a million rows of `bot_metrics`. CHAIN: for
# rankings, skill, weights and allocations besides.
REFRESH_S = 0.3
TRADES_S = 1.2
ROWS_S = 3.2
CHAIN_ROWS_S = 10.8
SERVER_TRADES_S = 0.6
SERVER_ROWS_S = 3.2
SERVER_CHAIN_ROWS_S = 2.4
SERVER_PLAN_S = 0.1  # for a million trades, where shards are cut: less where only some are counted for that
FOLD_S = 2.3  # for a million trades of earlier months, once
SERVER_FOLD_S = 3.5
START_S = 1.0  # of two processes that compute shards; a third one costs little more

# Bytes: of a trade on its way to us, and of a row in the tables of results, with its share of days and streaks.
READ_BYTES = 90
STORED_BYTES = 610

MB = 1_000_000


def held_bytes(trades: int, rows: int) -> int:
    """What so many trades and the rows that follow from them take in a process."""
    return TRADE_BYTES * trades + ROW_BYTES * rows


def shard_seconds(trades: int, rows: int) -> float:
    """In how many CPU seconds shards of so many trades and rows are computed."""
    return (TRADES_S * trades + ROWS_S * rows) / MB


@dataclass(frozen=True)
class Estimate:
    """What a refresh is about to do and take. `rows`: of `bot_metrics`; `process_mb`: of each process that computes;
    `history`: about how many trades of earlier months are folded first; CPU seconds of our processes and the server.
    """

    trades: int
    rows: int
    shards: int
    history: int
    read_mb: float
    written_mb: float
    process_mb: float
    cpu_s: float
    server_cpu_s: float


def estimate(trades: int, rows: int, shards: int, held: int, history: int) -> Estimate:
    """By the constants. `held`: the bytes of the largest shard.

    >>> estimate(1_000_000, 4_000, 1, held_bytes(1_000_000, 4_000), 0).process_mb
    356.7
    """
    server_trades = SERVER_TRADES_S + (SERVER_PLAN_S if shards > 1 else 0)
    server_rows = SERVER_ROWS_S + SERVER_CHAIN_ROWS_S
    return Estimate(
        trades=trades,
        rows=rows,
        shards=shards,
        history=history,
        read_mb=READ_BYTES * (trades + history) / MB,
        written_mb=STORED_BYTES * rows / MB,
        process_mb=round(PROCESS_MB + held / MB, 1),
        cpu_s=REFRESH_S + shard_seconds(trades, rows) + (CHAIN_ROWS_S * rows + FOLD_S * history) / MB,
        server_cpu_s=(server_trades * trades + server_rows * rows + SERVER_FOLD_S * history) / MB,
    )
