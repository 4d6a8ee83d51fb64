"""The pages and the API: python -m knowdefeat_pipeline.web.serve --port 3000 [--dagster ADDRESS] ...

It needs no more than the rights of knowdefeat_web: `knowdefeat up` gives it the address of that role as
KNOWDEFEAT_DATABASE_URL, and as KNOWDEFEAT_INTAKE_URL that of the role as which its recorder writes trades.
"""

from __future__ import annotations

import argparse
import logging
from types import FrameType

import uvicorn

from knowdefeat_pipeline.automation.loopback import require_loopback
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import open_pool
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.web.app import make_app
from knowdefeat_pipeline.web.intake import Intake
from knowdefeat_pipeline.web.live import LiveResults
from knowdefeat_pipeline.web.site import Site

MOST_CONNECTIONS = 6
GRACE = 1  # seconds for requests that are under way when the process is to end


class Server(uvicorn.Server):
    """Ends the streams of events first: uvicorn waits for whoever is still being answered."""

    live: LiveResults

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's."""
        self.live.end()
        super().handle_exit(sig, frame)


def main() -> None:
    """Serve them on a loopback address until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--trusted-network", action="store_true", help="let --host be another one (see loopback.py)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[], help="a further name under which browsers may ask")
    parser.add_argument("--dagster", help="the address of Dagster's UI, to which pages lead")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        require_loopback(chosen.host, chosen.trusted_network)
        settings = Settings.from_environment()
        url = database_url(settings)
        migrations.require_current(url)
    except KnowDefeatError as error:
        parser.error(str(error))
    live = LiveResults(url)
    intake = Intake(settings.intake_url or url)
    site = Site(open_pool(url, MOST_CONNECTIONS), live, intake, chosen.dagster, settings)
    app = make_app(site, chosen.allow_host)
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
