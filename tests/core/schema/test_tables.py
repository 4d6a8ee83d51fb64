"""The table of figures, and that the database's tables are made of it."""

from knowdefeat_pipeline.core.schema import DEFAULT_WEIGHTS, METRICS, RANKING, TABLES, VARIABLE_NAMES, VARIABLES
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.tables import stored

# Know-Defeat's variables and default weights.
KNOW_DEFEAT = {
    "one_hour_performance": 15.0, "two_hour_performance": 12.5, "one_day_performance": 10.0,
    "one_week_performance": 7.5, "one_month_performance": 5.0, "avg_win_rate": 10.0, "avg_drawdown": 8.0,
    "profit_per_second": 12.0, "price_model_score": 5.0, "volume_model_score": 5.0, "price_wall_score": 3.0,
    "win_streak_2": 2.0, "win_streak_3": 1.5, "win_streak_4": 1.5, "win_streak_5": 1.0, "win_streak_6": 0.5,
    "win_streak_7": 0.5,
}  # fmt: skip
SLOW = {"quarter_result": 0.0, "lifetime_result": 0.0}


def test_the_nineteen_variables_and_their_default_weights() -> None:
    assert DEFAULT_WEIGHTS == KNOW_DEFEAT | SLOW
    assert list(VARIABLE_NAMES) == [*KNOW_DEFEAT, *SLOW]
    assert sum(KNOW_DEFEAT.values()) == 100.0


def test_what_the_ranking_reads_is_a_metric() -> None:
    names = [figure.name for figure in TABLES["bot_metrics"]]
    assert {variable.measure for variable in VARIABLES} <= set(names)
    assert [figure.name for figure in METRICS][:17] == list(KNOW_DEFEAT)
    assert names[-2:] == list(SLOW)


def test_only_a_drawdown_is_better_when_lower() -> None:
    assert [variable.name for variable in VARIABLES if variable.orientation == -1] == ["avg_drawdown"]
    assert {variable.orientation for variable in VARIABLES} == {1, -1}


def test_every_figure_has_a_name_of_its_own_and_a_description() -> None:
    for figures in TABLES.values():
        names = [figure.name for figure in figures]
        assert len(names) == len(set(names))
        assert all(figure.description.endswith(".") for figure in figures)


def test_each_variable_has_its_points_in_the_ranking() -> None:
    assert [f.name for f in RANKING if f.name.endswith("_points")] == [
        f"{name}_points" for name in (*KNOW_DEFEAT, *SLOW)
    ]


def test_the_tables_of_the_database_are_the_tables_of_figures(database: str) -> None:
    """Names, order, types and NULL; but for the transaction of a row and whether it came with the demo: no figures."""
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public' AND column_name NOT IN ('recorded_xid', 'simulated') ORDER BY table_name, ordinal_position"
        ).fetchall()
    short = {"timestamp with time zone": "timestamptz"}
    nullable = {(of, name): null == "YES" for of, name, _, null in rows}
    for table, figures in TABLES.items():
        found = [(name, short.get(kind, kind)) for of, name, kind, _ in rows if of == table]
        assert found == [(figure.name, figure.type) for figure in figures], table
        # Of a view, every column may be NULL; the table behind it, which lacks what the mark says, tells.
        for figure in figures:
            assert nullable.get((stored(table), figure.name), figure.nullable) == figure.nullable, figure.name
