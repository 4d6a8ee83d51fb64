"""The formulas of learning written down a second time, one outcome and one expert after another: slow and plain."""

from collections import defaultdict
from math import exp, log

from knowdefeat_pipeline.core.beliefs.state import Rules


class PlainBeliefs:
    """Learns batches [(strategy, regime or None, result, weight), …] of ascending times; answers `mean`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.time: float | None = None
        self.learned: float | None = None
        self.experts = [Expert(rate, k0, rules) for rate in rules.forgetting for k0 in rules.strategy_prior]
        self.shares: dict[str, float] = defaultdict(float)
        self.tails = Tails(rules)

    def wait(self, time: float) -> None:
        elapsed = 0.0 if self.time is None else time - self.time
        self.time = time
        for expert in self.experts:
            expert.wait(elapsed)
        for regime in self.shares:
            self.shares[regime] *= self.rules.regime_memory**elapsed

    def learn(self, time: float, batch: list[tuple]) -> None:
        self.wait(time)
        elapsed = 0.0 if self.learned is None else time - self.learned
        self.learned = time
        labelled = sum(weight for _, regime, _, weight in batch if regime)
        held: dict[str, float] = defaultdict(float)
        for _, regime, _, weight in batch:
            if regime:
                held[regime] += weight / labelled
        for expert in self.experts:
            expert.learn(batch, {regime: elapsed * share for regime, share in held.items()})
        for regime, share in held.items():
            self.shares[regime] += share
        self.tails.learn(batch)

    def mean(self, strategy: str, regimes: dict[str, float] | None = None) -> tuple[float, float]:
        """Edge (of bodies and tails) and win rate, under the regimes' probabilities or those of the latest outcomes."""
        total = sum(self.shares.values())
        if regimes is None:
            regimes = {regime: share / total for regime, share in self.shares.items()} if total else {}
        out = []
        for kind in (0, 1):
            weights = [exp(expert.evidence[kind]) for expert in self.experts]
            means = []
            for expert in self.experts:
                overall = expert.mean(strategy)[kind]
                mixed = (1 - sum(regimes.values())) * overall
                means.append(mixed + sum(p * expert.mean(strategy, r)[kind] for r, p in regimes.items()))
            out.append(sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights))
        return out[0] + self.tails.mean(strategy), out[1]


class Tails:
    """Tails of results: they fade by own trades and are shrunk towards the mean of all strategies."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.sums: dict = defaultdict(lambda: (0.0, 0.0, 0.0))

    def learn(self, batch: list[tuple]) -> None:
        for strategy in {strategy for strategy, *_ in batch}:
            own = [(tail_of(result, self.rules), weight) for name, _, result, weight in batch if name == strategy]
            fading = self.rules.tail_memory ** sum(weight for _, weight in own)
            n, tails, squares = (fading * value for value in self.sums[strategy])
            self.sums[strategy] = (
                n + sum(weight for _, weight in own),
                tails + sum(weight * tail for tail, weight in own),
                squares + sum(weight * tail**2 for tail, weight in own),
            )

    def mean(self, strategy: str) -> float:
        all_n, all_tails, all_squares = (sum(of) for of in zip((0.0, 0.0, 0.0), *self.sums.values(), strict=True))
        mean = all_tails / (all_n + 200)
        variance = max(all_squares / all_n - (all_tails / all_n) ** 2, 1e-4) if all_n > 20 else 0.1
        excess = [(tails / n - mean) ** 2 - variance / n for n, tails, _ in self.sums.values() if n > 30]
        spread = sum(excess) / len(excess) if len(excess) >= 3 else 0.0
        strength = min(max(variance / spread, 50), 1e6) if spread > 1e-8 else 1e6
        n, tails, _ = self.sums.get(strategy, (0.0, 0.0, 0.0))
        return (tails + strength * mean) / (n + strength)


def body_of(result: float, rules: Rules) -> float:
    return max(-rules.body, min(rules.body, result))


def tail_of(result: float, rules: Rules) -> float:
    return max(-rules.clip, min(rules.clip, result)) - body_of(result, rules)


class Expert:
    def __init__(self, rate: float, k0: float, rules: Rules) -> None:
        self.rate, self.k0, self.rules = rate, k0, rules
        self.sums: dict = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.cells: dict = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.trades: dict = defaultdict(float)
        self.evidence = [0.0, 0.0]

    def wait(self, elapsed: float) -> None:
        for sums in self.sums.values():
            sums[:] = [value * self.rate**elapsed for value in sums]
        self.evidence = [
            value * memory**elapsed for value, memory in zip(self.evidence, self.rules.evidence_memory, strict=True)
        ]

    def population(self) -> tuple[float, float]:
        trust = edge = wins = 0.0
        for strategy, (n, results, won) in self.sums.items():
            count = self.trades[strategy]
            faded = count if self.rate == 1 else (1 - self.rate**count) / (1 - self.rate)
            vote = faded / (faded + self.k0)
            trust, edge, wins = trust + vote, edge + vote * results / n, wins + vote * won / n
        kappa = self.rules.population_prior
        return edge / (trust + kappa), (wins + 0.5 * kappa) / (trust + kappa)

    def mean(self, strategy: str, regime: str | None = None) -> tuple[float, float]:
        n, *sums = self.sums.get(strategy, [0.0, 0.0, 0.0])
        means = [(s + self.k0 * m) / (n + self.k0) for s, m in zip(sums, self.population(), strict=True)]
        if regime:
            k1 = self.rules.regime_prior
            n, *sums = self.cells.get((strategy, regime), [0.0, 0.0, 0.0])
            means = [(s + k1 * m) / (n + k1) for s, m in zip(sums, means, strict=True)]
        return means[0], means[1]

    def learn(self, batch: list[tuple], regime_time: dict[str, float]) -> None:
        for (_, regime), sums in self.cells.items():
            sums[:] = [value * self.rate ** regime_time.get(regime, 0.0) for value in sums]
        gained = [0.0, 0.0]
        for strategy, regime, result, weight in batch:
            edge, chance = self.mean(strategy, regime)
            gained[0] += weight * (edge * body_of(result, self.rules) - edge**2 / 2)
            gained[1] += weight * log(chance if result > 0 else 1 - chance)
        self.evidence = [value + more for value, more in zip(self.evidence, gained, strict=True)]
        for strategy, regime, result, weight in batch:
            body = body_of(result, self.rules)
            for sums in [self.sums[strategy]] + ([self.cells[strategy, regime]] if regime else []):
                sums[:] = [sums[0] + weight, sums[1] + weight * body, sums[2] + weight * (result > 0)]
            self.trades[strategy] += weight
