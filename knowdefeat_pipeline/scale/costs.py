"""What a refresh costs, by the constants that `python -m benchmarks.scale` measured: see docs/scale.md."""

from __future__ import annotations

from typing import NamedTuple

PROCESS_MB = 190  # what a process holds before it has read anything
TRADE_BYTES = 130  # of a trade in the window, while its figures are computed
ROW_BYTES = 950  # of a row of `bot_metrics`, from its figures to the bytes that the database takes in
STORED_BYTES = 700  # of that row in the tables of results, with its share of days and streaks
READ_BYTES = 60  # of a trade on its way from the database

MICROSECONDS = 1e-6


class Cost(NamedTuple):
    """CPU seconds of our processes and of the server, and the megabytes that one process needs."""

    cpu: float
    server_cpu: float
    megabytes: float


def held_bytes(trades: int, rows: int) -> int:
    """What so many trades and the rows that follow from them take in a process."""
    return TRADE_BYTES * trades + ROW_BYTES * rows
