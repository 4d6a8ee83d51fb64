"""What Prometheus is told: every metric's name, meaning and labels, once, and its samples by one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg
from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.postgres.last_backup import last_backup
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.locks import LISTENER_LOCK
from knowdefeat_pipeline.web.answers import Answer

PREFIX = "knowdefeat_"
CURRENCY, ASSET, BOT = ("quote_currency",), ("asset",), ("bot", "quote_currency")


@dataclass(frozen=True)
class Gauge:
    """A metric: its name behind the prefix, what it means, and by what it is told apart."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


GAUGES = (
    Gauge("bots", "Bots in the last ranking.", CURRENCY),
    Gauge("active_bots", "Those of them that may receive funds.", CURRENCY),
    Gauge("ranked_bots", "Those of them that have a rank.", CURRENCY),
    Gauge("halted_bots", "Those of them that the risk rules halt.", CURRENCY),
    Gauge("pnl_1d", "Net pnl of 24 hours, in the currency of the label.", CURRENCY),
    Gauge("pnl_7d", "Net pnl of 7 days, in the currency of the label.", CURRENCY),
    Gauge("pnl_30d", "Net pnl of 30 days, in the currency of the label.", CURRENCY),
    Gauge("open_pnl", "What open trades have gained before fees, in the currency of the label.", CURRENCY),
    Gauge("open_trades", "Open trades.", CURRENCY),
    Gauge("funds", "What was to be allocated, in the currency of the label.", CURRENCY),
    Gauge("allocated_funds", "What bots were allocated, in the currency of the label.", CURRENCY),
    Gauge("asset_days", "Computed days of an asset.", ASSET),
    Gauge("asset_as_of_timestamp_seconds", "When the latest figures of an asset are true, since 1970.", ASSET),
    Gauge("asset_refreshed_timestamp_seconds", "When a day of an asset was last computed, since 1970.", ASSET),
    Gauge("bot_rank", "Place of a bot; only with ?bots=N.", BOT),
    Gauge("bot_rank_score", "Score of a bot, 0 to 100; only with ?bots=N.", BOT),
    Gauge("bot_skill_probability", "P(edge > 0) of a bot; only with ?bots=N.", BOT),
    Gauge("bot_pnl_30d", "Net pnl of a bot of 30 days, in the currency of the label; only with ?bots=N.", BOT),
    Gauge("bot_funds", "What a bot was allocated, in the currency of the label; only with ?bots=N.", BOT),
    Gauge("held_rows", "Rows that were refused and wait to be mended."),
    Gauge("database_size_bytes", "What the database takes on disk."),
    Gauge("listener_running", "1 while a live listener runs, else 0."),
    Gauge("last_backup_timestamp_seconds", "When the last backup from this home was complete, since 1970."),
    Gauge("viewers", "Streams of events that are open: browsers that look at a page."),
)


@dataclass(frozen=True)
class _Samples(Collector):
    """One scrape."""

    values: dict[str, list[tuple[list[str], float]]]

    def collect(self) -> Iterator[Metric]:
        """The metrics that have a sample, in the order of the table, and those of the process."""
        for gauge in GAUGES:
            found = self.values.get(gauge.name, [])
            if found:
                family = GaugeMetricFamily(PREFIX + gauge.name, gauge.meaning, labels=gauge.labels)
                for labels, value in found:
                    family.add_metric(labels, value)
                yield family
        yield from ProcessCollector(registry=None).collect()


def scrape(connection: psycopg.Connection, settings: Settings, viewers: int, bots: int, accept: str) -> Answer:
    """What a scrape is answered, in the form that `accept` asks for. `bots`: of how many bots, the best first."""
    rows: Iterable[tuple[str, list[str], float | None]] = connection.execute(
        query("web/gauges"), {"lock": LISTENER_LOCK, "bots": bots}
    ).fetchall()
    values: dict[str, list[tuple[list[str], float]]] = {"viewers": [([], viewers)]}
    backup = last_backup(settings.home)
    if backup:
        values["last_backup_timestamp_seconds"] = [([], backup.at.timestamp())]
    for name, labels, value in rows:
        if value is not None:
            values.setdefault(name, []).append((labels, value))
    encode, media_type = choose_encoder(accept)
    return Answer(encode(_Samples(values)), media_type)
