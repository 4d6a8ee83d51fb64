"""Dagster's UI behind the guard: python -m knowdefeat_pipeline.web.dagster_ui --port 3000 [--allow-host NAME] ..."""

from __future__ import annotations

import argparse
import logging
import os
from functools import partial

from knowdefeat_pipeline.automation.dagster_internals.webserver import serve
from knowdefeat_pipeline.automation.loopback import require_loopback
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.settings import Settings, workspace
from knowdefeat_pipeline.web.guard import guarded


def main() -> None:
    """Serve it on a loopback address until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--trusted-network", action="store_true", help="let --host be another one (see loopback.py)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[], help="a further name under which browsers may ask")
    chosen = parser.parse_args()
    try:
        require_loopback(chosen.host, chosen.trusted_network)
    except KnowDefeatError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    file, named = workspace(Settings.from_environment())
    os.environ |= named
    serve(file, chosen.host, chosen.port, partial(guarded, hosts=chosen.allow_host))


if __name__ == "__main__":
    main()
