"""Every code block of the documentation runs, or says why not; what cannot run still names what exists.

A block that is not run has a comment before it, `<!-- not run: why -->`, with one of REASONS; one that another test runs
`<!-- run by: tests/… -->`. Of all others the commands are run here, page by page, each page on a database of its own.
"""

import configparser
import csv
import gzip
import json
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import yaml

from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.settings import ROOT
from scripts.docs import example, reference

REASONS = {
    "it goes on until it is stopped",
    "the pages must be running",
    "it needs a machine of its own",
    "it installs or removes",
}
DATA = {"", "text", "csv", "json", "yaml", "ini"}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEW = {"importing", "correcting", "freqtrade", "metatrader", "tradingview", "csv"}
"""Pages that begin without any trade; the others begin with the example fleet and OTHERS."""
OTHERS = """source_trade_id,bot_id,strategy_id,ticker,direction,entry_time,exit_time,entry_price,exit_price,notional,fees
X1,7,pairs,BTC-USD,LONG,2026-03-12 09:00,2026-03-12 10:00,50000,50500,1000,1
X2,8,pairs,BTC-USD,SHORT,2026-03-12 09:00,2026-03-12 10:00,50000,50500,1000,1
X3,12,pairs,ETH-USD,LONG,2026-03-13 11:00,2026-03-13 12:00,2000,1400,1000,1
X4,grid-eth-01,grid,ETH-USD,LONG,2026-03-12 13:00,2026-03-12 14:00,2000,2020,1000,1
"""
"""Bot 12 lost so much that it is halted."""
FIRST = {
    "correcting": "knowdefeat ingest trades.csv --map order=source_trade_id",
    "importing": "knowdefeat ingest others.csv",
}
"""What a page takes for done."""
SIGNALS = "strategy_id,direction,confidence\npairs,LONG,80\nmomentum,SHORT,60\n"
SWEEP = "time,strategy_id,result,regime\n2026-01-02T10:00:00Z,pairs,1.5,\n2026-01-03T10:00:00Z,pairs,-0.5,TRENDING\n"


@dataclass(frozen=True)
class Block:
    """One block: its page, the line of its fence, its language, what it holds, and what stands before it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(
        r"(?:^<!-- (not run|run by): ([^>]+) -->\n)?^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    return [
        Block(page, text.count("\n", 0, m.start(4)), m[3], m[4], f"{m[1]}: {m[2]}" if m[1] else None) for m in found
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in BLOCKS if block.language == "sh" and block.mark is None]


def lines(block: Block) -> Iterator[list[str]]:
    """Its commands, each as the words of a shell, comments left out and continued lines joined."""
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def test_every_mark_is_one_that_is_known() -> None:
    assert len(BLOCKS) > 60
    for block in BLOCKS:
        kind, _, said = (block.mark or "").partition(": ")
        if kind == "not run":
            assert said in REASONS, block
        elif kind == "run by":
            test = ROOT / said
            assert test.exists(), block
            assert block.page.name in test.read_text(encoding="utf-8"), block
        else:
            assert block.language in DATA | {"sh", "python"}, f"{block}: nobody runs this"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and b.mark is None], ids=str)
def test_python_runs(block: Block) -> None:
    exec(compile(block.text, str(block), "exec"), {})


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in DATA - {"", "text"}], ids=str)
def test_data_is_what_it_says_it_is(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        assert isinstance(yaml.safe_load(block.text), dict)
    elif block.language == "csv":
        head, *rows = csv.reader(StringIO(block.text))
        assert rows
        assert {len(row) for row in rows} == {len(head)}
    else:
        text = block.text if block.text.lstrip().startswith("[") else f"[one]\n{block.text}"
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read_string(text)
        assert parser.sections()


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    """Those of blocks that run, of those that do not, and of the text."""
    known = dict(reference.commands())
    groups = {" ".join(words.split()[:n]) for words in known for n in range(1, len(words.split()))}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    asked = [
        said.split()
        for said in re.findall(r"(?:^|`|\$\(|-- |exec code )knowdefeat ([^\n`)#>|]+)", text, flags=re.MULTILINE)
    ]
    asked = [words for words in asked if re.match(r"[a-z-]", words[0])]
    assert len(asked) > 150
    for words in asked:
        own = [
            word
            for word in words
            if word not in ("--help", "--plain", "--version", "--install-completion", "--show-completion")
        ]
        if not own or own[0].isupper() or own[0] == "…":
            continue
        depth = max((n for n in range(1, len(own) + 1) if " ".join(own[:n]) in known.keys() | groups), default=0)
        assert depth, f"knowdefeat {' '.join(words)}"
        command = known.get(" ".join(own[:depth]))
        options = {name for of in getattr(command, "params", ()) for name in (*of.opts, *of.secondary_opts)}
        used = {word.split("=")[0].strip("[]") for word in own[depth:] if word.startswith("--")}
        assert command is None or used <= options, f"knowdefeat {' '.join(words)}"


def test_every_target_of_make_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        shown = re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(shown) <= targets, page


def test_every_address_that_curl_asks_is_a_route() -> None:
    known = {
        (method, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")): operation
        for method, path, operation in reference.endpoints(reference.openapi())
    }
    asked = 0
    for block in (block for block in BLOCKS if block.language == "sh" and "curl" in block.text):
        text = block.text
        for name, address in re.findall(r"^export (\w+)=(http://\S+)$", text, re.MULTILINE):
            text = text.replace(f"${name}", address)
        for command in re.split(r"\bcurl\b", text)[1:]:
            found = re.search(r"http://127\.0\.0\.1:3000(/[^\s'\"?]*)(?:\?([^\s'\"]*))?", command)
            assert found, f"{block}: {command}"
            given = re.search(r"-X (\w+)", command)
            method = given[1] if given else "POST" if " -d " in command or "--data" in command else "GET"
            (operation,) = (of for (name, path), of in known.items() if name == method and path.match(found[1]))
            parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert {pair.split("=")[0] for pair in (found[2] or "").split("&") if pair} <= parameters, (
                f"{block}: {command}"
            )
            asked += 1
    assert asked > 15


@pytest.fixture(scope="session")
def fleet(template: str, cloned: Callable[[str], AbstractContextManager[str]], tmp_path_factory) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The URL of a database with the example fleet and OTHERS, ranked."""
    folder = tmp_path_factory.mktemp("fleet")
    with cloned(template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KNOWDEFEAT_DATABASE_URL", url)
        patch.setenv("KNOWDEFEAT_HOME", str(folder / "home"))
        patch.chdir(folder)
        for name, text in example.files().items():
            Path(name).write_text(text, encoding="utf-8")
        Path("others.csv").write_text(OTHERS, encoding="utf-8")
        example.run_commands(f"{example.COMMANDS.splitlines()[0]}\nknowdefeat ingest others.csv\n{RANKED}")
        yield url


RANKED = "knowdefeat ingest-bars bars.csv\nknowdefeat run --from 2026-03-02 --to 2026-03-13"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The current folder, with every file that the pages name."""
    monkeypatch.chdir(tmp_path)
    (guide,) = (b for b in BLOCKS if b.page.stem == "importing" and b.language == "csv")
    Path("trades.csv").write_text(guide.text)
    Path("corrected.csv").write_text(
        guide.text.replace("62400", "62500").replace("order,", "id,").replace(",up,", ",buy,")
    )
    Path("signals.csv").write_text(SIGNALS)
    Path("sweep.csv").write_text(SWEEP)
    Path("others.csv").write_text(OTHERS)
    Path("bars").mkdir()
    with gzip.open("bars/BTC-USD_1h.csv.gz", "wt") as file:
        file.write(example.bars().drop(columns=["ticker", "timeframe"]).to_csv(index=False))
    return tmp_path


EXPORTS = {
    "freqtrade": {
        "freqtrade_tradesv3.sqlite": "bots/alpha/tradesv3.sqlite",
        "freqtrade_backtest_result.zip": "backtest-result-2026-03-01.zip",
    },
    "metatrader": {"mt5_report_history.html": "ReportHistory.html"},
    "tradingview": {"tradingview_list_of_trades.csv": "List_of_trades.csv"},
}
"""By the page of Start the exports of other programs that it reads, by their names among the shared data."""


def exports(samples: dict[str, str], folder: Path) -> None:
    """Put them where the page has them."""
    for sample, name in samples.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "formats" / sample, name)
        assert Path(name).suffix != ".zip" or zipfile.is_zipfile(name)


@pytest.mark.docs
@pytest.mark.parametrize("page", sorted({block.page for block in RUN}), ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: Path,
    workspace: Path,
    template: str,
    cloned: Callable[[str], AbstractContextManager[str]],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if page.stem in EXPORTS:
        exports(EXPORTS[page.stem], request.getfixturevalue("shared_data"))
    begin = template if page.stem in NEW else request.getfixturevalue("fleet")
    with cloned(begin) as url:
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
        monkeypatch.setenv("KNOWDEFEAT_HOME", str(workspace / "home"))
        example.run_commands(FIRST.get(page.stem, ""))
        for block in (block for block in RUN if block.page == page):
            for words in lines(block):
                run(block, words, monkeypatch, capsys)


def run(block: Block, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One command in this process; the names of files are completed, and `> FILE` takes what it says."""
    assert words[0] == "knowdefeat", f"{block}: nobody runs {words}"
    words, into = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, None)
    given = [name for word in words[1:] for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    monkeypatch.setattr(sys, "argv", ["knowdefeat", *given])
    capsys.readouterr()
    status: object = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code or 0
    said = capsys.readouterr()
    assert status == 0, f"{block}: {' '.join(words)}\n{said.out}\n{said.err}"
    if into:
        Path(into).write_text(said.out)
        assert said.out
