"""The luck that bots of a strategy share, as it is kept from one look at a fleet to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from knowdefeat_pipeline.core.units import Floats, Ints


@dataclass
class Luck:
    """What the errors of all bots came to, added up day by day: new results change it in their strategies alone.

    `strategy` (bots,): the number of each bot's strategy. `variance` (sds of bots, strategies): of strategies' means.
    `moved`: the bots, by place, whose results are others by now. Nothing is known at first.
    """

    strategy: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    variance: Floats = field(default_factory=lambda: np.empty((0, 0)))
    moved: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def after(self, moved: Ints) -> Luck:
        """The same, where the results of these bots are others by now, too."""
        return Luck(self.strategy, self.variance, np.concatenate([self.moved, moved]))

    def stale(self, strategy: Ints) -> Ints:
        """The strategies, of these ones of the bots, that have to be added up: all, unless they are those known."""
        if not np.array_equal(strategy, self.strategy):
            return np.unique(strategy)
        return np.unique(strategy[self.moved])
