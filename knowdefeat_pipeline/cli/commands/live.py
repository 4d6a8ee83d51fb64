"""`live`: refresh within a fraction of a second of a trade's commit."""

from __future__ import annotations

import signal

from knowdefeat_pipeline.cli.database import current_url
from knowdefeat_pipeline.cli.options import CommandError
from knowdefeat_pipeline.cli.views.output import err, out


def live() -> None:
    """Listen for new trades and refresh what they touch at once; Ctrl-C stops. Part of `up`."""
    url = current_url()
    with err.status("Starting the live listener"):
        from knowdefeat_pipeline.assets.resources import Clock
        from knowdefeat_pipeline.automation.live import AlreadyListening, Listener, live_definitions
        from knowdefeat_pipeline.build import build_defs

        definitions = live_definitions(url, build_defs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Listener(url, definitions, lambda line: out.print(line, markup=False, highlight=False), Clock()).run()
    except AlreadyListening as error:
        raise CommandError(f"{error} Stop that one first; two would only wait for each other.") from None
    except KeyboardInterrupt:
        out.print("Stopped.")
