"""The splits of the weight learner, audited by purgedcv: what it was taught never overlaps what it is judged on."""

import numpy as np
import pandas as pd
import pytest
from purgedcv.diagnostics import assert_no_temporal_leakage, compute_overlap_fraction
from purgedcv.exceptions import TemporalLeakageError

from knowdefeat_pipeline.core.learning import learner as adjuster
from knowdefeat_pipeline.core.learning.learner import learn_weights
from knowdefeat_pipeline.core.ranking.panel import HORIZON, Panel
from tests.core.panels import plain, world


class Watched(adjuster._Learner):
    """Notes, at the publication of each day, which days it has been taught by then."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.taught: list[tuple[int, ...]] = []
        watched.append(self)

    def publish(self, day: int) -> None:
        self.taught.append(tuple(self.settled))
        super().publish(day)


watched: list[Watched] = []


def splits(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows taught and rows scored, for each day."""
    monkeypatch.setattr(adjuster, "_Learner", Watched)
    learn_weights(panel)
    row = np.arange(len(panel.frame))
    return [(row[np.isin(panel.day, taught)], row[panel.rows(day)]) for day, taught in enumerate(watched.pop().taught)]


def times(panel: Panel, horizon: int = HORIZON) -> tuple[pd.Series, pd.Series]:
    """When each row is scored, and when its label has ended."""
    scored = pd.Series(pd.to_datetime(panel.as_of[panel.day], unit="us"))
    return scored, scored + pd.Timedelta(horizon, "us")


@pytest.mark.parametrize("uneven", [False, True])
def test_what_is_taught_never_overlaps_what_is_judged(monkeypatch: pytest.MonkeyPatch, uneven: bool) -> None:
    frame = world("informative").frame
    if uneven:  # as_ofs hours apart, so that labels of neighbours overlap
        rng = np.random.default_rng(3)
        frame = plain(90, 6, seed=2)
        instants = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.cumsum(rng.integers(3, 40, 90)), unit="h")
        frame["as_of"] = instants.repeat(6)
    panel = Panel.of(frame)
    found = splits(panel, monkeypatch)
    assert sum(len(taught) > 0 for taught, _ in found) > 50
    for taught, scored in found:
        assert_no_temporal_leakage(taught, scored, *times(panel))
    # All that has ended is used: a day more would leak.
    for taught, scored in found[1:]:
        if scored[0] > 0 and (len(taught) == 0 or taught[-1] < scored[0] - 1):
            with pytest.raises(TemporalLeakageError):
                assert_no_temporal_leakage(np.arange(scored[0]), scored, *times(panel))


def test_the_audit_would_see_a_label_that_ends_later(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Panel.of(plain(40, 6, seed=2))
    taught, scored = splits(panel, monkeypatch)[-1]
    assert compute_overlap_fraction(taught, scored, *times(panel)) == 0
    assert compute_overlap_fraction(taught, scored, *times(panel, 2 * HORIZON)) == pytest.approx(1 / 39)
