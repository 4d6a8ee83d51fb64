"""Tokens: who may do what over HTTP. The database knows their hashes; the first one is kept in a file of the home.

They are made and revoked by the owner of the tables. Who serves the pages turns a code that the owner offered into one.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from shlex import quote
from typing import Any, Literal, NamedTuple, get_args

import psycopg

from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable, shortened
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.postgres.roles import SecretFiles
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import records

Scope = Literal["read", "ingest", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a token lets do, each more than the one before: read; also bring trades; also decide."""
FIRST = "first"  # the name of the token that is made at the first start, and of its file
PREFIX = "kd_"  # so that what finds secrets in texts finds these
RANDOM_BYTES = 32


class TokenError(KnowDefeatError):
    """A token that is not there or cannot be made; the message says why and what to do."""

    page = "security.md#tokens"


def kept_tokens(settings: Settings) -> SecretFiles:
    """Where the first token is kept: a file of the home that nobody else may read."""
    return SecretFiles(settings.home / "tokens")


def hash_of(token: str) -> str:
    """What is kept of a token. Raises nothing: a text that is no token has a hash that nobody knows.

    >>> hash_of("abc")[:8]
    'ba7816bf'
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_token(connection: psycopg.Connection, name: str, scope: Scope, lifetime: timedelta | None = None) -> str:
    """Make a token, which is told here and never again; `lifetime` None: until it is revoked. Raises TokenError."""
    token = _random_token()
    _record(connection, name, scope, hash_of(token), lifetime)
    return token


def _random_token() -> str:
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def _record(connection: psycopg.Connection, name: str, scope: Scope, hashed: str, lifetime: timedelta | None) -> None:
    if not is_plain_name(name):
        raise TokenError(f"'{shortened(printable(name))}' is no plain name; {PLAIN_NAME}.")
    try:
        connection.execute(
            "INSERT INTO api_tokens (name, scope, hash, expires_at) VALUES (%s, %s, %s, now() + %s::interval)",
            (name, scope, hashed, lifetime),
        )
    except psycopg.errors.UniqueViolation:
        raise TokenError(
            f"There is a token {name} already. Choose another name, or first: knowdefeat token revoke {quote(name)}"
        ) from None


def ensure_first(connection: psycopg.Connection, kept: SecretFiles) -> str:
    """The first token, which lets do everything: the one that is kept, or a new one where none of that name counts.

    Raises TokenError where one counts that was made from another home: a new one would put out who uses that.
    """
    token = kept.of(FIRST)
    if token is not None and scope_of(connection, token) is not None:
        return token
    counts = "SELECT FROM api_tokens WHERE name = %s AND revoked_at IS NULL"
    with connection.transaction():
        if connection.execute(counts, (FIRST,)).fetchone() is not None:
            raise TokenError(
                f"The first token was made from another home than this one, and {kept.folder} does not hold it. Take "
                "it from there, make another one (knowdefeat token new NAME --scope admin), or first put it out: "
                f"knowdefeat token revoke {FIRST}"
            )
        token = new_token(connection, FIRST, "admin")
        kept.keep(FIRST, token)
    return token


def offer_login(connection: psycopg.Connection, code: str) -> None:
    """Let a browser in by this code, once, and by none that was offered before."""
    with connection.transaction():
        connection.execute("DELETE FROM login_codes")
        connection.execute("INSERT INTO login_codes (hash) VALUES (%s)", (hash_of(hash_of(code)),))


def take_login(connection: psycopg.Connection, code: str, lifetime: timedelta) -> str | None:
    """A token of its own for the browser that brings the code, which lets do everything; None where the code is another
    one or was used already."""
    token = _random_token()
    made = connection.execute(
        "SELECT log_browser_in(%s, %s, %s, %s)",
        (hash_of(code), f"browser {secrets.token_hex(4)}", hash_of(token), lifetime),
    ).fetchone()
    return token if made == (True,) else None


class Holder(NamedTuple):
    """Whoever asks: the name of the token, and what it lets do."""

    name: str
    scope: Scope


def holder_of(connection: psycopg.Connection, token: str) -> Holder | None:
    """Whose token it is; None for one that is unknown, revoked or has expired."""
    row = connection.execute(
        "SELECT name, scope FROM api_tokens "
        "WHERE hash = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        (hash_of(token),),
    ).fetchone()
    return Holder(*row) if row else None


def scope_of(connection: psycopg.Connection, token: str) -> Scope | None:
    """What a token lets do now; None for one that does not count."""
    holder = holder_of(connection, token)
    return None if holder is None else holder.scope


def tokens(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every token with its state, the latest last; of the tokens themselves nothing is known."""
    return records(connection, query("web/tokens"), {})


def revoke(connection: psycopg.Connection, name: str) -> None:
    """Let a token count no more, from the next request on. Raises TokenError where none of that name counts."""
    done = connection.execute(
        "UPDATE api_tokens SET revoked_at = now() WHERE name = %s AND revoked_at IS NULL", (name,)
    )
    if done.rowcount == 0:
        raise TokenError(f"There is no token {shortened(printable(name))} that counts. List them: knowdefeat token")
