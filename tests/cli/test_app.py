"""How a command's errors appear, and which version it is."""

from collections.abc import Callable, Iterator
from importlib import metadata

import adbc_driver_manager as adbc
import psycopg
import pytest
import typer
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from knowdefeat_pipeline.automation.runs import RunFailed
from knowdefeat_pipeline.cli import app as module
from knowdefeat_pipeline.cli.views.output import out
from knowdefeat_pipeline.core.ranking.weight_set import WeightError
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.settings import SettingError
from knowdefeat_pipeline.sources.layout import SourceError


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit status of a command that raises `error`."""

    def command() -> None:
        raise error

    monkeypatch.setattr(module, "app", command)
    with pytest.raises(SystemExit) as ended:
        module.main()
    return ended.value.code


@pytest.mark.parametrize("kind", [KnowDefeatError, RunFailed, SourceError, WeightError])
def test_what_a_person_can_mend_is_a_message(
    kind: type[KnowDefeatError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(kind("Do [this]."), monkeypatch) == 1
    more = f"More: docs/{kind.page}\n" if kind.page else ""
    assert capsys.readouterr().err == f"Error: Do [this].\n{more}"


def test_a_setting_says_what_is_wrong_and_what_to_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(SettingError("X is not a day.", "Write one."), monkeypatch) == 1
    assert capsys.readouterr().err == "Error: X is not a day. Write one.\nMore: docs/reference/settings.md\n"


def test_a_connection_that_breaks_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(psycopg.OperationalError("server closed"), monkeypatch) == 1
    assert capsys.readouterr().err == (
        "Error: Lost the connection to the database: server closed\n"
        "What was under way is undone or will be done again. See: knowdefeat db status. Then run the command again.\n"
        "More: docs/operations.md#what-failures-look-like\n"
    )


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_connection_that_breaks_below_other_libraries_is_a_message_too(
    driver: str, server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = create_engine(server_url.replace("postgresql://", f"postgresql+{driver}://"), poolclass=NullPool)
    with engine.connect() as connection, pytest.raises(DBAPIError) as broken:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    outer = RuntimeError("a step failed")
    outer.__cause__ = broken.value
    assert ends_with(outer, monkeypatch) == 1
    message = capsys.readouterr().err
    said = "terminating connection due to administrator command" if driver == "psycopg" else "server closed the"
    assert message.startswith(f"Error: Lost the connection to the database: {said}")
    assert "Then run the command again.\nMore: docs/" in message
    assert "Traceback" not in message


def refused(error: Exception) -> Exception:
    """A step's failure, below which the driver's error lies."""
    outer = RuntimeError("a step failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "said", "advice"),
    [
        (psycopg.errors.DiskFull("no room\nfor a page"), "no room for a page", "free space on it or enlarge it"),
        (
            DBAPIError("SELECT 1", {}, psycopg.errors.QueryCanceled("canceling statement due to statement timeout")),
            "canceling statement due to statement timeout",
            "SET statement_timeout = 0",
        ),
        (
            adbc.OperationalError("sorry, too many clients already", status_code=adbc.AdbcStatusCode.IO),
            "sorry, too many clients already",
            "raise max_connections",
        ),
    ],
)
@pytest.mark.parametrize("raised", [lambda error: error, refused])
def test_what_the_server_refused_is_told_with_its_remedy(
    error: Exception,
    said: str,
    advice: str,
    raised: Callable[[Exception], Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends_with(raised(error), monkeypatch) == 1
    message = capsys.readouterr().err
    assert message.startswith(
        f"Error: The database refused: {said}\nWhat was under way is undone or will be done again. "
    )
    assert advice in message
    assert " ".join(message.split()).endswith(f"run the command again. More: docs/{module.DATABASE_TROUBLE}")


def test_a_statement_that_is_wrong_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise psycopg.errors.UndefinedColumn("there is no column a")

    monkeypatch.setattr(module, "app", command)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        module.main()


def test_ctrl_c_ends_in_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_fault_of_the_code_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(module, "app", command)
    with pytest.raises(RuntimeError, match="a fault"):
        module.main()


def test_a_drivers_message_keeps_its_tab_and_nothing_else_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out.print("refused\n\tIs the server running?\x1b[2J\r", soft_wrap=True)
    assert capsys.readouterr().out == "refused\n        Is the server running?�[2J�\n"


def test_it_says_which_version_it_is() -> None:
    shown = CliRunner().invoke(module.app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"knowdefeat {metadata.version('knowdefeat-pipeline')}\n")


def test_the_help_of_a_command_breaks_no_sentence_where_its_docstring_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def commands(of: typer.Typer) -> Iterator[str]:
        for command in of.registered_commands:
            yield command.help or ""
        for group in of.registered_groups:
            assert group.typer_instance
            yield from commands(group.typer_instance)

    found = list(commands(module.app))
    assert len(found) > 60
    assert all(found)
    assert [text for text in found if any("\n" in part.strip() for part in text.split("\n\n"))] == []
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(module.app, ["simulate", "--help"]).output
    assert [line for line in shown.splitlines() if "tells the opposite and luck reverses" in line]
