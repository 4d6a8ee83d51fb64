"""What learned weights rest on: how well they did before their labels were known, and whether it is more than luck."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from knowdefeat_pipeline.core.learning.inference import Estimate, bootstrap_mean, standard_error_under_null
from knowdefeat_pipeline.core.learning.learner import LEARNED, WeightHistory
from knowdefeat_pipeline.core.schema.variables import VARIABLE_NAMES


@dataclass(frozen=True)
class Evidence:
    """Figures over all settled days of the learner's history, for its last as_of.

    days, bots: settled days, and mean number of labels on them (NaN without any). ic: mean rank IC of learned, default,
    equal, persistence and random. gain: learned less default, day by day. null_error: standard error under the null,
    1/√((N - 1)·T), of the mean IC of scores without skill. open_share: days on which the mixture was ahead of the
    default weights. change: points by variable on the last day. statement: in plain words whether the gain can be told
    from luck.
    """

    days: int
    bots: float
    ic: dict[str, Estimate]
    gain: Estimate
    null_error: float
    open_share: float
    change: dict[str, float]
    statement: str

    def record(self) -> dict[str, Any]:
        """The same as plain values for JSON; None for NaN."""
        out: dict[str, Any] = _plain(asdict(self))
        return out


def evidence(history: WeightHistory, *, seed: int = 0) -> Evidence:
    """The evidence for the weights of the history's last as_of. Raises ValueError for one without a day."""
    if len(history.as_of) == 0:
        raise ValueError("a history of no day has no evidence; learn from a panel with rows")
    days = int(history.settled.sum())
    bots = float(history.bots[history.settled].mean()) if days else np.nan
    gain = bootstrap_mean(history.ic[LEARNED] - history.ic["default"], seed=seed)
    null_error = standard_error_under_null(bots, days)
    last, before = history.weights[-1], history.weights[max(len(history.weights) - 2, 0)]
    return Evidence(
        days=days,
        bots=bots,
        ic={name: bootstrap_mean(values, seed=seed) for name, values in history.ic.items()},
        gain=gain,
        null_error=null_error,
        open_share=float(history.gate_open.mean()),
        change=dict(zip(VARIABLE_NAMES, np.round(last - before, 1).tolist(), strict=True)),
        statement=_statement(gain, null_error, days, bots),
    )


def _statement(gain: Estimate, null_error: float, days: int, bots: float) -> str:
    if days == 0:
        return "No day has settled yet: nothing is known of the gain over the default weights."
    error = float(np.nanmax([gain.standard_error, null_error]))
    verdict = "more than luck" if abs(gain.mean) > 2 * error else "cannot be told from luck"
    return (
        f"Mean rank IC {gain.mean:+.3f} against the default weights over {days} days of {bots:.0f} bots: "
        f"{verdict} (standard error {error:.3f})."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
