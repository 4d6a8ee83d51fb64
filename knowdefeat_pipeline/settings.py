"""What the environment may set. Read once by an entry point and handed on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository root: the folder that holds `dagster.yaml` and `sql/`."""


@dataclass(frozen=True)
class Settings:
    """`home`: absolute folder of everything the product keeps on disk. `database_url`: None = the embedded server."""

    home: Path
    database_url: str | None
    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read `KNOWDEFEAT_HOME` (default `<root>/.knowdefeat`) and `KNOWDEFEAT_DATABASE_URL`; empty means unset."""
        home = Path(environ.get("KNOWDEFEAT_HOME") or ROOT / ".knowdefeat").expanduser().absolute()
        return cls(home=home, database_url=environ.get("KNOWDEFEAT_DATABASE_URL") or None, root=ROOT)
