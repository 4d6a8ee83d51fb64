"""A figure that a script writes has the digits that the server writes."""

import random

import pytest
from playwright.sync_api import Browser

from knowdefeat_pipeline.web.pages.drawing import level_names, ticks
from knowdefeat_pipeline.web.pages.rendering import STATIC, number

pytestmark = pytest.mark.e2e


def test_scripts_round_as_the_server_does(browser: Browser) -> None:
    chance = random.Random(7)
    halves = [n + part for n in (0, 1, 2, 63, 1234, 2**40) for part in (0.5, 0.25, 0.75, 0.125, 0.375, 0.0625)]
    near = [1.005, 0.15, 0.045, 2.675, 63.35, 1e-9]
    values = [*halves, *near, *(chance.uniform(0, 10 ** chance.uniform(-3, 6)) for _ in range(2000))]
    page = browser.new_page()
    page.add_script_tag(path=STATIC / "figures.js")
    for digits in range(4):
        told = page.evaluate("([values, digits]) => values.map(value => grouped(value, digits))", [values, digits])
        assert told == [number(value, digits) for value in values]
    assert page.evaluate("grouped(63.25, 1)") == "63.2"
    page.close()


def test_scripts_name_the_levels_of_a_chart_as_the_server_does(browser: Browser) -> None:
    chance = random.Random(11)
    ends = [(-465.0, 641.0), (89.6, 90.0), (-32.7e9, 1e9), (1e6, 1.5e6), (0.0, 2.5e-7), (9_999_990.0, 10_000_010.0)]
    for _ in range(300):
        low = chance.uniform(-1, 1) * 10 ** chance.uniform(-4, 13)
        ends.append((low, low + abs(low) * 10 ** chance.uniform(-2, 1)))
    levels = [ticks(low, high) for low, high in ends]
    page = browser.new_page()
    page.add_script_tag(path=STATIC / "figures.js")
    told = page.evaluate("levels => levels.map(levelNames)", levels)
    page.close()
    assert told == [level_names(of) for of in levels]
    assert all(len({*names}) == len(names) for names in told)
    assert max(len(name) for names in told for name in names) <= 12
