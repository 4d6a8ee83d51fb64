"""A real connection pooler before a test's database."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect

BOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pooler = pytest.mark.skipif(BOUNCER is None, reason="pgbouncer is not installed")


@contextmanager
def pooler(database: str, folder: Path, mode: str) -> Iterator[str]:
    """The URL of a pgbouncer before the database, as long as the `with` lasts; its files lie in the test's folder."""
    for above in (folder, *folder.parents):  # pgbouncer does not run as root
        if above.name.startswith("pytest") and above.stat().st_uid == folder.stat().st_uid:
            above.chmod(0o755)
    folder = folder / mode
    folder.mkdir()
    place = urlsplit(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{place.username}" "{place.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={place.hostname} port={place.port} user={place.username} password={place.password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"auth_file = {folder}/users.txt\npool_mode = {mode}\nignore_startup_parameters = options\n"
    )
    user = ["-u", "nobody"] if getpass.getuser() == "root" else []
    process = subprocess.Popen([str(BOUNCER), "-q", *user, str(folder / "pgbouncer.ini")])
    url = place._replace(netloc=f"{place.username}:{place.password}@127.0.0.1:{port}").geturl()
    try:
        _await(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _await(url: str) -> None:
    """Wait until it answers; it says nothing when it is ready."""
    deadline = time.monotonic() + 10
    while True:
        try:
            connect(url).close()
            return
        except KnowDefeatError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
