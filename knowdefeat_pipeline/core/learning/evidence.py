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
    equal, persistence and random. money: of the same the mean result of the best quarter of the bots less that of the
    worst, in units of a bot's daily volatility. gain, gain_money: learned less default, day by day. null_error:
    standard error under the null, 1/√((N - 1)·T), of the mean IC of scores without skill. open_share: days on which
    the mixture kept up with the anchor weights. carried: share of what closed over the trial's days that had been
    earned before its day and could not be marked. change: points by variable on the last day. statement: in plain
    words whether the gain can be told from luck, and whether the order foretells anything.
    """

    days: int
    bots: float
    ic: dict[str, Estimate]
    money: dict[str, Estimate]
    gain: Estimate
    gain_money: Estimate
    null_error: float
    open_share: float
    carried: float
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
    ic, money = (
        {name: bootstrap_mean(values, seed=seed) for name, values in of.items()} for of in (history.ic, history.spread)
    )
    gain, gain_money = (bootstrap_mean(of[LEARNED] - of["default"], seed=seed) for of in (history.ic, history.spread))
    null_error = standard_error_under_null(bots, days)
    last, before = history.weights[-1], history.weights[max(len(history.weights) - 2, 0)]
    return Evidence(
        days=days,
        bots=bots,
        ic=ic,
        money=money,
        gain=gain,
        gain_money=gain_money,
        null_error=null_error,
        open_share=float(history.gate_open.mean()),
        carried=float(history.carried[-1]),
        change=dict(zip(VARIABLE_NAMES, np.round(last - before, 1).tolist(), strict=True)),
        statement=_statement((gain, gain_money), (ic[LEARNED], money[LEARNED]), null_error, days, bots),
    )


def _statement(
    gain: tuple[Estimate, Estimate], learned: tuple[Estimate, Estimate], null_error: float, days: int, bots: float
) -> str:
    """Pairs are of rank IC and of money. More is claimed only where both are known to two standard errors."""
    if days == 0:
        return "No day has settled yet: nothing is known of the gain over the default weights."
    sure_gain = _in_errors(gain, null_error)
    luck = "cannot be told from luck"
    verdict = "more than luck" if sure_gain > 2 else "worse by more than luck" if sure_gain < -2 else luck
    against = (
        f"Against the default weights over {days} days of {bots:.0f} bots: rank IC {_shown(gain[0], null_error)}, "
        f"best less worst quarter {_shown(gain[1])} of a day's volatility: {verdict}."
    )
    ic = _shown(learned[0], null_error)
    if _in_errors(learned, null_error) > 2:
        return (
            f"{against} The learned order foretells the next day (IC {ic}): its best quarter earned "
            f"{_shown(learned[1])} of a day's volatility more than its worst."
        )
    return f"{against} No evidence that this order foretells the next day (IC {ic}, {days} days)."


def _in_errors(pair: tuple[Estimate, Estimate], null_error: float) -> float:
    """By how many standard errors both means, of rank IC and of money, are on one side of 0; 0 where they are not."""
    ic, money = pair
    errors = (float(np.nanmax([ic.standard_error, null_error])), money.standard_error)
    both = [of.mean / error if error > 0 else 0.0 for of, error in zip(pair, errors, strict=True)]
    return min(both) if min(both) > 0 else max(both) if max(both) < 0 else 0.0


def _shown(of: Estimate, least_error: float = 0.0) -> str:
    return f"{of.mean:+.3f} ± {float(np.nanmax([of.standard_error, least_error])):.3f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
