"""What all routes of the process share: connections, the version of the results, and what was computed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, cast

import psycopg
from fastapi import Depends, Request, Response
from psycopg_pool import ConnectionPool

from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.web.answers import Answer, AnswerCache, respond
from knowdefeat_pipeline.web.intake import Intake
from knowdefeat_pipeline.web.live import LiveResults

Read = Callable[[psycopg.Connection], Answer]


class Site:
    """`pool`: connections of the role knowdefeat_web. `intake`: by which trades are recorded. `dagster`: the address of
    Dagster's UI, None without one."""

    def __init__(
        self,
        pool: ConnectionPool,
        live: LiveResults,
        intake: Intake,
        dagster: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.pool, self.live, self.intake, self.dagster = pool, live, intake, dagster
        self.settings = settings or Settings()
        self.answers = AnswerCache()

    def connection(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection in autocommit mode, for as long as the `with` lasts. Raises PoolTimeout."""
        return cast(AbstractContextManager[psycopg.Connection], self.pool.connection())

    @contextmanager
    def snapshot(self) -> Iterator[psycopg.Connection]:
        """A connection whose statements all see the same, and write nothing."""
        with self.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    def answer(self, request: Request, read: Read, *, results: bool = True, viewer: str = "") -> Response:
        """What `read` makes of the database, computed once a version; or 304.

        `results`: whether it rests on results and decisions alone; else it is read at every request. `viewer`: for whom
        it is, where not all are shown the same.
        """

        def compute() -> Answer:
            with self.snapshot() as connection:
                return read(connection)

        if not results:
            answer = compute()
            return respond(request, answer, answer.etag)
        asked = f"{request.url.path}?{request.url.query} {viewer}"
        return respond(request, *self.answers.get(asked, lambda: self.live.version, compute))


def _site(request: Request) -> Site:
    return cast(Site, request.app.state.site)


Shared = Annotated[Site, Depends(_site)]
"""The site, as a parameter of a route."""
