"""Dagster's code server, which ends within ten seconds of SIGTERM: python -m knowdefeat_pipeline.automation.code_server

Takes the options of `dagster api grpc`. That command by itself waits for its runs and for whoever listens to it, a
minute and longer. Whoever stops a container kills it before that, and its runs with no word to them.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time
from threading import Thread

FINISHES = 2.0  # seconds in which a run that is under way may finish
STOPS = 3.0  # seconds in which one that is told to stop may undo what it does and say so
CLOSES = 1.0  # seconds in which the server may take leave of those who listen to it


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)  # Dagster's own handlers do what they do; this tells of the signal beside them
    Thread(target=_end, args=(read,), name="end", daemon=True).start()
    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


def _end(signals: int) -> None:
    while os.read(signals, 1)[0] not in (signal.SIGINT, signal.SIGTERM):
        pass
    end_runs()
    time.sleep(CLOSES)
    os._exit(0)


def end_runs() -> None:
    """Let the runs of this process finish, then stop, then kill them. Their days stay stale, and are computed next."""
    runs = multiprocessing.active_children()
    for seconds, end in ((FINISHES, "terminate"), (STOPS, "kill")):
        deadline = time.monotonic() + seconds
        for run in runs:
            run.join(max(0.0, deadline - time.monotonic()))
        for run in runs:
            if run.is_alive():
                getattr(run, end)()


if __name__ == "__main__":
    main()
