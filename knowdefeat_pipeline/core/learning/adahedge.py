"""AdaHedge: weighing experts by what they have lost so far, without a learning rate to choose."""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.units import Floats


class AdaHedge:
    """Hedge whose learning rate ln K / Δ follows from the mixability gaps Δ met so far.

    For T losses in a range of width S, the mixture loses at most S·(√(T ln K) + 4/3 ln K + 2) more than the best of the
    K experts. de Rooij, van Erven, Grünwald & Koolen, "Follow the leader if you can, hedge if you must", JMLR 2014.
    """

    def __init__(self, experts: int) -> None:
        self.cumulative_loss: Floats = np.zeros(experts)
        self.mixability_gap = 0.0

    def weights(self) -> Floats:
        """What each expert counts for in the next mixture; non-negative, sum 1."""
        behind = self.cumulative_loss - self.cumulative_loss.min()
        if self.mixability_gap > 0:
            raw = np.exp(-behind * np.log(len(behind)) / self.mixability_gap)
        else:
            raw = (behind == 0).astype(np.float64)
        out: Floats = raw / raw.sum()
        return out

    def learn(self, losses: Floats) -> None:
        """Take in one finite loss per expert."""
        weights = self.weights()
        expected = float(weights @ losses)
        self.mixability_gap += max(0.0, expected - self._mix_loss(weights, losses))
        self.cumulative_loss = self.cumulative_loss + losses

    def _mix_loss(self, weights: Floats, losses: Floats) -> float:
        if len(losses) == 1:
            return float(losses[0])
        if self.mixability_gap == 0:
            return float(losses[weights > 0].min())
        rate = np.log(len(losses)) / self.mixability_gap
        least = losses.min()
        return float(least - np.log(weights @ np.exp(-rate * (losses - least))) / rate)
