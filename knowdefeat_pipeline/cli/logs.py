"""Logs of programs that run for months: what is new stands at the end, and the oldest goes.

A program writes through a descriptor of its own, which outlives whoever started it. So a log that has grown too long is
copied and emptied in place: its program goes on writing to the same file, always to its end, and never waits for a
reader that may have been killed. Only what it writes between the copy and the emptying, a matter of microseconds, can
get lost.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from rich.text import Text

from knowdefeat_pipeline.settings import make_private

LARGEST = 10_000_000  # bytes
PRIVATE = 0o600  # names, addresses and what failed are this user's own
OLDER = 5  # files of that size are kept beside the log: the last one written is daemon.log.1
_BEGINNING = "=== "  # of the line that says when a program was started


def open_log(log: Path, program: str) -> BinaryIO:
    """The log, to be written to at its end, after a line that says that the program is started now."""
    make_private(log.parent)
    for older in log.parent.glob(f"{log.name}*"):  # made when others could still read them
        older.chmod(PRIVATE)
    rotate(log)
    file = os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE), "ab")
    file.write(f"{_BEGINNING}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: the {program} is started\n".encode())
    file.flush()
    return file


def rotate(log: Path) -> None:
    """Where the log is too long, set aside what it holds; its program may go on writing. Raises OSError.

    A rotation that is killed or meets a full disk leaves the log as it is, and the next one does it again.
    """
    if not log.exists() or log.stat().st_size <= LARGEST:
        return
    unfinished = log.with_name(f"{log.name}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with log.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        for number in range(OLDER - 1, 0, -1):
            if (older := _older(log, number)).exists():
                older.replace(_older(log, number + 1))
        unfinished.replace(_older(log, 1))
        shutil.copyfileobj(source, target)  # what was written meanwhile
        target.flush()
        os.truncate(log, 0)


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def last_words(log: Path, most: int) -> str:
    """The last lines of the log, but none from before the program's last start."""
    words: list[str] = []
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, most):
            words = [] if line.startswith(_BEGINNING) else [*words, line]
    return Text.from_ansi("".join(words)).plain.rstrip()
