"""The daily adjustment of the 19 weights: learn from settled labels only, mix the experts, publish with restraint.

`learn_weights` goes through a panel day by day and says which weights were in force at each as_of. The nightly run
takes its last day, backtests and `evaluate` take all days: there is no second way to compute them. Where a person has
set other weights, they are the anchor, and the night's proposal is `step` from those in force to the last day's target.

At as_of t a label is known once it has ended, at as_of + 1 day <= t. The learner works on labels net of the group's
share; the rank ICs that it reports as evidence are those of the plain labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.learning.adahedge import AdaHedge
from knowdefeat_pipeline.core.learning.ridge_experts import EXPERTS, Ridges
from knowdefeat_pipeline.core.ranking.panel import HORIZON, Panel, on_grid
from knowdefeat_pipeline.core.ranking.ranking import centred_ranks
from knowdefeat_pipeline.core.ranking.weight_set import normalise
from knowdefeat_pipeline.core.schema.variables import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import DAY, Bools, Floats, Ints

MAX_MOVE = 10.0  # points of 100 a day, Σ|change|
TRIAL_DAYS = 60  # over which the mixture must not have done worse than the anchor weights, in rank IC or in money
MARGIN = 1.0  # standard errors of the mean lead by which it may seem worse: a few bots cannot tell in so many days
MAX_CARRIED = 0.4  # of the |pnl| that closed over the trial's days, as a share earned before its day and not marked
MIN_SETTLED_DAYS = 20
MIN_BOTS = 5
MAX_MISSING = 0.5  # of the bots, of a variable that most of them have had over the trial's days

DEFAULT = np.array(list(DEFAULT_WEIGHTS.values()))
EQUAL = np.full(len(VARIABLE_NAMES), 100 / len(VARIABLE_NAMES))
PERSISTENCE = np.where(np.array(VARIABLE_NAMES) == "one_day_performance", 100.0, 0.0)
LEARNED, BASELINES = "learned", ("default", "equal", "persistence", "random")


@dataclass(frozen=True)
class WeightHistory:
    """What the learner had at each as_of of a panel, one row a day.

    weights: days x 19, in force; valid sets. target: days x 19, whither they were moving: the mixture, or the anchor
    weights while the trial is lost; Σ|w| = 100. expert_weights: days x experts, what each counts for in the mixture.
    gate_open: whether the trial was not lost. reason: why the weights stayed as they were, None on a day on which they
    were adjusted.
    settled: whether the day's labels were known by the last as_of, of at least MIN_BOTS bots. bots: labels of a day, 0
    before they are known. lead, lead_money: the mixture's IC and quartile spread less the anchor's, on results net of
    the group's share. ic, spread: rank ICs and quartile spreads by contestant (LEARNED and BASELINES). All of them are
    NaN on days that have not settled. carried: share of the |pnl| of the trial's days as of each day that was earned
    before its day and could not be marked; 0 without any.
    """

    as_of: Ints
    weights: Floats
    target: Floats
    expert_weights: Floats
    gate_open: Bools
    reason: tuple[str | None, ...]
    settled: Bools
    bots: Ints
    lead: Floats
    lead_money: Floats
    ic: dict[str, Floats]
    spread: dict[str, Floats]
    carried: Floats

    def up_to(self, day: int) -> WeightHistory:
        """The history as it stood at day number `day`, its last: bit for bit that of the panel cut off there."""
        past = slice(day + 1)
        known = self.as_of[past] + HORIZON <= self.as_of[day]

        def if_known(values: Floats) -> Floats:
            return np.where(known, values[past], np.nan)

        return WeightHistory(
            as_of=self.as_of[past], weights=self.weights[past], target=self.target[past],
            expert_weights=self.expert_weights[past], gate_open=self.gate_open[past], reason=self.reason[past],
            settled=self.settled[past] & known, bots=np.where(known, self.bots[past], 0), lead=if_known(self.lead),
            lead_money=if_known(self.lead_money), carried=self.carried[past],
            ic={name: if_known(values) for name, values in self.ic.items()},
            spread={name: if_known(values) for name, values in self.spread.items()},
        )  # fmt: skip


def learn_weights(panel: Panel, *, anchor: Floats = DEFAULT, seed: int = 0) -> WeightHistory:
    """Go through the panel from its first as_of, the anchor weights in force: those that a person set last.

    The weights up to t do not depend on a row after t by one bit. `seed` draws the random baseline alone.
    """
    learner = _Learner(panel, anchor, seed)
    due = np.searchsorted(panel.as_of + HORIZON, panel.as_of, "right")
    known = 0
    for day in range(len(panel)):
        for settling in range(known, due[day]):
            learner.settle(settling)
        known = due[day]
        learner.publish(day)
    return learner.history()


def rank_ic(scores: Floats, label: Floats) -> Floats:
    """Spearman's correlation of each column of scores (n x m) with the label (n); 0 where either has no spread."""
    one_day = np.zeros(len(label), np.int64)
    ranks = on_grid(centred_ranks(scores, one_day))
    truth = on_grid(centred_ranks(label[:, None], one_day)[:, 0])
    size = np.sqrt((ranks**2).sum(axis=0) * (truth**2).sum())
    out: Floats = (ranks * truth[:, None]).sum(axis=0) / np.where(size > 0, size, 1.0)
    return out


def quartile_spread(scores: Floats, result: Floats) -> Floats:
    """Mean result (n) of the best quarter of the bots by each column of scores (n x m) less that of the worst quarter.

    At least one bot each; bots of equal scores share what they have. The order of rows changes no bit.
    """
    ranks = on_grid(centred_ranks(scores, np.zeros(len(result), np.int64)))
    size = max(1, len(result) // 4)
    out = np.empty(scores.shape[1])
    for column in range(scores.shape[1]):
        order = np.lexsort((result, ranks[:, column]))
        first = np.flatnonzero(np.diff(ranks[order, column], prepend=-1.0) != 0)
        count = np.diff(first, append=len(order))
        shared = np.repeat(np.add.reduceat(result[order], first) / count, count)
        out[column] = shared[-size:].mean() - shared[:size].mean()
    return out


def keeps_up(lead: Floats) -> bool:
    """Whether the mean lead of so many days does not speak against the mixture: above 0 less MARGIN standard errors.

    >>> keeps_up(np.array([0.1, -0.2])), keeps_up(np.array([-0.1, -0.2])), keeps_up(np.zeros(2))
    (True, False, False)
    """
    if len(lead) < 2:
        return False
    return bool(lead.mean() > -MARGIN * lead.std(ddof=1) / np.sqrt(len(lead)))


def step(in_force: Floats, target: Floats) -> Floats:
    """The valid set that lies at most MAX_MOVE points from the one in force on the way to the target (Σ|w| = 100)."""
    distance = np.abs(target - in_force).sum()
    share = 1.0 if distance <= MAX_MOVE else MAX_MOVE / distance
    while True:
        moved = rounded(in_force + share * (target - in_force))
        if np.abs(moved - in_force).sum() <= MAX_MOVE + 1e-9:
            return moved
        share *= 0.95  # rounding, or a change of sign, went beyond


def rounded(weights: Floats) -> Floats:
    """The nearest valid set in the same proportions."""
    return np.array(list(normalise(dict(zip(VARIABLE_NAMES, weights.tolist(), strict=True))).values()))


class _Learner:
    """The state between two days. Settling a day and publishing one touch that day's rows alone."""

    def __init__(self, panel: Panel, anchor: Floats, seed: int) -> None:
        days, variables = len(panel), len(VARIABLE_NAMES)
        self.panel, self.anchor = panel, anchor
        self.ridges, self.hedge = Ridges(), AdaHedge(len(EXPERTS))
        self.random = np.random.default_rng(seed).standard_normal((days, variables))
        self.experts = np.zeros((days, len(EXPERTS), variables))
        self.expert_weights = np.zeros((days, len(EXPERTS)))
        self.mixture, self.target, self.weights = (np.zeros((days, variables)) for _ in range(3))
        self.reason: list[str | None] = []
        self.gate_open = np.zeros(days, bool)
        self.bots = np.zeros(days, np.int64)
        self.ic = {name: np.full(days, np.nan) for name in (LEARNED, *BASELINES)}
        self.spread = {name: np.full(days, np.nan) for name in (LEARNED, *BASELINES)}
        self.settled: list[int] = []
        self.lead, self.lead_money = np.full(days, np.nan), np.full(days, np.nan)
        self.carried = np.zeros(days)

    def settle(self, day: int) -> None:
        """Take in the labels of a day of the past, and with them what each contestant achieved."""
        panel, rows = self.panel, self.panel.rows(day)
        known = ~np.isnan(panel.label[rows])
        self.bots[day] = known.sum()
        if self.bots[day] < MIN_BOTS:
            return
        ranks, label, net = panel.ranks[rows][known], panel.label[rows][known], panel.net_label[rows][known]
        inner = np.vstack([self.experts[day], self.mixture[day], self.anchor])
        outer = np.stack([self.weights[day], DEFAULT, EQUAL, PERSISTENCE, self.random[day]])
        scores = (ranks[:, None, :] * np.vstack([inner, outer])).sum(axis=2)
        net_ic, plain_ic = rank_ic(scores[:, : len(inner)], net), rank_ic(scores[:, len(inner) :], label)
        spread = quartile_spread(scores[:, len(inner) :], panel.result[rows][known])
        for at, name in enumerate(self.ic):
            self.ic[name][day], self.spread[name][day] = plain_ic[at], spread[at]
        self.hedge.learn(-net_ic[: len(EXPERTS)])
        self.lead[day] = net_ic[-2] - net_ic[-1]
        mixed, anchored = quartile_spread(scores[:, len(EXPERTS) : len(inner)], panel.net_result[rows][known])
        self.lead_money[day] = mixed - anchored
        elapsed = panel.as_of[day] - panel.as_of[self.settled[-1]] if self.settled else 0
        self.ridges.learn(ranks, net, elapsed / DAY)
        self.settled.append(day)

    def publish(self, day: int) -> None:
        """Decide the day's weights from what has settled by its as_of."""
        self.experts[day] = self.ridges.weights()
        self.expert_weights[day] = self.hedge.weights()
        mixed = (self.expert_weights[day][:, None] * self.experts[day]).sum(axis=0)
        self.mixture[day] = 100 * mixed / np.abs(mixed).sum()
        trial = self.settled[-TRIAL_DAYS:]
        self.gate_open[day] = keeps_up(self.lead[trial]) and keeps_up(self.lead_money[trial])
        self.target[day] = self.mixture[day] if self.gate_open[day] else self.anchor
        absolute = self.panel.absolute[trial].sum()
        self.carried[day] = self.panel.carried[trial].sum() / absolute if absolute > 0 else 0.0
        reason = self._refusal(day)
        in_force = self.weights[day - 1] if day else self.anchor
        self.weights[day] = step(in_force, self.target[day]) if reason is None else in_force
        self.reason.append(reason)

    def _refusal(self, day: int) -> str | None:
        settled, bots = len(self.settled), int(np.diff(self.panel.start)[day])
        if settled < MIN_SETTLED_DAYS:
            return f"{settled} settled days, {MIN_SETTLED_DAYS} needed"
        if bots < MIN_BOTS:
            return f"{bots} bots, {MIN_BOTS} needed"
        if self.carried[day] > MAX_CARRIED:
            share = f"{100 * self.carried[day]:.0f} % of the results closed here"
            return f"{share} were earned before the day began: no bars to mark them"
        recent = self.settled[-TRIAL_DAYS:]
        usual = self.panel.present[recent].sum(axis=0) / np.diff(self.panel.start)[recent].sum()
        lost = (usual > MAX_MISSING) & (self.panel.present[day] < (1 - MAX_MISSING) * bots)
        names = [name for name, gone in zip(VARIABLE_NAMES, lost, strict=True) if gone]
        return f"missing for more than half of the bots: {', '.join(names)}" if names else None

    def history(self) -> WeightHistory:
        settled = np.zeros(len(self.panel), bool)
        settled[self.settled] = True
        return WeightHistory(
            as_of=self.panel.as_of, weights=self.weights, target=self.target,
            expert_weights=self.expert_weights, gate_open=self.gate_open,
            reason=tuple(self.reason), settled=settled, bots=self.bots, lead=self.lead,
            lead_money=self.lead_money, ic=self.ic, spread=self.spread, carried=self.carried,
        )  # fmt: skip
