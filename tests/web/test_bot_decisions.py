"""What is decided about bots on the pages Ranking and Bot: by whom, of which, why; and that it is seen at once."""

import re
from datetime import timedelta

import pytest

from tests.web.conftest import CODE, END, LAST, NASTY, Web


@pytest.fixture
def logged_in(own_web: Web) -> Web:
    own_web.get(f"/login?code={CODE}", 303)
    return own_web


def states(web: Web) -> dict[str, bool]:
    return dict(web.rows("SELECT name, is_active FROM bots"))


def events(web: Web) -> list[tuple]:
    return web.rows("SELECT bot_id, kind, author, reason FROM bot_events ORDER BY event_id")


def test_only_who_is_logged_in_is_offered_a_decision(own_web: Web) -> None:
    ranking, bot = own_web.get("/ranking").text, own_web.get("/bots/1").text
    assert 'name="decision"' not in ranking + bot
    assert "knowdefeat bots deactivate 1 --reason TEXT" in bot
    assert 'method="get" action="/compare"' in ranking
    own_web.get(f"/login?code={CODE}", 303)
    for page in ("/ranking", "/bots/1"):
        assert 'name="decision"' in own_web.get(page).text


def test_the_chosen_bots_are_deactivated_and_the_page_shows_it(logged_in: Web) -> None:
    before, recorded = states(logged_in), events(logged_in)
    chosen = [name for name, is_active in before.items() if is_active][:2]
    assert logged_in.get("/ranking?sort=-pnl&state=active").text.count("<tr id=") > 2
    answer = logged_in.client.post(
        "/ranking?sort=-pnl&state=active", data={"bots": chosen, "decision": "deactivate", "reason": " too lucky "}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/ranking?sort=-pnl&state=active")
    assert states(logged_in) == before | dict.fromkeys(chosen, False)
    shown = logged_in.get(answer.headers["location"]).text
    keys = dict(logged_in.rows("SELECT name, bot_id FROM bots"))
    told = {int(bot) for bot in re.findall(r'<tr id="bot-(\d+)">(?:(?!</tr>).)*>deactivated since<', shown, re.DOTALL)}
    assert told == {keys[name] for name in chosen}  # the ranking of the day stays what it was
    note = re.search(r'<p class="note" id="changed">(.*?)</p>', shown, re.DOTALL)
    assert note is not None
    assert sorted(re.findall(r">([^<]+)</a> deactivated", note[1])) == sorted(chosen)
    assert 'id="changed"' not in logged_in.get(f"/ranking?day={LAST - timedelta(days=1)}").text
    (by,) = {author for *_, author, _ in events(logged_in)[len(recorded) :]}
    assert sorted(events(logged_in)[len(recorded) :]) == sorted(
        (keys[name], "deactivated", by, "too lucky") for name in chosen
    )
    assert (by,) in logged_in.rows("SELECT name FROM api_tokens")


def test_a_bot_is_activated_again_on_its_page(logged_in: Web) -> None:
    ((name, key),) = logged_in.rows("SELECT name, bot_id FROM bots WHERE is_active ORDER BY bot_id LIMIT 1")
    for decision, is_active in (("deactivate", False), ("activate", True)):
        offered = re.findall('name="decision" value="([a-z]+)"', logged_in.get(f"/bots/{key}").text)
        assert offered == [decision]
        answer = logged_in.client.post(f"/bots/{key}", data={"decision": decision, "reason": "it is its turn"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/bots/{key}#decisions")
        assert states(logged_in)[name] is is_active


def test_a_halted_bot_is_resumed_on_its_page(logged_in: Web) -> None:
    ((key,),) = logged_in.rows("SELECT bot_id FROM bots WHERE is_active ORDER BY bot_id DESC LIMIT 1")
    logged_in.rows(
        "INSERT INTO bot_events (bot_id, kind, author, reason, in_force_from) VALUES (%s, 'halted', 'risk', 'fell', %s) RETURNING 1",
        key, END,
    )  # fmt: skip
    logged_in.site.live.decided()
    page = logged_in.get(f"/bots/{key}").text
    assert re.findall('name="decision" value="([a-z]+)"', page) == ["deactivate", "resume"]
    form = {"decision": "resume", "reason": NASTY}
    assert logged_in.client.post(f"/bots/{key}", data=form).status_code == 303
    assert logged_in.json(f"/bots/{key}")["halted"] is None
    page = logged_in.get(f"/bots/{key}").text
    assert NASTY not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert logged_in.client.post(f"/bots/{key}", data=form).status_code == 409  # it goes on already


@pytest.mark.parametrize(
    "form",
    [
        {"decision": "deactivate", "reason": "why not"},
        {"bots": "1", "decision": "deactivate", "reason": "  "},
        {"bots": "1", "decision": "forget", "reason": "why not"},
        {"bots": ["1", "2"], "decision": "resume", "reason": "why not"},
    ],
)
def test_what_is_not_said_is_asked_for_and_nothing_is_written(logged_in: Web, form: dict[str, str]) -> None:
    before, recorded = states(logged_in), events(logged_in)
    assert logged_in.client.post("/ranking", data=form).status_code == 422
    assert logged_in.client.post("/ranking", data=form | {"bots": "nobody"}).status_code in (404, 422)
    assert (states(logged_in), events(logged_in)) == (before, recorded)


def test_nobody_else_decides(own_web: Web) -> None:
    before = states(own_web)
    form = {"bots": "1", "decision": "deactivate", "reason": "why not"}
    for headers, status in (({}, 401), (own_web.token("read"), 403), (own_web.token("ingest"), 403)):
        for page in ("/ranking", "/bots/1"):
            assert own_web.client.post(page, data=form, headers=headers).status_code == status
    elsewhere = {"origin": "https://evil.example"} | own_web.token("admin")
    assert own_web.client.post("/ranking", data=form, headers=elsewhere).status_code == 403
    assert states(own_web) == before


def test_whoever_wrote_reads_it_though_no_notification_has_come(logged_in: Web) -> None:
    """The database's own notice is held back: here nobody hears it."""
    logged_in.site.live._bump = lambda: None  # type: ignore[method-assign]
    assert logged_in.json("/bots/1")["is_active"] is True
    change = {"is_active": False, "reason": "unheard"}
    answer = logged_in.client.patch("/api/v1/bots/1", json=change, headers=logged_in.token("admin"))
    assert answer.status_code == 200
    assert logged_in.json("/bots/1")["is_active"] is False


def test_two_processes_tell_versions_apart(own_web: Web) -> None:
    """A page that is open while the program starts anew takes none of its versions for the one that it shows."""
    from knowdefeat_pipeline.web.live import LiveResults

    assert LiveResults(own_web.url)._version > own_web.site.live._version


def test_the_fleet_leads_to_the_bots_that_are_halted(web: Web) -> None:
    halted = web.rows("SELECT bot_id FROM fund_allocations WHERE day = %s AND decision = 'halted'", LAST)
    (lead,) = re.findall(
        r'<a href="([^"]+)"><strong>(\d+)</strong> bots? (?:is|are) halted by the risk', web.get("/").text
    )
    assert lead == ("/funds?currency=USD&amp;decision=halted", str(len(halted)))
    shown = web.get(lead[0].replace("&amp;", "&")).text
    assert {int(bot) for bot in re.findall(r'<tr id="bot-(\d+)"', shown)} == {bot for (bot,) in halted} != set()
