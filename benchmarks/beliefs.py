"""The belief learner in worlds whose truth is known, and what learning costs.

    python -m benchmarks.beliefs [--seeds 32] [--first-seed 1000] [--method edge] [--json]

Each figure is a mean over seeds with its standard error (jackknife over seeds), beside what is required and what
Scanstream's Bayesian Belief Updater reaches. Regret is that of the weights over that of equal weights, Sharpe that of
the weighted book over that of a book with the true edges: both ratios of means over the seeds, of the whole book, that
is of all strategies alike. `ceiling`: the same of a filter that knows the parameters and the noise (see
`belief_ceiling`). `steadiness`: what it costs in regret that weights move by at most 0.2 a round. `before`: what the
first release's rules (results clipped at 4, no tails, weights that follow at once) reach in the same worlds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from benchmarks.belief_ceiling import ceiling_weights
from benchmarks.common import END, alone, database, fleet, report, store
from knowdefeat_pipeline.core.beliefs.calibration import calibration
from knowdefeat_pipeline.core.beliefs.learning import fold
from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.beliefs.posterior import beliefs_at
from knowdefeat_pipeline.core.beliefs.replay import books_before_each
from knowdefeat_pipeline.core.beliefs.state import Rules, State, WeighingMethod
from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from knowdefeat_pipeline.core.simulation.strategies import (
    FURTHER_WORLDS,
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

FIRST_RELEASE = Rules(body=4.0, clip=4.0, evidence_memory=(0.985, 0.998))
SCANSTREAM = {"regret": "0.98", "Sharpe": "0.34", "ECE": ".108", "RMSE": ".14", "swap": "582"}
MUST = {"regret gap": 0.07, "Sharpe gap": 0.04, "steadiness": 0.01, "ECE": 0.015, "RMSE": 0.042, "swap": 100}
OUTSTANDING = {"regret gap": 0.05, "Sharpe gap": 0.02, "ECE": 0.008, "RMSE": 0.033, "swap": 45}
SAMPLED = (
    "regret", "equal", "sharpe", "true", "ece", "square", "target_regret", "before_regret", "before_sharpe",
    "ceiling_regret", "ceiling_sharpe", "active_regret", "active_equal", "active_sharpe", "active_true",
)  # fmt: skip


def books(world: StrategyWorld, method: WeighingMethod, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, their targets and win rates before each round, (T, K), from the raw results of earlier rounds."""
    weights, targets, p_win = np.empty((3, *world.edge.shape))
    for book in books_before_each(world.outcomes, rules, method):
        rounds = book.instants.astype(int)
        weights[rounds], targets[rounds], p_win[rounds] = book.weights, book.targets, book.beliefs.p_win
    return weights, targets, p_win


def judge(name: str, seed: int, method: WeighingMethod) -> list[float]:
    """The figures SAMPLED of one world: those of the whole book, then those among the active strategies."""
    world = simulate_beliefs(name, seed)
    weights, targets, p_win = books(world, method, Rules())
    before = books(world, method, FIRST_RELEASE)[1]
    equal, true = np.ones_like(weights), true_weights(world)
    best = ceiling_weights(name, world) if name in STRATEGY_WORLDS else None
    stated = p_win[world.active]
    return [
        regret(world, weights, world.alive),
        regret(world, equal, world.alive),
        book_sharpe(world, weights, world.alive),
        book_sharpe(world, true, world.alive),
        calibration(stated, world.result[world.active] > 0).error,
        float(((stated - world.p_win[world.active]) ** 2).mean()),
        regret(world, targets, world.alive),
        regret(world, before, world.alive),
        book_sharpe(world, before, world.alive),
        np.nan if best is None else regret(world, best, world.alive),
        np.nan if best is None else book_sharpe(world, best, world.alive),
        regret(world, weights),
        regret(world, equal),
        book_sharpe(world, weights),
        book_sharpe(world, true),
    ]


def estimates(sample: np.ndarray) -> dict[str, float]:
    """The figures from means over seeds: sample (seeds, SAMPLED)."""
    of = dict(zip(SAMPLED, sample.mean(axis=0).tolist(), strict=True))
    found = {"regret": of["regret"] / of["equal"], "Sharpe": of["sharpe"] / of["true"]}
    ceiling = {"regret": of["ceiling_regret"] / of["equal"], "Sharpe": of["ceiling_sharpe"] / of["true"]}
    return found | {
        "ceiling regret": ceiling["regret"],
        "ceiling Sharpe": ceiling["Sharpe"],
        "regret gap": found["regret"] - ceiling["regret"],
        "Sharpe gap": ceiling["Sharpe"] - found["Sharpe"],
        "steadiness": (of["regret"] - of["target_regret"]) / of["equal"],
        "regret - before": (of["regret"] - of["before_regret"]) / of["equal"],
        "Sharpe - before": (of["sharpe"] - of["before_sharpe"]) / of["true"],
        "ECE": of["ece"],
        "RMSE": float(np.sqrt(of["square"])),
        # Of two strategies one is active, and there is nothing to choose.
        "active regret": of["active_regret"] / of["active_equal"] if of["active_equal"] else np.nan,
        "active Sharpe": of["active_sharpe"] / of["active_true"],
    }


def with_error(samples: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """Figures averaged over worlds, and their standard errors by the jackknife over seeds."""
    seeds = len(samples[0])
    whole = _averaged([estimates(sample) for sample in samples])
    without = [_averaged([estimates(np.delete(of, seed, axis=0)) for of in samples]) for seed in range(seeds)]
    spread = (seeds - 1) / np.sqrt(seeds) if seeds > 1 else np.nan
    return {
        name: {"value": value, "se": float(np.std([left[name] for left in without]) * spread)}
        for name, value in whole.items()
    }


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([of[name] for of in found])) for name in found[0]}


def swaps(seeds: range, method: WeighingMethod) -> np.ndarray:
    """Rounds until the new best leads, per seed."""
    return np.array([recovery(books(simulate_swap(seed), method, Rules())[0]) for seed in seeds])


def costs() -> dict[str, float]:
    """CPU seconds to fold 100,000 outcomes of 1,000 strategies, then a day of 5,000, and read every belief."""
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
    begin = time.process_time()
    state = fold(State.prior(rules), outcomes.rows(0, 100_000), rules)
    folded = time.process_time()
    state = fold(state, outcomes.rows(100_000, count), rules)
    for regime in outcomes.regimes:
        beliefs = beliefs_at(state, 21 * day, rules, {regime: 1.0})
        adaptive_weights(beliefs.edge, beliefs.edge_sd)
    return {"fold_100000": folded - begin, "day_of_1000": time.process_time() - folded}


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


SHOWN = ("regret", "Sharpe", "ECE", "RMSE")
BESIDE = ("ceiling regret", "ceiling Sharpe", "regret gap", "Sharpe gap", "steadiness")
FURTHER = ("regret", "Sharpe", "regret - before", "Sharpe - before")


def line(found: dict[str, dict[str, float]], names: Sequence[str]) -> str:
    """Figures of one world with their standard errors."""
    return "   ".join(f"{name} {found[name]['value']:.4f} ± {found[name]['se']:.4f}" for name in names)


def missed(found: dict[str, dict[str, dict[str, float]]], rounds: np.ndarray, folded: float) -> list[str]:
    """What is required and not reached."""
    mean = {name: of["value"] for name, of in found["mean"].items()} | {"swap": float(np.median(rounds))}
    out = [f"{name} {mean[name]:.4f}, required ≤ {most}" for name, most in MUST.items() if mean[name] > most]
    for world in (*STRATEGY_WORLDS, *FURTHER_WORLDS):
        for name, way in (("regret - before", 1), ("Sharpe - before", -1)):
            of = found[world][name]
            if way * of["value"] > 2 * of["se"]:
                out.append(f"{world}: {name} {of['value']:+.4f} ± {of['se']:.4f}, required within 2 standard errors")
    return out + ([f"100,000 outcomes folded in {folded:.2f} CPU seconds, required ≤ 2"] if folded > 2 else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--method", choices=["edge", "best"], default="edge")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    worlds = (*STRATEGY_WORLDS, *FURTHER_WORLDS)
    samples = {name: np.array([judge(name, seed, chosen.method) for seed in seeds]) for name in worlds}
    found = {name: with_error([sample]) for name, sample in samples.items()}
    found["mean"] = with_error([samples[name] for name in STRATEGY_WORLDS])
    rounds, cost, stored = swaps(seeds, chosen.method), costs(), alone(costs_through_the_database)
    short = missed(found, rounds, cost["fold_100000"])
    rows = [("required, not reached", "; ".join(short) or "nothing")]
    for name in (*STRATEGY_WORLDS, "mean"):
        rows += [(name, line(found[name], SHOWN)), ("", line(found[name], BESIDE))]
    rows.append(("", line(found["mean"], ("regret - before", "Sharpe - before", "active regret", "active Sharpe"))))
    for title, limits in (("required", MUST), ("outstanding", OUTSTANDING)):
        rows.append((title, "   ".join(f"{name} ≤ {most}" for name, most in limits.items())))
    rows.append(("Scanstream's updater", "   ".join(f"{name} {value}" for name, value in SCANSTREAM.items())))
    rows += [(name, line(found[name], FURTHER)) for name in FURTHER_WORLDS]
    rows.append(
        (
            "swap of best and worst",
            f"new best leads after {np.median(rounds):.0f} trades (median; quartiles {np.percentile(rounds, 25):.0f}, "
            f"{np.percentile(rounds, 75):.0f}); Scanstream's {SCANSTREAM['swap']}, required ≤ {MUST['swap']}, "
            f"outstanding ≤ {OUTSTANDING['swap']}",
        )
    )
    rows.append(("100,000 outcomes", f"folded in {cost['fold_100000']:.2f} CPU seconds, required ≤ 2"))
    rows.append(
        ("1,000 strategies", f"a day's 5,000 outcomes and all beliefs in {cost['day_of_1000']:.2f} CPU seconds")
    )
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
            "missed": short,
            "worlds": found,
            "swap": {"median": float(np.median(rounds)), "rounds": rounds.tolist()},
            "cost": cost | {"database": stored},
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
