"""The belief learner in worlds whose truth is known, and what learning costs.

    python -m benchmarks.beliefs [--seeds 32] [--first-seed 1000] [--method edge] [--json]

Each figure is a mean over seeds with its standard error, beside what is required and what Scanstream's Bayesian Belief
Updater reaches. Regret is that of the weights over that of equal weights, Sharpe that of the weighted book over that of
a book with the true edges: both ratios of means over the seeds, by world and over the four worlds.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta

import numpy as np

from benchmarks.common import END, alone, database, fleet, report, store
from knowdefeat_pipeline.core.beliefs.calibration import calibration
from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at
from knowdefeat_pipeline.core.beliefs.replay import beliefs_before_each
from knowdefeat_pipeline.core.beliefs.state import Rules, State, WeighingMethod
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from knowdefeat_pipeline.core.simulation.strategies import (
    STRATEGIES,
    STRATEGY_WORLDS,
    StrategyWorld,
    book_sharpe,
    recovery,
    regret,
    simulate_beliefs,
    simulate_swap,
    true_weights,
)

FIGURES = ("regret", "Sharpe", "ECE", "RMSE")
SCANSTREAM = {"regret": "0.98", "Sharpe": "0.34", "ECE": ".108", "RMSE": ".14", "swap": "582"}
MUST = {"regret": "≤ 0.58", "Sharpe": "≥ 0.65", "ECE": "≤ .015", "RMSE": "≤ .042", "swap": "≤ 100"}
OUTSTANDING = {"regret": "≤ 0.48", "Sharpe": "≥ 0.75", "ECE": "≤ .008", "RMSE": "≤ .033", "swap": "≤ 45"}


def weights_before_each(world: StrategyWorld, method: WeighingMethod) -> tuple[np.ndarray, np.ndarray]:
    """Weights and win rates before each round, (T, K), learned from the raw results of earlier rounds."""
    weights, p_win = np.empty(world.edge.shape), np.empty(world.edge.shape)
    for instants, beliefs, before in beliefs_before_each(world.outcomes, Rules(), method):
        weights[instants.astype(int)], p_win[instants.astype(int)] = before, beliefs.p_win
    return weights, p_win


def judge(name: str, seed: int, method: WeighingMethod) -> list[float]:
    """Regret, equal weights' regret, Sharpe, Sharpe with the true edges, ECE, mean squared error to the true p."""
    world = simulate_beliefs(name, seed)
    weights, p_win = weights_before_each(world, method)
    stated = p_win[world.active]
    return [
        regret(world, weights),
        regret(world, np.ones_like(weights)),
        book_sharpe(world, weights),
        book_sharpe(world, true_weights(world)),
        calibration(stated, world.result[world.active] > 0).error,
        float(((stated - world.p_win[world.active]) ** 2).mean()),
    ]


def estimates(sample: np.ndarray) -> np.ndarray:
    """The four figures from means over seeds: sample (seeds, 6)."""
    mean = sample.mean(axis=0)
    return np.array([mean[0] / mean[1], mean[2] / mean[3], mean[4], np.sqrt(mean[5])])


def with_error(samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Figures averaged over worlds, and their standard errors by the jackknife over seeds."""
    seeds = len(samples[0])
    figures = np.mean([estimates(sample) for sample in samples], axis=0)
    without = np.array(
        [np.mean([estimates(np.delete(sample, left, axis=0)) for sample in samples], axis=0) for left in range(seeds)]
    )
    return figures, np.sqrt((seeds - 1) / seeds * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def swaps(seeds: range, method: WeighingMethod) -> np.ndarray:
    """Rounds until the new best leads, per seed."""
    return np.array([recovery(weights_before_each(simulate_swap(seed), method)[0]) for seed in seeds])


def costs() -> dict[str, float]:
    """Seconds to fold 100,000 outcomes of 1,000 strategies, and then one day more of 5,000 and read every belief."""
    rng = np.random.default_rng(1)
    count, strategies, day = 105_000, 1000, 24.0
    when = np.sort(rng.random(count)) * 21 * day
    outcomes = Outcomes(
        strategies=tuple(f"s{number:04}" for number in range(strategies)),
        regimes=("NEUTRAL", "RANGING", "TRENDING", "VOLATILE"),
        time=when,
        strategy=rng.integers(strategies, size=count),
        regime=rng.integers(4, size=count),
        result=rng.standard_t(5, count),
        weight=np.ones(count),
    )
    rules = Rules()
    begin = time.perf_counter()
    state = fold(State.prior(rules), outcomes.rows(0, 100_000), rules)
    folded = time.perf_counter()
    state = fold(state, outcomes.rows(100_000, count), rules)
    for regime in outcomes.regimes:
        beliefs = beliefs_at(state, 21 * day, rules, {regime: 1.0})
        adaptive_weights(beliefs.edge, beliefs.edge_sd)
    return {"fold_100000": folded - begin, "day_of_1000": time.perf_counter() - folded}


def costs_through_the_database(strategies: int = 1000, a_day: int = 5) -> dict[str, float]:
    """Seconds to learn 20 days of trades from the first, and then the day after: read, fold, believe, write."""
    from knowdefeat_pipeline.steps.beliefs import compute_beliefs
    from knowdefeat_pipeline.steps.metrics import compute_metrics
    from knowdefeat_pipeline.store.session import open_session

    with database() as url:
        store(url, fleet(strategies, 21 * a_day, 21))
        last = (END - timedelta(days=1)).date()
        before = last - timedelta(days=1)
        with open_session(url) as session:
            session.begin(before)
            compute_metrics(session, before, last, END)
            begin = time.perf_counter()
            first = compute_beliefs(session, before, before)
            learned = time.perf_counter()
            compute_beliefs(session, last, last)
            warm = time.perf_counter()
            day = compute_beliefs(session, last, last)
            end = time.perf_counter()
    return {"first": learned - begin, "first_outcomes": first.outcomes, "day": end - warm, "day_outcomes": day.outcomes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--method", choices=["edge", "best"], default="edge")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    samples = {name: np.array([judge(name, seed, chosen.method) for seed in seeds]) for name in STRATEGY_WORLDS}
    rows, found = [], {}
    for name, chosen_samples in [
        *((name, [samples[name]]) for name in STRATEGY_WORLDS),
        ("mean", list(samples.values())),
    ]:
        figures, errors = with_error(chosen_samples)
        found[name] = {
            figure: {"value": value, "se": se} for figure, value, se in zip(FIGURES, figures, errors, strict=True)
        }
        cells = [f"{figure} {value:.4f} ± {se:.4f}" for figure, value, se in zip(FIGURES, figures, errors, strict=True)]
        rows.append((name, "   ".join(cells)))
    for title, limits in (("Scanstream's updater", SCANSTREAM), ("required", MUST), ("outstanding", OUTSTANDING)):
        rows.append((title, "   ".join(f"{figure} {limits[figure]}".ljust(22) for figure in FIGURES).rstrip()))
    rounds, cost, stored = swaps(seeds, chosen.method), costs(), alone(costs_through_the_database)
    rows.append(
        (
            "swap of best and worst",
            f"new best leads after {np.median(rounds):.0f} trades (median; quartiles {np.percentile(rounds, 25):.0f}, "
            f"{np.percentile(rounds, 75):.0f}); Scanstream's {SCANSTREAM['swap']}, required {MUST['swap']}, "
            f"outstanding {OUTSTANDING['swap']}",
        )
    )
    rows.append(("100,000 outcomes", f"folded in {cost['fold_100000']:.2f} s"))
    rows.append(("1,000 strategies", f"a day's 5,000 outcomes and all beliefs in {cost['day_of_1000']:.2f} s"))
    rows.append(
        (
            "through the database",
            f"{stored['first_outcomes']:,} outcomes learned in {stored['first']:.2f} s, the next day's "
            f"{stored['day_outcomes']:,} of 1,000 strategies in {stored['day']:.2f} s",
        )
    )
    report(
        f"{STRATEGIES} strategies × 2,000 rounds, half active, {chosen.seeds} seeds, method {chosen.method}",
        rows,
        {
            "worlds": found,
            "swap": {"median": float(np.median(rounds)), "rounds": rounds.tolist()},
            "cost": cost | {"database": stored},
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
