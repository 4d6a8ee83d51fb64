"""How much of the true skill's rank IC the learned weights reach, on simulated worlds whose truth is known.

    python -m benchmarks.weights [--seeds 24] [--first-seed 20000] [--days 300] [--since 60] [--bots 40 8] [--json]

Each world and size of fleet is simulated from so many seeds, which no choice in the learner was made on. A ratio is the
mean rank IC of a way to score bots over that of the true skill, each the mean over seeds, with its standard error by
the delta method. `of all knowable` has the IC of one who also knows which luck is taken back as its denominator.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np

from benchmarks.common import END, report

WORLDS = ("base", "informative", "adverse", "switch")
NULL = "null"
SCORERS = ("skill", "knowable", "learned", "default", "equal", "seed")


def realised(world: str, bots: int, seed: int, days: int, since: int) -> list[float]:
    """Mean rank IC of each of SCORERS from as_of number `since` on."""
    from knowdefeat_pipeline.core.adjuster import DEFAULT, EQUAL, MIN_BOTS, rank_ic, replay
    from knowdefeat_pipeline.core.backtest import seed_scores
    from knowdefeat_pipeline.core.panel import Panel
    from knowdefeat_pipeline.core.worlds import simulate_panel

    simulated = simulate_panel(world, bots=bots, days=days + 1, seed=seed, end=END)
    panel = Panel.of(simulated.frame)
    weighted = [panel.scores(weights) for weights in (replay(panel).weights, DEFAULT, EQUAL)]
    scores = np.stack([simulated.skill, simulated.expected, *weighted, seed_scores(panel.frame)], axis=1)
    daily = []
    for day in range(since, len(panel)):
        rows = panel.rows(day)
        known = ~np.isnan(panel.label[rows])
        if known.sum() >= MIN_BOTS:
            daily.append(rank_ic(scores[rows][known], panel.label[rows][known]))
    return np.mean(daily, axis=0).tolist()


def ratio(over: np.ndarray, under: np.ndarray) -> tuple[float, float]:
    """The ratio of two means over seeds and its standard error."""
    value = over.mean() / under.mean()
    return float(value), float((over - value * under).std(ddof=1) / np.sqrt(len(over)) / under.mean())


def standard_errors(values: np.ndarray) -> float:
    """The mean of a sample in its standard errors."""
    return float(values.mean() / (values.std(ddof=1) / np.sqrt(len(values))))


def figures_of(ic: dict[str, np.ndarray]) -> dict:
    """The figures of one world and size of fleet; arrays with one value per seed."""
    if not ic["skill"].any():
        return {"ic": {name: float(ic[name].mean()) for name in SCORERS}, "z": standard_errors(ic["learned"])}
    ratios = {name: ratio(ic[name], ic["skill"]) for name in ("learned", "default", "equal", "seed")}
    return {
        "skill_ic": float(ic["skill"].mean()),
        "ratio": {name: value for name, (value, _) in ratios.items()},
        "se": {name: error for name, (_, error) in ratios.items()},
        "of_knowable": ratio(ic["learned"], ic["knowable"])[0],
        "z": standard_errors(ic["learned"] - ic["default"]),
    }


def measure(world: str, bots: int, seeds: Sequence[int], days: int, since: int) -> dict:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        jobs = [pool.submit(realised, world, bots, seed, days, since) for seed in seeds]
        found = np.array([job.result() for job in jobs])
    return figures_of(dict(zip(SCORERS, found.T, strict=True)))


def mean_of_worlds(worlds: Sequence[dict]) -> dict:
    """Plain means over the worlds. All share their seeds' draws, so the errors are added as if wholly dependent."""
    return {
        "ratio": {name: float(np.mean([w["ratio"][name] for w in worlds])) for name in worlds[0]["ratio"]},
        "se": {name: float(np.mean([w["se"][name] for w in worlds])) for name in worlds[0]["se"]},
        "of_knowable": float(np.mean([w["of_knowable"] for w in worlds])),
    }


def line(found: dict) -> str:
    parts = [f"{name} {found['ratio'][name]:+.3f} ± {found['se'][name]:.3f}" for name in found["ratio"]]
    text = "  ".join(parts) + f"  of all knowable {found['of_knowable']:.3f}"
    return text + (f"  learned - default {found['z']:+.1f} SE" if "z" in found else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--since", type=int, default=60)
    parser.add_argument("--bots", type=int, nargs="+", default=[40, 8])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    figures: dict = {
        (world, bots): measure(world, bots, seeds, chosen.days, chosen.since)
        for bots, world in product(chosen.bots, (*WORLDS, NULL))
    }
    rows = []
    for bots in chosen.bots:
        rows += [(f"{bots} bots, {world}", line(figures[world, bots])) for world in WORLDS]
        figures["mean", bots] = mean_of_worlds([figures[world, bots] for world in WORLDS])
        rows.append((f"{bots} bots, mean of the four", line(figures["mean", bots])))
        null = figures[NULL, bots]
        rows.append((f"{bots} bots, no skill", f"learned IC {null['ic']['learned']:+.4f}: {null['z']:+.1f} SE from 0"))
    report(
        f"Rank IC as a part of the true skill's, {chosen.days} days from day {chosen.since}, {chosen.seeds} seeds",
        rows,
        {f"{world} {bots}": found for (world, bots), found in figures.items()},
        chosen.json,
    )


if __name__ == "__main__":
    main()
