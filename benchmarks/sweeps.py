"""How fast sweeps are.

What:     10 000 balanced limits in one call, 1000 spiking reductions of 1 s, the overhead of a task, two workers
          against one on 64 networks and against two plain processes, and what freed memory costs. Killed sweeps are
          in validation/sweeps.py.
Run time: about 8 minutes on two idle cores.
Command:  python benchmarks/sweeps.py limits|reductions|overhead|workers|ceiling|allocator
"""

import contextlib
import functools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import largen as ln
from largen.sweeps import executors

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main

LONG = np.round(np.arange(50_001) * 0.1, 9)  # ms


def measured(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds of a call, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = function()
    return time.perf_counter() - wall, time.process_time() - cpu, found


@contextlib.contextmanager
def stores():
    """Names of stores in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield lambda name: f"{folder}/{name}.nc"


def limits(results: Results, small: bool) -> None:
    """10 000 balanced limits in one call, after compilation."""
    table = results.table("limits", "limits", ("s", ".2f"), ("CPU s", ".2f"), ("exist (%)", ".1f"))
    model, times, side = ln.BalancedNetwork(), np.arange(0.0, 5.0, 0.05), 3 if small else 100
    with stores() as store:
        warm = ln.Grid({"drive[e]": np.linspace(0.63, 0.66, 4), "coupling[e,i]": [2.0, 2.1]})
        ln.sweep(model, warm, times=times, store=store("warm"))  # compiles
        over = ln.Grid({"drive[e]": np.linspace(0.63, 0.66, side), "coupling[e,i]": np.linspace(1.97, 2.05, side)})
        wall, cpu, found = measured(lambda: ln.sweep(model, over, times=times, store=store("limits")))
    table.add(side**2, wall, cpu, 100 * float((found["status"] == "completed").mean()))


def reductions(results: Results, small: bool) -> None:
    """1000 spiking reductions of 1 s, w = 10, numba."""
    table = results.table("reductions", "reductions", ("s", ".1f"), ("CPU s", ".1f"))
    model, count = ln.SpikingNetwork(), 3 if small else 1000
    options = {"times": np.round(np.arange(10_001) * 0.1, 9), "bin_width": 10.0, "engine": "numba"}
    with stores() as store:
        ln.sweep(model, ln.Grid({"probability[e,i]": [0.8]}), store=store("warm"), **options)
        over = ln.Grid({"probability[e,i]": np.linspace(0.5, 1.0, count)})
        wall, cpu, _ = measured(lambda: ln.sweep(model, over, store=store("reductions"), **options))
    table.add(count, wall, cpu)


def overhead(results: Results, small: bool) -> None:
    """A network that takes next to no time: what is left is the overhead of a task."""
    table = results.table("overhead", "a task next to nothing", ("ms", ".2f"), ("CPU ms", ".2f"))
    model, times = ln.SpikingNetwork(size=(3, 1)), np.array([0.0, 0.1, 0.2])
    with stores() as store:
        for workers in (1,) if small else (1, 2):
            spent = []
            for count in (2, 4, 8) if small else (4, 40, 400):  # the first loads what is compiled
                over = ln.Grid({"external_rate": np.linspace(5.0, 7.0, count)})
                options = {"run": "network", "times": times, "workers": workers, "store": store(f"{workers}-{count}")}
                spent.append(
                    (count, *measured(lambda over=over, options=options: ln.sweep(model, over, **options))[:2])
                )
            (few, *start), (many, *end) = spent[1:]
            found = [(b - a) / (many - few) * 1e3 for a, b in zip(start, end, strict=True)]
            table.add("in process" if workers == 1 else f"{workers} workers", *found)


def workers(results: Results, small: bool) -> None:
    """64 networks of 14 realisations of 5 s with one worker and with two, whose start and end count."""
    table = results.table(
        "workers", "networks", "workers", ("s", ".1f"), ("CPU s, parent", ".1f"), ("CPU s, workers", ".1f"),
        ("times one worker", ".2f"),
    )  # fmt: skip
    times, count, runs = (LONG[:1001], 4, 2) if small else (LONG, 64, 14)
    options = {"run": "network", "times": times, "realisations": runs}
    over, first = ln.Grid({"probability[e,i]": np.linspace(0.6, 1.0, count)}), None
    with stores() as store:
        ln.sweep(ln.SpikingNetwork(), ln.Grid({"probability[e,i]": [0.8]}), store=store("warm"), **options)  # compiles
        for number in (1, 2):
            begun = time.perf_counter(), *spent()
            ln.sweep(ln.SpikingNetwork(), over, workers=number, store=store(f"networks-{number}"), **options)
            wall, own, theirs = (b - a for a, b in zip(begun, (time.perf_counter(), *spent()), strict=True))
            first = first or wall
            table.add(count, number, wall, own, theirs, first / wall)


def spent() -> tuple[float, float]:
    """CPU seconds of this process, and of its children that have ended."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, theirs = (part.ru_utime + part.ru_stime for part in parts)
    return own, theirs


def ceiling(results: Results, small: bool) -> None:
    """The same networks in two plain processes, each alone and both at once: what the machine can do by itself."""
    table = results.table(
        "ceiling", "turns", ("times one alone, mean", ".2f"), ("least", ".2f"), ("most", ".2f"),
        ("one process alone against the other (%)", ".0f"),
    )  # fmt: skip
    turns, runs, steps = (2, 2, 1000) if small else (6, 16, len(LONG) - 1)
    process = functools.partial(ProcessPoolExecutor, 1, multiprocessing.get_context("spawn"))
    with process() as first, process() as second:
        took = []
        for realisations in (1, *[runs] * turns):  # the first compiles
            work = functools.partial(ln.simulate, ln.SpikingNetwork(), LONG[: steps + 1], realisations=realisations)
            took.append([wait([p.submit(work) for p in part]) for part in ((first,), (second,), (first, second))])
    one, two, both = np.transpose(took[1:])
    ratios = (one + two) / both
    table.add(turns, ratios.mean(), ratios.min(), ratios.max(), 100 * abs(one.mean() / two.mean() - 1))


def wait(results: Sequence[Future]) -> float:
    """Seconds until all are there."""
    begun = time.perf_counter()
    for result in results:
        result.result()
    return time.perf_counter() - begun


def some_networks(realisations: int, steps: int = len(LONG) - 1) -> None:
    """One point of the sweep of networks."""
    ln.simulate(ln.SpikingNetwork(), LONG[: steps + 1], realisations=realisations)


def allocator(results: Results, small: bool) -> None:
    """Why workers keep the memory that they free: networks on two workers, with and without Dask's setting, in turn."""
    table = results.table(
        "allocator",
        "freed memory",
        ("CPU s a network", ".3f"),
        ("of which in the kernel", ".3f"),
        ("page faults", ".0f"),
    )
    turns, runs, steps = (1, 1, 1000) if small else (12, 6, len(LONG) - 1)
    ours, name = dict(executors.LOCAL), "MALLOC_TRIM_THRESHOLD_"
    found: dict[str, list[tuple[float, float, int]]] = {"given back as Dask would": [], "kept": []}
    with contextlib.ExitStack() as stack:
        clients = []
        for setting in (65536, None):
            os.environ.pop(name, None)  # where Dask leaves it for the next
            executors.LOCAL[f"distributed.nanny.pre-spawn-environ.{name}"] = setting
            clients.append(stack.enter_context(executors.local_client(2)))
        executors.LOCAL.clear()
        executors.LOCAL.update(ours)
        for turn in range(turns + 1):  # the first loads what is compiled
            for usages, client in zip(found.values(), clients, strict=True):
                last = client.gather([client.submit(usage, runs, steps, pure=False) for _ in range(2)])
                usages += last if turn else []
    for how, usages in found.items():
        user, kernel, faults = np.mean(usages, axis=0)
        table.add(how, user + kernel, kernel, faults)


def usage(realisations: int, steps: int) -> tuple[float, float, int]:
    """CPU seconds of a network in Python and compiled code, those in the kernel, and page faults."""
    before = resource.getrusage(resource.RUSAGE_THREAD)
    some_networks(realisations, steps)
    after = resource.getrusage(resource.RUSAGE_THREAD)
    used = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return *used, after.ru_minflt - before.ru_minflt


PARTS = (limits, reductions, overhead, workers, ceiling, allocator)

if __name__ == "__main__":
    main(PARTS, __doc__)
