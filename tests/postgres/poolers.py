"""A real connection pooler before a test's database."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect

BOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pooler = pytest.mark.skipif(BOUNCER is None, reason="pgbouncer is not installed")


@contextmanager
def pooler(database: str, folder: Path, mode: str) -> Iterator[str]:
    """The URL of a pgbouncer before the database, as long as the `with` lasts; its files lie in the test's folder.

    Where the database's address asks for TLS, both legs of the way use it.
    """
    for above in (folder, *folder.parents):  # pgbouncer does not run as root
        if any(name.startswith("pytest") for name in above.parts) and above.stat().st_uid == folder.stat().st_uid:
            above.chmod(0o755)
    folder = folder / mode
    folder.mkdir()
    place = urlsplit(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.chmod(0o755)
    user, password = unquote(place.username or ""), unquote(place.password or "")
    (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={place.hostname} port={place.port} user='{user}' password='{password}'\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"auth_file = {folder}/users.txt\npool_mode = {mode}\nignore_startup_parameters = options\n"
        + _tls(folder, parse_qs(place.query).get("sslrootcert"))
    )
    account = ["-u", "nobody"] if getpass.getuser() == "root" else []
    process = subprocess.Popen([str(BOUNCER), "-q", *account, str(folder / "pgbouncer.ini")])
    url = place._replace(netloc=f"{place.username}:{place.password}@127.0.0.1:{port}").geturl()
    try:
        _await(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _tls(folder: Path, certificate: list[str] | None) -> str:
    """Settings for TLS to and from the pooler, by the server's certificate, whose key lies beside it (see `servers`)."""
    if certificate is None:
        return ""
    for name in ("certificate", "key"):
        shutil.copy(Path(certificate[0]).with_name(name), folder / name)
        if getpass.getuser() == "root":
            shutil.chown(folder / name, "nobody")
        (folder / name).chmod(0o600)
    return (
        f"server_tls_sslmode = verify-full\nserver_tls_ca_file = {folder}/certificate\n"
        f"client_tls_sslmode = require\nclient_tls_cert_file = {folder}/certificate\nclient_tls_key_file = {folder}/key\n"
    )


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
