"""Stores of sweeps, byte for byte."""

import filecmp
from pathlib import Path


def equal(one: Path, two: Path) -> bool:
    """Whether two folders hold the same names and bytes; the record of the sweep included, the lock empty."""
    names = [sorted(p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()) for top in (one, two)]
    return names[0] == names[1] and not any(filecmp.cmpfiles(one, two, names[0], shallow=False)[1:])
