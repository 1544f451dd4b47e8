"""Rows of tables in the pages: each study replaces its own, known by the first cell."""

from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def write(page: str, rows: Iterable[Sequence[object]]) -> None:
    """Put rows into a page of docs/ in place of those with the same first cell, which must be there once."""
    path = DOCS / page
    lines = path.read_text(encoding="utf-8").split("\n")
    for cells in rows:
        words = [str(cell) for cell in cells]
        (place,) = (k for k, line in enumerate(lines) if line.startswith(f"| {words[0]} |"))
        lines[place] = f"| {' | '.join(words)} |"
    path.write_text("\n".join(lines), encoding="utf-8")
