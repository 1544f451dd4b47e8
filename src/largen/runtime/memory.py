"""Check memory before allocating, and say what would fit."""

from collections.abc import Callable, Mapping

import numpy as np

from largen.checks import InputError

REMEDY = "Take fewer neurons, fewer output times, fewer workers, or record less."

LITTLE = 1e3
"""Bytes that are never refused: a process that has begun finds them, and asking takes longer than using them."""


def available_memory() -> float:
    """Bytes of memory that are free, on the machine and in its control group."""
    free = [np.inf]
    try:
        with open("/proc/meminfo") as file:
            free.append(next(int(line.split()[1]) * 1024.0 for line in file if line.startswith("MemAvailable")))
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            word = limit.read().strip()
            if word != "max":
                free.append(float(word) - float(used.read()))
    except (OSError, StopIteration, ValueError):
        pass
    return min(free)


def require_memory(
    needed: float,
    what: str,
    remedy: str = REMEDY,
    *,
    smaller: Mapping[str, tuple[int, Callable[[int], float]]] | None = None,
) -> None:
    """Refuse work that is estimated to need more memory (bytes) than is free.

    Args:
        needed: Bytes.
        what: The work, as the subject of a sentence in the singular.
        remedy: What to do instead.
        smaller: Sizes that could be smaller, by their words such as "{} realisations": the size asked for, and the
            bytes of a smaller one (negative: impossible). The message names the largest that fits.
    """
    if needed < LITTLE or needed <= (free := available_memory()):
        return
    fitting = []
    for words, (asked, size_of) in (smaller or {}).items():
        size = largest(lambda k, size_of=size_of: size_of(k) <= free, asked)
        fitting += [words.format(size)] if size > 0 and size_of(size) >= 0 else []
    fits = f" What fits: {', or '.join(fitting)}." if fitting else ""
    raise InputError(f"{what} needs about {in_words(needed)} of memory, but {in_words(free)} are free.{fits} {remedy}")


def in_words(size: float) -> str:
    """A number of bytes in the largest unit that leaves a number of at least 1."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1e3:.1f} kB"


def largest(fits: Callable[[int], bool], below: int) -> int:
    """The largest integer from 1 to below - 1 that fits, where all smaller ones do; 0 without one.

    Small ones are tried first, for a large one may take long to estimate.
    """
    high = 2
    while high < below and fits(high):
        high *= 2
    low, high = (0 if high == 2 else high // 2), min(high, below)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
