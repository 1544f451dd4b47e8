"""Rows of tables in the pages: each study replaces its own, known by the first cell."""

from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def write(page: str, rows: Iterable[Sequence[object]]) -> None:
    """Put rows into a page of docs/ in place of those with the same first cell, which must be there once.

    Cells of the page beyond those given, such as an aim, stay.
    """
    path = DOCS / page
    lines = path.read_text(encoding="utf-8").split("\n")
    for cells in rows:
        words = [str(cell) for cell in cells]
        (place,) = (k for k, line in enumerate(lines) if line.startswith(f"| {words[0]} |"))
        there = lines[place].strip("| ").split(" | ")
        lines[place] = f"| {' | '.join(words + there[len(words) :])} |"
    path.write_text("\n".join(lines), encoding="utf-8")


def read(page: str, first: str) -> list[str]:
    """Cells of the row that begins with this cell."""
    lines = (DOCS / page).read_text(encoding="utf-8").split("\n")
    (line,) = (line for line in lines if line.startswith(f"| {first} |"))
    return line.strip("| ").split(" | ")
