"""Processes of ours that are killed or stopped where it matters."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import TracebackType

import psutil

from knowdefeat_pipeline.postgres.server import EmbeddedPostgres

# `knowdefeat` that sends itself a signal where it first calls a function; stopped by it, it goes on from there.
COMMAND = """
import importlib, os, signal, sys
from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.postgres import leases

where, number, lease, *arguments = sys.argv[1:]
leases.LEASE = leases.LISTENER_LEASE = float(lease)
leases.RENEWALS = 10
if where:
    module, _, name = where.rpartition(".")
    module = importlib.import_module(module)
    original = getattr(module, name)

    def signalled(*arguments, **named):
        setattr(module, name, original)
        os.kill(os.getpid(), int(number))
        return original(*arguments, **named)

    setattr(module, name, signalled)
sys.argv = ["knowdefeat", *arguments]
main()
"""


class Process:
    """A program in Python that is told and heard line by line; killed at the end of its `with`."""

    def __init__(self, program: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", program, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def hear(self, *parts: str) -> str:
        """Await the next line that contains one of the parts; what was said until then."""
        assert self.process.stdout is not None
        heard = []
        for line in self.process.stdout:
            heard.append(line)
            if any(part in line for part in parts):
                return "".join(heard)
        raise AssertionError("".join(heard))

    def await_stop(self) -> None:
        """Await its SIGSTOP."""
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), self.process.communicate()

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> tuple[int, str]:
        """Await its end: the exit status, and what it said last."""
        said, _ = self.process.communicate()
        return self.process.returncode, said

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()


def command(*arguments: str, where: str = "", number: int = signal.SIGSTOP, lease: float = 20.0) -> Process:
    """`knowdefeat` with these arguments, which sends itself the signal `number` where it first calls `where`.

    `lease`: of its session, in seconds.
    """
    return Process(COMMAND, where, str(number), str(lease), *arguments)


def killed(where: str, *arguments: str) -> None:
    """`knowdefeat` with these arguments, killed where it first calls the function `where`."""
    with command(*arguments, where=where, number=signal.SIGKILL) as process:
        status, said = process.end()
    assert status == -signal.SIGKILL, said


def kill_server(server: EmbeddedPostgres) -> None:
    """All of its processes at once, so that none of them saves what the others had not written down."""
    pid = server.status().pid
    assert pid
    postmaster = psutil.Process(pid)
    postmaster.suspend()  # it shall not begin another one meanwhile
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
