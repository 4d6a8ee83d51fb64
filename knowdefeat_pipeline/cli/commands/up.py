"""`up`: the pages, Dagster's UI and daemon and the live listener: started together, watched, and stopped together.

A program that ends by itself, killed or crashed, is started again; one that ends once more within a minute would go on
to, and ends `up` with all that it began.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Annotated, NamedTuple

import psutil
import typer
from rich.text import Text

from knowdefeat_pipeline.automation.loopback import require_loopback
from knowdefeat_pipeline.cli.commands.roles import program_url
from knowdefeat_pipeline.cli.database import owner, upgraded_url
from knowdefeat_pipeline.cli.logs import last_words, open_log, rotate
from knowdefeat_pipeline.cli.options import CommandError
from knowdefeat_pipeline.cli.service_manager import READY, SOCKET, STOPPING, notify
from knowdefeat_pipeline.cli.views.output import err, out, strong
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import lacking
from knowdefeat_pipeline.settings import ROOT, Settings, handed_on, make_private, workspace
from knowdefeat_pipeline.store.tokens import TokenError, ensure_first, kept_tokens, offer_login

FIRST_PORT, LAST_PORT = 3000, 3099
DAGSTER = frozenset({"webserver", "daemon"})  # its programs, by our names
LOCK = "up.lock"  # in the home: held while programs of ours run, and says where
LAST_WORDS = 15  # lines of a log
PR_SET_PDEATHSIG = 1  # of prctl(2): the signal that a process gets when its parent ends
LOOK = 0.2  # seconds between two looks at the programs
LOOK_AT_LOGS = 10.0  # seconds between two looks at the size of their logs
SETTLED = 60.0  # seconds after which a program that was started again has got over what ended it
START_TIMEOUT = 120.0
STOP_TIMEOUT = 30.0  # a run that is under way may finish
LEAVE = 1.0  # seconds in which Dagster's programs take leave of one another where no run is under way
TERMINATION_TIMEOUT = 4.0  # on SIGTERM: those who send it kill whoever is there after ten seconds


@dataclass(frozen=True)
class Program:
    """A program of ours: its name, its process (the leader of a group of its own) and the file that it writes to.

    started_again: when, by the monotonic clock, where it took the place of one that had ended by itself.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started_again: float | None = None


@dataclass(frozen=True)
class Place:
    """Where a program of ours is reached. `health`: the path at which it says that it is up."""

    name: str
    program: str
    host: str
    port: int
    health: str

    @property
    def address(self) -> str:
        """Where a browser opens it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, from somebody who does not wait for long."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the pages and the API; the first free one from 3000 by default.")
    ] = None,
    dagster_port: Annotated[
        int | None, typer.Option(help="Port of the Dagster UI; the first free one from 3000 by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A further name under which browsers may ask: that of a proxy with a login over TLS. Repeatable."
        ),
    ] = None,
    follow: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also record the trades of this file as they are written. Repeatable."),
    ] = None,
) -> None:
    """Start the pages, the Dagster UI, its daemon and the live listener over the same database; Ctrl-C stops them."""
    settings = Settings.from_environment()  # what cannot be used is refused here, not in the daemon's log
    require_loopback(host)
    for number in (signal.SIGINT, signal.SIGHUP):  # a closed terminal stops them too
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    with _only_one(settings.home / LOCK) as lock, _stopping() as running:
        pages = Place("pages", "pages", host, _free_port(host, port), "/api/v1/health")
        dagster = Place("Dagster UI", "webserver", host, _free_port(host, dagster_port, {pages.port}), "/server_info")
        code = secrets.token_urlsafe(32)
        file, named = workspace(settings)
        own = {pages.program: _prepare(settings, code), "daemon": named}
        starts = {
            name: partial(_start, name, command, settings.home / "logs", lock, own.get(name, {}))
            for name, command in _commands(pages, dagster, allow_host or [], follow or [], file).items()
        }
        for start in starts.values():
            running.append(start())
        note = partial(_note, lock, pages.address, dagster.address, running)
        note()
        for place in (pages, dagster):
            with err.status(f"Starting the {place.name} on {place.address}"):
                _await_answer(place, running)
        out.print(Text.assemble("Pages: ", strong(pages.address), "  (Ctrl-C stops)"))
        if out.is_terminal:  # whatever else it is, it may be kept
            out.print(f"To decide there, log in within an hour: {pages.address}/login?code={code}", soft_wrap=True)
        out.print(f"Dagster UI: {dagster.address}")
        out.print(f"Logs: {settings.home / 'logs'}", style="dim", soft_wrap=True)
        if follow:
            out.print(f"Following {counted(len(follow), 'file')}; what arrived: knowdefeat db status")
        notify(READY)
        _watch(running, starts, note)
    if settings.database_url is None:
        out.print("Stopped. The database runs on; knowdefeat db stop ends it.")


def _prepare(settings: Settings, code: str) -> dict[str, str]:
    """See to a schema that the programs can work with, a token for those who ask, and a browser that brings the code;
    what the pages' environment has beside ours: the addresses of a role that can do no more than they do, where this
    user may make roles, and of the one as which trades are recorded."""
    url = upgraded_url(settings)
    with connect(owner(settings)) as connection:
        try:
            ensure_first(connection, kept_tokens(settings))
        except TokenError as error:  # it is there for whoever made it
            err.print(str(error), style="dim", soft_wrap=True)
        offer_login(connection, code)
    with connect(url) as connection:
        missing = lacking(connection)
    if missing is not None:
        err.print(f"The pages have all rights of this user: {missing}", style="dim", soft_wrap=True)
        return {}
    return handed_on(database_url=program_url(settings, "web"), intake_url=url)


def _watch(running: list[Program], starts: Mapping[str, Callable[[], Program]], note: Callable[[], None]) -> None:
    """Return never: start again what has ended, and raise CommandError where that ends too soon once more."""
    looked_at_logs = time.monotonic()
    while True:
        for place, program in enumerate(running):
            if program.process.poll() is not None:
                running[place] = _again(program, starts[program.name])
                note()
        if time.monotonic() >= looked_at_logs + LOOK_AT_LOGS:
            looked_at_logs = time.monotonic()
            for program in running:
                _keep_short(program.log)
        time.sleep(LOOK)


def _again(ended: Program, start: Callable[[], Program]) -> Program:
    now = time.monotonic()
    if ended.started_again is not None and now < ended.started_again + SETTLED:
        _require_running([ended])
    _kill(_members({ended.process.pid}))  # what it had started would work beside what the new one starts
    program = replace(start(), started_again=now)
    out.print(f"Started again: the {ended.name}, {_how(ended)}. The log: {program.log}", style="yellow", soft_wrap=True)
    return program


def _how(ended: Program) -> str:
    """In which way it ended."""
    status = ended.process.returncode
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"which had ended with status {status}"


def _keep_short(log: Path) -> None:
    try:
        rotate(log)
    except OSError as error:  # a full disk, most often, is no reason to end what runs
        err.print(f"{log} grows on, as it cannot be set aside: {error.strerror}", soft_wrap=True)


def _commands(
    pages: Place,
    dagster: Place,
    allowed: Sequence[str],
    followed: Sequence[Path] = (),
    workspace: Path = ROOT / "workspace.yaml",
) -> dict[str, list[str]]:
    """The programs, those that answer first."""
    programs = Path(sys.executable).parent
    names = [f"--allow-host={name}" for name in allowed]
    files = [path.absolute() for path in followed]  # programs run in another folder

    def served(module: str, place: Place, *more: str) -> list[str]:
        command = [sys.executable, "-m", f"knowdefeat_pipeline.web.{module}", f"--host={place.host}"]
        return [*command, f"--port={place.port}", *more, *names]

    return {
        "pages": served("serve", pages, f"--dagster={dagster.address}"),
        "webserver": served("dagster_ui", dagster),
        "daemon": [str(programs / "dagster-daemon"), "run", "-w", str(workspace)],
        "listener": [str(programs / "knowdefeat"), "live"],
        **({"follower": [str(programs / "knowdefeat"), "follow", "--", *map(str, files)]} if files else {}),
    }


def _start(
    name: str, command: list[str], logs: Path, lock: int, own: Mapping[str, str] = MappingProxyType({})
) -> Program:
    ours = {name: value for name, value in os.environ.items() if name != SOCKET}  # up alone says when it is ready
    environment = (
        ours
        | {
            "DAGSTER_HOME": str(ROOT),
            "DAGSTER_DISABLE_TELEMETRY": "1",  # it is off; this also spares the folders that wait for its uploads
            "PYTHONUNBUFFERED": "1",
        }
        | dict(own)
    )
    log = logs / f"{name}.log"
    with open_log(log, name) as file:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the programs in order.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            pass_fds=[lock],
            preexec_fn=partial(_end_with, os.getpid()) if sys.platform == "linux" else None,
        )
    return Program(name, process, log)


def _end_with(parent: int) -> None:
    """In a program about to begin: let the kernel send it SIGINT once `up` is gone, whatever ended that.

    Nobody would watch the programs then, nor start them again. Where the kernel offers no such thing they go on, and
    the next `up` names them.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it was faster
        os.kill(os.getpid(), signal.SIGKILL)


def _await_answer(place: Place, running: Sequence[Program]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(place):
        _require_running(running)
        if time.monotonic() > deadline:
            (program,) = (program for program in running if program.name == place.program)
            raise CommandError(f"The {place.name} did not answer within {START_TIMEOUT:g} s.\n{_last_words(program)}")
        time.sleep(LOOK)


def _answers(place: Place) -> bool:
    connection = http.client.HTTPConnection(place.host, place.port, timeout=5)
    try:
        connection.request("GET", place.health)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _require_running(running: Iterable[Program]) -> None:
    for program in running:
        status = program.process.poll()
        if status is not None:
            raise CommandError(
                f"The {program.name} exited unexpectedly (exit status {status}); the other programs were stopped. Once "
                f"the cause is mended, start them again: knowdefeat up\n{_last_words(program)}"
            )


def _last_words(program: Program) -> str:
    return f"The end of its log, {program.log}:\n{last_words(program.log, LAST_WORDS)}"


@contextmanager
def _stopping() -> Iterator[list[Program]]:
    """A list of programs that are stopped at the end, whatever ended us; being interrupted is the usual way."""
    running: list[Program] = []
    timeout = STOP_TIMEOUT
    try:
        yield running
    except Terminated:
        timeout = TERMINATION_TIMEOUT
        out.print(f"Stopping; a run that is under way may finish within {timeout:g} s.")
    except KeyboardInterrupt:
        out.print("\nStopping; a run that is under way may finish. Ctrl-C again ends it.")
    finally:
        notify(STOPPING)
        _stop(running, timeout)


def _stop(running: list[Program], timeout: float) -> None:
    begun = time.monotonic()
    groups = {program.process.pid for program in running}
    dagster = {program.process.pid for program in running if program.name in DAGSTER}
    for program in running:
        if program.process.poll() is None:
            program.process.send_signal(signal.SIGINT)
    with suppress(KeyboardInterrupt):  # a second Ctrl-C waits for nothing
        while (waited := time.monotonic() - begun) < timeout and (left := _members(groups)):
            if waited >= LEAVE and not any(_is_run(member) for member in left):
                # They would join threads and tell their code servers for seconds; what they know is in the database.
                _kill(_members(dagster))
            psutil.wait_procs(left, timeout=min(LOOK, timeout - waited))
    _kill(_members(groups))
    for program in running:
        program.process.wait()


def _is_run(member: psutil.Process) -> bool:
    """Whether a code server started it to execute a run; it starts nothing else in this way."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return any("multiprocessing.spawn" in word for word in member.cmdline())
    return False


def _kill(members: Iterable[psutil.Process]) -> None:
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _members(groups: set[int]) -> list[psutil.Process]:
    # Code servers and runs belong to the group of the program that started them, and may outlive it.
    members = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) in groups and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


class Addresses(NamedTuple):
    """Where an `up` serves its pages and Dagster's UI."""

    pages: str
    dagster: str


def running_at(home: Path) -> Addresses | None:
    """Where the `up` over this home serves, or what is left of it; None where none does, or it is being started."""
    with suppress(FileNotFoundError), (home / LOCK).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            first = file.readline().split()
            return Addresses(*first) if len(first) == len(Addresses._fields) else None
    return None


@contextmanager
def _only_one(path: Path) -> Iterator[int]:
    """The descriptor of a lock that the programs inherit: it is free once the last of them has ended.

    Two daemons over one database would do everything twice. Raises CommandError while another `up` runs.
    """
    make_private(path.parent)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            addresses, _, processes = file.read().partition("\n")
            raise CommandError(_told_of(*addresses.split()[:1], processes=processes.split())) from None
        yield file.fileno()


def _note(lock: int, pages: str, dagster: str, running: Iterable[Program]) -> None:
    processes = " ".join(str(pid) for pid in (os.getpid(), *(program.process.pid for program in running)))
    told = f"{pages} {dagster}\n{processes}".encode()
    os.pwrite(lock, told, 0)  # over what stood there, which somebody may be reading
    os.ftruncate(lock, len(told))


def _told_of(address: str = "", *, processes: Sequence[str] = ()) -> str:
    """What to do about the programs that run, of which the first watches the others, unless it was killed."""
    alive = [process for process in processes if psutil.pid_exists(int(process))]
    at = f"knowdefeat is already running at {address}" if address else "knowdefeat is just being started"
    if processes[:1] == alive[:1]:
        return f"{at}\nStop it with Ctrl-C where it was started, or: kill {' '.join(alive)}"
    return (
        f"{at}\nWhat watched it was killed, and the rest ends by itself within seconds, or by: kill {' '.join(alive)}"
    )


def _free_port(host: str, wanted: int | None, taken: Container[int] = ()) -> int:
    for port in [wanted] if wanted else (port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in taken):
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            socket.create_server(address[:2], family=family).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CommandError(f"Cannot listen on {host}, port {port}: {error.strerror}") from error
        else:
            return port
    if wanted:
        raise CommandError(f"Port {wanted} is in use. Choose another, or leave --port out for the first free one.")
    raise CommandError(f"No free port from {FIRST_PORT} to {LAST_PORT}; choose one with --port.")
