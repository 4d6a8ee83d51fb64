"""What is believed of strategies: `strategy_beliefs` with their calibration, and `strategy_weights`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.beliefs.daily import Memory, entry_between, memories_at, stretches, with_microseconds
from knowdefeat_pipeline.core.beliefs.ledger import clock
from knowdefeat_pipeline.core.beliefs.state import Rules
from knowdefeat_pipeline.core.beliefs.strategy_figures import (
    AS_THINGS_STAND,
    WEIGHTS,
    HeldWeights,
    strategy_calibration,
    strategy_figures,
    strategy_weights,
)
from knowdefeat_pipeline.core.market.labels import PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.units import DAY, WINDOW_DAYS, micros
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult
from knowdefeat_pipeline.store.belief_checkpoints import (
    begin_learning,
    checkpoint_before,
    learn_alone,
    worth_keeping,
    write_checkpoints,
)
from knowdefeat_pipeline.store.learning_ledger import entries as ledger_entries
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import Mark, current_snapshot, mark, marks

CHECKS = (
    CheckSpec(
        "strategy_beliefs",
        "beliefs_are_finite",
        "Every figure is a finite number, and every probability lies in its interval.",
    ),
    CheckSpec(
        "strategy_weights",
        "weights_sum_to_one",
        "The weights of each day, as things stand and under each regime, are not negative and sum to exactly 1.",
    ),
)


@dataclass(frozen=True)
class LearnedDays(StepResult):
    """The beliefs of each day, and how they came about: outcomes folded, those after `since` (None: all)."""

    outcomes: int = 0
    since: datetime | None = None

    @property
    def statement(self) -> str:
        """What is believed on the last day, in a sentence."""
        last = self.rows[self.rows["regime"] == AS_THINGS_STAND]
        if last.empty:
            return "No outcome has been learned."
        last = last[last["day"] == last["day"].max()]
        best = last.loc[last["edge"].idxmax()]
        return (
            f"Of {len(last):,} strategies, {best['strategy_id']} is believed to have the largest edge: "
            f"{best['edge']:+.3f} R a trade, {best['edge_low']:+.3f} to {best['edge_high']:+.3f} with 90 % credibility."
        )


def compute_beliefs(session: Session, first: date, last: date) -> LearnedDays:
    """Replace the beliefs of the days first..last, as far as they have metrics."""
    rules, connection = Rules(), session.connection
    seen = begin_learning(connection, repr(rules))
    upstream = marks(connection, "bot_metrics", first, last)
    days = [(of.day, of.as_of) for of in upstream]
    shares = regime_shares(session, first, last)
    beliefs, kept, counts, starts = [_empty("strategy_beliefs")], [], [], []
    for part in _parts(session, days, rules):
        starts.append(part.since)
        counts.append(part.outcomes)
        for day, as_of, memory in part.memories:
            figures = strategy_figures(memory.state, float(clock(micros([as_of]))[0]), rules, shares.get(day, {}))
            beliefs.append(_of_day("strategy_beliefs", day, as_of, figures))
            kept += [(day, as_of, memory)] if worth_keeping(day, last) else []
    rows, calibration = pd.concat(beliefs, ignore_index=True), _calibration(session, days)
    with connection.transaction():
        for table, frame in (("strategy_beliefs", rows), ("strategy_calibration", calibration)):
            replace_days(connection, table, first, last, pa.Table.from_pandas(frame, preserve_index=False))
        write_checkpoints(connection, first, last, repr(rules), kept)
        own = [Mark(of.day, of.as_of, seen, {"bot_metrics": of.number}) for of in upstream]
        mark(connection, "strategy_beliefs", first, last, own)
    since = starts[0] if starts else None
    return LearnedDays(
        "strategy_beliefs", first, last, rows, (_check_beliefs(rows),), outcomes=sum(counts), since=since
    )


@dataclass(frozen=True)
class _Part:
    """Days between which no entry of the ledger comes into force, learned from `since` (None: the beginning) on."""

    since: datetime | None
    outcomes: int
    memories: Iterator[tuple[date, datetime, Memory]]


def _parts(session: Session, days: Sequence[tuple[date, datetime]], rules: Rules) -> Iterator[_Part]:
    entries, ends = ledger_entries(session.connection), micros([as_of for _, as_of in days])
    for piece in stretches(ends, entries):
        since, memory = None, Memory.empty(rules)
        found = checkpoint_before(session.connection, days[piece][0][0])
        if found and not entry_between(entries, micros([found[0]])[0], ends[piece][0]):
            since, memory = found
        read = session.read("beliefs/belief_outcomes", since or "-infinity", days[piece][-1][1])
        rows = with_microseconds(read)
        memories = memories_at(memory, rows, ends[piece], entries, rules)
        yield _Part(
            since, len(rows), ((day, as_of, held) for (day, as_of), held in zip(days[piece], memories, strict=True))
        )


def regime_shares(session: Session, first: date, last: date) -> dict[date, dict[str, float]]:
    """The shares of the regimes that hold at each day's as_of."""
    rows = session.read("beliefs/belief_regimes", first, last).to_pandas()
    found: dict[date, dict[str, float]] = {}
    for row in rows[rows["label"].isin(REGIMES)].itertuples():
        found.setdefault(row.day, {})[row.label] = row.share
    return found


def _calibration(session: Session, days: Sequence[tuple[date, datetime]]) -> pd.DataFrame:
    """Rows of `strategy_calibration` for all days."""
    tables = [_empty("strategy_calibration")]
    if days:
        window = timedelta(days=WINDOW_DAYS)
        trades = with_microseconds(session.read("beliefs/stated_confidence", days[0][1] - window, days[-1][1]))
        ends = micros([as_of for _, as_of in days])
        stops = np.searchsorted(trades["exit_time"], ends, side="left")
        starts = np.searchsorted(trades["exit_time"], ends - WINDOW_DAYS * DAY, side="left")
        for (day, as_of), start, stop, end in zip(days, starts, stops, ends, strict=True):
            rows = strategy_calibration(trades.iloc[start:stop], int(end))
            rows["reliability"] = rows["reliability"].map(json.dumps)
            tables.append(_of_day("strategy_calibration", day, as_of, rows))
    return pd.concat(tables, ignore_index=True)


def _empty(table: str) -> pd.DataFrame:
    return pd.DataFrame(columns=[figure.name for figure in TABLES[table]])


def _of_day(table: str, day: date, as_of: datetime, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(day=day, as_of=as_of)[[figure.name for figure in TABLES[table]]]


def _check_beliefs(rows: pd.DataFrame) -> CheckResult:
    numbers = rows.select_dtypes("float64").to_numpy()
    outside = ~rows["win_rate"].between(rows["win_rate_low"], rows["win_rate_high"])
    wrong = int((~np.isfinite(numbers)).sum() + outside.sum())
    return CheckResult("beliefs_are_finite", wrong == 0, {"wrong": wrong, "figures": numbers.size})


@dataclass(frozen=True)
class WeighedDays(StepResult):
    """How much each strategy counts on each day, and how much of the book is held."""

    @property
    def statement(self) -> str:
        """Which strategy has the largest weight on the last day, and under which regimes."""
        if self.rows.empty:
            return "There is no strategy to weigh."
        last = self.rows[self.rows["day"] == self.rows["day"].max()]
        best = last.loc[last["weight"].idxmax()]
        held = ", ".join(
            f"{name} {share:.0%}" for name, share in zip(REGIMES, best[[*PROBABILITIES]], strict=True) if share
        )
        return (
            f"{best['strategy_id']} has the largest weight, {best['weight']:.1%} (of {len(last):,} strategies). "
            f"Exposure: {best['exposure']:.1%} of the book. Regimes that hold, by trades: {held or 'none known'}."
        )


def compute_strategy_weights(session: Session, first: date, last: date) -> WeighedDays:
    """Replace the strategies' weights of the days first..last that have beliefs; each moves on from the day before."""
    connection = session.connection
    learn_alone(connection)
    seen = current_snapshot(connection)
    upstream = marks(connection, "strategy_beliefs", first, last)
    edges = session.read("beliefs/belief_edges", first, last).to_pandas()
    before = session.read("beliefs/weights_before", first).to_pandas()
    resets = [entry.in_force_from for entry in ledger_entries(connection) if entry.kind == "reset"]
    rows = _weigh(edges, regime_shares(session, first, last), before, resets)
    with connection.transaction():
        replace_days(connection, "strategy_weights", first, last, pa.Table.from_pandas(rows, preserve_index=False))
        own = [Mark(of.day, of.as_of, seen, {"strategy_beliefs": of.number}) for of in upstream]
        mark(connection, "strategy_weights", first, last, own)
    return WeighedDays("strategy_weights", first, last, rows, (_check_weights(rows),))


def _weigh(
    edges: pd.DataFrame, shares: Mapping[date, Mapping[str, float]], before: pd.DataFrame, resets: Sequence[float]
) -> pd.DataFrame:
    """Rows of `strategy_weights`, from those of the last day `before` on. `resets`: when, on the clock of outcomes."""
    tables, last = [_empty("strategy_weights")], before
    for day in sorted(edges["day"].unique()):
        figures = edges[edges["day"] == day]
        as_of = figures["as_of"].iloc[0]
        weights = strategy_weights(figures, shares.get(day, {}), held=_held(last, as_of, resets))
        last = _of_day("strategy_weights", day, as_of, weights)
        tables.append(last)
    return pd.concat(tables, ignore_index=True)


def _held(rows: pd.DataFrame, as_of: datetime, resets: Sequence[float]) -> HeldWeights | None:
    if rows.empty:
        return None
    earlier, now = clock(micros([rows["as_of"].iloc[0], as_of])).tolist()
    return HeldWeights(rows, now - earlier, any(earlier < reset <= now for reset in resets))


def _check_weights(rows: pd.DataFrame) -> CheckResult:
    weights = rows[["day", *WEIGHTS.values()]].astype(dict.fromkeys(WEIGHTS.values(), "float64"))
    sums = weights.groupby("day").sum()
    off = float((sums - 1).abs().max().max()) if len(sums) else 0.0
    negative = int((~(weights[[*WEIGHTS.values()]] >= 0)).sum().sum())
    figures = {"days": len(sums), "largest distance of a sum from 1": off, "negative or missing": negative}
    return CheckResult("weights_sum_to_one", off == 0 and negative == 0, figures)
