"""The pages and the API: python -m knowdefeat_pipeline.web.serve --port 3000 [--login HASH] [--dagster ADDRESS] ..."""

from __future__ import annotations

import argparse
import logging
from types import FrameType

import uvicorn

from knowdefeat_pipeline.automation.loopback import require_loopback
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import migrations, roles
from knowdefeat_pipeline.postgres.connection import connect, database_url, open_pool
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.web.access import Login
from knowdefeat_pipeline.web.app import make_app
from knowdefeat_pipeline.web.live import LiveResults
from knowdefeat_pipeline.web.site import Site

MOST_CONNECTIONS = 6
GRACE = 1  # seconds for requests that are under way when the process is to end

logger = logging.getLogger("knowdefeat.web")


class Server(uvicorn.Server):
    """Ends the streams of events first: uvicorn waits for whoever is still being answered."""

    live: LiveResults

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's."""
        self.live.end()
        super().handle_exit(sig, frame)


def web_url(settings: Settings) -> str:
    """The database's URL for the role knowdefeat_web, or this user's own where he may not make roles."""
    url = database_url(settings)
    migrations.require_current(url)
    with connect(url) as connection:
        missing = roles.lacking(connection)
    if missing is not None:
        logger.warning("The pages have all rights of this user: %s", missing)
        return url
    return roles.login_url(url, roles.ROLES["web"].name, roles.kept_passwords(settings, url))


def main() -> None:
    """Serve them on a loopback address until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[], help="a further name under which browsers may ask")
    parser.add_argument("--login", help="the hash of the code that lets a browser in once, at /login?code=CODE")
    parser.add_argument("--dagster", help="the address of Dagster's UI, to which pages lead")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        require_loopback(chosen.host)
        url = web_url(Settings.from_environment())
    except KnowDefeatError as error:
        parser.error(str(error))
    live = LiveResults(url)
    app = make_app(Site(open_pool(url, MOST_CONNECTIONS), live, chosen.dagster), Login(chosen.login), chosen.allow_host)
    # No access log: it would have the codes of logins.
    config = uvicorn.Config(
        app, host=chosen.host, port=chosen.port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=GRACE,
    )  # fmt: skip
    server = Server(config)
    server.live = live
    server.run()


if __name__ == "__main__":
    main()
