"""What a person sees and does in the Dagster UI of the running system."""

import os
import re
import signal
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from knowdefeat_pipeline.assets.audit import RULES, STATES
from knowdefeat_pipeline.assets.chart import WIDTH
from knowdefeat_pipeline.automation.jobs import BELIEFS, CHAIN, FUNDS, MARKET
from knowdefeat_pipeline.core.schema import TABLES

pytestmark = pytest.mark.e2e
expect.set_options(timeout=60_000)  # milliseconds; a page waits for what it shows, a run for the daemon's queue
Rows = Callable[..., list[tuple]]
Snapshot = Callable[[str], None]

CHAIN_PAGE = "/locations/knowdefeat_pipeline/asset-groups/ranking/lineage"
RANKED = "SELECT bot_id, rank, rank_score, as_of FROM bot_rankings WHERE day = %s ORDER BY bot_id"
# Skill stands beside the ranking: both rest on the metrics.
IN_ORDER = [asset for asset in CHAIN if asset != "bot_skill"]
VERSIONS = "SELECT DISTINCT xmin::text FROM bot_rankings_rows WHERE day = %s"


def last_day(rows: Rows) -> date:
    return rows("SELECT max(day) FROM bot_rankings")[0][0]


def node(page: Page, asset: str) -> Locator:
    """The asset's box in the graph (its name also stands in the list beside it)."""
    return page.locator("foreignObject").filter(has=page.get_by_text(asset, exact=True))


def test_the_lineage_page_shows_the_chain_in_order(page: Page, snapshot: Snapshot) -> None:
    page.set_viewport_size({"width": 1780, "height": 500})  # wide enough to show what stands in the boxes
    page.goto(CHAIN_PAGE)
    page.get_by_role("button", name="Hide navigation").click()
    for asset in CHAIN:
        expect(node(page, asset)).to_contain_text(re.compile(r"[\d,]+ partitions"))
    boxes = {asset: node(page, asset).bounding_box() for asset in CHAIN}
    left_edge = {asset: box["x"] for asset, box in boxes.items() if box}
    assert len(left_edge) == len(CHAIN)
    in_order = [left_edge[asset] for asset in IN_ORDER]
    assert in_order == sorted(set(in_order)), left_edge
    assert left_edge["bot_skill"] > left_edge["bot_metrics"]
    snapshot("lineage")


def test_a_day_materialised_by_clicking_is_computed_again_and_comes_out_the_same(
    page: Page, rows: Rows, snapshot: Snapshot
) -> None:
    day = last_day(rows)
    before, written_before = rows(RANKED, day), rows(VERSIONS, day)
    assert len(before) == 24

    run_id = materialise_all(page, day)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    page.mouse.move(0, 0)  # the notice that it was launched stays while it is pointed at
    expect(page.get_by_text("Launched run")).to_be_hidden()
    snapshot("run")

    assert rows("SELECT status FROM dagster.runs WHERE run_id = %s", run_id) == [("SUCCESS",)]
    materialised = rows(
        "SELECT asset_key, partition FROM dagster.event_logs"
        " WHERE run_id = %s AND dagster_event_type = 'ASSET_MATERIALIZATION' ORDER BY id",
        run_id,
    )
    assets = [re.sub(r'[\["\]]', "", key) for key, _ in materialised]
    assert {partition for _, partition in materialised} == {day.isoformat()}
    assert sorted(assets) == sorted(CHAIN + BELIEFS + FUNDS + MARKET)
    assert [asset for asset in assets if asset in IN_ORDER] == IN_ORDER
    assert assets.index("bot_metrics") < assets.index("bot_skill")

    assert rows(RANKED, day) == before
    assert rows(VERSIONS, day) != written_before


def materialise_all(page: Page, day: date) -> str:
    """Click through `Materialize all` for one day; the page is the run's page then. Returns the run's id."""
    page.goto("/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    partitions = dialog.get_by_role("textbox").first
    partitions.fill(day.isoformat())
    partitions.press("Enter")
    dialog.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text("View", exact=True).click()
    page.wait_for_url("**/runs/*")
    return page.url.rsplit("/", 1)[-1]


def test_the_asset_page_of_the_ranking_describes_and_previews_it(page: Page, rows: Rows, snapshot: Snapshot) -> None:
    page.goto("/assets/bot_rankings")
    expect(page.get_by_text("Bots ranked by the weighted, scale-free score")).to_be_visible()

    columns = page.locator("table").filter(has_text="Column name")
    for figure in TABLES["bot_rankings"]:
        row = columns.get_by_role("row").filter(has=page.get_by_text(figure.name, exact=True))
        expect(row).to_contain_text(figure.type)
        expect(row).to_contain_text(figure.description)

    day = last_day(rows)
    expect(page.get_by_text(day.isoformat()).first).to_be_visible()
    ranked = rows("SELECT rank, bot_id, rank_score FROM bot_rankings WHERE day = %s ORDER BY rank LIMIT 5", day)
    preview = page.locator("table").filter(has_text="rank_score").last.locator("tbody tr")
    expect(preview).to_have_count(len(ranked))
    for shown, (rank, bot, score) in zip(preview.all(), ranked, strict=True):
        cells = shown.locator("td").all_inner_texts()
        assert cells[:2] == [str(rank), str(bot)]
        assert float(cells[2]) == pytest.approx(score, abs=0.01)

    row_count = page.get_by_text("Row count", exact=True).locator("xpath=..")
    expect(row_count).to_contain_text(str(rows("SELECT count(*) FROM bot_rankings WHERE day = %s", day)[0][0]))
    snapshot("asset")


def test_the_code_location_loads_and_every_daemon_runs(page: Page) -> None:
    page.goto("/deployment/locations")
    expect(page.get_by_text("Loaded", exact=True)).to_be_visible()
    page.goto("/deployment/daemons")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    expect(page.get_by_text("Not running", exact=True)).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_and_checks_of_an_asset_are_shown(page: Page, snapshot: Snapshot, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    for asset, name in (("bot_metrics", "equity"), ("bot_rankings", "scores")):
        page.goto(f"/assets/{asset}")
        entry = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
        entry.get_by_text("[Show Markdown]").click()
        picture = page.get_by_role("dialog").get_by_role("img", name=name, exact=True)
        expect(picture).to_be_visible()
        assert picture.evaluate("image => [image.complete, image.naturalWidth]") == [True, WIDTH]
        snapshot(f"picture_{name}_{theme}")
        page.goto(f"/assets/{asset}?view=checks")
        for rule in (*(rule.name for rule in RULES if rule.asset == asset), STATES):
            expect(page.get_by_text(rule, exact=True).first).to_be_visible()
        snapshot(f"checks_{asset}_{theme}")


RESULTS = ("bot_metrics", "win_streaks", "win_streak_summary", "bot_rankings", "variable_weights")
BACKFILL_DAYS = 90


def results(rows: Rows, first: date, last: date) -> dict[str, list[tuple]]:
    return {
        table: sorted(rows(f"SELECT * FROM {table} WHERE day BETWEEN %s AND %s", first, last), key=repr)
        for table in RESULTS
    }


def launch_backfill(page: Page, rows: Rows, first: date, last: date) -> str:
    """Click through `Materialize all` for a range of days. Returns the backfill's id; the page is the backfill's then."""
    page.goto("/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    partitions = dialog.get_by_role("textbox").first
    partitions.fill(f"[{first}...{last}]")
    partitions.press("Enter")
    launched = rows("SELECT count(*) FROM dagster.bulk_actions")
    dialog.get_by_role("button", name=re.compile(r"Launch .*backfill")).click()
    expect(dialog).to_be_hidden()
    assert rows("SELECT count(*) FROM dagster.bulk_actions") != launched
    ((backfill,),) = rows("SELECT key FROM dagster.bulk_actions ORDER BY id DESC LIMIT 1")
    page.goto(f"/runs/b/{backfill}")
    return backfill


def runs_of(rows: Rows, backfill: str) -> list[tuple[str, str]]:
    return rows(
        "SELECT run_id, status FROM dagster.runs JOIN dagster.run_tags USING (run_id)"
        " WHERE key = 'dagster/backfill' AND value = %s ORDER BY run_id",
        backfill,
    )


def await_runs(page: Page, rows: Rows, backfill: str, wanted: Callable[[list[str]], bool]) -> list[tuple[str, str]]:
    for _ in range(1200):
        found = runs_of(rows, backfill)
        if wanted([status for _, status in found]):
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"backfill {backfill}: {runs_of(rows, backfill)}")


def kill(rows: Rows, run_id: str) -> None:
    """kill -9 of the process that executes the run, which the run's log names."""
    ((pid,),) = rows(
        "SELECT (regexp_match(event, 'Started process for run .pid: (\\d+)'))[1]::integer AS pid FROM dagster.event_logs"
        " WHERE run_id = %s AND event ~ 'Started process for run .pid'",
        run_id,
    )
    os.kill(pid, signal.SIGKILL)


def test_a_backfill_of_90_days_killed_half_way_and_started_again_gives_the_same_tables(
    page: Page, rows: Rows, snapshot: Snapshot
) -> None:
    last = last_day(rows) - timedelta(days=1)
    first = last - timedelta(days=BACKFILL_DAYS - 1)
    traded = first + timedelta(days=1)  # on the first nobody traded yet
    before = results(rows, traded, last)
    assert len({row[0] for row in before["bot_rankings"]}) == BACKFILL_DAYS - 1

    backfill = launch_backfill(page, rows, first, last)
    found = await_runs(page, rows, backfill, lambda statuses: "STARTED" in statuses)
    kill(rows, next(run for run, status in found if status == "STARTED"))
    found = await_runs(page, rows, backfill, lambda statuses: "FAILURE" in statuses and "STARTED" not in statuses)
    rows("DELETE FROM bot_rankings_rows WHERE day = %s RETURNING day", last)

    backfill = launch_backfill(page, rows, first, last)
    await_runs(page, rows, backfill, lambda statuses: statuses == ["SUCCESS"] * len(statuses) and len(statuses) == 2)
    expect(page.get_by_text("100% completed").first).to_be_visible()
    snapshot("backfill")
    assert results(rows, traded, last) == before


def test_trades_that_arrive_show_as_materialisations_without_a_run(page: Page, rows: Rows, snapshot: Snapshot) -> None:
    for number in range(5):
        rows(
            "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time,"
            " entry_price, exit_price, notional)"
            " VALUES ('live', %s, 1, 'BTC', 'LONG', 'closed', now() - interval '1 hour', now(), 100, 101, 1000)"
            " RETURNING trade_id",
            str(number),
        )
    day = rows("SELECT max(day_of(exit_time))::text FROM trades WHERE source = 'live'")[0][0]
    page.goto(f"/assets/bot_rankings?view=partitions&partition={day}")
    expect(page.get_by_text("new trades", exact=True).first).to_be_visible()
    expect(page.get_by_text("age of the oldest trade, p50 (s)", exact=True).first).to_be_visible()
    snapshot("live")
    page.goto("/assets/bot_rankings?view=checks")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    assert rows(
        "SELECT DISTINCT execution_status FROM dagster.asset_check_executions"
        " WHERE run_id = '' AND check_name = 'contributions_sum_to_the_score'"
    ) == [("SUCCEEDED",)]
    told = rows(
        "SELECT asset_key, count(*) FROM dagster.event_logs WHERE run_id = '' AND partition = %s"
        " AND dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY 1",
        day,
    )
    assert {re.sub(r'[\["\]]', "", key) for key, _ in told} == {*CHAIN, *FUNDS}


def test_a_name_that_is_a_picture_and_a_link_is_shown_as_it_is_and_leads_nowhere(page: Page, rows: Rows) -> None:
    """The page's fixture sees to it that nothing is asked of another host."""
    launch = "/graphql?query=mutation{launchRun(executionParams:{})}"
    hostile = (
        f'![x]({launch})<img src="http://evil.example/y"> www.evil.example | [a](javascript:alert(1)) https://evil.example'
        " bot@evil.example"
    )
    shown = hostile.replace("://", ":\u2060//").replace("www.", "www\u2060.").replace("@", "@\u2060")
    day = rows(
        "INSERT INTO trades (source, bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
        " notional) VALUES ('hostile', 0, %s, 'LONG', 'closed', now() - interval '1 hour', now(), 100, 101, 1000)"
        " RETURNING day_of(exit_time)",
        hostile,
    )[0][0]
    materialise_all(page, day)
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    page.goto(f"/assets/bot_metrics?view=partitions&partition={day}")
    preview = page.locator("table").filter(has_text="profit_factor").last
    expect(preview.locator("tbody")).to_contain_text(shown)
    assert preview.locator("tbody img, tbody a").count() == 0
