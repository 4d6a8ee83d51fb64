"""What learned weights rest on: how well they did before their labels were known, and whether it is more than luck."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from knowdefeat_pipeline.core.learning.inference import Estimate, bootstrap_mean, luck_error
from knowdefeat_pipeline.core.learning.learner import LEARNED, Replay
from knowdefeat_pipeline.core.schema.variables import VARIABLE_NAMES


@dataclass(frozen=True)
class Evidence:
    """Figures over all settled days of a replay, for its last as_of.

    days, bots: settled days, and mean number of labels on them (NaN without any). ic: mean rank IC of learned, default,
    equal, persistence and random. gain: learned less default, day by day. luck: standard error 1/√((N - 1)·T) of the IC
    of scores without skill. open_share: days of the replay on which the mixture was ahead of the default weights.
    change: points by variable on the last day. statement: in plain words whether the gain can be told from luck.
    """

    days: int
    bots: float
    ic: dict[str, Estimate]
    gain: Estimate
    luck: float
    open_share: float
    change: dict[str, float]
    statement: str

    def record(self) -> dict[str, Any]:
        """The same as plain values for JSON; None for NaN."""
        return _plain(asdict(self))


def evidence(replay: Replay, *, seed: int = 0) -> Evidence:
    """The evidence for the weights of the replay's last as_of. Raises ValueError for a replay without a day."""
    if len(replay.as_of) == 0:
        raise ValueError("a replay of no day has no evidence; give it a panel with rows")
    days = int(replay.settled.sum())
    bots = float(replay.bots[replay.settled].mean()) if days else np.nan
    gain = bootstrap_mean(replay.ic[LEARNED] - replay.ic["default"], seed=seed)
    luck = luck_error(bots, days)
    last, before = replay.weights[-1], replay.weights[max(len(replay.weights) - 2, 0)]
    return Evidence(
        days=days,
        bots=bots,
        ic={name: bootstrap_mean(values, seed=seed) for name, values in replay.ic.items()},
        gain=gain,
        luck=luck,
        open_share=float(replay.open.mean()),
        change=dict(zip(VARIABLE_NAMES, np.round(last - before, 1).tolist(), strict=True)),
        statement=_statement(gain, luck, days, bots),
    )


def _statement(gain: Estimate, luck: float, days: int, bots: float) -> str:
    if days == 0:
        return "No day has settled yet: nothing is known of the gain over the default weights."
    error = float(np.nanmax([gain.standard_error, luck]))
    told = "more than luck" if abs(gain.mean) > 2 * error else "cannot be told from luck"
    return (
        f"Mean rank IC {gain.mean:+.3f} against the default weights over {days} days of {bots:.0f} bots: "
        f"{told} (standard error {error:.3f})."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
