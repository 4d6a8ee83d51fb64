"""A bot's skill in words, and the windows in which it is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowdefeat_pipeline.core.skill.evidence import LEAST_OF_A_KIND, Evidence
from knowdefeat_pipeline.core.units import Floats, Texts

Window = Literal["lifetime", "90 days"]
WINDOWS: Mapping[Window, int | None] = {"lifetime": None, "90 days": 90}
"""How many UTC days back each window looks, that of the as_of among them; None: to the first trade."""

GOOD, LIKELY_GOOD, LIKELY_LOSING, LOSING = 0.95, 0.8, 0.2, 0.05
UNCERTAIN = "cannot be told from luck"
_JUDGED = ["losing", "likely losing", UNCERTAIN, "likely good", "good"]  # in the order of p_skill
_LACKING = [
    f"cannot be judged: {count} closed {one if count == 1 else many}"
    for one, many in (("loss", "losses"), ("win", "wins"))
    for count in range(LEAST_OF_A_KIND)
]
WORDS: Texts = np.array([*_JUDGED, *_LACKING], object)
"""Every verdict, by its code: the same as in the table `skill_verdicts`."""


def verdict_codes(of: Evidence, p_skill: Floats) -> NDArray[np.int16]:
    """The codes of each bot's skill in words: good (p_skill at least .95), likely good (.8), cannot be told from luck,
    likely losing (at most .2), losing (.05); of a bot that is not proven, what it lacks: one that never closes a loss
    proves nothing, nor does one that never won.
    """
    passed = (p_skill > LOSING, p_skill > LIKELY_LOSING, p_skill >= LIKELY_GOOD, p_skill >= GOOD)
    lacks_wins = np.where(of.wins < LEAST_OF_A_KIND, len(_JUDGED) + LEAST_OF_A_KIND + of.wins, np.sum(passed, axis=0))
    return np.where(of.losses < LEAST_OF_A_KIND, len(_JUDGED) + of.losses, lacks_wins).astype(np.int16)


def false_share(p_skill: Collection[float]) -> float | None:
    """The expected share of bots among these, shown as good, whose edge is not above 0: the mean of 1 - p_skill.

    None without any.

    >>> round(false_share([0.99, 0.95]), 6)
    0.03
    """
    return float(np.mean(1 - np.array([*p_skill]))) if len(p_skill) else None
