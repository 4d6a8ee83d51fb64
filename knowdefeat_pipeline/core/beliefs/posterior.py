"""What a state of beliefs says at an as_of: each strategy's edge, win rate, and how sure that is.

The experts' answers are mixed by their evidence; under several regimes at once, the regimes' answers by their
probabilities. The edge is that of the bodies of results plus that of their tails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.beliefs.decayed_sums import powers
from knowdefeat_pipeline.core.beliefs.learning import CENTRE, Items, Path, learn, population, shrink
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.state import Rules, State
from knowdefeat_pipeline.core.beliefs.tails import tail_edges
from knowdefeat_pipeline.core.units import Floats, Ints

CREDIBLE = 0.90
Z = 1.6448536269514722
BLOCK_ELEMENTS = 2_000_000


@dataclass(frozen=True)
class Beliefs:
    """Posteriors at B instants for K strategies, all (B, K).

    edge: mean standardised result of the next trade. p_win: probability that it wins. `prior_*`: the same of a strategy
    of which nothing is known but the population. confidence: 1 - posterior sd / prior sd of the edge: 0 without
    evidence, towards 1 with it. effective_samples: trades that have not decayed.
    """

    strategies: tuple[str, ...]
    edge: Floats
    edge_sd: Floats
    p_win: Floats
    p_win_sd: Floats
    prior_edge: Floats
    prior_p_win: Floats
    prior_p_win_sd: Floats
    confidence: Floats
    effective_samples: Floats

    def table(self) -> pd.DataFrame:
        """One row per strategy at the last instant, with 90 % credible intervals."""
        last = {name: getattr(self, name)[-1] for name in self.__dataclass_fields__ if name != "strategies"}
        low, high = beta_interval(last["p_win"], last["p_win_sd"])
        prior_low, prior_high = beta_interval(last["prior_p_win"], last["prior_p_win_sd"])
        return pd.DataFrame(
            {
                "strategy_id": pd.Series(self.strategies, dtype="str"),
                "prior_win_rate": last["prior_p_win"],
                "prior_win_rate_low": prior_low,
                "prior_win_rate_high": prior_high,
                "win_rate": last["p_win"],
                "win_rate_low": low,
                "win_rate_high": high,
                "accuracy_improvement": last["p_win"] - last["prior_p_win"],
                "edge": last["edge"],
                "edge_low": last["edge"] - Z * last["edge_sd"],
                "edge_high": last["edge"] + Z * last["edge_sd"],
                "edge_sd": last["edge_sd"],
                "confidence": last["confidence"],
                "effective_samples": last["effective_samples"],
            }
        )


def beta_interval(mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """The central 90 % of the Beta with this mean and standard deviation."""
    strength = mean * (1 - mean) / sd**2 - 1
    tail = (1 - CREDIBLE) / 2
    a, b = mean * strength, (1 - mean) * strength
    return scipy.special.betaincinv(a, b, tail), scipy.special.betaincinv(a, b, 1 - tail)


@dataclass(frozen=True)
class _Sums:
    """Sums decayed to B instants: sums (B, K, L, 3), cells (B, R, K, L, 3), votes (B, M, 3), tails (B, K, 3), evidence
    (B, M, 2) and the regimes' probabilities (B, R)."""

    sums: Floats
    cells: Floats
    votes: Floats
    tails: Floats
    evidence: Floats
    regimes: Floats


def beliefs_at(state: State, as_of: float, rules: Rules, regime_shares: Mapping[str, float] | None = None) -> Beliefs:
    """The beliefs that a state holds at `as_of`, not before its time.

    `regime_shares` are the probabilities of the regimes that hold; what they leave open, and regimes never traded in,
    are answered without a regime. By default the regimes of the latest outcomes.
    Raises ValueError for an `as_of` before the state's time and for probabilities that are none.
    """
    if as_of < state.time:
        raise ValueError(f"as_of {as_of} precedes the state's last outcome {state.time}; ask an earlier state")
    elapsed = 0.0 if np.isnan(state.time) else as_of - state.time
    sums = _Sums(
        sums=_decayed(state.sums, as_of - state.seen, rules)[None],
        cells=_decayed(state.cells, state.regime_clock[:, None] - state.cell_clock, rules)[None],
        votes=state.votes[None],
        tails=state.tails[None],
        evidence=state.evidence[None] * np.array(rules.evidence_memory) ** elapsed,
        regimes=_shares(state.shares[None]) if regime_shares is None else _probabilities(state, regime_shares)[None],
    )
    return _believe(state.strategies, sums, rules)


def beliefs_before(state: State, outcomes: Outcomes, rules: Rules) -> Iterator[tuple[Floats, Beliefs]]:
    """Block by block, the instants of outcomes and the beliefs before each, learned from earlier ones alone.

    Raises like `fold`.
    """
    known = state.knowing(outcomes.strategies, outcomes.regimes)
    width = len(known.strategies) * (1 + len(known.regimes)) * len(rules.k0)
    for before, path, _ in learn(known, outcomes, rules, block=max(1, BLOCK_ELEMENTS // max(width, 1))):
        yield path.instants, _believe(known.strategies, _sums_before(before, path, rules), rules)


def _decayed(sums: Floats, elapsed: Floats, rules: Rules) -> Floats:
    """Sums (..., L, 3) after `elapsed` (...)."""
    return sums * powers(rules.rates, np.maximum(elapsed, 0.0))[..., None]


def _shares(weights: Floats) -> Floats:
    """(B, R) as shares; all 0 where none was seen."""
    total = weights.sum(axis=1, keepdims=True)
    out: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return out


def _probabilities(state: State, regimes: Mapping[str, float]) -> Floats:
    given = np.array(list(regimes.values()), dtype=float)
    if not np.isfinite(given).all() or (given < 0).any() or given.sum() > 1 + 1e-9:
        raise ValueError(f"the probabilities of regimes lie from 0 to 1 and sum to at most 1; given {dict(regimes)}")
    return np.array([regimes.get(name, 0.0) for name in state.regimes])


def _sums_before(state: State, path: Path, rules: Rules) -> _Sums:
    count, kinds = len(state.strategies), len(state.regimes)
    latest = _latest(path.items, count, len(path.instants))
    sums = _decayed_latest(path.items, latest, state.sums, state.seen, path.instants[:, None], rules)
    tails = np.concatenate([state.tails, path.tails])[latest]
    # What holds before an instant has not yet lived through the time that ends with it.
    clock = np.vstack([state.regime_clock, path.regime_clock[:-1]])
    carried = state.cells.reshape(kinds * count, len(rules.forgetting), 3)
    latest = _latest(path.cells, len(carried), len(path.instants))
    clock = np.repeat(clock, count, axis=1)
    cells = _decayed_latest(path.cells, latest, carried, state.cell_clock.ravel(), clock, rules)
    shape = (len(path.instants), kinds, count, len(rules.forgetting), 3)
    return _Sums(sums, cells.reshape(shape), path.votes, tails, path.evidence, _shares(path.shares))


def _latest(items: Items, series: int, instants: int) -> Ints:
    """Where each series stands before each instant (B, S): the carried one (0..S), or S + its last item."""
    latest = np.zeros((instants + 1, series), dtype=int)
    latest[0] = np.arange(series)
    latest[items.instant + 1, items.series] = series + np.arange(len(items.series))
    return np.maximum.accumulate(latest, axis=0)[:-1]


def _decayed_latest(
    items: Items, latest: Ints, carried: Floats, carried_clock: Floats, clock: Floats, rules: Rules
) -> Floats:
    """The sums of every series before each instant, (B, S, L, 3), decayed to `clock` (B, S) or (B, 1)."""
    elapsed = clock - np.concatenate([carried_clock, items.clock])[latest]
    return _decayed(np.concatenate([carried, items.sums.after])[latest], elapsed, rules)


def _believe(strategies: tuple[str, ...], sums: _Sums, rules: Rules) -> Beliefs:
    """Mix the regimes' answers, then the experts' (the last axis of means is edge and win rate), and add the tails."""
    start = population(sums.votes, rules)[:, None]
    means, variance, prior_variance, samples = _mix_regimes(sums, start, rules)
    weights = np.exp(sums.evidence - sums.evidence.max(axis=1, keepdims=True))
    weights = (weights / weights.sum(axis=1, keepdims=True))[:, None]
    on_edge, on_win = weights[..., 0], weights[..., 1]
    # Around the centre, so that without evidence the answer is the centre itself.
    edge, p_win = np.moveaxis((weights * (means - CENTRE)).sum(axis=2) + CENTRE, 2, 0)
    prior = (weights * (start - CENTRE)).sum(axis=2) + CENTRE
    prior_edge, prior_p_win = np.moveaxis(np.broadcast_to(prior, (*edge.shape, 2)), 2, 0)
    tail = tail_edges(sums.tails)
    within = (on_edge * variance).sum(axis=2) + tail.variance
    prior_within = (on_edge * prior_variance).sum(axis=2) + tail.prior_variance
    return Beliefs(
        strategies=strategies,
        edge=edge + tail.mean,
        edge_sd=np.sqrt(within + _spread(on_edge, means[..., 0])),
        p_win=p_win,
        p_win_sd=np.sqrt(_beta_variance(on_win, means[..., 1], variance) + _spread(on_win, means[..., 1])),
        prior_edge=prior_edge + tail.prior_mean,
        prior_p_win=prior_p_win,
        prior_p_win_sd=np.broadcast_to(
            np.sqrt(_beta_variance(on_win, start[..., 1], prior_variance) + _spread(on_win, start[..., 1])), edge.shape
        ),
        confidence=1 - np.sqrt(within / prior_within),
        effective_samples=(on_edge * samples).sum(axis=2),
    )


def _mix_regimes(sums: _Sums, start: Floats, rules: Rules) -> tuple[Floats, Floats, Floats, Floats]:
    """Each expert's means (B, K, M, 2), variance and prior variance of the edge, and samples (B, K, M)."""
    k0, k1 = rules.k0, rules.regime_prior
    traded = sums.sums[..., rules.rate_of, :]
    means, samples = shrink(traded, start, k0), traded[..., 0]
    variance, prior_variance = 1 / (samples + k0), 1 / (np.zeros_like(samples) + k0)
    if not sums.regimes.any():
        return means, variance, prior_variance, samples
    cells = sums.cells[..., rules.rate_of, :]
    inside, inside_samples = shrink(cells, means[:, None], k1), cells[..., 0]
    inside_variance = 1 / (inside_samples + k1) + (k1 / (inside_samples + k1)) ** 2 * variance[:, None]
    left = (1 - sums.regimes.sum(axis=1))[:, None, None]
    return (
        left[..., None] * means + np.einsum("br,brkmc->bkmc", sums.regimes, inside),
        left * variance + np.einsum("br,brkm->bkm", sums.regimes, inside_variance),
        prior_variance + (1 - left) / k1,
        left * samples + np.einsum("br,brkm->bkm", sums.regimes, inside_samples),
    )


def _spread(weights: Floats, means: Floats) -> Floats:
    """The variance between experts."""
    centre = (weights * means).sum(axis=2, keepdims=True)
    out: Floats = (weights * (means - centre) ** 2).sum(axis=2)
    return out


def _beta_variance(weights: Floats, means: Floats, variance: Floats) -> Floats:
    """The mean variance within the experts' Betas, of 1 / `variance` trades each."""
    out: Floats = (weights * means * (1 - means) * variance / (1 + variance)).sum(axis=2)
    return out
