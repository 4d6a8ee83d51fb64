"""Markdown as the generated pages are written: tables, cells, code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(map(_on_one_line, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _on_one_line(cell: str) -> str:
    return cell.replace("\n", " ")


def text(words: str | None) -> str:
    """Words from elsewhere, of which nothing is markup but code in backticks, and nothing ends a cell."""
    if not words:
        return ""
    parts = words.split("`")
    if len(parts) % 2 == 0:  # a backtick that opens no code
        parts = [words.replace("`", "'")]
    return "".join(code(part) if at % 2 else _escaped(part) for at, part in enumerate(parts))


def _escaped(words: str) -> str:
    for character in "\\*_[]{}":
        words = words.replace(character, f"\\{character}")
    return words.replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")


def code(words: str) -> str:
    """Words as code, also within a cell."""
    return f"`{words}`".replace("|", "\\|") if words else ""


def anchor(name: str) -> str:
    """A place that links lead to, in a cell."""
    return f'<span id="{name}"></span>{code(name)}'


def value(found: Any) -> str:
    """A value of the database as it would be read."""
    if found is None:
        return "NULL"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float | Decimal):
        return f"{found:.10g}"
    if isinstance(found, datetime):
        return f"{found:%Y-%m-%d %H:%M} UTC"
    if isinstance(found, date):
        return found.isoformat()
    shown = str(found)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
