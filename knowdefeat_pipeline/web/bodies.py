"""Bodies of requests: how large one may be, of which type, and how it becomes a file that can be read; and answers
without one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path, PurePath

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

from knowdefeat_pipeline.sources.signatures import GZIP
from knowdefeat_pipeline.web.guard import App, Message, Receive, Scope, Send
from knowdefeat_pipeline.web.problems import Problem

MOST_OF_A_FILE = 2**26
MOST = 2**20  # bytes of any other body
CHUNK = 2**16
FILES: Mapping[str, str] = {
    "text/csv": ".csv",
    "application/x-ndjson": ".ndjson",
    "application/json": ".json",
    "application/vnd.apache.arrow.stream": ".arrow",
    "application/vnd.apache.parquet": ".parquet",
}
"""The types of files of trades that a program sends, and what such files are called."""


def bounded(app: App, files: Mapping[str, int]) -> App:
    """The app, which is handed no more of a body than it may have. `files`: the paths of larger ones."""

    async def within(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        most, had = files.get(scope["path"].rstrip("/"), MOST), 0
        stated = dict(scope["headers"]).get(b"content-length", b"0")

        async def receiving() -> Message:
            nonlocal had
            if stated.isdigit() and int(stated) > most:
                raise too_large(most)
            message = await receive()
            had += len(message.get("body", b""))
            if had > most:
                raise too_large(most)
            return message

        await app(scope, receiving, send)

    return within


def answering_head(app: App, but: str) -> App:
    """The app, which answers HEAD as GET without the body. `but`: the path of an address that counts once, which a
    program that looks whether it is there must not use up."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] == but:
            await app(scope, receive, send)
            return
        is_told = False

        async def sending(message: Message) -> None:
            nonlocal is_told
            if message["type"] == "http.response.start":
                await send(message)
            elif not is_told:  # a stream would never end
                is_told = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await app({**scope, "method": "GET"}, receive, sending)

    return answering


def too_large(most: int) -> HTTPException:
    """What is said of a body of more than so many bytes: of the kind that FastAPI lets through where it reads one."""
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"A body may have {most:,} bytes here. Send it in parts, gzipped, or load it as a file: knowdefeat ingest FILE",
    )


def takes(*types: str) -> Callable[[Request], None]:
    """A dependency of a route: lets on bodies of these types. Raises Problem: 415 for others."""

    def check(request: Request) -> None:
        given = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if given not in types:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"This takes {' or '.join(types)}: say which by Content-Type"
            )

    return check


@asynccontextmanager
async def received(request: Request) -> AsyncIterator[Path]:
    """The body as a file, gone at the end; one that is gzipped stays so. Raises Problem."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A body may be gzipped (Content-Encoding: gzip), or not")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    with _file(FILES.get(kind, "")) as file:
        begin = b""
        async for chunk in request.stream():
            begin = begin or chunk[: len(GZIP)]
            file.write(chunk)
        file.flush()
        if encoding == "gzip" and not begin.startswith(GZIP):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not gzipped, as Content-Encoding says it is")
        yield Path(file.name)


@asynccontextmanager
async def uploaded(upload: UploadFile) -> AsyncIterator[Path]:
    """A file that was chosen on a page, gone at the end."""
    with _file("".join(PurePath(upload.filename or "").suffixes[-2:])) as file:
        while chunk := await upload.read(CHUNK):
            file.write(chunk)
        file.flush()
        yield Path(file.name)


def _file(suffix: str) -> tempfile._TemporaryFileWrapper[bytes]:
    plain = suffix if suffix.replace(".", "").isalnum() and len(suffix) < 20 else ""
    return tempfile.NamedTemporaryFile(prefix="knowdefeat-", suffix=plain)
