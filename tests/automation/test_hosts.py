"""Two hosts, as network namespaces with homes and names of their own, and one PostgreSQL that both reach over a network.

Host A executes the runs and its listener leads; host B has the daemon, the Dagster UI, the pages and the standby.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import clock, migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from tests.automation.test_stopped_listener import CLOSE, counted
from tests.postgres.servers import FOUND, new_database, server_of

FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")


def _makes_hosts() -> bool:
    """Whether this machine lets us make namespaces with a cable, which a container's root may be refused."""
    if os.geteuid() != 0 or not shutil.which("ip") or not os.access(FORWARDS, os.W_OK):
        return False
    space = f"kd{os.getpid()}try"
    cable = ["link", "add", f"kd{os.getpid() % 100_000}try", "type", "veth", "peer", "name", "eth0", "netns", space]
    steps = ["ip", "netns", "add", space], ["ip", *cable], ["ip", "netns", "exec", space, "unshare", "--uts", "true"]
    made = all(subprocess.run(step, capture_output=True, check=False).returncode == 0 for step in steps)
    subprocess.run(["ip", "netns", "delete", space], capture_output=True, check=False)
    return made


pytestmark = [
    pytest.mark.skipif(
        not _makes_hosts(), reason="network namespaces need root, ip, and a machine that lets make them"
    ),
    pytest.mark.skipif(not FOUND, reason="no PostgreSQL of Debian's"),
]
TAKES_OVER = 10.0  # seconds, promised by docs/deploy.md
FREES = 30.0  # the same, of the locks of a host that vanished
PATIENCE = 120.0
LOCATION = "knowdefeat-code"  # as on Kubernetes, whose names take no underscore
LAUNCH = (
    "mutation($location: String!, $days: [ExecutionTag!]) { launchRun(executionParams: {"
    'selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: "refresh"},'
    " executionMetadata: {tags: $days}}) { ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
)
RESULTS = "SELECT * FROM {} WHERE day = %s ORDER BY 1, 2, 3"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class Host:
    """A namespace with a cable to this machine. `address` is its own, `outside` this machine's at the cable."""

    def __init__(self, name: str, number: int, home: Path) -> None:
        self.name, self.space, self.cable = name, f"kd{os.getpid()}{name}", f"kd{os.getpid() % 100_000}{name}"
        self.address, self.outside, self.home = f"10.203.{number}.2", f"10.203.{number}.1", home / name
        self.environment: dict[str, str] = {}

    def __enter__(self) -> "Host":
        ip("netns", "add", self.space)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("address", "add", f"{self.outside}/24", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        for words in (f"address add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up",
                      f"route add default via {self.outside}"):  # fmt: skip
            ip("-n", self.space, *words.split())
        return self

    def __exit__(self, *_: object) -> None:
        ip("netns", "delete", self.space)  # and the cable with it

    def command(self, *words: str) -> list[str]:
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', f"host-{self.name}", *words]
        return ["ip", "netns", "exec", self.space, *named]

    @contextmanager
    def part(self, *words: str) -> Iterator["Part"]:
        """A part of ours on this host, killed at the end."""
        log = self.home / f"{'-'.join(words[:2])}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KNOWDEFEAT_DATABASE")}
        with log.open("wb") as file:
            process = subprocess.Popen(
                self.command(sys.executable, "-c", "from knowdefeat_pipeline.cli import main; main()", *words),
                cwd=ROOT, env=environment | self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        try:
            yield Part(process, log)
        finally:
            process.kill()
            process.wait()

    def ask(self, address: str, body: dict[str, Any] | None = None) -> Any:
        """What an address on this host's loopback answers, None where nobody does."""
        program = (
            "import sys, urllib.request as r; print(r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode() or None,"
            " {'Content-Type': 'application/json'}), timeout=20).read().decode())"
        )
        text = json.dumps(body) if body else ""
        done = subprocess.run(
            self.command(sys.executable, "-c", program, address, text), capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 else None


class Part:
    """A running part and what it has said; each `hear` goes on after the one before."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log, self.heard = process, log, 0

    def says(self, words: str) -> bool:
        text = self.log.read_text(errors="replace")
        at = text.find(words, self.heard)
        self.heard = at + len(words) if at >= 0 else self.heard
        assert at >= 0 or self.process.poll() is None, text
        return at >= 0

    def hear(self, words: str, within: float = PATIENCE) -> None:
        until(lambda: self.says(words), within, lambda: f"{words!r} in: {self.log.read_text()}")


def until(happened: Callable[[], Any], within: float, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host, str]]:
    """Both, and the URL by which this machine reaches the database."""
    number = 2 * (os.getpid() % 125)
    with ExitStack() as stack:
        a, b = (stack.enter_context(Host(name, number + at, tmp_path)) for at, name in enumerate("ab"))
        server = stack.enter_context(server_of(FOUND[max(FOUND)], [a.outside, b.outside]))
        url = new_database(server, "two_hosts")
        migrations.upgrade(url)
        place = urlsplit(url)
        for host in (a, b):
            host.home.mkdir()
            credentials, port = place.netloc.rpartition("@")[0], place.port
            own = place._replace(netloc=f"{credentials}@{host.outside}:{port}", query="sslmode=prefer").geturl()
            (host.home / "database_url").write_text(own)
            host.environment = {
                "KNOWDEFEAT_HOME": str(host.home), "KNOWDEFEAT_EMBEDDED": "no",
                "KNOWDEFEAT_DATABASE_URL_FILE": str(host.home / "database_url"),
                "KNOWDEFEAT_CODE_SERVER": f"{a.address}:4000", "KNOWDEFEAT_CODE_LOCATION": LOCATION,
            }  # fmt: skip
        before = FORWARDS.read_text()
        FORWARDS.write_text("1")  # so that B reaches the code server on A
        stack.callback(FORWARDS.write_text, before)
        yield a, b, url


def sessions(connection: psycopg.Connection, host: Host) -> int:
    count = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s"
    return int(connection.execute(count, (host.address,)).fetchall()[0][0])


@pytest.mark.long
def test_parts_on_two_hosts_and_each_host_lost_in_turn(hosts: tuple[Host, Host, str]) -> None:
    a, b, url = hosts
    with connect(url) as connection, ExitStack() as stack:
        connection.execute(CLOSE)
        leader = stack.enter_context(a.part("live", "--standby"))
        leader.hear("1 trade, ")
        code = stack.enter_context(a.part("serve", "code", "--host", a.address, "--trusted-network"))
        standby = stack.enter_context(b.part("live", "--standby", "--health-port", "3002"))
        standby.hear("Standing by. The live listener is session")
        standby.hear("on host-a)")
        code.hear("Started Dagster code server")
        daemon = stack.enter_context(b.part("serve", "daemon"))
        stack.enter_context(b.part("serve", "dagster"))
        stack.enter_context(b.part("serve", "pages"))

        daemon.hear("Checking for new runs for sensor")

        # A run that is launched from B is executed on A, and its log is seen by both.
        until(lambda: b.ask("http://127.0.0.1:3001/server_info"), PATIENCE, lambda: "no Dagster UI")
        today = clock.now(connection).date()
        ends = [{"key": f"dagster/asset_partition_range_{end}", "value": str(today)} for end in ("start", "end")]
        launched = b.ask(
            "http://127.0.0.1:3001/graphql", {"query": LAUNCH, "variables": {"location": LOCATION, "days": ends}}
        )
        run = launched["data"]["launchRun"]["run"]["runId"]
        ended = "SELECT status FROM dagster.runs WHERE run_id = %s AND status IN ('SUCCESS', 'FAILURE')"
        until(lambda: connection.execute(ended, (run,)).fetchone(), PATIENCE, lambda: f"{run} has not ended")
        assert connection.execute(ended, (run,)).fetchone() == ("SUCCESS",)
        assert b.ask("http://127.0.0.1:3000/api/v1/health") == {"status": "ok"}

        connection.execute(CLOSE)
        leader.hear("1 trade, ")
        assert b.ask("http://127.0.0.1:3002/")["state"] == "standing by"

        ip("link", "set", a.cable, "down")
        standby.hear("Listening for new trades", TAKES_OVER)
        connection.execute(CLOSE)
        standby.hear("1 trade, ")
        until(lambda: sessions(connection, a) == 0, FREES, lambda: f"{sessions(connection, a)} sessions of A are left")

        ip("link", "set", a.cable, "up")
        leader.hear("Standing by. The live listener is session")
        standby.process.kill()
        leader.hear("Listening for new trades", TAKES_OVER)
        yesterday = today - timedelta(days=1)
        connection.execute(
            CLOSE.replace(
                "FROM clock_timestamp() AS now", f"FROM (VALUES (timestamptz '{yesterday} 12:00Z')) AS t (now)"
            )
        )
        leader.hear("1 trade, ")
        until(lambda: not stale_days(connection, RANKING, clock.now(connection)), PATIENCE, lambda: "days are stale")
        assert counted(connection) == [(4, 4)]

        # What was computed on the way is what a clean recompute gives.
        tables = ("bot_metrics", "bot_rankings", "variable_weights")
        before = [connection.execute(RESULTS.format(table), (yesterday,)).fetchall() for table in tables]
        with dg.instance_for_test() as instance:
            resources = {"database": DatabaseAt(url=url), "clock": Clock()}
            refresh_days(build_defs(resources), instance, yesterday, yesterday)
        assert [connection.execute(RESULTS.format(table), (yesterday,)).fetchall() for table in tables] == before
        assert before[0]
