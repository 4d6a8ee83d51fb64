"""The README is short, and what it leads to is there; its commands are held with those of all pages (tests/docs)."""

import re

from knowdefeat_pipeline.settings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 150
PICTURE_BYTES = 300_000


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 1
    for picture in pictures:
        assert 0 < (ROOT / picture).stat().st_size < PICTURE_BYTES


def test_what_it_and_the_files_beside_it_lead_to_is_there() -> None:
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        assert links
        for link in links:
            path, _, place = link.partition("#")
            target = ROOT / path if path else ROOT / name
            assert target.exists(), f"{name}: {link}"
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.M) if place else []
            places = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert not place or place in places, f"{name}: {link}"


def test_it_says_that_the_licence_is_missing_while_it_is() -> None:
    assert (ROOT / "LICENSE").exists() != ("To be chosen by the owner" in README)


def test_the_recording_of_first_minutes_is_of_less_than_five_and_ends_with_a_ranking() -> None:
    guide = ROOT / "docs/start/freqtrade.md"
    (place,) = re.findall(r"\[a freqtrade user's first minutes\]\(([^)]+)\)", guide.read_text(encoding="utf-8"))
    text = (guide.parent / place).read_text(encoding="utf-8")
    lines = re.findall(r"^(\d+):(\d\d)  ?(.*)$", text, flags=re.MULTILINE)
    seconds = [60 * int(minute) + int(second) for minute, second, _ in lines]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 300
    assert [line for *_, line in lines if line.startswith("$ ")] == [
        "$ git clone REPOSITORY knowdefeat-pipeline",
        "$ make install",
        "$ make run TRADES=../freqtrade/user_data/tradesv3.sqlite",
    ]
    said = "\n".join(line for *_, line in lines)
    assert "5,739 new" in said
    assert re.search(r"^ +1  freqtrade ", said, flags=re.MULTILINE)  # the bot of rank 1
    assert int(re.search(r"(\d+) s of CPU", text)[1]) <= 30
    assert not re.search(r"/tmp|https?:|WARNING", text)  # of the machine that it was recorded on
