"""What docs/operations.md says is so: its commands exist, its messages are the product's, its settings are read."""

import ast
import re
from pathlib import Path

from typer.main import get_command

from knowdefeat_pipeline.automation.sensors.failures import report_failures
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.settings import ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOT_MESSAGES = {"report_failures", "knowdefeat db status", "failed"}


def strings(path: Path) -> str:
    """All text of a module, with what is filled in left out, so that a message can be found across its lines."""
    found = [
        "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        if isinstance(node, ast.JoinedStr)
        else str(node.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    ]
    return "\n".join(found)


def test_its_commands_exist() -> None:
    commands = get_command(app).commands
    found = re.findall(r"(?:^|`)(?:setsid )?knowdefeat (\w+) ?(\w+)?", GUIDE, flags=re.MULTILINE)
    assert {"up", "run", "db", "doctor", "quarantine"} <= {name for name, _ in found}
    for name, sub in found:
        assert name in commands
        if hasattr(commands[name], "commands"):
            assert sub in commands[name].commands
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", GUIDE, flags=re.MULTILINE)) <= targets


def test_every_message_is_one_of_the_products() -> None:
    text = "\n".join(map(strings, sorted((ROOT / "knowdefeat_pipeline").rglob("*.py"))))
    table = GUIDE.partition("| message |")[2]
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    messages = {message for cell in cells for message in re.findall(r"`([^`]+)`", cell)} - NOT_MESSAGES
    assert len(messages) > 20
    assert {message for message in messages if message not in text} == set()


def test_it_names_every_schedule_sensor_and_job() -> None:
    repository = build_defs().get_repository_def()
    names = [d.name for d in (*repository.schedule_defs, *repository.sensor_defs)]
    assert report_failures.name in names
    for name in [*names, "maintenance"]:
        assert f"`{name}`" in GUIDE or f"-j {name}" in GUIDE
