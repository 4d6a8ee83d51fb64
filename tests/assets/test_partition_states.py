"""Days as ranges, in words."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.assets.partition_states import in_words, ranges

DAY = date(2025, 2, 27)


def days(*offsets: int) -> list[date]:
    return [DAY + timedelta(days=offset) for offset in offsets]


def test_days_are_put_in_words_as_ranges() -> None:
    assert in_words([]) == "none"
    assert in_words(days(0)) == "2025-02-27"
    assert in_words(days(0, 1, 2, 5)) == "2025-02-27 to 2025-03-01, 2025-03-04"
    assert in_words(days(0, 2, 4, 6, 8, 10, 12), most=2) == "2025-02-27, 2025-03-01, and 5 more ranges"


@given(st.sets(st.integers(0, 60)))
def test_ranges_are_apart_and_hold_the_days_and_no_others(offsets: set[int]) -> None:
    ordered = days(*sorted(offsets))
    found = ranges(ordered)
    assert [first + timedelta(days=n) for first, last in found for n in range((last - first).days + 1)] == ordered
    assert all(after[0] - before[1] > timedelta(days=1) for before, after in pairwise(found))
