"""Pages without a browser: every figure is the table's, what came from outside is text, and files hold what is shown."""

import csv
import io
import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from knowdefeat_pipeline.core.units import day_end
from tests.steps import days
from tests.web.conftest import FORMULA, LAST, NASTY, Web

PAGES = (
    "/", "/ranking", "/bots/1", "/bots/2", "/compare", "/weights", "/learning", "/regimes", "/funds", "/operations", "/docs",
    "/funds?tried=true&funds=50000",
)  # fmt: skip


class Figures(HTMLParser):
    """What stands in cells and tiles that name their figure, by the row or the part of the page that they are in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.place, self.name, self.depth = "", "", 0
        self.found: dict[tuple[str, str], str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.place = given.get("data-currency") or (given.get("id") if tag == "tr" else None) or self.place
        if self.name:
            self.depth += 1
        for key, prefix in (("data-figure", ""), ("data-points", "points ")):
            if given.get(key):
                self.name, self.depth = f"{prefix}{given[key]}", 0

    def handle_endtag(self, tag: str) -> None:
        if self.name and self.depth == 0:
            self.name = ""
        self.depth = max(0, self.depth - 1)

    def handle_data(self, data: str) -> None:
        if self.name and data.strip():
            key = (self.place, self.name)
            self.found[key] = self.found.get(key, "") + data.strip()


def value(text: str) -> float | None:
    """A figure as it is shown, as a number."""
    text = text.removeprefix("~").replace("−", "-").replace("+", "").replace(",", "").removesuffix("%").strip()
    return None if text == "–" else float(text)


def shown(number: float | None, decimals: int) -> float | None:
    return None if number is None else pytest.approx(float(number), abs=0.5000001 * 10**-decimals)


def test_every_figure_of_the_ranking_is_that_of_the_table(web: Web) -> None:
    found = Figures(web.get("/ranking").text).found
    decimals = {"rank": 0, "rank_score": 1, "p_skill": 2, "pnl": 2, "pnl_1d": 2, "open_pnl": 2, "trades": 0, "win_rate": 1,
                "profit_factor": 2, "max_drawdown": 1, "current_streak": 0, "moved_1d": 0, "moved_7d": 0, "funds": 2}  # fmt: skip
    statement = """
        SELECT r.bot_id, r.rank, r.rank_score, k.p_skill, m.total_pnl, m.one_day_performance, m.open_pnl, m.trades, m.avg_win_rate,
               m.profit_factor, m.max_drawdown, s.current_streak, d.rank - r.rank, w.rank - r.rank, a.amount
        FROM bot_rankings AS r JOIN bot_metrics AS m USING (day, bot_id) JOIN win_streak_summary AS s USING (day, bot_id)
        LEFT JOIN bot_skill AS k ON (k.day, k.bot_id, k.time_window) = (r.day, r.bot_id, 'lifetime')
        LEFT JOIN bot_rankings AS d ON (d.day, d.bot_id) = (r.day - 1, r.bot_id)
        LEFT JOIN bot_rankings AS w ON (w.day, w.bot_id) = (r.day - 7, r.bot_id)
        LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (r.day, r.bot_id)
        WHERE r.day = %s AND m.ticker = '*'
    """
    rows = web.rows(statement, LAST)
    assert len(rows) == 9
    for bot, *figures in rows:
        for (name, places), number in zip(decimals.items(), figures, strict=True):
            assert value(found[f"bot-{bot}", name]) == shown(number, places), (bot, name)


def test_the_fleet_s_sums_are_those_of_its_currency_alone(own_web: Web) -> None:
    from knowdefeat_pipeline.postgres.connection import connect
    from tests.steps import days

    with connect(own_web.url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, quote_currency) "
            "SELECT 50, 'XBT', 'LONG', t - interval '1 hour', 100, 100, 'closed', t, 101, 'JPY' FROM generate_series(%s - interval '20 hours', %s - interval '1 hour', '3 hours') AS t",
            (day_end(LAST), day_end(LAST)),
        )
    days.refresh(own_web.url, LAST, LAST, day_end(LAST))
    found = Figures(own_web.get("/").text).found
    for currency, decimals in (("USD", 2), ("JPY", 0)):
        ((day, week, month, ranked, bots, active),) = own_web.rows(
            "SELECT sum(m.one_day_performance), sum(m.one_week_performance), sum(m.total_pnl), count(r.rank), count(*), count(*) FILTER (WHERE r.is_active) "
            "FROM bot_metrics AS m JOIN bots USING (bot_id) JOIN bot_rankings AS r USING (day, bot_id) "
            "WHERE m.day = %s AND m.ticker = '*' AND quote_currency = %s",
            LAST,
            currency,
        )
        for name, number in (("pnl_1d", day), ("pnl_7d", week), ("pnl_30d", month)):
            assert value(found[currency, name]) == shown(number, decimals)
        assert [value(found[currency, name]) for name in ("ranked", "bots", "active")] == [ranked, bots, active]
    assert value(found["JPY", "pnl_1d"]) == 7.0  # 7 trades of 1 each


def test_a_bot_s_contributions_are_shown_and_make_its_score(web: Web) -> None:
    from knowdefeat_pipeline.core.schema import VARIABLES

    found = Figures(web.get("/bots/1").text).found
    names = ", ".join(f"{variable.name}_points" for variable in VARIABLES)
    ((score, *points),) = web.rows(f"SELECT rank_score, {names} FROM bot_rankings WHERE day = %s AND bot_id = 1", LAST)
    by_name = {name: text for (_, name), text in found.items()}
    assert value(by_name["rank_score"]) == shown(score, 1)
    for variable, number in zip(VARIABLES, points, strict=True):
        assert value(by_name[f"points {variable.name}"]) == shown(number or 0.0, 1)


def test_the_probability_of_an_edge_is_told_as_it_is_defined(web: Web) -> None:
    from knowdefeat_pipeline.core.schema import SKILL

    (of,) = (figure for figure in SKILL if figure.name == "p_skill")
    assert f"<figcaption>{of.description}</figcaption>" in web.get("/bots/1").text
    pages = web.get("/bots/1").text + web.get("/ranking").text
    assert "net of its market" not in pages  # nothing of the market is taken off an edge


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES)
def test_names_from_outside_are_text(web: Web, path: str) -> None:
    text = web.get(path).text
    assert NASTY not in text
    assert "<script>alert" not in text
    if path not in ("/docs", "/bots/1", "/learning", "/operations"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for block in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL):
        assert json.loads(block)["x"]
        assert "<" not in block


def test_names_from_outside_are_text_in_addresses_and_errors_too(web: Web) -> None:
    for path in ("/bots/%3Cscript%3Ealert(1)%3C%2Fscript%3E?days=30", "/ranking?bot=%3Cscript%3E", "/ranking?sort=%3Cscript%3E",
                 "/compare?bots=%3Cscript%3E", '/ranking?strategy="><script>'):  # fmt: skip
        answer = web.client.get(path)
        assert answer.status_code in (200, 404, 422)
        assert "<script>" not in answer.text
        assert answer.headers["content-type"].startswith("text/html")


def test_files_hold_the_rows_that_are_shown(web: Web) -> None:
    query = "/ranking?sort=-pnl&limit=4&state=active"
    ids = [int(bot) for bot in re.findall(r'<tr id="bot-(\d+)"', web.get(query).text)]
    assert len(ids) == 4
    told = web.get(f"{query}&format=json").json()
    assert [row["bot_id"] for row in told] == ids
    answer = web.get(f"{query}&format=csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="ranking-{LAST}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["bot_id"]) for row in rows] == ids
    assert [float(row["pnl"]) for row in rows] == [row["pnl"] for row in told]
    table = pq.read_table(io.BytesIO(web.get(f"{query}&format=parquet").content))
    assert table["bot_id"].to_pylist() == ids
    assert table["pnl"].to_pylist() == [row["pnl"] for row in told]
    assert table.column_names == list(told[0])
    assert b"30 days" in (table.schema.field("pnl").metadata or {})[b"description"]


def test_no_cell_of_a_file_is_a_formula(web: Web) -> None:
    rows = list(csv.DictReader(io.StringIO(web.get("/ranking?format=csv").text)))
    (nasty,) = [row for row in rows if row["bot"] == NASTY]
    assert nasty["strategy"] == f"'{FORMULA}"


@pytest.mark.parametrize(
    "path", ["/", "/bots/1", "/compare", "/weights", "/learning", "/regimes", "/funds", "/operations"]
)
@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_every_page_with_rows_gives_them_as_a_file(web: Web, path: str, kind: str) -> None:
    answer = web.get(f"{path}?format={kind}")
    assert len(answer.content) > 100
    assert "attachment" in answer.headers["content-disposition"]


def test_a_day_of_the_calendar_leads_to_its_trades(web: Web) -> None:
    text = web.get("/bots/1").text
    (link, *_) = re.findall(r'href="([^"]*day=2025-02-2[^"]*)#trades"', text)
    day = re.search(r"day=([0-9-]+)", link)
    assert day
    page = web.get(link.replace("&amp;", "&")).text
    section = page[page.index('id="trades"') :]
    times = re.findall(r'<time datetime="([0-9-]+)T', section[: section.index("</section>")])
    ((count,),) = web.rows("SELECT count(*) FROM trades WHERE bot_id = 1 AND day_of(exit_time) = %s", day[1])
    assert times == [day[1]] * min(count, 20)
    assert times


def test_a_day_on_which_nobody_is_ranked_names_the_last_one_with_a_ranking(own_web: Web) -> None:
    later = LAST + timedelta(days=40)
    days.refresh(own_web.url, later, later, day_end(later))
    for path in ("/", "/ranking"):
        assert f'The last day with a ranking is <a href="/ranking?day={LAST}">{LAST}</a>.' in own_web.get(path).text
    assert "No bot is ranked" not in own_web.get(f"/ranking?day={LAST}").text


@pytest.mark.long
def test_headings_and_tables_are_whole(web: Web) -> None:
    for path in PAGES:
        text = web.get(path).text
        assert text.count("<h1") == 1
        for tag in ("table", "section", "div", "tr", "figure", "svg", "form"):
            assert text.count(f"<{tag}") == text.count(f"</{tag}>"), (path, tag)
        assert "None" not in re.sub(r"<[^>]*>", "", text).replace("None yet", "").replace("None.", "").replace(
            "If-None-Match", ""
        )
        assert "http://" not in text.replace("http://127.0.0.1", "").replace("http://evil.example", "")


def test_a_form_whose_choices_are_empty_asks_for_all(web: Web) -> None:
    """As a browser sends it."""
    text = web.get(f"/ranking?bot=&strategy=&ticker=&state=&day={LAST}").text
    assert text.count('<tr id="bot-') == 9
    assert web.get("/ranking?bot=8&strategy=&ticker=&state=&day=").text.count('<tr id="bot-') == 1


def test_comparing_nobody_says_what_to_do(own_web: Web) -> None:
    later = LAST + timedelta(days=40)
    days.refresh(own_web.url, later, later, day_end(later))
    text = own_web.get("/compare").text
    assert "No bot is ranked, so there is none to begin with." in text
    assert "independent" not in text
    assert own_web.get("/compare?bots=1").text.count("independent") == 1


@pytest.mark.parametrize("page", ["/", "/ranking", "/compare", "/learning", "/regimes", "/funds"])
@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_of_an_empty_page_there_is_no_file_that_is_a_page(empty_web: Web, page: str, kind: str) -> None:
    answer = empty_web.get(f"{page}?format={kind}", 404)
    assert "nothing to take along yet" in answer.text
