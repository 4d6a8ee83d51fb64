"""Work beside the process of the pages: what reads much has a process of its own, which ends with it; one at a time.

A module that is asked so reads what it is asked for from standard input and writes what it found to standard output,
JSON both, with the rights of the pages.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from knowdefeat_pipeline.settings import handed_on
from knowdefeat_pipeline.web.answers import as_json
from knowdefeat_pipeline.web.problems import Problem

PATIENCE = 120  # seconds
RETRY_AFTER = "10"  # seconds
_turn = threading.Lock()
logger = logging.getLogger("knowdefeat.web")


def found_aside(module: str, url: str, asked: Mapping[str, Any]) -> Any:
    """What the module finds in the database at `url`. Raises Problem: 429 while another one is at work."""
    if not _turn.acquire(blocking=False):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Another backtest or preview is under way; try again.",
            {"Retry-After": RETRY_AFTER},
        )
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=as_json(asked).body,
            env=os.environ | handed_on(database_url=url),  # in no list of processes
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"It took more than {PATIENCE} s; look at fewer days.") from None
    except subprocess.CalledProcessError as error:
        logger.error("%s failed: %s", module, error.stderr.decode(errors="replace"))
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The history could not be read; the log says why.") from None
    finally:
        _turn.release()
    return json.loads(done.stdout)
