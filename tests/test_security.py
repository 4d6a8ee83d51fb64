"""What the guide to security says is so: its commands, roles, files and views exist."""

import re

from typer.main import get_command

from knowdefeat_pipeline.cli.app import app
from knowdefeat_pipeline.postgres.roles import ROLES
from knowdefeat_pipeline.settings import ROOT

GUIDE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_its_commands_exist() -> None:
    commands = get_command(app).commands
    found = re.findall(r"(?:^|`)knowdefeat ([\w -]+?)(?: [A-Z-]|`|  |\n)", GUIDE, flags=re.MULTILINE)
    assert {"db url", "db rotate", "up", "doctor"} <= set(found)
    for words in map(str.split, found):
        name, *rest = words
        assert name in commands
        if rest and hasattr(commands[name], "commands"):
            assert rest[0] in commands[name].commands


def test_it_says_what_each_role_may() -> None:
    assert {name for name in re.findall(r"^\| `(\w+)` \|", GUIDE, flags=re.MULTILINE) if name.startswith("know")} == {
        role.name for role in ROLES.values()
    }


def test_its_files_exist() -> None:
    for path in re.findall(r"`(knowdefeat_pipeline/[\w/.]+)`", GUIDE):
        assert (ROOT / path).exists()
