"""Migrations that were edited: how one is known, and the way out, which depends on where the one that ran is left."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from knowdefeat_pipeline.settings import IS_INSTALLED

PACKAGE = "knowdefeat-pipeline"
ALSO_RAN = {"0043": "8a0855e0af876da12cc85808b31b0cf8306e2f211af57975ca9de00c273a3af3"}
"""The checksum of another edition of a migration that makes the same tables: that of 0043 had comments besides, on
tables that 0046 drops."""


def checksum(text: bytes) -> str:
    """Of the text of a migration, however a checkout ends its lines."""
    return sha256(text.replace(b"\r\n", b"\n")).hexdigest()


def way_back(path: Path, ran: str) -> str:
    """What to do about the migration `path`; `ran` is the checksum of the one that did."""
    if IS_INSTALLED:
        wheel = f"{PACKAGE.replace('-', '_')}-{metadata.version(PACKAGE)}-py3-none-any.whl"
        return (
            f"If {path} was edited, install the wheel again: pip install --force-reinstall --no-deps {wheel}\n"
            f"Else another release migrated the database. {_move(path, 'that release')}"
        )
    if checksum(_git(path, "show", f"HEAD:./{path.name}")) == ran:
        return f"The file was edited since. Restore it: git -C '{path.parent}' checkout HEAD -- {path.name}"
    commits = _git(path, "log", "--format=%h", "--", path.name).decode().split()
    texts = ((commit, _git(path, "show", f"{commit}:./{path.name}")) for commit in commits)
    commit = next((commit for commit, text in texts if checksum(text) == ran), None)
    edition = f"the code of commit {commit}" if commit else "the code that did"
    return f"Other code than this migrated the database. {_move(path, edition)}"


def _move(path: Path, edition: str) -> str:
    """How the data gets into tables that the present files make."""
    forget = f"DELETE FROM knowdefeat_migrations WHERE revision = '{path.name[:4]}'"  # noqa: S608 (digits)
    return (
        f"By {edition} write a backup: knowdefeat db backup FILE; by this one restore it into an empty database: "
        "knowdefeat db restore FILE\n"
        "Only if you know that both make the same tables, let this file count as the one that ran: "
        f'knowdefeat db shell -c "{forget}", then knowdefeat db migrate'
    )


def _git(path: Path, *arguments: str) -> bytes:
    """What git says in the folder of the file; nothing without git, a repository, or what is asked for."""
    try:
        return subprocess.run(["git", "-C", str(path.parent), *arguments], capture_output=True).stdout
    except OSError:
        return b""
