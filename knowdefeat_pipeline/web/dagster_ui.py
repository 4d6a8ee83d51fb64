"""Dagster's UI behind the guard: python -m knowdefeat_pipeline.web.dagster_ui --port 3000 [--allow-host NAME] ..."""

from __future__ import annotations

import argparse
import logging
from functools import partial

from knowdefeat_pipeline.automation.dagster_internals.webserver import serve
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.web.guard import guarded


def main() -> None:
    """Serve it on a loopback address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[])
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serve(ROOT / "workspace.yaml", chosen.host, chosen.port, partial(guarded, hosts=chosen.allow_host))


if __name__ == "__main__":
    main()
