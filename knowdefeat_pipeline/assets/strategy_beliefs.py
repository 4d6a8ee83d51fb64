"""`strategy_beliefs`: what is believed of every strategy, as things stand and under each regime; its calibration."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.beliefs.daily import Memory, entry_between, memories_at, stretches, with_microseconds
from knowdefeat_pipeline.core.beliefs.ledger import clock
from knowdefeat_pipeline.core.beliefs.state import Rules
from knowdefeat_pipeline.core.beliefs.strategy_figures import AS_THINGS_STAND, strategy_calibration, strategy_figures
from knowdefeat_pipeline.core.market.regimes import REGIMES
from knowdefeat_pipeline.core.schema import BELIEFS, TABLES
from knowdefeat_pipeline.core.units import DAY, WINDOW_DAYS, micros
from knowdefeat_pipeline.store.belief_checkpoints import (
    begin_learning,
    checkpoint_before,
    worth_keeping,
    write_checkpoints,
)
from knowdefeat_pipeline.store.learning_ledger import entries as ledger_entries
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.staleness import mark, marks

PREVIEW = ("strategy_id", "regime", "win_rate", "accuracy_improvement", "edge", "edge_low", "edge_high", "confidence")
LINEAGE = {
    f.name: [("trades", column) for column in ("bot_id", "strategy_id", "exit_time", "pnl")] for f in BELIEFS[2:]
}
CHECKS = [
    dg.AssetCheckSpec(
        "beliefs_are_finite",
        asset="strategy_beliefs",
        blocking=True,
        description="Every figure is a finite number, and every probability lies in its interval.",
    ),
]


@catalogue.belief_asset(
    deps=["trades", "bot_metrics", "market_regimes"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("strategy_beliefs", TABLES["strategy_beliefs"], LINEAGE),
    description="Win rate and edge of each strategy with 90 % intervals, learned from its outcomes, as things stand "
    "('*') and under each market regime; calibration of stated confidence.",
)
def strategy_beliefs(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    learned = compute(database, first, last)
    rows = learned.beliefs
    catalogue.describe(context, rows, each_day(first, last), PREVIEW)
    context.add_asset_metadata(
        {
            "statement": learned.statement,
            "outcomes folded": learned.outcomes,
            "first folded": str(learned.since or "the first"),
        },
        partition_key=last.isoformat(),
    )
    numbers = rows.select_dtypes("float64").to_numpy()
    wrong = int(
        (~np.isfinite(numbers)).sum() + (~rows["win_rate"].between(rows["win_rate_low"], rows["win_rate_high"])).sum()
    )
    yield dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=wrong == 0, metadata={"wrong": wrong, "figures": numbers.size})]
    )


@dataclass(frozen=True)
class Learned:
    """The rows written, and how they came about: outcomes folded, those after `since` (None: all)."""

    beliefs: pd.DataFrame
    outcomes: int
    since: datetime | None

    @property
    def statement(self) -> str:
        """What is believed on the last day, in a sentence."""
        last = self.beliefs[self.beliefs["regime"] == AS_THINGS_STAND]
        if last.empty:
            return "No outcome has been learned."
        last = last[last["day"] == last["day"].max()]
        best = last.loc[last["edge"].idxmax()]
        return (
            f"Of {len(last):,} strategies, {best['strategy_id']} is believed to have the largest edge: "
            f"{best['edge']:+.3f} R a trade, {best['edge_low']:+.3f} to {best['edge_high']:+.3f} with 90 % credibility."
        )


def compute(database: Database, first: date, last: date) -> Learned:
    """Replace the days first..last, as far as they were refreshed; what was learned."""
    rules = Rules()
    with database.connect() as connection:
        seen = begin_learning(connection, repr(rules))
        days = [(day, at) for day, at, _ in marks(connection, "bot_metrics", first, last)]
        now = regimes_held(database, first, last)
        beliefs, kept, counts, starts = [_empty("strategy_beliefs")], [], [], []
        for part in _parts(database, connection, days, rules):
            starts.append(part.since)
            counts.append(part.outcomes)
            for day, at, memory in part.memories:
                beliefs.append(_figures(day, at, memory, now.get(day, {}), rules))
                kept += [(day, at, memory)] if worth_keeping(day, last) else []
        rows, calibration = pd.concat(beliefs, ignore_index=True), _calibration(database, days)
        with connection.transaction():
            for table, frame in (("strategy_beliefs", rows), ("strategy_calibration", calibration)):
                replace_days(connection, table, first, last, pa.Table.from_pandas(frame, preserve_index=False))
            write_checkpoints(connection, first, last, repr(rules), kept)
            mark(connection, "strategy_beliefs", [(day, at, seen) for day, at in days])
    return Learned(rows, sum(counts), starts[0] if starts else None)


@dataclass(frozen=True)
class _Part:
    """Days between which no entry of the ledger comes into force, learned from `since` (None: the beginning) on."""

    since: datetime | None
    outcomes: int
    memories: Iterator[tuple[date, datetime, Memory]]


def _parts(
    database: Database, connection: psycopg.Connection, days: list[tuple[date, datetime]], rules: Rules
) -> Iterator[_Part]:
    entries, instants = ledger_entries(connection), micros([at for _, at in days])
    for piece in stretches(instants, entries):
        since, memory = None, Memory.empty(rules)
        found = checkpoint_before(connection, days[piece][0][0])
        if found and not entry_between(entries, micros([found[0]])[0], instants[piece][0]):
            since, memory = found
        rows = with_microseconds(database.read("beliefs/belief_outcomes", since or "-infinity", days[piece][-1][1]))
        memories = memories_at(memory, rows, instants[piece], entries, rules)
        yield _Part(since, len(rows), ((day, at, held) for (day, at), held in zip(days[piece], memories, strict=True)))


def regimes_held(database: Database, first: date, last: date) -> dict[date, dict[str, float]]:
    """The shares of the regimes that hold at each day's as_of."""
    rows = database.read("beliefs/belief_regimes", first, last).to_pandas()
    found: dict[date, dict[str, float]] = {}
    for row in rows[rows["label"].isin(REGIMES)].itertuples():
        found.setdefault(row.day, {})[row.label] = row.share
    return found


def _figures(day: date, at: datetime, memory: Memory, now: dict[str, float], rules: Rules) -> pd.DataFrame:
    rows = strategy_figures(memory.state, float(clock(micros([at])[0])), rules, now)
    return _of_day("strategy_beliefs", day, at, rows)


def _calibration(database: Database, days: list[tuple[date, datetime]]) -> pd.DataFrame:
    """Rows of `strategy_calibration` for all days."""
    tables = [_empty("strategy_calibration")]
    if days:
        window = timedelta(days=WINDOW_DAYS)
        trades = with_microseconds(database.read("beliefs/stated_confidence", days[0][1] - window, days[-1][1]))
        ends = micros([at for _, at in days])
        stops = np.searchsorted(trades["exit_time"], ends, side="right")
        starts = np.searchsorted(trades["exit_time"], ends - WINDOW_DAYS * DAY, side="right")
        for (day, at), start, stop, end in zip(days, starts, stops, ends, strict=True):
            rows = strategy_calibration(trades.iloc[start:stop], int(end))
            rows["reliability"] = rows["reliability"].map(json.dumps)
            tables.append(_of_day("strategy_calibration", day, at, rows))
    return pd.concat(tables, ignore_index=True)


def _empty(table: str) -> pd.DataFrame:
    return pd.DataFrame(columns=[figure.name for figure in TABLES[table]])


def _of_day(table: str, day: date, at: datetime, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(day=day, as_of=at)[[figure.name for figure in TABLES[table]]]
