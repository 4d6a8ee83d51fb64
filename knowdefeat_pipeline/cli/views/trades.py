"""What became of the rows of a file of trades."""

from __future__ import annotations

from rich.text import Text

from knowdefeat_pipeline.cli.views.output import out, strong
from knowdefeat_pipeline.cli.views.tables import number
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.store.trades import LoadReport


def show_report(report: LoadReport, name: str | None = None) -> None:
    """What became of a file's rows. `name`: what to call it, where its own name is that of others too."""
    parts = [
        f"{number(report.inserted)} new",
        f"{number(report.updated)} updated",
        *([f"{number(report.replaced)} replaced"] if report.replaced else []),
        f"{number(report.unchanged)} known",
        *([f"{number(report.joined)} joined"] if report.joined else []),
        f"{number(sum(report.quarantined.values()))} quarantined",
        *([f"{number(report.settled)} settled in quarantine before"] if report.settled else []),
    ]
    became = f" ({printable(report.source)}): {counted(report.rows_read, 'row')}: {', '.join(parts)}"
    out.print(Text.assemble(strong(printable(name or report.file_name)), became))
    for reason, count in sorted(report.quarantined.items()):
        out.print(f"  {count:,} quarantined: {reason} (knowdefeat quarantine list)", style="yellow")
    if report.explained:
        are = counted(report.explained, "fill that was held before belongs", "fills that were held before belong")
        out.print(f"  {are} to its trades, and left quarantine")
    if not report.is_new:
        out.print(
            f"  the same file, read alike, is import {report.import_id}: this is no import of its own", style="dim"
        )
    for note in report.notes:
        out.print(f"  {note}", style="dim")
