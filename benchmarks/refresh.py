"""A refresh of the database end to end, beside the bare bulk read of the same trades.

    python -m benchmarks.refresh [--bots 1000] [--per-bot 1000] [--json]

Figures: one day (read, compute, write) and 90 days as one Dagster run over the whole chain, each as a multiple of the
bare read (90 days of which nothing was computed yet, and the same days once more); and one new trade with ten times the
history, as a multiple of the same with the history.
"""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from functools import partial
from typing import Any

from benchmarks.common import END, alone, database, fleet, report, store, timed

HISTORY_DAYS = 90


def one_day_and_ninety(bots: int, per_bot: int, repeat: int) -> dict:
    """Bare read, one day, and 90 days over the same trades."""
    from knowdefeat_pipeline.postgres.connection import query, read_arrow

    with database() as url:
        store(url, fleet(bots, per_bot, 30))
        since = END - timedelta(days=400)
        day = (END - timedelta(days=1)).date()
        bare = timed(lambda: read_arrow(url, query("trades/read_trades"), [since, END]), repeat)
        once = timed(lambda: _compute(url, day, day), repeat)
    with database() as url:
        store(url, fleet(bots, per_bot, HISTORY_DAYS))
        bare_90 = timed(lambda: read_arrow(url, query("trades/read_trades"), [since, END]), repeat)
        ninety, again = _chain(url, END - timedelta(days=HISTORY_DAYS), day, repeat)
    return {"bare": bare, "day": once, "bare_90": bare_90, "ninety": ninety, "again": again}


def one_trade(bots: int, per_bot: int, days: float, repeat: int) -> dict:
    """A refresh of the last day after one new trade of one bot."""
    from knowdefeat_pipeline.postgres.connection import connect

    with database() as url:
        store(url, fleet(bots, per_bot, days))
        day = (END - timedelta(days=1)).date()
        exits = iter(END - timedelta(seconds=n) for n in range(1, 10_000))

        def work() -> None:
            with connect(url) as connection:
                moment = next(exits)
                connection.execute(
                    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
                    " exit_price, notional) VALUES (1, 'ETH', 'LONG', 'closed', %s, %s, 100, 101, 1000)",
                    (moment - timedelta(hours=1), moment),
                )
            _compute(url, day, day)

        return timed(work, repeat)


def _compute(url: str, first: Any, last: Any) -> None:
    from knowdefeat_pipeline.steps.metrics import compute_metrics
    from knowdefeat_pipeline.store.session import open_session

    with open_session(url) as session:
        session.begin(first)
        compute_metrics(session, first, last, END)


def _chain(url: str, first: Any, last: Any, repeat: int) -> tuple[dict, dict]:
    """The days for the first time, and again."""
    os.environ["KNOWDEFEAT_DATABASE_URL"] = url
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import refresh_days
    from knowdefeat_pipeline.definitions import defs

    with open_instance() as instance:
        work = partial(refresh_days, defs, instance, first.date(), last)
        return timed(work, repeat, before=lambda: _forget(url)), timed(work, max(1, repeat // 2))


def _forget(url: str) -> None:
    from knowdefeat_pipeline.core.schema import TABLES
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.store.tables import stored

    with connect(url) as connection:
        kept = "bot_days_rows, open_positions, slow_results, bot_months, bot_months_state, refreshed_days"
        connection.execute(f"TRUNCATE {', '.join(map(stored, TABLES))}, {kept}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=1000)
    parser.add_argument("--per-bot", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    whole = alone(one_day_and_ninety, chosen.bots, chosen.per_bot, chosen.repeat)
    # A tenth of the trades and their ten-fold: the same trades a day, ten times as many days.
    short = alone(one_trade, chosen.bots, chosen.per_bot // 10, HISTORY_DAYS, chosen.repeat)
    long = alone(one_trade, chosen.bots, chosen.per_bot, 10 * HISTORY_DAYS, chosen.repeat)
    figures = whole | {
        "day_ratio": whole["day"]["wall"] / whole["bare"]["wall"],
        "ninety_ratio": whole["ninety"]["wall"] / whole["bare_90"]["wall"],
        "again_ratio": whole["again"]["wall"] / whole["bare_90"]["wall"],
        "short": short,
        "long": long,
        "history_ratio": long["wall"] / short["wall"],
    }
    rows = [
        ("bare read", f"{whole['bare']['wall']:.2f} s"),
        ("one day: read, compute, write", f"{whole['day']['wall']:.2f} s, {figures['day_ratio']:.2f} × the bare read"),
        (
            "90 days: one run, whole chain",
            f"{whole['ninety']['wall']:.2f} s, {figures['ninety_ratio']:.2f} × the bare read"
            f" of {whole['bare_90']['wall']:.2f} s",
        ),
        ("the same days again", f"{whole['again']['wall']:.2f} s, {figures['again_ratio']:.2f} ×"),
        (
            "one new trade",
            f"{short['wall']:.3f} s; with ten times the history {long['wall']:.3f} s, {figures['history_ratio']:.2f} ×",
        ),
        ("peak memory", f"{whole['peak_mb']:,.0f} MB"),
    ]
    report(f"{chosen.bots:,} bots × {chosen.per_bot:,} trades in PostgreSQL", rows, figures, chosen.json)


if __name__ == "__main__":
    main()
