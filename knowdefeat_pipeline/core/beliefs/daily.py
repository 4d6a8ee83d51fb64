"""From recorded outcomes to beliefs, day after day: what is remembered between two days, and what an outcome adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.ledger import Entry, InForce, clock, weigh_outcomes
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility, standardise
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.units import Ints

REAL = ""
"""The `source` of outcomes of real trades."""


def with_microseconds(rows: pa.Table) -> pd.DataFrame:
    """Rows with an `exit_time` as a frame in which it counts microseconds since 1970 UTC."""
    place = rows.column_names.index("exit_time")
    out: pd.DataFrame = rows.set_column(place, "exit_time", rows["exit_time"].cast(pa.int64())).to_pandas()
    return out


@dataclass(frozen=True)
class Memory:
    """All that outcomes left behind: what is believed, and what each bot's trades usually make or lose."""

    state: State
    volatility: Volatility

    @classmethod
    def empty(cls, rules: Rules) -> Self:
        """Nothing learned."""
        return cls(State.prior(rules), Volatility.unknown())

    def learn(self, outcomes: pd.DataFrame, in_force: InForce, rules: Rules) -> Memory:
        """What outcomes later than those learned leave behind, counted as was in_force.

        Columns: outcome_id, exit_time (µs), source (REAL or the backtest's), bot_id, strategy_id, regime (or missing),
        pnl (real trades, measured by what their bot's trades usually make or lose) and result (backtests, measured
        already). A strategy that was reset is known, and believed as if it had never traded.
        """
        recorded = outcomes[~outcomes["source"].isin(in_force.withdrawn)]
        rows = recorded.assign(time=clock(recorded["exit_time"].to_numpy()), trade_id=recorded["outcome_id"])
        rows = weigh_outcomes(rows, in_force.source_weights, resets=in_force.resets)
        rows = rows.sort_values(["time", "trade_id"], kind="stable", ignore_index=True)
        real = (rows["source"] == REAL).to_numpy(bool)
        pnl, bot = rows["pnl"].to_numpy(np.float64)[real], rows["bot_id"].to_numpy(np.int64)[real]
        measured, volatility = standardise(pnl, bot, self.volatility)
        result = rows["result"].to_numpy(np.float64, copy=True)
        result[real] = measured
        state = fold(self.state, Outcomes.from_frame(rows.assign(result=result)), rules)
        return Memory(state.knowing(recorded["strategy_id"].unique().tolist()), volatility)


def memories_at(
    before: Memory, outcomes: pd.DataFrame, as_ofs: Ints, entries: Sequence[Entry], rules: Rules
) -> Iterator[Memory]:
    """What is remembered at each of ascending `as_ofs` (µs) between which no entry comes into force.

    `outcomes` (see `Memory.learn`) are later than what is remembered `before`; each plays a part after it ended.
    """
    outcomes = outcomes.sort_values("exit_time", kind="stable", ignore_index=True)
    stops = np.searchsorted(outcomes["exit_time"].to_numpy(), as_ofs, side="left")
    memory, first = before, 0
    for as_of, stop in zip(as_ofs, stops, strict=True):
        memory = memory.learn(outcomes.iloc[first:stop], InForce.at(entries, float(clock(as_of))), rules)
        first = stop
        yield memory


def stretches(as_ofs: Ints, entries: Sequence[Entry]) -> list[slice]:
    """The ascending as_ofs (µs) in pieces within which no entry comes into force."""
    pairs = enumerate(pairwise(as_ofs.tolist()), start=1)
    cuts = [place for place, (earlier, later) in pairs if entry_between(entries, earlier, later)]
    return [slice(first, stop) for first, stop in pairwise([0, *cuts, len(as_ofs)])] if len(as_ofs) else []


def entry_between(entries: Sequence[Entry], earlier: int, later: int) -> bool:
    """Whether an entry comes into force after one as_of and by another (µs): what was remembered is then no start."""
    return any(clock(earlier) < entry.in_force_from <= clock(later) for entry in entries)
