"""The daily adjustment on a real database: versions, rows of attempts, what follows, and what it may not touch."""

import random
from datetime import UTC, date, datetime, timedelta
from threading import Thread

import numpy as np
import pandas as pd
import psycopg
import pytest

from knowdefeat_pipeline.core.learning.learner import DEFAULT, MAX_MOVE, MIN_SETTLED_DAYS, learn_weights
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion, validate
from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.simulation.bots import Simulation, simulate
from knowdefeat_pipeline.core.simulation.panels import panel_of
from knowdefeat_pipeline.core.units import day_end, each_day
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import learning
from knowdefeat_pipeline.steps.learning import WeightedDays, changes, weights_over_time
from knowdefeat_pipeline.store.learning import (
    WeightsChanged,
    add_version,
    adjustments,
    ai_setting,
    evidence_of,
    set_ai,
    weight_versions,
)
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from knowdefeat_pipeline.store.weight_panel import read_history
from tests.conftest import temporary_database
from tests.steps import days

END = datetime(2025, 3, 1, tzinfo=UTC)
DAYS, BOTS, SEED = 40, 8, 5
FIRST, LAST = (END - timedelta(days=DAYS)).date(), (END - timedelta(days=1)).date()
NOON = END + timedelta(hours=12)
RESULTS = ("bot_metrics", "bot_rankings", "variable_weights", "weight_versions", "weight_adjustments")


def trades(seed: int = SEED) -> Simulation:
    return simulate("base", bots=BOTS, days=DAYS, seed=seed, end=END)


def load(url: str, frame: pd.DataFrame) -> None:
    load_trades(url, read_frame(frame, "simulator", END), "fleet", simulated=True)


@pytest.fixture(scope="module")
def computed(server_url: str, template: str) -> str:
    """A database with eight bots' trades over forty days, all of them computed, to be cloned."""
    with temporary_database(server_url, template) as url:
        load(url, trades().trades)
        refresh(url, FIRST, LAST)
        close_idle()
        yield url


@pytest.fixture
def fleet(server_url: str, computed: str) -> str:
    with temporary_database(server_url, computed) as url:
        yield url


def refresh(url: str, first: date, last: date, now: datetime = END) -> None:
    days.refresh(url, first, last, now)


def adjust(url: str, first: date = FIRST, last: date = LAST, now: datetime = END) -> WeightedDays:
    """The learner is asked, and what its versions make stale is computed."""
    weighted = days.adjust(url, first, last, now)
    days.compute_stale(url, now)
    return weighted


def versions(url: str) -> list[WeightVersion]:
    with connect(url) as connection:
        return weight_versions(connection)


def attempts(url: str) -> list[dict]:
    with connect(url) as connection:
        return adjustments(connection, date.min, date.max)


def outcomes(url: str) -> list[str]:
    return [attempt["outcome"] for attempt in attempts(url)]


def in_force(url: str, day: date) -> dict[str, float]:
    """The weights in force once the day was ranked."""
    with connect(url) as connection:
        rows = connection.execute("SELECT variable, weight FROM variable_weights WHERE day = %s", (day,))
        return dict(rows.fetchall())


def ranked_with(url: str, day: date) -> dict[str, float]:
    """The weights of the version that the day's ranking names."""
    with connect(url) as connection:
        ((ranked,),) = connection.execute(
            "SELECT DISTINCT weight_version FROM bot_rankings WHERE day = %s", (day,)
        ).fetchall()
    return next(v.weights for v in versions(url) if v.version == ranked)


def tables(url: str, until: date) -> dict[str, list[tuple]]:
    """Everything that says something of the days up to `until`, without the times of writing."""
    keep = {"weight_versions": "in_force_from <= (%s::date + 1)::timestamp AT TIME ZONE 'UTC'"}
    with connect(url) as connection:
        return {
            name: connection.execute(
                f"SELECT to_jsonb(t) - '{{created_at,recorded_xid}}'::text[] AS row FROM {name} t WHERE {keep.get(name, 'day <= %s')} ORDER BY 1",
                (until,),
            ).fetchall()
            for name in RESULTS
        }


@pytest.mark.long
def test_each_day_is_a_step_toward_what_the_learner_held_then(fleet: str) -> None:
    adjust(fleet)
    learned = learn_weights(Panel.of(read_history(fleet, LAST)))
    held = DEFAULT
    for attempt, day, target in zip(attempts(fleet), each_day(FIRST, LAST), learned.weights, strict=True):
        assert (attempt["day"], attempt["as_of"]) == (day, day_end(day))
        assert ranked_with(fleet, day) == dict(zip(VARIABLE_NAMES, held.tolist(), strict=True))
        weights = np.array([in_force(fleet, day)[name] for name in VARIABLE_NAMES])
        np.testing.assert_array_equal(weights, target)
        assert np.abs(weights - held).sum() <= MAX_MOVE + 1e-9
        assert (attempt["outcome"] == "published") == bool((weights != held).any())
        held = weights
    found = outcomes(fleet)
    assert found[: MIN_SETTLED_DAYS + 1].count("frozen") >= MIN_SETTLED_DAYS
    assert found.count("published") > 5
    assert attempts(fleet)[0]["reason"] == f"0 settled days, {MIN_SETTLED_DAYS} needed"


def test_the_panel_read_from_the_database_is_that_of_the_simulated_world(fleet: str) -> None:
    expected = panel_of(trades()).frame.set_index(["as_of", "bot_id"])
    found = read_history(fleet, LAST).set_index(["as_of", "bot_id"])
    expected, last = expected.sort_index(), found.index.get_level_values(0) == END
    assert found[last]["label"].isna().all()
    found = found[~last].sort_index()
    assert found.index.tolist() == expected.index.tolist()
    for name in ("volatility", "one_week_performance", "avg_drawdown_amount", "win_streak_2", "label"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9)
    assert found["group"].tolist() == expected["group"].tolist()


@pytest.mark.long
def test_a_version_tells_what_it_rests_on(fleet: str) -> None:
    adjust(fleet)
    attempt = [a for a in attempts(fleet) if a["outcome"] == "published"][-1]
    with connect(fleet) as connection:
        evidence = evidence_of(connection, attempt["version"])
        known, last_exit = connection.execute(
            "SELECT count(*), max(exit_time) FROM trades WHERE status = 'closed' AND exit_time < %s",
            (attempt["as_of"],),
        ).fetchone()
    version = versions(fleet)[attempt["version"] - 1]
    before = versions(fleet)[attempt["version"] - 2]
    assert (version.author, version.reason) == ("ai", attempt["reason"])
    assert version.in_force_from == attempt["as_of"]
    assert evidence["based_on"] == before.version
    assert (evidence["trades"], datetime.fromisoformat(evidence["last_exit"])) == (known, last_exit)
    assert evidence["days"] == (attempt["day"] - FIRST).days - sum(
        1 for a in attempts(fleet)[:10] if a["evidence"]["days"] == 0 and a["day"] > FIRST
    )
    assert set(evidence["ic"]) == {"learned", "default", "equal", "persistence", "random"}
    assert evidence["ic"]["default"]["standard_error"] > 0
    assert 0 <= evidence["open_share"] <= 1
    assert evidence["gate_open"] in (True, False)
    assert evidence["statement"].startswith("Against the default weights over ")
    for name, change in evidence["change"].items():
        assert version.weights[name] - before.weights[name] == pytest.approx(change, abs=1e-9)


@pytest.mark.long
def test_once_a_day_and_a_second_run_changes_nothing(fleet: str) -> None:
    adjust(fleet)
    before = tables(fleet, LAST)
    adjust(fleet)
    adjust(fleet, LAST - timedelta(days=3))
    assert tables(fleet, LAST) == before


@pytest.mark.long
def test_day_by_day_is_the_same_as_all_at_once(fleet: str, server_url: str, computed: str) -> None:
    split = FIRST + timedelta(days=30)
    adjust(fleet, FIRST, split)
    for day in each_day(split + timedelta(days=1), LAST):
        adjust(fleet, day, day)
    with temporary_database(server_url, computed) as other:
        adjust(other)
        assert tables(other, LAST) == tables(fleet, LAST)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_closed_later_can_change_a_bit(fleet: str, server_url: str, template: str, seed: int) -> None:
    until = END - timedelta(days=random.Random(seed).uniform(0, DAYS - MIN_SETTLED_DAYS - 4))
    cut = until.date() - timedelta(days=1)  # the last day that has ended then
    adjust(fleet)
    frame = trades().trades
    with temporary_database(server_url, template) as other:
        load(other, frame[(frame["status"] == "closed") & (frame["exit_time"] < until)])
        refresh(other, FIRST, cut, until)
        adjust(other, FIRST, cut, until)
        kept, found = tables(fleet, cut), tables(other, cut)
        assert len(found["weight_versions"]) > 1
        for name in RESULTS:
            assert found[name] == kept[name], name


def test_a_run_without_adjust_adjusts_nothing(fleet: str) -> None:
    refresh(fleet, LAST, LAST)
    assert len(versions(fleet)) == 1
    assert attempts(fleet) == []


@pytest.mark.long
def test_the_weights_are_adjusted_in_their_own_table_and_the_running_day_becomes_stale(fleet: str) -> None:
    refresh(fleet, NOON.date(), NOON.date(), NOON)
    adjust(fleet, FIRST, LAST - timedelta(days=1), NOON)
    others = "SELECT * FROM refreshed_days WHERE asset <> 'variable_weights' ORDER BY asset, day"
    with connect(fleet) as connection:
        marked = connection.execute(others).fetchall()
        days.adjust(fleet, LAST, NOON.date(), NOON)
        assert connection.execute(others).fetchall() == marked
        assert stale_days(connection, RANKING, NOON).days == (NOON.date(),)
    assert [attempt["day"] for attempt in attempts(fleet)] == each_day(FIRST, LAST)
    newest = versions(fleet)[-1]
    assert in_force(fleet, LAST) == newest.weights != ranked_with(fleet, NOON.date())
    days.compute_stale(fleet, NOON)
    assert in_force(fleet, NOON.date()) == ranked_with(fleet, NOON.date()) == newest.weights != DEFAULT_WEIGHTS
    with connect(fleet) as connection:
        rows = connection.execute(
            "SELECT DISTINCT as_of FROM bot_rankings WHERE day = %s UNION "
            "SELECT DISTINCT as_of FROM variable_weights WHERE day = %s",
            (NOON.date(), NOON.date()),
        ).fetchall()
    assert rows == [(NOON,)]


@pytest.mark.long
def test_history_in_force_is_not_rewritten(fleet: str) -> None:
    middle = FIRST + timedelta(days=30)
    adjust(fleet, middle, LAST)
    before = tables(fleet, LAST)
    adjust(fleet, FIRST, LAST)
    assert versions(fleet)[-1].version == len(before["weight_versions"])
    late = [attempt for attempt in attempts(fleet) if attempt["day"] < middle]
    assert {attempt["outcome"] for attempt in late} == {"refused"}
    assert "history is not rewritten" in late[0]["reason"]
    after = tables(fleet, LAST)
    assert {name: after[name] for name in RESULTS[:4]} == {name: before[name] for name in RESULTS[:4]}


@pytest.mark.long
def test_old_days_keep_the_weights_of_their_time(fleet: str) -> None:
    middle = FIRST + timedelta(days=32)
    adjust(fleet, FIRST, middle)
    before = tables(fleet, middle)
    adjust(fleet, middle, LAST)
    assert len(versions(fleet)) > len(before["weight_versions"])
    assert tables(fleet, middle) == before
    refresh(fleet, FIRST, LAST)
    assert tables(fleet, middle) == before


def test_switched_off_it_records_that_and_leaves_the_weights(fleet: str) -> None:
    with connect(fleet) as connection:
        assert ai_setting(connection)["ai_enabled"]
        set_ai(connection, False, "holidays")
    adjust(fleet, LAST, LAST)
    (attempt,) = attempts(fleet)
    assert (attempt["outcome"], attempt["version"]) == ("disabled", None)
    assert attempt["reason"].endswith("UTC: holidays")
    with connect(fleet) as connection:
        set_ai(connection, True, "back")
    adjust(fleet, LAST, LAST)
    assert outcomes(fleet) == ["published"]
    assert len(versions(fleet)) == 2


def test_a_persons_weights_are_built_upon_and_what_they_ruled_stays(fleet: str) -> None:
    middle = END - timedelta(days=5)
    person = validate(dict.fromkeys(VARIABLE_NAMES, 0.0) | {"avg_win_rate": 60.0, "win_streak_2": -40.0})
    with connect(fleet) as connection:
        add_version(connection, person, based_on=1, author="manual", reason="I know", in_force_from=middle)
    adjust(fleet)
    done = attempts(fleet)
    assert {attempt["outcome"] for attempt in done if attempt["as_of"] < middle} == {"refused"}
    first = next(version for version in versions(fleet) if version.author == "ai")
    moved = sum(abs(first.weights[name] - person[name]) for name in VARIABLE_NAMES)
    assert 0 < moved <= MAX_MOVE + 1e-9
    assert first.in_force_from >= middle


def test_what_fails_leaves_nothing_behind(fleet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*_: object) -> None:
        raise RuntimeError("the table fell over")

    before = tables(fleet, LAST)
    monkeypatch.setattr(learning, "replace_days", fall)
    with pytest.raises(RuntimeError, match="fell over"):
        adjust(fleet)
    assert tables(fleet, LAST) == before


@pytest.mark.long
def test_the_step_says_what_moved_and_why(fleet: str) -> None:
    attempted = adjust(fleet).attempts
    rows = changes(attempted)
    assert rows["day"].tolist() == each_day(FIRST, LAST)
    assert rows["version"].notna().sum() == outcomes(fleet).count("published")
    assert rows["reason"].tolist() == [attempt["reason"] for attempt in attempts(fleet)]
    with connect(fleet) as connection:
        over_time = weights_over_time(connection, each_day(FIRST, LAST))
    expected = [in_force(fleet, day) for day in each_day(FIRST, LAST)]
    assert over_time.tolist() == [[weights[name] for name in VARIABLE_NAMES] for weights in expected]


def test_two_editors_the_second_is_told(fleet: str) -> None:
    one, two = DEFAULT_WEIGHTS | {"one_hour_performance": 14.0, "avg_win_rate": 11.0}, DEFAULT_WEIGHTS
    with connect(fleet) as first, connect(fleet) as second:
        with first.transaction():
            add_version(first, one, based_on=1, author="manual", reason="mine", in_force_from=END)
            told: list[Exception] = []

            def edit() -> None:
                try:
                    add_version(second, two, based_on=1, author="manual", reason="no, mine", in_force_from=END)
                except WeightsChanged as error:
                    told.append(error)

            thread = Thread(target=edit)
            thread.start()
            with connect(fleet) as third:
                while not third.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
                    assert thread.is_alive()
        thread.join()
    assert [str(error).splitlines()[0] for error in told] == [
        "Version 2 (manual: mine) is the latest, and this change builds on version 1: nothing was written."
    ]
    assert [version.reason for version in versions(fleet)] == ["The default weights", "mine"]


def test_versions_are_append_only_and_follow_one_another(fleet: str) -> None:
    with connect(fleet) as connection:
        add_version(connection, DEFAULT_WEIGHTS, based_on=1, author="manual", reason="a", in_force_from=END)
        for statement in (
            "UPDATE weight_versions SET reason = 'b'",
            "DELETE FROM weight_versions",
            "TRUNCATE weight_versions CASCADE",
        ):
            with pytest.raises(psycopg.errors.CheckViolation, match="never changed or deleted"):
                connection.execute(statement)
        with pytest.raises(psycopg.errors.CheckViolation, match="would rewrite history"):
            add_version(
                connection,
                DEFAULT_WEIGHTS,
                based_on=2,
                author="manual",
                reason="c",
                in_force_from=END - timedelta(hours=1),
            )
        with pytest.raises(WeightsChanged, match="no version 7: version 2 is the latest"):
            add_version(connection, DEFAULT_WEIGHTS, based_on=7, author="manual", reason="d", in_force_from=END)
        with pytest.raises(psycopg.errors.CheckViolation, match="weight_versions_sum"):
            add_version(
                connection,
                DEFAULT_WEIGHTS | {"avg_win_rate": 1.0},
                based_on=2,
                author="manual",
                reason="e",
                in_force_from=END,
            )
    assert len(versions(fleet)) == 2


@pytest.mark.long
def test_what_was_learned_from_the_simulated_fleet_leaves_with_it(fleet: str) -> None:
    adjust(fleet)
    newest = versions(fleet)[-1].version
    with connect(fleet) as connection:
        add_version(connection, DEFAULT_WEIGHTS, based_on=newest, author="manual", reason="kept", in_force_from=END)
    real = trades(seed=6).trades
    load_trades(fleet, read_frame(real, "table", END), "real")
    assert [(v.version, v.author) for v in versions(fleet)] == [(1, "default"), (newest + 1, "manual")]
    assert attempts(fleet) == []
    with connect(fleet) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("DELETE FROM weight_versions")
