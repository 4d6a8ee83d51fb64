"""`live`: refresh within a fraction of a second of a trade's commit."""

from __future__ import annotations

import gc
import signal
import threading

from knowdefeat_pipeline.cli.database import computing_url
from knowdefeat_pipeline.cli.views.output import err, out
from knowdefeat_pipeline.settings import Settings


def live() -> None:
    """Listen for new trades and refresh what they touch at once; Ctrl-C stops. Part of `up`."""
    settings = Settings.from_environment()
    url = computing_url(settings)
    with err.status("Starting the live listener"):
        from knowdefeat_pipeline.assets.calendar import Calendar
        from knowdefeat_pipeline.assets.resources import Clock
        from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
        from knowdefeat_pipeline.automation.live import Listener
        from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
        from knowdefeat_pipeline.automation.webhooks import Webhook, deliver
        from knowdefeat_pipeline.build import build_defs

        report = LiveReport(open_instance, parents_of(build_defs(settings=settings)), settings.live_report_seconds)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What was loaded stays; to look through it for garbage again and again would delay a batch now and then.
    gc.collect()
    gc.freeze()

    def say(line: str) -> None:
        out.print(line)

    webhook = Webhook.of(settings)
    if webhook:
        # Apart from the listener: whoever takes events slowly holds up no trade. It ends with the process, and what it
        # was sending then is sent again.
        told = (url, webhook, settings, say, lambda: False)
        threading.Thread(target=deliver, args=told, name="webhook", daemon=True).start()
    try:
        Listener(url, Calendar(settings.first_day, settings.chunk_days), Clock().now, say, report).run()
    except KeyboardInterrupt:
        report.send(say)
        out.print("Stopped.")
