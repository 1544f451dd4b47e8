"""Sweeps that are killed, and how fast sweeps are.

What: (kill) a 64-point sweep of spiking networks and limits with two workers, SIGKILLed at twenty random moments,
whole process group or one worker, and restarted; its store must have the bytes of an undisturbed run with one worker,
and no finished task may be done again. (speed) 10 000 balanced limits in one call, 1000 spiking reductions of 1 s,
the overhead of a task, two workers against one on 64 networks.
What else stops a sweep is in troubles.py. Source: issue 7. Run time: kill about 5 minutes, speed about 8 minutes, on
two idle cores.
Command: python benchmarks/sweeps.py kill|speed [limits|reductions|overhead|one|two|ceiling|allocator ...] [--write]
"""

import argparse
import contextlib
import filecmp
import multiprocessing
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.pool import AsyncResult
from pathlib import Path

import numpy as np
import rows as table

import largen as ln
from largen.sweeps import executors

TIMES = np.round(np.arange(2001) * 0.1, 9)  # ms
LONG = np.round(np.arange(50_001) * 0.1, 9)
LENGTHY = {"run": "network", "times": LONG, "realisations": 14}
NETWORKS = ln.Grid({"probability[e,i]": np.linspace(0.6, 1.0, 64)})


def killed_sweep(store: str, workers: int) -> None:
    """The sweep that is killed: 64 points, a limit and a network each."""
    ln.sweep(
        ln.SpikingNetwork(),
        ln.Grid({"probability[e,i]": np.linspace(0.6, 1.0, 16), "external_rate": [5.0, 6.0, 7.0, 8.0]}),
        run=("limit", "network"),
        times=TIMES,
        realisations=8,
        bin_width=10.0,
        observables=["rate", "rate.series"],
        store=store,
        workers=workers,
    )


def start(store: Path) -> subprocess.Popen:
    command = [sys.executable, __file__, "child", str(store), "2"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def children(pid: int) -> list[int]:
    """Worker processes: descendants that run Python's spawned main."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(words[1]) == pid and b"spawn_main" in line:
                found.append(int(entry.name))
    return found


def finished(store: Path) -> dict[str, tuple[int, int]]:
    """Finished tasks: inode and time of each file."""
    files = Path(f"{store}.tasks").glob("[0-9a-f]*.task")
    return {file.name: ((found := file.stat()).st_ino, found.st_mtime_ns) for file in files}


def kill(rows: list[tuple[str, str]], kills: int = 20, seed: int = 1) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        quiet, hurt = Path(folder, "quiet.zarr"), Path(folder, "hurt.zarr")
        killed_sweep(str(quiet), workers=1)
        every = len(finished(quiet))
        groups = singles = again = 0
        seen: dict[str, tuple[int, int]] = {}
        child = start(hurt)
        last = None
        for number in range(kills):
            goal = len(finished(hurt)) + draw.randint(0, 2 * every // kills)
            until = time.monotonic() + 120.0
            while len(finished(hurt)) < goal and child.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(draw.random() * (3.0 if goal == 0 else 0.5))
            now = finished(hurt)
            again += sum(now.get(name) != mark for name, mark in seen.items())
            seen = now
            workers = children(child.pid)
            if number % 2 and workers:
                os.kill(draw.choice(workers), signal.SIGKILL)
                singles += 1
            else:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    groups += 1
                child.wait()
                last = child.returncode
                child = start(hurt)
            print(f"kill {number + 1}: {len(now)} of {every} tasks were done", flush=True)
        while child.wait() != 0:
            child = start(hurt)
        now = finished(hurt)
        again += sum(now.get(name) != mark for name, mark in seen.items())
        same = [equal(quiet, hurt), equal(Path(f"{quiet}.tasks"), Path(f"{hurt}.tasks"))]
        rows += [
            ("tasks (64 points: 64 networks, limits in batches)", f"{every}"),
            ("SIGKILL to the whole process group, then restarted", f"{groups}"),
            ("SIGKILL to a single worker", f"{singles}"),
            ("result byte for byte that of an undisturbed run with 1 worker", "yes" if same[0] else "NO"),
            ("task files likewise", "yes" if same[1] else "NO"),
            ("tasks lost", f"{every - len(now)}"),
            ("finished tasks that were done again", f"{again}"),
        ]
        assert all(same)
        assert again == 0
        assert last is None or last == -signal.SIGKILL


def equal(one: Path, two: Path) -> bool:
    """Whether two folders hold the same names and bytes; the record of the sweep included, the lock empty."""
    names = [sorted(p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()) for top in (one, two)]
    return names[0] == names[1] and not any(filecmp.cmpfiles(one, two, names[0], shallow=False)[1:])


# Speed ----------------------------------------------------------------------------------------------------------------


def limits(folder: str, rows: list[tuple[str, str]]) -> None:
    model, times = ln.BalancedNetwork(), np.arange(0.0, 5.0, 0.05)
    small = ln.Grid({"drive[e]": np.linspace(0.63, 0.66, 4), "coupling[e,i]": [2.0, 2.1]})
    ln.sweep(model, small, times=times, store=f"{folder}/warm.nc")  # compiles
    over = ln.Grid({"drive[e]": np.linspace(0.63, 0.66, 100), "coupling[e,i]": np.linspace(1.97, 2.05, 100)})
    wall, cpu = time.perf_counter(), time.process_time()
    found = ln.sweep(model, over, times=times, store=f"{folder}/limits.nc")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    share = float((found["status"] == "completed").mean())
    rows.append(
        (
            "10 000 balanced limits in one call, after compilation",
            f"{wall:.2f} s, {cpu:.2f} CPU s, {100 * share:.1f} % exist",
        )
    )


def reductions(folder: str, rows: list[tuple[str, str]]) -> None:
    model, times = ln.SpikingNetwork(), np.round(np.arange(10_001) * 0.1, 9)
    ln.sweep(model, ln.Grid({"probability[e,i]": [0.8]}), times=times, bin_width=10.0, store=f"{folder}/warm2.nc")
    over = ln.Grid({"probability[e,i]": np.linspace(0.5, 1.0, 1000)})
    wall, cpu = time.perf_counter(), time.process_time()
    ln.sweep(model, over, times=times, bin_width=10.0, engine="numba", store=f"{folder}/reductions.nc")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows.append(("1000 spiking reductions of 1 s, w = 10, numba", f"{wall:.1f} s, {cpu:.1f} CPU s"))


def overhead(folder: str, rows: list[tuple[str, str]]) -> None:
    """A network that takes next to no time: what is left is the overhead of a task."""
    model, times = ln.SpikingNetwork(size=(3, 1)), np.array([0.0, 0.1, 0.2])
    for workers in (1, 2):
        spent = {}
        for count in (4, 40, 400):  # the first loads what is compiled
            over = ln.Grid({"external_rate": np.linspace(5.0, 7.0, count)})
            wall, cpu = time.perf_counter(), time.process_time()
            ln.sweep(
                model, over, run="network", times=times, workers=workers, store=f"{folder}/many-{workers}-{count}.nc"
            )
            spent[count] = time.perf_counter() - wall, time.process_time() - cpu
        wall, cpu = ((b - a) / 360 * 1e3 for a, b in zip(spent[40], spent[400], strict=True))
        where = "in process" if workers == 1 else f"{workers} workers"
        rows.append((f"a task next to nothing, {where}", f"{wall:.2f} ms, {cpu:.2f} CPU ms"))


ONE, TWO = (f"64 networks (14 realisations of 5 s), {count}" for count in ("one worker", "two workers"))


def one(folder: str, rows: list[tuple[str, str]]) -> None:
    """64 networks in this process; a first compilation does not count."""
    warm = ln.Grid({"probability[e,i]": [0.8]})
    ln.sweep(ln.SpikingNetwork(), warm, store=f"{folder}/warm3.nc", **LENGTHY)  # compiles
    wall, own, _ = networks(folder, 1)
    rows.append((ONE, f"{wall:.1f} s, {own:.1f} CPU s"))


def two(folder: str, rows: list[tuple[str, str]]) -> None:
    """64 networks with two workers, whose start and end count, against the row of one."""
    wall, own, theirs = networks(folder, 2)
    found = dict(rows).get(ONE) or table.read("sweeps.md", ONE)[1]
    ratio = float(found.split()[0]) / wall
    rows.append((TWO, f"{wall:.1f} s (CPU: parent {own:.1f} s, workers {theirs:.1f} s): {ratio:.2f} times one"))


def networks(folder: str, count: int) -> tuple[float, ...]:
    """Seconds that 64 networks take with so many workers, and CPU seconds of this process and of the workers."""
    begun = time.perf_counter(), *spent()
    ln.sweep(ln.SpikingNetwork(), NETWORKS, workers=count, store=f"{folder}/networks-{count}.nc", **LENGTHY)
    return tuple(b - a for a, b in zip(begun, (time.perf_counter(), *spent()), strict=True))


def ceiling(folder: str, rows: list[tuple[str, str]], turns: int = 6) -> None:
    """The same networks in two plain processes, each alone and both at once: what the machine can do by itself."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as first, context.Pool(1) as second:
        took = []
        for realisations in (1, *[16] * turns):  # the first compiles
            groups = ((first,), (second,), (first, second))
            took.append([wait([pool.apply_async(some_networks, (realisations,)) for pool in part]) for part in groups])
    one, two, both = np.transpose(took[1:])
    ratios = (one + two) / both
    rows.append(
        (
            "the same networks in two plain processes, one after the other and at once: no sweep, no start",
            f"{ratios.mean():.2f} times ({ratios.min():.2f} to {ratios.max():.2f} in {turns} turns); alone, one "
            f"process takes {100 * abs(one.mean() / two.mean() - 1):.0f} % longer than the other",
        )
    )


def wait(results: Sequence[AsyncResult]) -> float:
    """Seconds until all are there."""
    begun = time.perf_counter()
    for result in results:
        result.get()
    return time.perf_counter() - begun


def some_networks(realisations: int) -> None:
    """One point of the sweep of networks."""
    ln.simulate(ln.SpikingNetwork(), LONG, realisations=realisations)


TRIM = "MALLOC_TRIM_THRESHOLD_"


def allocator(folder: str, rows: list[tuple[str, str]], turns: int = 12) -> None:
    """Why workers keep the memory that they free: networks on two workers, with and without Dask's setting, in turn."""
    ours, name = dict(executors.LOCAL), "MALLOC_TRIM_THRESHOLD_"
    found: dict[str, list[tuple[float, float, int]]] = {"given back as Dask would": [], "kept": []}
    with contextlib.ExitStack() as stack:
        clients = []
        for setting in (65536, None):
            os.environ.pop(name, None)  # where Dask leaves it for the next
            executors.LOCAL[f"distributed.nanny.pre-spawn-environ.{name}"] = setting
            clients.append(stack.enter_context(executors.local_client(2)))
        executors.LOCAL.update(ours)
        for turn in range(turns + 1):  # the first loads what is compiled
            for results, client in zip(found.values(), clients, strict=True):
                last = client.gather([client.submit(usage, 6, pure=False) for _ in range(2)])
                results += last if turn else []
    means = {how: np.mean(results, axis=0) for how, results in found.items()}
    words = (
        f"{how}: {user + kernel:.3f} CPU s, of which {kernel:.3f} s in the kernel, {faults:.0f} page faults"
        for how, (user, kernel, faults) in means.items()
    )
    rows.append(("a network (6 realisations of 5 s) on one of two workers, freed memory", "; ".join(words)))


def usage(realisations: int) -> tuple[float, float, int]:
    """CPU seconds of a network in Python and compiled code, those in the kernel, and page faults."""
    before = resource.getrusage(resource.RUSAGE_THREAD)
    some_networks(realisations)
    after = resource.getrusage(resource.RUSAGE_THREAD)
    used = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return *used, after.ru_minflt - before.ru_minflt


def spent() -> tuple[float, float]:
    """CPU seconds of this process, and of its children that have ended."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, theirs = (part.ru_utime + part.ru_stime for part in parts)
    return own, theirs


STUDIES = (limits, reductions, overhead, one, two, ceiling, allocator)
SPEED = {study.__name__: study for study in STUDIES}


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        killed_sweep(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("kill", "speed"))
    parser.add_argument("which", nargs="*", help=", ".join(SPEED))
    parser.add_argument("--write", action="store_true", help="put the rows into docs/sweeps.md")
    given = parser.parse_args()
    rows: list[tuple[str, str]] = []
    if given.what == "kill":
        kill(rows)
    else:
        with tempfile.TemporaryDirectory() as folder:
            for name in given.which or SPEED:
                SPEED[name](folder, rows)
    lines = ["| what | found |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    command = f"`python benchmarks/sweeps.py {' '.join(sys.argv[1:])}`"
    lines += ["", f"{command}, {os.cpu_count()} cores, Python {platform.python_version()}."]
    print("\n".join(lines))
    if given.write:
        table.write("sweeps.md", rows)


if __name__ == "__main__":
    main()
