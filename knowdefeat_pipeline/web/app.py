"""The web application: the API and the pages over one site, everything behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from knowdefeat_pipeline.web import document, problems
from knowdefeat_pipeline.web.access import log_in, refuses_bad_tokens
from knowdefeat_pipeline.web.api import (
    bots,
    funds,
    imports,
    rankings,
    regimes,
    scanstream,
    status,
    strategies,
    trades,
    weights,
)
from knowdefeat_pipeline.web.bodies import MOST_OF_A_FILE, answering_head, bounded
from knowdefeat_pipeline.web.guard import App, guarded
from knowdefeat_pipeline.web.live import reading_anew
from knowdefeat_pipeline.web.pages import bot as bot_page
from knowdefeat_pipeline.web.pages import compare, data, docs, fleet, operations, ranking
from knowdefeat_pipeline.web.pages import funds as funds_page
from knowdefeat_pipeline.web.pages import learning as learning_page
from knowdefeat_pipeline.web.pages import regimes as regimes_page
from knowdefeat_pipeline.web.pages import weights as weights_page
from knowdefeat_pipeline.web.pages.rendering import error_page
from knowdefeat_pipeline.web.site import Shared, Site

STATIC = Path(__file__).parent / "static"
API = "/api/v1"
LOGIN = "/login"
LARGE = (f"{API}/trades/bulk", "/data/upload")  # where files come in


def make_app(site: Site, hosts: Iterable[str] = ()) -> App:
    """The app behind the guard. It opens the site's connections when it starts, and closes them when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(site.pool.open)
        hearing = asyncio.create_task(site.live.hear())
        try:
            yield
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            await asyncio.to_thread(site.intake.close)
            await asyncio.to_thread(site.pool.close, 1.0)

    app = FastAPI(
        title="KnowDefeat Pipeline",
        description="Which trading bots are good, which were lucky, and where the money should go next.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.site = site
    problems.install(app, error_page)
    document.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    for of in (rankings, bots, trades, imports, weights, strategies, funds, regimes, status):
        app.include_router(of.router, prefix=API, dependencies=[Depends(refuses_bad_tokens)])
    app.include_router(scanstream.router, dependencies=[Depends(refuses_bad_tokens)])
    pages = (
        fleet, ranking, bot_page, compare, weights_page, learning_page, regimes_page, funds_page, data, operations, docs
    )  # fmt: skip
    for page in pages:
        app.include_router(page.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get(LOGIN, include_in_schema=False)
    def login_once(request: Request, site: Shared, code: str) -> Response:
        return log_in(request, site, code)

    @app.get("/api/{path:path}", include_in_schema=False)
    def unknown(path: str) -> None:
        raise problems.Problem(HTTPStatus.NOT_FOUND, f"There is nothing at /api/{path}. See: /docs")

    bodies = bounded(reading_anew(app, site.live), dict.fromkeys(LARGE, MOST_OF_A_FILE))
    return guarded(answering_head(bodies, but=LOGIN), hosts)
