"""Sets of weights: valid ones pass unchanged, any other is refused with a remedy or normalised to 100.0."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.ranking.weight_set import (
    WeightError,
    WeightVersion,
    normalise,
    validate,
    version_in_force,
    version_in_force_after,
)
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES

ONE = dict.fromkeys(VARIABLE_NAMES, 0.0)


def test_the_defaults_are_valid_and_stay() -> None:
    assert validate(DEFAULT_WEIGHTS) == DEFAULT_WEIGHTS
    assert normalise(DEFAULT_WEIGHTS) == DEFAULT_WEIGHTS


def test_valid_weights_come_back_in_the_house_s_order() -> None:
    turned = dict(reversed((DEFAULT_WEIGHTS | {"avg_win_rate": -10.0}).items()))
    assert list(validate(turned)) == list(VARIABLE_NAMES)
    assert validate(turned)["avg_win_rate"] == -10.0


def test_rounding_of_a_tenth_is_mended() -> None:
    nearly = DEFAULT_WEIGHTS | {"avg_win_rate": 0.1 + 0.2, "avg_drawdown": 17.7}
    assert validate(nearly)["avg_win_rate"] == 0.3


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "missing: one_hour_performance, two_hour"),
        (DEFAULT_WEIGHTS | {"luck": 1.0}, "unknown: luck"),
        (dict(list(DEFAULT_WEIGHTS.items())[:16]) | {"x": 1}, "missing: win_streak_7; unknown: x"),
        (DEFAULT_WEIGHTS | {"win_streak_7": 0.4}, r"sum to 99.9, not 100.0 \(normalise to scale them\)"),
        (DEFAULT_WEIGHTS | {"win_streak_7": -0.6}, "sum to 100.1, not 100.0"),
        (DEFAULT_WEIGHTS | {"win_streak_7": 0.45}, r"win_streak_7 is 0.45; weights have one decimal \(normalise"),
        (DEFAULT_WEIGHTS | {"win_streak_7": float("nan")}, "win_streak_7 is nan; a weight is a finite number"),
        (DEFAULT_WEIGHTS | {"win_streak_7": float("-inf")}, "win_streak_7 is -inf; a weight is a finite number"),
        (DEFAULT_WEIGHTS | {"win_streak_7": 1e308}, "win_streak_7 is 1e.308; the absolute weights together make 100.0"),
        (ONE, "sum to 0.0, not 100.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(weights: dict, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        validate(weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"luck": 1.0}, "unknown: luck; the variables are one_hour_performance,"),
        (DEFAULT_WEIGHTS | {"win_streak_7": float("nan")}, "every weight is a finite number"),
        (DEFAULT_WEIGHTS | {"win_streak_7": float("inf")}, "every weight is a finite number"),
        (ONE, "at least one weight differs from 0"),
        ({}, "at least one weight differs from 0"),
    ],
)
def test_what_cannot_be_normalised_is_said(weights: dict, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        normalise(weights)


def test_largest_remainder_by_hand() -> None:
    # Thirds: 33.3 each, and the tenth that is left goes to the first.
    thirds = normalise({"one_hour_performance": 1, "avg_win_rate": -1, "win_streak_7": 1})
    assert {k: v for k, v in thirds.items() if v} == {
        "one_hour_performance": 33.4, "avg_win_rate": -33.3, "win_streak_7": 33.3
    }  # fmt: skip
    # 1 : 2 : 4 of 1000 tenths: 142.86, 285.71, 571.43; the two tenths that are left go to the largest remainders.
    shares = normalise({"one_hour_performance": 1, "avg_win_rate": 2, "win_streak_7": 4})
    assert {k: v for k, v in shares.items() if v} == {
        "one_hour_performance": 14.3, "avg_win_rate": 28.6, "win_streak_7": 57.1
    }  # fmt: skip


def test_nineteen_equal_weights() -> None:
    equal = list(normalise(dict.fromkeys(VARIABLE_NAMES, 1e-300)).values())
    assert equal == [5.3] * 12 + [5.2] * 7


def test_know_defeat_s_seventeen_are_a_set_and_give_the_slow_variables_no_weight() -> None:
    seventeen = dict(list(DEFAULT_WEIGHTS.items())[:17])
    assert validate(seventeen) == seventeen | {"quarter_result": 0.0, "lifetime_result": 0.0}


MAGNITUDES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1e-300, -1e-300, 1e300, -1e300, 5e-324, 1.7e308]),
    st.floats(-100, 100),
)


@given(st.lists(MAGNITUDES, min_size=19, max_size=19).filter(any))
@example([5e-324] * 19)
@example([1.7e308] * 19)
@example([1e300, 1e-300] + [0.0] * 17)
@example([0.1] * 18 + [1e16])
def test_any_weights_normalise_to_a_valid_set_in_the_same_proportions(values: list[float]) -> None:
    weights = dict(zip(VARIABLE_NAMES, values, strict=True))
    found = normalise(weights)
    assert validate(found) == found
    assert sum(round(10 * abs(weight)) for weight in found.values()) == 1000
    total = sum(abs(Fraction(value)) for value in values)
    for name, value in weights.items():
        exact = 100 * Fraction(value) / total
        assert abs(Fraction(str(found[name])) - exact) <= Fraction(1, 10) + Fraction(1, 10**9)
    assert normalise(found) == found


@given(st.lists(st.integers(-1000, 1000), min_size=19, max_size=19).filter(any))
def test_sums_of_valid_sets_never_depend_on_rounding(tenths: list[int]) -> None:
    found = normalise({name: value / 7 for name, value in zip(VARIABLE_NAMES, tenths, strict=True)})
    assert sum(map(abs, found.values())) == pytest.approx(100.0, abs=1e-12)
    assert all(found[name] * value >= 0 for name, value in zip(VARIABLE_NAMES, tenths, strict=True))


LEARNED_AT = datetime(2025, 3, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def version(number: int, in_force_from: datetime | None) -> WeightVersion:
    return WeightVersion(number, "default" if in_force_from is None else "ai", "why", in_force_from, DEFAULT_WEIGHTS)


def test_a_version_counts_for_every_as_of_strictly_later_than_its_own() -> None:
    versions = [version(1, None), version(2, LEARNED_AT), version(3, LEARNED_AT + timedelta(days=1))]
    at = {LEARNED_AT - TICK: 1, LEARNED_AT: 1, LEARNED_AT + TICK: 2, LEARNED_AT + timedelta(days=1): 2}
    assert {as_of: version_in_force(versions, as_of).version for as_of in at} == at
    assert version_in_force(versions, LEARNED_AT + timedelta(days=2)).version == 3


def test_what_was_learned_at_an_as_of_counts_after_it() -> None:
    versions = [version(1, None), version(2, LEARNED_AT)]
    assert version_in_force_after(versions, LEARNED_AT - TICK).version == 1
    assert version_in_force_after(versions, LEARNED_AT).version == 2


def test_of_versions_in_force_from_one_instant_the_last_recorded_counts() -> None:
    versions = [version(1, None), version(2, LEARNED_AT), version(3, LEARNED_AT)]
    assert version_in_force(versions, LEARNED_AT + TICK).version == 3
    assert version_in_force(versions, LEARNED_AT).version == 1


def test_before_the_first_version_there_is_none() -> None:
    with pytest.raises(LookupError, match="no version of the weights is in force at 2025-03-02 00:00"):
        version_in_force([version(1, LEARNED_AT)], LEARNED_AT)


def test_a_version_s_weights_as_a_vector() -> None:
    assert version(1, None).vector.tolist() == list(DEFAULT_WEIGHTS.values())
