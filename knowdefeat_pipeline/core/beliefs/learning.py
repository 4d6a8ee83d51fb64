"""Beliefs: what is known of each strategy's edge and win rate, learned from its outcomes one instant after another.

An outcome is one closed trade: when it closed, its strategy, the market regime that it was entered in (or none), and
its standardised result (an R-multiple, see `r_multiples`). Results are learned from their bodies, clipped at ± 2; what
lies beyond is summed up apart (see `tails`). Evidence decays per unit of time, not per own trade, and is shrunk
regime -> strategy -> population:

    population  m0 = Σ z·S/n / (κ + Σ z)            z = N/(N + k0), its credibility, N the trades decayed per own trade
    strategy    m  = (S + k0·m0) / (n + k0)         S, n: decayed sums of results and of trades
    regime      mr = (Sr + k1·m) / (nr + k1)        decayed only while the regime holds

and the same with wins in place of results and a population centred on one half: the mean of a Beta. A strategy's vote
in the population stays while it is idle: its mean does not decay, and neither does N.

No single rate of forgetting suits calm and broken strategies alike. Several rates and strengths k0 run side by side as
experts, weighed by how well each predicted the outcomes so far (dynamic model averaging: Raftery, Kárný and Ettler,
2010). Win rates are weighed by the likelihood of wins, so that a win can only raise the win rate that is believed, and
a loss only lower it (of a trade in a regime: the win rate in that regime).

A state is a fold over outcomes ordered by time: state in, outcomes in, state out. All of one instant are learned
together, none predicts another. Splitting the outcomes between two instants changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from knowdefeat_pipeline.core.beliefs.decayed_sums import DecayedSums, decayed_sums, powers
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

CENTRE = np.array([0.0, 0.5])  # edge and win rate of which nothing is known
BLOCK = 10_000  # what is at work stays near the processor


@dataclass(frozen=True)
class Items:
    """Items of many series with their decayed sums; each has the number of its instant and series, and its clock."""

    instant: Ints
    series: Ints
    clock: Floats
    sums: DecayedSums


@dataclass(frozen=True)
class Path:
    """What is known before each of B instants, from which the beliefs before it are read.

    items: one for each strategy that traded at an instant. tails: (N, 3) of each item with it. cells: one for each of
    its regimes there. regime_clock and shares: (B, R). votes: (B, M, 3). evidence: (B, M, 2).
    """

    instants: Floats
    items: Items
    tails: Floats
    cells: Items
    regime_clock: Floats
    shares: Floats
    votes: Floats
    evidence: Floats


def fold(state: State, outcomes: Outcomes, rules: Rules) -> State:
    """The state after the outcomes.

    Raises ValueError for outcomes that are not later than the state (one that comes late is folded in order, from a
    state before it), out of order, not finite, or weighed outside (0, 1].
    """
    for _, _, after in learn(state, outcomes, rules):
        state = after
    return state


def learn(state: State, outcomes: Outcomes, rules: Rules, block: int = BLOCK) -> Iterator[tuple[State, Path, State]]:
    """In blocks of about so many outcomes: the state before, what was known before each instant, the state after.

    Raises like `fold`.
    """
    _check(state, outcomes)
    state = state.knowing(outcomes.strategies, outcomes.regimes)
    outcomes = outcomes.recoded(state.strategies, state.regimes)
    first = 0
    while first < len(outcomes):
        last = outcomes.time[min(first + block, len(outcomes)) - 1]
        stop = int(np.searchsorted(outcomes.time, last, side="right"))
        path, after = _learn_block(state, outcomes.rows(first, stop), rules)
        yield state, path, after
        state, first = after, stop


def _check(state: State, outcomes: Outcomes) -> None:
    for name in ("time", "result", "weight"):
        bad = np.flatnonzero(~np.isfinite(getattr(outcomes, name)))
        if len(bad):
            raise ValueError(f"outcome {bad[0]} has no finite {name}; mend it or leave it out")
    if (outcomes.weight <= 0).any() or (outcomes.weight > 1).any():
        raise ValueError("an outcome weighs more than 0 and at most 1; leave out what is not to count")
    if (np.diff(outcomes.time) < 0).any():
        raise ValueError("outcomes are folded in the order of their time; put them in order first")
    if len(outcomes) and outcomes.time[0] <= state.time:
        raise ValueError(
            f"an outcome at {outcomes.time[0]} does not follow the state's last outcome {state.time}; "
            "refold from an earlier state"
        )


@dataclass(frozen=True)
class _Block:
    """Outcomes of B instants summed up (columns: trades, results, wins), N items and the C cells that they consist of.

    item_values (N, 3), cell_values (C, 3): of one instant and strategy, and of one of its regimes (-1: none).
    item_tails (N, 3): trades, tails and squared tails of one instant and strategy.
    first_item, first_cell (B,): where the instants begin. item_of (C,): the item of each cell.
    """

    instants: Floats
    item_instant: Ints
    item_strategy: Ints
    item_values: Floats
    item_tails: Floats
    cell_regime: Ints
    cell_values: Floats
    first_item: Ints
    first_cell: Ints
    item_of: Ints


def _sum_up(rows: Outcomes, rules: Rules) -> _Block:
    width, kinds = len(rows.strategies), len(rows.regimes) + 1
    instants, instant = np.unique(rows.time, return_inverse=True)
    cell, of = np.unique((instant * width + rows.strategy) * kinds + rows.regime + 1, return_inverse=True)
    results = np.clip(rows.result, -rules.clip, rules.clip)
    bodies = np.clip(results, -rules.body, rules.body)
    values = _sums_of(of, len(cell), rows.weight, bodies, results > 0)
    item, start, item_of = np.unique(cell // kinds, return_index=True, return_inverse=True)
    tails = results - bodies
    item_instant, item_strategy = np.divmod(item, width)
    first_item = np.searchsorted(item_instant, np.arange(len(instants)))
    return _Block(
        instants=instants,
        item_instant=item_instant,
        item_strategy=item_strategy,
        item_values=np.add.reduceat(values, start),
        item_tails=_sums_of(item_of[of], len(item), rows.weight, tails, tails**2),
        cell_regime=cell % kinds - 1,
        cell_values=values,
        first_item=first_item,
        first_cell=start[first_item],
        item_of=item_of,
    )


def _sums_of(group: Ints, groups: int, weight: Floats, *columns: Floats | Bools) -> Floats:
    """Of each group the weights, and each column weighed by them: (groups, 1 + columns)."""
    weighed = [weight, *(weight * column for column in columns)]
    out: Floats = np.stack([np.bincount(group, column, minlength=groups) for column in weighed], axis=1)
    return out


def _learn_block(state: State, rows: Outcomes, rules: Rules) -> tuple[Path, State]:
    block = _sum_up(rows, rules)
    instants, clock = block.instants, block.instants[block.item_instant]
    traded = decayed_sums(block.item_strategy, clock, block.item_values, rules.rates, state.sums, state.seen)
    items = Items(block.item_instant, block.item_strategy, clock, traded)
    shares_then, labelled, cells, regime_clock = _learn_regimes(state, block, rules)
    count = _count_trades(state, block)
    votes, last_votes = _count_votes(state, block, traded, count, rules)
    tails = _sum_tails(state, block, count, rules)

    predicted = shrink(traded.before[:, rules.rate_of], population(votes, rules)[block.item_instant], rules.k0)
    predicted = predicted[block.item_of]
    predicted[labelled] = shrink(cells.sums.before[:, rules.rate_of], predicted[labelled], rules.regime_prior)
    gained = np.add.reduceat(_evidence(block.cell_values, predicted), block.first_cell)
    evidence, last_evidence = _decayed_along(instants, gained, rules.evidence_memory, state.evidence, state.time)
    shares, last_shares = _decayed_along(instants, shares_then, (rules.regime_memory,), state.shares, state.time)

    after = replace(
        state,
        time=float(instants[-1]),
        sums=traded.last,
        seen=traded.clock,
        trades=count.last[:, 0, 0],
        tails=tails.last[:, 0],
        cells=cells.sums.last.reshape(state.cells.shape),
        cell_clock=cells.sums.clock.reshape(state.cell_clock.shape),
        regime_clock=regime_clock[-1],
        shares=last_shares,
        votes=last_votes,
        evidence=last_evidence,
    )
    return Path(instants, items, tails.after[:, 0], cells, regime_clock, shares, votes, evidence), after


def _learn_regimes(state: State, block: _Block, rules: Rules) -> tuple[Floats, Ints, Items, Floats]:
    """Shares of the regimes at each instant (B, R), the cells that have one, their sums, and the regimes' clocks."""
    width, kinds = len(state.strategies), len(state.regimes)
    labelled = np.flatnonzero(block.cell_regime >= 0)
    regime, values = block.cell_regime[labelled], block.cell_values[labelled]
    item = block.item_of[labelled]
    instant, series = block.item_instant[item], regime * width + block.item_strategy[item]
    shares = _shares_of(instant, regime, values[:, 0], (len(block.instants), kinds))
    elapsed = np.diff(block.instants, prepend=block.instants[0] if np.isnan(state.time) else state.time)
    regime_clock = np.cumsum(np.vstack([state.regime_clock, elapsed[:, None] * shares]), axis=0)[1:]
    carried = state.cells.reshape(kinds * width, len(rules.forgetting), 3)
    clock = regime_clock[instant, regime]
    sums = decayed_sums(series, clock, values, rules.rates, carried, state.cell_clock.ravel())
    return shares, labelled, Items(instant, series, clock, sums), regime_clock


def _count_trades(state: State, block: _Block) -> DecayedSums:
    """The trades of each item's strategy ever, by their weight."""
    clock, begun = block.item_instant.astype(float), np.zeros(len(state.trades))
    return decayed_sums(
        block.item_strategy, clock, block.item_values[:, :1], np.ones(1), state.trades[:, None, None], begun
    )


def _sum_tails(state: State, block: _Block, count: DecayedSums, rules: Rules) -> DecayedSums:
    """The sums of tails, whose clock are the strategy's own trades."""
    memory, carried = np.array([rules.tail_memory]), state.tails[:, None]
    return decayed_sums(block.item_strategy, count.after[:, 0, 0], block.item_tails, memory, carried, state.trades)


def _count_votes(
    state: State, block: _Block, traded: DecayedSums, count: DecayedSums, rules: Rules
) -> tuple[Floats, Floats]:
    """The population's votes before each instant (B, M, 3), and at the end."""
    cast = _vote(traded.after, count.after[:, 0, 0], rules) - _vote(traded.previous, count.previous[:, 0, 0], rules)
    running = np.cumsum(np.concatenate([state.votes[None], cast]), axis=0)
    return running[block.first_item], running[-1]


def _vote(sums: Floats, trades: Floats, rules: Rules) -> Floats:
    """z, z·S/n of results, and of wins, (N, M, 3), of strategies with sums (N, L, 3) and trades ever (N,)."""
    lost = 1 - rules.rates
    effective = np.where(lost > 0, (1 - powers(rules.rates, trades)) / np.where(lost > 0, lost, 1.0), trades[:, None])
    effective = effective[:, rules.rate_of]
    sums = sums[:, rules.rate_of]
    means = np.divide(sums, sums[..., :1], out=np.zeros_like(sums), where=sums[..., :1] > 0)
    return (effective / (effective + rules.k0))[..., None] * means


def _shares_of(instant: Ints, regime: Ints, weight: Floats, shape: tuple[int, int]) -> Floats:
    """The share of each regime among an instant's labelled outcomes: (B, R)."""
    totals = np.zeros(shape)
    np.add.at(totals, (instant, regime), weight)
    everything = totals.sum(axis=1, keepdims=True)
    out: Floats = np.divide(totals, everything, out=totals, where=everything > 0)
    return out


def _decayed_along(
    clock: Floats, values: Floats, rates: Sequence[float], carried: Floats, start: float
) -> tuple[Floats, Floats]:
    """One series with an item at each instant: its sums before each, and the last ones.

    The last axis of `values` decays at `rates`, one for all or one for each of its columns.
    """
    since = np.array([clock[0] if np.isnan(start) else start])
    before, last = np.empty(values.shape), np.empty(carried.shape)
    for at, rate in enumerate(rates):
        part = np.s_[..., at :: len(rates)]
        flat, left = values[part].reshape(len(clock), -1), carried[part].reshape(1, 1, -1)
        sums = decayed_sums(np.zeros(len(clock), dtype=int), clock, flat, np.array([rate]), left, since)
        before[part], last[part] = sums.before.reshape(values[part].shape), sums.last.reshape(carried[part].shape)
    return before, last


def population(votes: Floats, rules: Rules) -> Floats:
    """The population's edge and win rate in each expert's view, (..., M, 2), from its votes (..., M, 3)."""
    return (votes[..., 1:] + rules.population_prior * CENTRE) / (votes[..., :1] + rules.population_prior)


def shrink(sums: Floats, towards: Floats, strength: Floats | float) -> Floats:
    """(S + k·m) / (n + k) for the sums (..., M, 3), the m (..., M, 2) and k (M,) or one number."""
    k = np.asarray(strength)[..., None]
    out: Floats = (sums[..., 1:] + k * towards) / (sums[..., :1] + k)
    return out


def _evidence(values: Floats, predicted: Floats) -> Floats:
    """Log evidence of outcomes (N, 3) for what each expert predicted, (N, M, 2); results have a variance of about 1."""
    trades, results, wins = values[:, None, 0], values[:, None, 1], values[:, None, 2]
    edge, chance = np.ascontiguousarray(predicted[..., 0]), np.ascontiguousarray(predicted[..., 1])
    on_edge = edge * results - trades * edge**2 / 2
    return np.stack([on_edge, wins * np.log(chance) + (trades - wins) * np.log1p(-chance)], axis=-1)
