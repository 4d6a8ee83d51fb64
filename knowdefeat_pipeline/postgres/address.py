"""The database's address for each of our own programs, with no more rights than its work needs.

On the embedded server what computes, reads and records runs logs in as `knowdefeat_pipeline`, and what migrates or
replaces definitions as `knowdefeat_owner`. Its first user, a superuser, makes the roles and their passwords and does
nothing else. On another server all of them are the user of the URL that was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from knowdefeat_pipeline.postgres.roles import OWNER, PIPELINE
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import Settings

Notify = Callable[[str], None]


def database_url(settings: Settings, notify: Notify | None = None) -> str:
    """The `postgresql://` URL of the database for what computes and reads; the embedded server is started if need be.

    `notify` hears of what had to be changed for that outside of the home. Raises EmbeddedPostgresError.
    """
    return _given(settings) or EmbeddedPostgres(settings.home, notify).url_as(PIPELINE)


def owner_url(settings: Settings, notify: Notify | None = None) -> str:
    """The same for what changes the schema: on the embedded server all of ours belongs to the owner from here on.

    What a superuser made or restored, as earlier versions did, is handed over first. Raises EmbeddedPostgresError.
    """
    if given := _given(settings):
        return given
    server = EmbeddedPostgres(settings.home, notify)
    server.hand_over()
    return server.url_as(OWNER)


def administrator_url(settings: Settings, notify: Notify | None = None) -> str:
    """The same for who makes roles and passwords. Raises EmbeddedPostgresError."""
    return _given(settings) or EmbeddedPostgres(settings.home, notify).ensure_running()


def _given(settings: Settings) -> str | None:
    if settings.database_url is None:
        return None
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", settings.database_url.strip())
