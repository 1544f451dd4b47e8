"""Check memory before allocating."""

import numpy as np

from largen.checks import InputError

REMEDY = "Take fewer neurons, fewer output times, fewer workers, or record less."


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


def require_memory(needed: float, what: str, remedy: str = REMEDY) -> None:
    """Refuse work that is estimated to need more memory (bytes) than is free."""
    free = available_memory()
    if needed > free:
        raise InputError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, but {free / 1e9:.1f} GB are free. {remedy}"
        )
