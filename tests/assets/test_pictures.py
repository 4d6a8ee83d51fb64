"""The pictures: what they show, as figures, and that their markup is small and sound."""

import math
import re
import xml.etree.ElementTree as ET
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowdefeat_pipeline.assets import chart
from knowdefeat_pipeline.assets.chart import HEIGHT, LINE_HEIGHT, WIDTH, Chart, ticks
from knowdefeat_pipeline.assets.metrics import top_equity
from knowdefeat_pipeline.assets.pictures import draw_equity, draw_scores, equity_by_day, marked_bots, score_bins
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.session import open_session

DAY = date(2025, 2, 27)
SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 6_000
BACKGROUNDS = ("#ffffff", "#0f1116")  # of the UI's light and dark theme


def texts(markup: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(markup).iter(f"{SVG}text")]


def ranked(scores: list[float]) -> pd.DataFrame:
    n = len(scores)
    return pd.DataFrame(
        {
            "bot": [str(bot) for bot in range(11, 11 + n)],
            "rank": pd.array(range(1, n + 1), dtype="Int32"),
            "rank_score": sorted(scores, reverse=True),
        }
    )


def pnl(rows: dict[int, list[float]], capital: float = 1000.0) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (DAY + timedelta(days=n), str(bot), value, capital, bot == 8)
            for bot, values in rows.items()
            for n, value in enumerate(values)
            if not math.isnan(value)
        ],
        columns=["day", "bot", "lifetime_pnl", "capital", "capital_is_estimated"],
    )


def test_equity_is_in_percent_of_capital_the_highest_first() -> None:
    table = equity_by_day(pnl({7: [0.0, 50.0], 8: [math.nan, 100.0]}))
    assert list(table.columns) == ["8", "7"]
    assert table["7"].tolist() == [100.0, 105.0]
    assert math.isnan(table["8"].iloc[0])
    assert table["8"].iloc[1] == pytest.approx(110.0)


def test_the_equity_picture_names_units_days_and_each_bots_last_value() -> None:
    markup = draw_equity(pnl({7: [0.0, 50.0, -20.0], 8: [math.nan, 100.0, 80.0]}))
    assert markup is not None
    shown = texts(markup)
    assert {"equity (% of capital)", "day (UTC)", "27 Feb", "01 Mar", "bot 8: ~108.0 %", "bot 7: 98.0 %"} <= set(shown)


def test_the_score_picture_names_units_and_the_bots_at_both_ends() -> None:
    markup = draw_scores(ranked([70, 60, 55, 50, 45, 40, 30]))
    assert markup is not None
    shown = texts(markup)
    assert {"Scores of the ranked bots (7)", "bots", "rank_score (points)"} <= set(shown)
    assert {"1. bot 11: 70.0", "3. bot 13: 55.0", "5. bot 15: 45.0", "7. bot 17: 30.0"} <= set(shown)
    assert not any("bot 14" in text for text in shown)


def test_nothing_to_show_is_no_picture() -> None:
    assert draw_equity(pnl({})) is None
    unranked = ranked([50.0]).assign(rank=pd.array([pd.NA], dtype="Int32"), rank_score=np.nan)
    assert draw_scores(unranked) is None


def test_no_bot_is_marked_twice() -> None:
    for n in range(1, 9):
        best, worst = marked_bots(ranked([float(score) for score in range(n)]))
        assert len(best) + len(worst) == min(n, 6)
        assert set(best["bot"]).isdisjoint(worst["bot"])


@example([0.0, 1e-5])
@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_every_score_is_in_one_bin(scores: list[float]) -> None:
    edges, counts = score_bins(pd.Series(scores))
    assert counts.sum() == len(scores)
    assert len(counts) == len(edges) - 1 <= 26
    assert np.allclose(np.diff(edges), edges[1] - edges[0])


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(3, 24))
def test_ticks_are_round_and_reach_around_the_range(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * span
    assert found[-1] >= low + span - 1e-6 * span
    assert len(found) <= most + 2
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - multiple) for multiple in (1, 2, 5, 10)) < 1e-3


def test_ticks_by_hand() -> None:
    assert ticks(0, 100, 4).tolist() == [0, 50, 100]
    assert ticks(93, 108.9, 4).tolist() == pytest.approx([90, 95, 100, 105, 110])
    assert ticks(5, 5, 4).tolist() == pytest.approx([4.5, 5.0, 5.5])


def test_labels_beside_the_chart_do_not_touch_and_stay_within_it() -> None:
    picture = Chart((0, 1), (0, 1))
    picture.beside(np.array([0.5, 0.5, 0.5, 0.01, np.nan]), list("abcde"), ["#000"] * 5)
    heights = {e.text: float(e.get("y", "nan")) for e in ET.fromstring(picture.svg()).iter(f"{SVG}text")}
    ordered = sorted(heights.values())
    assert min(np.diff(ordered)) >= LINE_HEIGHT - 0.11  # coordinates have one decimal
    assert ordered[0] > 0
    assert ordered[-1] < HEIGHT
    assert max(heights, key=heights.__getitem__) == "e"


def test_text_is_escaped() -> None:
    picture = Chart((0, 1), (0, 1))
    picture.titles("<script>&", "y", "x")
    assert texts(picture.svg())[0] == "<script>&"


def test_pictures_are_small_and_keep_within_their_frame() -> None:
    rng = np.random.default_rng(2)
    walks = {bot: list(np.cumsum(rng.normal(10, 50, 30))) for bot in (1001, 1002, 1003, 1004, 1005)}
    for markup in (draw_equity(pnl(walks)), draw_scores(ranked(list(rng.normal(50, 10, 1000))))):
        assert markup is not None
        assert len(markup.encode()) < MOST_BYTES
        root = ET.fromstring(markup)
        assert (root.get("width"), root.get("height")) == (str(WIDTH), str(HEIGHT))
        for path in root.iter(f"{SVG}path"):
            for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.get("d", "")):
                assert 0 <= float(x) <= WIDTH
                assert 0 <= float(y) <= HEIGHT


def test_every_colour_stands_out_from_the_light_and_the_dark_theme() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for name in ("INK", "BAR", "BLUE", "ORANGE", "GREEN", "PURPLE", "RED"):
        for background in BACKGROUNDS:
            low, high = sorted((luminance(getattr(chart, name)), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 3, f"{name} on {background}"  # WCAG 2.1, graphics


def test_the_bots_shown_are_those_that_gained_most_for_their_capital(database: str) -> None:
    gains = {1: 100.0, 2: 300.0, 3: 200.0, 4: 50.0, 5: 10.0, 6: 400.0}  # bot 6 has a hundred times the capital
    with connect(database) as connection:
        for bot, gain in gains.items():
            connection.execute(
                "INSERT INTO bots (bot_id, capital) VALUES (%s, %s)", (bot, 100_000 if bot == 6 else 1000)
            )
            for back in (0, 1, 29, 30):
                day = DAY - timedelta(days=back)
                connection.execute(
                    "INSERT INTO refreshed_days (asset, day, as_of, seen) VALUES ('bot_metrics', %s, '2025-01-01Z', '1:1:')"
                    " ON CONFLICT DO NOTHING",
                    (day,),
                )
                connection.execute(
                    "INSERT INTO bot_metrics_rows (day, bot_id, total_pnl, lifetime_pnl, first_exit, last_exit,"
                    " ticker, trades, wins, losses, lifetime_trades, capital)"
                    " VALUES (%s, %s, %s, %s, '2025-01-01Z', '2025-01-01Z', '*', 9, 9, 0, 9, %s)",
                    (day, bot, gain, gain - back, 100_000 if bot == 6 else 1000),
                )
    with open_session(database) as session:
        rows = top_equity(session, DAY)
    assert sorted(set(rows["bot"])) == ["1", "2", "3", "4", "5"]
    assert sorted(set(rows["day"])) == [DAY - timedelta(days=29), DAY - timedelta(days=1), DAY]
    last = rows[rows["day"] == DAY].set_index("bot")["lifetime_pnl"]
    assert last["2"] == 300.0
