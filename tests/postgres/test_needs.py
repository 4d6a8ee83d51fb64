"""What computing needs of a database, asked of a real pooler and of a server."""

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
from knowdefeat_pipeline.postgres.needs import NeedsUnmet, require_needs

BOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooler(database: str, folder: Path, mode: str) -> Iterator[str]:
    """The URL of a pgbouncer before the database, as long as the `with` lasts."""
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
        for _ in range(100):
            try:
                connect(url).close()
                break
            except KnowDefeatError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(BOUNCER is None, reason="pgbouncer is not installed")
def test_a_pooler_that_shares_sessions_is_refused_and_another_one_is_not(database: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "own").mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == tmp_path.stat().st_uid and folder != Path("/") and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    with pooler(database, tmp_path / "shared", "transaction") as url:
        for _ in range(5):
            with pytest.raises(NeedsUnmet, match=r"pooler in transaction mode.*in session mode\."):
                require_needs(url)
    with pooler(database, tmp_path / "own", "session") as url:
        require_needs(url)


def test_a_server_itself_meets_them(database: str) -> None:
    require_needs(database)
