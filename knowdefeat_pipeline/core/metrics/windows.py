"""The windows of a call: the trades of each series in [since, as_of), for every as_of, as slices of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.series import Series, positions
from knowdefeat_pipeline.core.units import DAY, Floats, Ints

LONG_AGO = -(2**62)
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Windows:
    """All (series, as_of) windows of a call, flattened with as_of running fastest.

    `since` is, per as_of, the instant at which the main window begins; `low`/`high` bound it in the series' rows.
    `cuts` are all instants at which some window begins or ends, `cut_positions` (series, cuts) the rows there.
    """

    series: Series
    exit: Ints
    pnl: Floats
    as_of: Ints
    since: Ints
    cuts: Ints
    cut_positions: Ints
    low: Ints
    high: Ints

    @classmethod
    def of(
        cls, trades: Trades, series: Series, as_of: Ints, window_days: float | None, shorter: Sequence[float] = ()
    ) -> Windows:
        """The main window of so many days (None: the whole history), and further ones of `shorter` days for `begin`."""
        since = np.full(len(as_of), LONG_AGO) if window_days is None else as_of - round(window_days * DAY)
        offsets = np.array([0, *(round(days * DAY) for days in shorter)])
        cuts = np.unique(np.append(as_of[:, None] - offsets, since))
        exit_ = trades.exit[series.rows]
        cut_positions = positions(exit_, series.start, series.stop, cuts)
        low, high = (cut_positions[:, np.searchsorted(cuts, cut)].ravel() for cut in (since, as_of))
        return cls(series, exit_, trades.pnl[series.rows], as_of, since, cuts, cut_positions, low, high)

    def begin(self, days: float) -> Ints:
        """Per window, the index of the first trade with exit >= as_of - days."""
        return self.cut_positions[:, np.searchsorted(self.cuts, self.as_of - round(days * DAY))].ravel()

    @property
    def as_of_each(self) -> Ints:
        """as_of of each window."""
        return np.tile(self.as_of, len(self.series))

    def per_window(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """A value per series repeated for each as_of."""
        return np.repeat(values, len(self.as_of))
