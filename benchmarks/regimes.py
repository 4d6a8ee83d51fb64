"""The regime labels beside the truth of simulated worlds, and their shares on real bars.

    python -m benchmarks.regimes [--seeds 24] [--bars 6000] [--real FILE ...] [--json]

Every world gets the same number of seeds, none of which served to choose a parameter. Means and their standard errors
over seeds; the line `all worlds` is over all of them. The line `Scanstream` is not computed here: it states what the
detector of Scanstream's Bayesian Belief Updater reached on other simulated worlds of known regimes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import report
from knowdefeat_pipeline.core.market.labels import NEUTRAL, REGIMES
from knowdefeat_pipeline.core.market.regimes import label_regimes
from knowdefeat_pipeline.core.simulation.bars import REGIME_WORLDS, Verdict, judge, simulate_regimes
from knowdefeat_pipeline.settings import ROOT

FIRST_SEED = 70_000
REQUIRED = {"balanced_accuracy": ">= 0.72", "median_delay": "<= 20", "flips": "<= 20"}
SCANSTREAM = {"balanced_accuracy": 0.37, "median_delay": 140.0, "flips": 0.0}
FIGURES = [field.name for field in fields(Verdict)]
DIGITS = {"balanced_accuracy": 3, "median_delay": 1, "flips": 1}
REAL = {"BTCUSDT_1h": 19.0, "ETHUSDT_1h": 23.0}
"""Files of real bars, and the most flips per 1,000 bars of each."""
MOST_FLIPS = 23.0
SHORT_RUN, SHORT_RUNS = 6, 0.10


def verdicts(world: str, seeds: int, bars: int) -> np.ndarray:
    """One row per seed, one column per figure."""
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        frame, truth = simulate_regimes(world, bars=bars, seed=seed)
        rows.append(astuple(judge(label_regimes(frame)["label"].to_numpy(), truth)))
    return np.array(rows)


def summary(values: np.ndarray) -> dict:
    """Mean and standard error over seeds of each figure."""
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return {name: {"mean": m, "standard_error": e} for name, m, e in zip(FIGURES, mean, error, strict=True)}


def shares(path: Path) -> dict[str, float]:
    """The share of each label, its changes per 1,000 bars, and the share of runs under 6 bars, on a file of bars."""
    bars = pd.read_csv(path, parse_dates=["open_time"])
    label = label_regimes(bars)["label"]
    found = label.value_counts(normalize=True).reindex([*REGIMES, NEUTRAL], fill_value=0.0).to_dict()
    changes = label != label.shift()
    runs = label.groupby(changes.cumsum()).size()
    return found | {"flips": 1000 * float(changes.iloc[1:].mean()), "short_runs": float((runs < SHORT_RUN).mean())}


def line(found: dict) -> str:
    """The three figures of one world."""
    return "   ".join(
        f"{found[name]['mean']:6.{DIGITS[name]}f} ± {found[name]['standard_error']:.{DIGITS[name]}f}".ljust(17)
        for name in FIGURES
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--bars", type=int, default=6000)
    parser.add_argument("--real", type=Path, nargs="*", help="CSV files of real bars; by default the shared ones")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    real = chosen.real if chosen.real is not None else shared_bars()

    per_world = {world: verdicts(world, chosen.seeds, chosen.bars) for world in REGIME_WORLDS}
    worlds = {world: summary(values) for world, values in per_world.items()}
    overall = summary(np.mean(list(per_world.values()), axis=0))
    found = {path.name.split(".")[0]: shares(path) for path in real}

    heading = "   ".join(name.replace("_", " ").ljust(17) for name in FIGURES)
    rows = [("world", heading), *((world, line(of)) for world, of in worlds.items()), ("all worlds", line(overall))]
    rows.append(("required", "   ".join(REQUIRED[name].rjust(8).ljust(17) for name in FIGURES)))
    rows.append(("Scanstream", "   ".join(f"{SCANSTREAM[name]:6.{DIGITS[name]}f}".ljust(17) for name in FIGURES)))
    for name, of in found.items():
        rows.append((name, "   ".join(f"{label} {of[label]:.1%}" for label in (*REGIMES, NEUTRAL))))
        rows.append(
            (
                "",
                f"{of['flips']:.1f} flips per 1,000 bars, required ≤ {REAL.get(name, MOST_FLIPS):g}; "
                f"{of['short_runs']:.3f} of the runs under {SHORT_RUN} bars, required ≤ {SHORT_RUNS:.2f}",
            )
        )
    report(
        f"Regime labels on {chosen.seeds} seeds × {chosen.bars:,} bars a world, and on real bars",
        rows,
        {"worlds": worlds, "all": overall, "required": REQUIRED, "scanstream": SCANSTREAM, "real": found},
        chosen.json,
    )


def shared_bars() -> list[Path]:
    """The real bars to build against, where they are there."""
    folder = Path(os.environ.get("KNOWDEFEAT_SHARED_DATA") or ROOT.parent / "shared" / "data") / "ohlcv"
    files = [folder / f"{name}.csv.gz" for name in REAL]
    return [path for path in files if path.is_file()]


if __name__ == "__main__":
    main()
