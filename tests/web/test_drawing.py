"""Pictures and figures as they are written: axes that tell times apart, bars from 0, colours of what is written."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from knowdefeat_pipeline.web.pages.drawing import banded, lines, time_names
from knowdefeat_pipeline.web.pages.rendering import coloured, number

DAY = timedelta(days=1)


def below(svg: str) -> list[tuple[float, str, str]]:
    found = re.findall(r'<text x="([\d.]+)" y="\d+" class="(x[ \w]*)">([^<]*)</text>', svg)
    return [(float(x), kind, name) for x, kind, name in found]


@pytest.mark.parametrize("number_of_days", [2, 3, 5, 7, 30, 400, 3660])
def test_no_two_names_below_a_chart_are_alike(number_of_days: int) -> None:
    days = [date(2026, 11, 28) - n * DAY for n in range(number_of_days)][::-1]
    found = below(lines((("a", [float(n) for n in range(number_of_days)]),), days, "x"))
    names = [name for _, _, name in found]
    assert len(names) == len({*names}) == min(number_of_days, 7)
    assert names[-1] == ("Nov 2026" if number_of_days > 366 else "28 Nov")
    assert found[-1][:2] == (900.0, "x last")  # it ends where the picture does
    assert [kind for _, kind, _ in found[:-1]] == ["x"] * (len(found) - 1)


def test_names_below_a_day_of_bars_have_their_hour() -> None:
    first = datetime(2026, 11, 28, tzinfo=UTC)
    times = [first + timedelta(hours=n) for n in range(25)]
    svg = banded(times, [float(n) for n in range(25)], [], "x")
    assert [name for _, _, name in below(svg)][:2] == ["28 Nov 00:00", "28 Nov 04:00"]
    assert time_names([first, first + DAY]) == ["28 Nov", "29 Nov"]


def test_bars_stand_on_0_and_what_never_fell_ends_there() -> None:
    days = [date(2026, 11, 28), date(2026, 11, 29)]
    svg = lines((("total", [2.0, 4.0]), ("by day", [2.0, 2.0])), days, "x", bars=("by day",))
    assert re.findall(r'<path class="(\w+) c(\d)"', svg) == [("line", "0"), ("bars", "1")]
    (zero,) = re.findall(r'H892"/><text x="66" y="([\d.]+)" class="y">0</text>', svg)
    (bars,) = re.findall(r'class="bars c1" d="([^"]*)"', svg)
    assert {float(y) + 4 for y in re.findall(r"M[\d.]+ ([\d.]+)", bars)} == {float(zero)}
    svg = lines((("below its peak", [0.0, 0.0]),), days, "x", top=0.0)
    *falls, none = re.findall(r'class="y">([^<]*)<', svg)
    assert (none, {text[0] for text in falls}) == ("0.0", {"−"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-0.04, '<span class="">0.0</span>'), (0.04, '<span class="">0.0</span>'),
     (-0.06, '<span class="down">−0.1</span>'), (0.06, '<span class="up">+0.1</span>'), (None, '<span class="">–</span>')],
)  # fmt: skip
def test_what_is_written_as_0_has_no_colour(value: float | None, shown: str) -> None:
    assert coloured(number(value, 1, sign=True)) == shown
