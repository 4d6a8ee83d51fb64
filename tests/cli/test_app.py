"""How a command's errors appear."""

import psycopg
import pytest

from knowdefeat_pipeline.automation.runs import RunFailed
from knowdefeat_pipeline.cli import app as module
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
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(kind("Do [this]."), monkeypatch) == 1
    assert capsys.readouterr().err == "Error: Do [this].\n"


def test_a_setting_says_what_is_wrong_and_what_to_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(SettingError("X is not a day.", "Write one."), monkeypatch) == 1
    assert capsys.readouterr().err == "Error: X is not a day. Write one.\n"


def test_a_connection_that_breaks_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(psycopg.OperationalError("server closed"), monkeypatch) == 1
    assert capsys.readouterr().err == (
        "Error: Lost the connection to the database: server closed\nSee: knowdefeat db status\n"
    )


def test_ctrl_c_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends_with(KeyboardInterrupt(), monkeypatch) == 130


def test_a_fault_of_the_code_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(module, "app", command)
    with pytest.raises(RuntimeError, match="a fault"):
        module.main()
