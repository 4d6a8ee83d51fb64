"""The one progress bar, on standard error, with how long it has taken and what is estimated to be left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from knowdefeat_pipeline.cli.views.output import err

Advance = Callable[[str], None]


@contextmanager
def progress(label: str, steps: int, quiet: bool, transient: bool = False) -> Iterator[Advance]:
    """A bar over `steps`; what is yielded is called with the name of each step that is done. None where `quiet`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet, transient=transient) as bar:
        task = bar.add_task(label, total=steps)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=f"{label}: {step}")

        yield advance
