"""From recorded outcomes to beliefs, day after day: what is remembered between two days, and what an outcome adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.belief_state import Outcomes, Rules, State
from knowdefeat_pipeline.core.beliefs import fold
from knowdefeat_pipeline.core.ledger import Entry, InForce, counted
from knowdefeat_pipeline.core.results import Volatility, standardise
from knowdefeat_pipeline.core.series import DAY, Floats, Ints

REAL = ""
"""The `source` of outcomes of real trades."""


def clock(microseconds: Ints | int) -> Floats:
    """Microseconds since 1970 UTC in units of time: days. Beliefs of a month ago weigh less, those of an hour do not."""
    return np.asarray(microseconds) / DAY


@dataclass(frozen=True)
class Memory:
    """All that outcomes left behind: what is believed, and what each bot's trades usually make or lose."""

    state: State
    volatility: Volatility

    @classmethod
    def empty(cls, rules: Rules) -> Self:
        """Nothing learned."""
        return cls(State.prior(rules), Volatility.unknown())

    def learn(self, outcomes: pd.DataFrame, decided: InForce, rules: Rules) -> Memory:
        """What outcomes later than those learned leave behind, counted as was decided.

        Columns: outcome_id, exit_time (µs), source (REAL or the backtest's), bot_id, strategy_id, regime (or missing),
        pnl (real trades, measured by what their bot's trades usually make or lose) and result (backtests, measured
        already). A strategy that was reset is known, and believed as if it had never traded.
        """
        recorded = outcomes[~outcomes["source"].isin(decided.withdrawn)]
        rows = recorded.assign(time=clock(recorded["exit_time"].to_numpy()), trade_id=recorded["outcome_id"])
        rows = counted(rows, decided.source_weights, resets=decided.resets)
        rows = rows.sort_values(["time", "trade_id"], kind="stable", ignore_index=True)
        real = (rows["source"] == REAL).to_numpy(bool)
        pnl, bot = rows["pnl"].to_numpy(np.float64)[real], rows["bot_id"].to_numpy(np.int64)[real]
        measured, volatility = standardise(pnl, bot, self.volatility)
        result = rows["result"].to_numpy(np.float64, copy=True)
        result[real] = measured
        state = fold(self.state, Outcomes.from_frame(rows.assign(result=result)), rules)
        return Memory(state.knowing(recorded["strategy_id"].unique()), volatility)


def remembered(
    before: Memory, outcomes: pd.DataFrame, instants: Ints, entries: Sequence[Entry], rules: Rules
) -> Iterator[Memory]:
    """What is remembered at each of ascending `instants` (µs) between which no entry comes into force.

    `outcomes` (see `Memory.learn`) are later than what is remembered `before`; those after an instant play no part in it.
    """
    outcomes = outcomes.sort_values("exit_time", kind="stable", ignore_index=True)
    stops = np.searchsorted(outcomes["exit_time"].to_numpy(), instants, side="right")
    memory, first = before, 0
    for instant, stop in zip(instants, stops, strict=True):
        memory = memory.learn(outcomes.iloc[first:stop], InForce.at(entries, float(clock(instant))), rules)
        first = stop
        yield memory
