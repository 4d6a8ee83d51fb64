"""Who may do what in the database: its roles, what each is given, and their passwords.

Roles belong to the server, rights to a database. `establish` makes the roles that are missing and gives each exactly
its rights here; it follows every upgrade of the schema, and may be run again. A user who may not create roles works as
before, with his own rights for everything, and `lacking` says what is missing.

A role cannot log in before somebody asks for its address (`login_url`): it gets its password then. The server is sent
what the password is checked against, never the password, so that no log and no view of the server's shows it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import sql

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, query
from knowdefeat_pipeline.settings import make_private

ADMINISTRATOR = "knowdefeat"  # the embedded server's first user, a superuser
PREFIX = "knowdefeat_"
OWNER = "knowdefeat_owner"
PIPELINE = "knowdefeat_pipeline"
BOT = "knowdefeat_bot"
HAND_OVER = "60s"  # for how long each table that changes hands is waited for
_SEARCH_PATH = re.compile(r"(-c\s*|--)search_path=(\\.|\S)*")  # in the options of a session
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class RoleError(KnowDefeatError):
    """A role that is not there, or cannot be made; the message says why and what to do."""

    page = "security.md#roles-of-the-database"


@dataclass(frozen=True)
class Role:
    """`may`: what it is for, in a few words. `settings`: what its sessions begin with."""

    name: str
    may: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The name without our prefix, as commands take it."""
        return self.name.removeprefix(PREFIX)


_BRIEF = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
GRANTED = (
    Role(PIPELINE, "reads everything, writes trades and results; no definitions"),
    Role("knowdefeat_web", "reads everything, adds decisions and uploads; no definitions", _BRIEF),
    Role(BOT, "adds trades and closes them; reads trades", _BRIEF),
    Role(
        "knowdefeat_reader",
        "reads the views of the schema report",
        {"statement_timeout": "60s", "default_transaction_read_only": "on", "search_path": "report"},
    ),
)
ALL = (Role(OWNER, "owns tables, views and functions, and migrates them"), *GRANTED)
ROLES = {role.short: role for role in ALL}


class RoleState(NamedTuple):
    """What the server says of a role. `bots`: those that it is bound to, None for any or for what is no bot."""

    name: str
    logs_in: bool
    bots: list[str] | None


@dataclass(frozen=True)
class SecretFiles:
    """Secrets by their names, a file each, which nobody else may read."""

    folder: Path

    def of(self, name: str) -> str | None:
        """The secret of that name, None if it is not kept here."""
        with suppress(FileNotFoundError):
            return (self.folder / name).read_text().strip()
        return None

    def keep(self, name: str, secret: str) -> None:
        """Put it in the place of the one before."""
        make_private(self.folder)
        partial = self.folder / f"{name}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret + "\n")
        partial.replace(self.folder / name)

    def forget(self, name: str) -> None:
        """Remove what is kept."""
        (self.folder / name).unlink(missing_ok=True)


class Passwords(SecretFiles):
    """The passwords of the roles that have one, each in a password file of libpq's, which is read at every connection.

    A program that connects by it (see `url_by_file`) needs no restart when the password is changed.
    """

    def of(self, name: str) -> str | None:
        """The password of a role, None if it is not kept here."""
        line = super().of(name)
        return None if line is None else line.rpartition(":")[2]

    def keep(self, name: str, secret: str) -> None:
        """Put it in the place of the one before."""
        super().keep(name, f"*:*:*:{name}:{secret}")  # neither a role's name nor a password has a colon or a backslash

    def file_of(self, name: str) -> Path | None:
        """The file by which libpq logs the role in; None where an earlier version wrote it, the password alone."""
        path = self.folder / name
        return path.resolve() if ":" in path.read_text() else None


# Who logs in to a role may change its password and what its sessions begin with, for all who use it: PostgreSQL refuses
# that to nobody. It is seen, and undone by `rotate`.


def changed_settings(connection: psycopg.Connection) -> dict[str, list[str]]:
    """The settings, as NAME=VALUE, that a role has and was not given, or lacks; by role, those without any left out."""
    found: dict[str, set[str]] = {role.name: set() for role in states(connection)}
    for name, setting in connection.execute(query("postgres/role_settings"), {"roles": [*found]}).fetchall():
        found[name].add(setting)
    given = {name: {f"{key}={value}" for key, value in _settings_of(name).items()} for name in found}
    return {name: sorted(found[name] ^ given[name]) for name in found if found[name] != given[name]}


def locked_out(url: str, passwords: Passwords) -> list[str]:
    """The roles that cannot log in by the password that is kept of them."""
    with connect(url) as connection:
        kept = [(role.name, passwords.of(role.name)) for role in states(connection) if role.logs_in]
    return [name for name, password in kept if password and not _opens(with_login(url, name, password))]


def _opens(url: str) -> bool:
    try:
        connect(url).close()
    except DatabaseUnreachable:
        return False
    return True


def _settings_of(name: str) -> Mapping[str, str]:
    """What sessions of a role begin with; one that is none of the five is a bot's."""
    return next((role.settings for role in ROLES.values() if role.name == name), ROLES["bot"].settings)


# Making roles, and giving them their rights


def follow_upgrade(connection: psycopg.Connection, was_changed: bool) -> None:
    """After an upgrade, in its transaction: give the roles their rights, if this user may and they lack any, or if
    everybody has rights that he may take."""
    in_place = _in_place(connection)
    if in_place is None or not may_mend(connection):
        return
    if in_place and not was_changed and not any(may for _, may in _open_to_all(connection)):
        return
    with suppress(psycopg.errors.InsufficientPrivilege):  # what is missing then, `lacking` tells
        establish(connection)


def establish(connection: psycopg.Connection) -> None:
    """Make the roles that are missing, and give each what it may do in this database, all or nothing.

    Raises psycopg.errors.InsufficientPrivilege.
    """
    with connection.transaction():
        ours = _is_ours_alone(connection)
        for role in ALL if ours else GRANTED:
            _create(connection, role)
        if ours:
            connection.execute(query("postgres/give_to_owner"))
        connection.execute(query("postgres/close_to_all"))
        connection.execute(query("postgres/give_rights"))
        connection.execute(query("postgres/show_dagster"))


def prepare(url: str, passwords: Passwords) -> None:
    """On the embedded server, as its first user: make the roles, hand over what belongs to each, and let those log in
    that our own programs connect as.

    May be run again; one at a time. Raises RoleError, DatabaseUnreachable and psycopg.Error.
    """
    with connect(url) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [HAND_OVER])
            for role in ALL:
                _create(connection, role)
            connection.execute(query("postgres/give_to_owner"))
            connection.execute(query("postgres/close_to_all"))
            connection.execute(query("postgres/give_to_programs"))
        for name in (OWNER, PIPELINE):
            password = passwords.of(name)
            if password is None:
                _set_password(connection, name, passwords)
            elif passwords.file_of(name) is None:
                passwords.keep(name, password)


def lacking(connection: psycopg.Connection) -> str | None:
    """What is missing of the roles and their rights in this database, and what to do; None if nothing is."""
    if _in_place(connection) in (True, None):
        return None
    missing = _missing(connection)
    if missing and not _may_create(connection):
        return (
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing and this user may not create roles, "
            f"so that every program has the rights of {connection.info.user}: as a superuser, ALTER ROLE "
            f'"{connection.info.user}" CREATEROLE, then knowdefeat db migrate.'
        )
    return "Roles lack rights in this database: knowdefeat db migrate, as the user who owns its tables, gives them."


def open_to_all(connection: psycopg.Connection) -> list[str]:
    """What everybody who is connected to this database may do, and could stop the pipeline or fill the disk with."""
    return [what for what, _ in _open_to_all(connection)]


def _open_to_all(connection: psycopg.Connection) -> list[tuple[str, bool]]:
    return connection.execute(query("postgres/open_to_all")).fetchall()


def may_mend(connection: psycopg.Connection) -> bool:
    """Whether this user may make the roles that are missing."""
    return not _missing(connection) or _may_create(connection)


def _in_place(connection: psycopg.Connection) -> bool | None:
    """Whether all is there; None while the schema is not."""
    parameters = {"roles": [role.name for role in GRANTED], "reader": ROLES["reader"].name}
    ((found,),) = connection.execute(query("postgres/rights_are_in_place"), parameters).fetchall()
    return found if found is None else bool(found)


def _missing(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("SELECT rolname FROM pg_roles").fetchall()
    return [role.name for role in GRANTED if (role.name,) not in rows]


def _may_create(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
    return row == (True,)


def _is_ours_alone(connection: psycopg.Connection) -> bool:
    """Whether the server is an embedded one, whose first superuser (oid 10) we are; else it may serve others too."""
    row = connection.execute(
        "SELECT oid = 10 AND rolname = %s FROM pg_roles WHERE rolname = session_user", [ADMINISTRATOR]
    )
    return row.fetchone() == (True,)


def _create(connection: psycopg.Connection, role: Role) -> None:
    """Make a role that cannot log in yet; another database of the server may have made it, or just now makes it."""
    if _exists(connection, role.name):
        return
    with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation), connection.transaction():
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role.name)))
        _configure(connection, role.name, role.settings)
        if role.name == PIPELINE and connection.info.parameter_status("is_superuser") == "on":
            # COPY, by which files are loaded, is refused to whom a policy of rows applies.
            connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(role.name)))


def _configure(connection: psycopg.Connection, name: str, settings: Mapping[str, str]) -> None:
    """Let the role's sessions begin with these settings and no others."""
    role, database = sql.Identifier(name), sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(role))
    connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(role, database))
    for setting, value in settings.items():
        statement = sql.SQL("ALTER ROLE {} SET {} = {}")
        connection.execute(statement.format(role, sql.Identifier(setting), sql.Literal(value)))


def _exists(connection: psycopg.Connection, name: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


# Logging in


def login_url(url: str, name: str, passwords: Passwords) -> str:
    """The database's URL for a role, which gets its password if it has none yet.

    For the owner of a server that is not ours alone, the URL itself: its user owns the tables. Raises RoleError.
    """
    with connect(url) as connection:
        if name == OWNER and not _is_owner(connection, name):
            return url
        logs_in = _require(connection, name).logs_in
        password = passwords.of(name)
        if logs_in and password is None:
            raise RoleError(
                f"{name} has a password that {passwords.folder} does not hold: it was made elsewhere. "
                f"A new one, which makes the old one useless: knowdefeat db rotate {name.removeprefix(PREFIX)}"
            )
        if not logs_in:
            password = _set_password(connection, name, passwords)
    return with_login(url, name, str(password))


def rotate(url: str, name: str, passwords: Passwords) -> str:
    """Give a role a new password, and the settings that it was made with; its URL from now on.

    Sessions that are open stay. Raises RoleError.
    """
    with connect(url) as connection:
        if name == OWNER and not _is_owner(connection, name):
            raise RoleError(f"{connection.info.user} owns the tables here; its password is not ours to change.")
        _require(connection, name)
        with _refusal_told(f"set {name} up"), connection.transaction():
            _configure(connection, name, _settings_of(name))
        return with_login(url, name, _set_password(connection, name, passwords))


def with_login(url: str, name: str, password: str) -> str:
    """The URL with that user and password in the place of its own.

    Without its search path where the role has one: the URL's would come first.
    """
    return _of_user(url, name, f":{quote(password, safe='')}")


def url_by_file(url: str, name: str, passwords: Passwords) -> str:
    """The same for a program of ours, which reads the password that is kept from its file whenever it connects.

    The password itself where libpq would not read the file: an earlier version wrote it, or PGPASSWORD is set.
    """
    password, file = passwords.of(name), passwords.file_of(name)
    if file is None or "PGPASSWORD" in os.environ:
        return with_login(url, name, str(password))
    return _of_user(url, name, "", [("passfile", str(file))])


def _of_user(url: str, name: str, password: str, more: Sequence[tuple[str, str]] = ()) -> str:
    parts = urlsplit(url)
    address = f"{quote(name, safe='')}{password}@{parts.netloc.rpartition('@')[2]}"
    given = parse_qsl(parts.query, keep_blank_values=True)
    if "search_path" in _settings_of(name):
        given = [(key, _SEARCH_PATH.sub("", value).strip() if key == "options" else value) for key, value in given]
    options = [
        (key, value)
        for key, value in given
        if key not in ("user", "password", "passfile") and (key, value) != ("options", "")
    ]
    return parts._replace(netloc=address, query=urlencode([*options, *more], quote_via=quote)).geturl()


def _set_password(connection: psycopg.Connection, name: str, passwords: Passwords) -> str:
    password = secrets.token_urlsafe(24)
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier))
    try:
        with _refusal_told(f"give {name} a password"), connection.transaction():
            connection.execute(statement)
            passwords.keep(name, password)
    except OSError as error:
        raise RoleError(f"The password of {name} cannot be kept in {passwords.folder}: {error.strerror}.") from error
    return password


@contextmanager
def _refusal_told(deed: str) -> Iterator[None]:
    """Turns the server's refusal into a sentence."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise RoleError(
            f"The server refused to {deed}: {error.diag.message_primary}. The user of the database's URL needs "
            "CREATEROLE, and the ADMIN option on roles that another user made."
        ) from error


def _require(connection: psycopg.Connection, name: str) -> RoleState:
    """The state of a role of ours: what else the server has is not touched. Raises RoleError."""
    found = {role.name: role for role in states(connection)}
    if name not in found:
        raise RoleError(
            f"There is no role {name}. {lacking(connection) or 'The roles are listed by: knowdefeat db roles'}"
        )
    return found[name]


def _is_owner(connection: psycopg.Connection, name: str) -> bool:
    row = connection.execute("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('trades')")
    return row.fetchone() == (name,)


# Bots with roles of their own


def make_bot(url: str, name: str, bots: Sequence[str] | None, passwords: Passwords) -> str:
    """A login role for bots: those of these names, which may come later, None for any. Its URL. One that exists is
    bound anew and keeps its password.

    Raises RoleError.
    """
    if not _NAME.fullmatch(name) or name.startswith(("pg_", PREFIX)):
        raise RoleError(
            f"{name!r} cannot be a bot's role. Take small letters, digits and underscores, at most 63, a letter first, "
            f"and neither pg_ nor {PREFIX} at the beginning."
        )
    with connect(url) as connection:
        _require(connection, BOT)
        known = _is_bots_role(connection, name)
        if not known and _exists(connection, name):
            raise RoleError(f"The server has a role {name} that is no bot's. Choose another name.")
        with _refusal_told(f"make the role {name}"), connection.transaction():
            if not known:
                member, group = sql.Identifier(name), sql.Identifier(BOT)
                connection.execute(sql.SQL("CREATE ROLE {} IN ROLE {}").format(member, group))
                _configure(connection, name, _settings_of(name))
            connection.execute("DELETE FROM bot_writers WHERE role_name = %s", [name])
            connection.execute(query("postgres/bind_writer"), {"role": name, "bots": None if bots is None else [*bots]})
    return login_url(url, name, passwords)


def _is_bots_role(connection: psycopg.Connection, name: str) -> bool:
    """Whether a role writes as a bot. Who administers the group belongs to it too, and is none."""
    statement = """
        SELECT FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN pg_roles AS u ON u.oid = m.member
        WHERE r.rolname = %s AND u.rolname = %s AND NOT m.admin_option
    """
    return connection.execute(statement, [BOT, name]).fetchone() is not None


def remove_bot(url: str, name: str, passwords: Passwords) -> None:
    """Remove a role that `make_bot` made. What it wrote stays. Raises RoleError."""
    with connect(url) as connection:
        if not _is_bots_role(connection, name):
            raise RoleError(f"There is no role {name} that db role bot made. They are listed by: knowdefeat db roles")
        with _refusal_told(f"remove {name}"), connection.transaction():
            connection.execute("DELETE FROM bot_writers WHERE role_name = %s", [name])
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    passwords.forget(name)


def states(connection: psycopg.Connection) -> list[RoleState]:
    """The roles that are there: the five, then those of bots that were made for this database."""
    fixed = [role.name for role in ROLES.values()]
    return [RoleState(*row) for row in connection.execute(query("postgres/roles"), {"fixed": fixed}).fetchall()]
