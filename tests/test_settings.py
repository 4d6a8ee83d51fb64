"""What the environment may set: what is read, what it is by default, and what is refused."""

from datetime import date, time
from pathlib import Path

import pytest

from knowdefeat_pipeline import settings as module
from knowdefeat_pipeline.settings import ROOT, SettingError, Settings, Upkeep, setting_errors

REFUSED = [
    ("KNOWDEFEAT_HOME", "~no-such-user/x"),
    ("KNOWDEFEAT_HOME", __file__),
    ("KNOWDEFEAT_HOME", f"{__file__}/below"),
    ("KNOWDEFEAT_FIRST_DAY", "yesterday"),
    ("KNOWDEFEAT_FIRST_DAY", "2015-02-29"),
    ("KNOWDEFEAT_FIRST_DAY", "0001-01-01"),
    ("KNOWDEFEAT_CHUNK_DAYS", "0"),
    ("KNOWDEFEAT_CHUNK_DAYS", "3000000"),
    ("KNOWDEFEAT_CHUNK_DAYS", "1.5"),
    ("KNOWDEFEAT_LIVE_REPORT_SECONDS", "-1"),
    ("KNOWDEFEAT_KEEP_RUN_DAYS", "1000000"),
    ("KNOWDEFEAT_TIMEZONE", "Mars/Olympus"),
    ("KNOWDEFEAT_DAILY_AT", "noon"),
    ("KNOWDEFEAT_EMBEDDED", "never"),
    ("KNOWDEFEAT_CODE_SERVER", "code"),
    ("KNOWDEFEAT_CODE_SERVER", "code:99999"),
    ("KNOWDEFEAT_CODE_SERVER", "http://code:4000"),
    ("KNOWDEFEAT_CODE_LOCATION", "a b"),
    ("KNOWDEFEAT_DAGSTER_HOME", "/nowhere"),
    ("KNOWDEFEAT_DASK_SCHEDULER", "10.0.0.5:8786"),
    ("KNOWDEFEAT_DASK_SCHEDULER", "tcp://10.0.0.5"),
    ("KNOWDEFEAT_WORKERS", "0"),
    ("KNOWDEFEAT_WHOLE_MB", "much"),
]


def test_everything_has_a_default_and_empty_means_it() -> None:
    defaults = Settings.from_environment({})
    assert defaults == Settings()
    assert (defaults.home, defaults.root, defaults.database_url) == (ROOT / ".knowdefeat", ROOT, None)
    assert (defaults.first_day, defaults.chunk_days, defaults.live_report_seconds) == (date(2015, 1, 1), 90, 60)
    assert Settings.from_environment(dict.fromkeys(("KNOWDEFEAT_HOME", "KNOWDEFEAT_CHUNK_DAYS"), "")) == defaults


def test_every_variable_is_read() -> None:
    given = {
        "KNOWDEFEAT_HOME": "/somewhere",
        "KNOWDEFEAT_DATABASE_URL": "postgresql://u:secret@h/d",
        "KNOWDEFEAT_INTAKE_URL": "postgresql://v:secret@h/d",
        "KNOWDEFEAT_FIRST_DAY": "1999-12-31",
        "KNOWDEFEAT_CHUNK_DAYS": "7",
        "KNOWDEFEAT_LIVE_REPORT_SECONDS": "5",
        "KNOWDEFEAT_WEBHOOK_URL": "https://chat.example/secret",
        "KNOWDEFEAT_WEBHOOK_SECRET": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
        "KNOWDEFEAT_WEBHOOK_PRIVATE": "yes",
        "KNOWDEFEAT_FREQTRADE_TOKEN": "ann:secret",
        "KNOWDEFEAT_DAILY_AT": "01:00",
        "KNOWDEFEAT_EMBEDDED": "no",
        "KNOWDEFEAT_CODE_SERVER": "code:4000",
        "KNOWDEFEAT_CODE_LOCATION": "knowdefeat-pipeline",
        "KNOWDEFEAT_DAGSTER_HOME": str(ROOT),
        "KNOWDEFEAT_DASK_SCHEDULER": "tls://10.0.0.5:8786",
        "KNOWDEFEAT_WORKERS": "3",
        "KNOWDEFEAT_WHOLE_MB": "2000",
    }
    settings = Settings.from_environment(given)
    assert settings == Settings(
        home=Path("/somewhere"),
        database_url="postgresql://u:secret@h/d",
        intake_url="postgresql://v:secret@h/d",
        first_day=date(1999, 12, 31),
        chunk_days=7,
        live_report_seconds=5,
        webhook_url="https://chat.example/secret",
        webhook_secret="whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
        webhook_private=True,
        freqtrade_token="ann:secret",
        embedded=False,
        code_server="code:4000",
        code_location="knowdefeat-pipeline",
        dask_scheduler="tls://10.0.0.5:8786",
        workers=3,
        whole_mb=2000,
        upkeep=Upkeep(daily_at=time(1, 0)),
    )
    assert "secret" not in repr(settings)
    assert "c2VjcmV0" not in repr(settings)


def test_every_variable_is_described_with_its_default() -> None:
    told = {of.name: of for of in module.described()}
    assert {name for name in module.variable_names() if not name.endswith("_FILE")} == told.keys()
    assert {name + "_FILE" for name, of in told.items() if of.is_secret} == set(module.variable_names()) - told.keys()
    assert all(of.meaning.endswith(".") for of in told.values())
    defaults = {name: of.default for name, of in told.items() if of.default}
    assert defaults == {
        "KNOWDEFEAT_HOME": ".knowdefeat",
        "KNOWDEFEAT_FIRST_DAY": "2015-01-01",
        "KNOWDEFEAT_CHUNK_DAYS": "90",
        "KNOWDEFEAT_LIVE_REPORT_SECONDS": "60",
        "KNOWDEFEAT_WEBHOOK_PRIVATE": "no",
        "KNOWDEFEAT_EMBEDDED": "yes",
        "KNOWDEFEAT_CODE_LOCATION": "knowdefeat_pipeline",
        "KNOWDEFEAT_WHOLE_MB": "450",
        "KNOWDEFEAT_DAILY_AT": "00:15",
        "KNOWDEFEAT_MAINTENANCE_AT": "03:30",
        "KNOWDEFEAT_TIMEZONE": "UTC",
        "KNOWDEFEAT_KEEP_RUN_DAYS": "14",
    }
    assert (
        Settings.from_environment(defaults | {"KNOWDEFEAT_HOME": ""}) == Settings()
    )  # as they are written, they are read


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_what_cannot_be_used_is_refused_by_name_with_what_to_write(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=rf"^{name}='{value}' is not a .*\. Write "):
        Settings.from_environment({name: value})
    assert list(setting_errors({"KNOWDEFEAT_WEBHOOK_URL": "http://h/", name: value})) == [name]


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "database_url"
    file.write_text("postgresql://u:secret@h/d\n")
    given = {"KNOWDEFEAT_DATABASE_URL_FILE": str(file), "KNOWDEFEAT_EMBEDDED": "no"}
    assert Settings.from_environment(given).database_url == "postgresql://u:secret@h/d"
    both = given | {"KNOWDEFEAT_DATABASE_URL": "postgresql://h/d"}
    with pytest.raises(SettingError, match=r"^KNOWDEFEAT_DATABASE_URL and KNOWDEFEAT_DATABASE_URL_FILE are both set\."):
        Settings.from_environment(both)
    file.write_text("\n")
    assert "is empty" in str(setting_errors(given)["KNOWDEFEAT_DATABASE_URL"])
    file.unlink()
    with pytest.raises(SettingError, match=r"database_url' cannot be read: No such file or directory\. Name a file"):
        Settings.from_environment(given)
    assert "KNOWDEFEAT_WEBHOOK_URL_FILE" in module.variable_names()
    assert "KNOWDEFEAT_HOME_FILE" not in module.variable_names()


def test_a_secret_that_is_handed_on_takes_the_place_of_one_in_a_file() -> None:
    ours = {"KNOWDEFEAT_DATABASE_URL_FILE": "/run/secrets/database_url", "KNOWDEFEAT_CHUNK_DAYS": "7"}
    found = Settings.from_environment(ours | module.handed_on(database_url="postgresql://h/d"))
    assert (found.database_url, found.chunk_days) == ("postgresql://h/d", 7)


def test_a_host_that_may_not_begin_a_database_of_its_own_needs_an_address() -> None:
    with pytest.raises(SettingError, match=r"^KNOWDEFEAT_EMBEDDED=no, and KNOWDEFEAT_DATABASE_URL is not set\."):
        Settings.from_environment({"KNOWDEFEAT_EMBEDDED": "no"})


@pytest.mark.parametrize(("server", "host"), [("code-1.local:4000", "code-1.local"), ("[fd00::1]:4000", "fd00::1")])
def test_the_workspace_of_a_host_whose_runs_are_executed_elsewhere(server: str, host: str) -> None:
    assert module.workspace(Settings()) == (ROOT / "workspace.yaml", {})
    settings = Settings.from_environment({"KNOWDEFEAT_CODE_SERVER": server})
    assert module.workspace(settings) == (
        ROOT / "code_server.yaml",
        {
            "KNOWDEFEAT_CODE_HOST": host,
            "KNOWDEFEAT_CODE_PORT": "4000",
            "KNOWDEFEAT_CODE_LOCATION": "knowdefeat_pipeline",
        },
    )


def test_an_installed_wheel_keeps_its_data_in_a_folder_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IS_INSTALLED", True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    assert Settings.from_environment({}).home == tmp_path / ".knowdefeat"


def test_folders_of_the_home_are_made_for_its_user_and_those_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "chosen").mkdir(mode=0o755)
    module.make_private(tmp_path / "chosen" / "home" / "logs")
    module.make_private(tmp_path / "chosen" / "home" / "logs")
    modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
    assert modes == [0o755, 0o700, 0o700]
