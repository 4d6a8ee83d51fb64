"""What a person sees and does in the Dagster UI of the running system."""

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Locator, Page, expect

from knowdefeat_pipeline.automation.jobs import CHAIN, MARKET
from knowdefeat_pipeline.core.figures import TABLES

pytestmark = pytest.mark.e2e
expect.set_options(timeout=60_000)  # milliseconds; a page waits for what it shows, a run for the daemon's queue
Rows = Callable[..., list[tuple]]
Snapshot = Callable[[str], None]

RANKED = "SELECT bot_id, rank, rank_score, as_of FROM bot_rankings WHERE day = %s ORDER BY bot_id"
VERSIONS = "SELECT DISTINCT xmin::text FROM bot_rankings WHERE day = %s"


def last_day(rows: Rows) -> date:
    return rows("SELECT max(day) FROM bot_rankings")[0][0]


def node(page: Page, asset: str) -> Locator:
    """The asset's box in the graph (its name also stands in the list beside it)."""
    return page.locator("foreignObject").filter(has=page.get_by_text(asset, exact=True))


def test_the_lineage_page_shows_the_chain_in_order(page: Page, snapshot: Snapshot) -> None:
    page.set_viewport_size({"width": 1780, "height": 500})  # wide enough to show what stands in the boxes
    page.goto("/asset-groups")
    page.get_by_role("button", name="Hide navigation").click()
    for asset in CHAIN:
        expect(node(page, asset)).to_contain_text(re.compile(r"[\d,]+ partitions"))
    boxes = [node(page, asset).bounding_box() for asset in CHAIN]
    left_edges = [box["x"] for box in boxes if box]
    assert len(left_edges) == len(CHAIN)
    assert left_edges == sorted(set(left_edges)), dict(zip(CHAIN, left_edges, strict=True))
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
    assert {partition for _, partition in materialised} == {day.isoformat()}
    keys = [re.sub(r'[\["\]]', "", key) for key, _ in materialised]
    assert [key for key in keys if key in CHAIN] == list(CHAIN)
    assert sorted(keys) == sorted(CHAIN + MARKET)

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
