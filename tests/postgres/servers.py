"""Servers of every version of PostgreSQL that the machine has, over TLS.

Debian's packages stand in /usr/lib/postgresql/VERSION/bin; `python -m tests.postgres.versions` fetches 14 to 18;
KNOWDEFEAT_TEST_POSTGRESQL may name more folders of programs, separated by colons. What was built without TLS, as the
embedded server, takes part in the clear.
"""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from knowdefeat_pipeline.postgres.connection import connect

NAMED = [Path(folder) for folder in os.environ.get("KNOWDEFEAT_TEST_POSTGRESQL", "").split(":") if folder]
FETCHED = sorted((Path(__file__).parent / "versions" / "node_modules").glob("postgresql-*/native/bin"))
DEBIANS = [Path(f"/usr/lib/postgresql/{version}/bin") for version in range(14, 20)]


def version(binaries: Path) -> str:
    answer = subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, text=True)
    return answer.stdout.split()[2].partition(".")[0]


FOUND = {version(path): path for path in [*FETCHED, *DEBIANS, *NAMED] if (path / "initdb").exists()}


def as_postgres() -> dict[str, object]:
    """Whom servers run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def server_of(binaries: Path, further: Sequence[str] = ()) -> Iterator[str]:
    """The URL of a new server's maintenance database, which takes TLS connections with a password and no others.

    `further`: addresses of this machine at which it listens too, for all who reach them.
    """
    folder, account = Path(mkdtemp(prefix="knowdefeat-")), as_postgres()
    data = folder / "data"
    try:
        (folder / "password").write_text("se cret/@")
        certificate = ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", folder / "key", "-out", folder / "certificate",
             *certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        if account:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account["user"], account["group"])
        (folder / "key").chmod(0o600)
        initdb = [binaries / "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C",
                  f"--pwfile={folder / 'password'}", "--no-sync"]  # fmt: skip
        subprocess.run(initdb, check=True, capture_output=True, **account)
        has_tls = b"libssl" in (binaries / "postgres").read_bytes()
        from_where = ["127.0.0.1/32", *(f"{address}/24" for address in further)]
        kind = "hostssl" if has_tls else "host"
        (data / "pg_hba.conf").write_text("".join(f"{kind} all all {net} scram-sha-256\n" for net in from_where))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {
            "port": port, "listen_addresses": ",".join(["127.0.0.1", *further]), "unix_socket_directories": "", "fsync": "off",
        }  # fmt: skip
        if has_tls:
            options |= {"ssl": "on", "ssl_cert_file": folder / "certificate", "ssl_key_file": folder / "key"}
        settings = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        control = [binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        subprocess.run(
            [*control, "-o", settings, "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **account,
        )
        try:
            tls = f"?sslmode=verify-full&sslrootcert={folder / 'certificate'}" if has_tls else ""
            yield f"postgresql://owner:se%20cret%2F%40@127.0.0.1:{port}/postgres{tls}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, **account)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str, name: str) -> str:
    with connect(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return (
        server.replace("/postgres", f"/{name}", 1) if "/postgres?" in server else server.removesuffix("postgres") + name
    )
