"""The picture of the weights over time: which lines it draws, and what they say."""

from datetime import date, timedelta
from xml.etree import ElementTree

import numpy as np

from knowdefeat_pipeline.assets.weight_pictures import draw_weights, most_moved
from knowdefeat_pipeline.core.learning.learner import DEFAULT
from knowdefeat_pipeline.core.schema import VARIABLES

DAYS = [date(2025, 1, 1) + timedelta(days=n) for n in range(40)]


def moving(columns: dict[int, float]) -> np.ndarray:
    weights = np.tile(DEFAULT, (len(DAYS), 1))
    for column, by in columns.items():
        weights[:, column] += by * np.arange(len(DAYS)) / (len(DAYS) - 1)
    return weights


def texts(svg: str) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_five_that_moved_most_the_widest_first() -> None:
    assert most_moved(moving({3: 2, 8: -9, 16: 4, 0: -1, 5: 3, 6: 0.5})) == [8, 16, 5, 3, 0]


def test_labels_say_what_each_stands_at() -> None:
    shown = texts(draw_weights(DAYS, moving({8: -9.0})))
    assert f"{VARIABLES[8].label} -4.0" in shown
    assert len([text for text in shown if text.split(" ")[-1].endswith((".0", ".5"))]) == 5
    assert {"01 Jan", "09 Feb"} <= set(shown)


def test_one_day_and_none() -> None:
    assert f"{VARIABLES[0].label} 15.0" in texts(draw_weights(DAYS[:1], moving({})[:1]))
    assert draw_weights([], np.empty((0, 19))) is None
