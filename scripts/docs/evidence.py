"""What the benchmarks measured, as the pages of the methodology show it: the files of docs/evidence, nothing else."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.evidence import FOLDER, MEASURED
from scripts.docs.markdown import code, table, text


def parts() -> dict[str, str]:
    """What the pages of the methodology leave to be filled in: each report, and all of them."""
    each = {f"evidence-{name}": shown(name) for name in MEASURED}
    return each | {"evidence": "\n".join(f"## {name}\n\n{shown(name)}" for name in MEASURED)}


def shown(name: str) -> str:
    """The report of a benchmark with its commit, date and arguments; what to run where there is none."""
    file = FOLDER / f"{name}.json"
    command = f"`python -m benchmarks.evidence {name}`"
    if not file.exists():
        return f"*Not measured at this version.* Measure it: {command}\n"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = [(text(label), code(said)) for label, said in found["rows"]]
    return (
        f"{text(found['title'])}. Measured at commit {code(found['commit'][:12])} on {found['date']} with Python "
        f"{found['python']} by {code(found['benchmark'])}; again: {command}\n\n{table(('', 'measured'), rows)}"
    )
