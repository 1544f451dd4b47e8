"""Sweeps that are killed and started again.

What:     a 64-point sweep of spiking networks and limits with two workers, SIGKILLed at twenty random moments, whole
          process group or one worker, and restarted; its store must have the bytes of an undisturbed run with one
          worker, and no finished task may be done again. What else stops a sweep is in failures.py.
Run time: about 5 minutes on two idle cores. Needs: Linux.
Command:  python validation/sweeps.py kill
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from stores import equal
from study import Results, main

import largen as ln

TIMES = np.round(np.arange(2001) * 0.1, 9)  # ms


def killed_sweep(store: str, workers: int, columns: int) -> None:
    """The sweep that is killed: a limit and a network each at 16 points a column, 4 columns at most."""
    ln.sweep(
        ln.SpikingNetwork(),
        ln.Grid({"probability[e,i]": np.linspace(0.6, 1.0, 16), "external_rate": [5.0, 6.0, 7.0, 8.0][:columns]}),
        run=("limit", "network"),
        times=TIMES,
        realisations=8,
        bin_width=10.0,
        observables=["rate", "rate.series"],
        store=store,
        workers=workers,
    )


def start(store: Path, columns: int) -> subprocess.Popen:
    """A process of its own group that runs the sweep with two workers."""
    command = [sys.executable, __file__, "--child", str(store), str(columns)]
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


def kill(results: Results, small: bool) -> None:
    """Kill a sweep again and again, restart it, and compare its store with that of an undisturbed run."""
    kills, columns, draw = (3, 1, random.Random(1)) if small else (20, 4, random.Random(1))
    table = results.table("kill", "what", "found")
    with tempfile.TemporaryDirectory() as folder:
        quiet, hurt = Path(folder, "quiet.zarr"), Path(folder, "hurt.zarr")
        killed_sweep(str(quiet), 1, columns)
        every = len(finished(quiet))
        groups = singles = again = 0
        seen: dict[str, tuple[int, int]] = {}
        child = start(hurt, columns)
        for number in range(kills):
            wait_for_tasks(hurt, child, draw, 2 * every // kills)
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
                child = start(hurt, columns)
            print(f"kill {number + 1}: {len(now)} of {every} tasks were done", flush=True)
        while child.wait() != 0:
            child = start(hurt, columns)
        now = finished(hurt)
        again += sum(now.get(name) != mark for name, mark in seen.items())
        same = [equal(quiet, hurt), equal(Path(f"{quiet}.tasks"), Path(f"{hurt}.tasks"))]
    points = 16 * columns
    table.add(f"tasks ({points} points: {points} networks, limits in batches)", every)
    table.add("SIGKILL to the whole process group, then restarted", groups)
    table.add("SIGKILL to a single worker", singles)
    table.add("result byte for byte that of an undisturbed run with 1 worker", same[0])
    table.add("task files likewise", same[1])
    table.add("tasks lost", every - len(now))
    table.add("finished tasks that were done again", again)
    assert all(same)
    assert again == 0


def wait_for_tasks(store: Path, child: subprocess.Popen, draw: random.Random, most: int) -> None:
    """Wait until a random number of further tasks is done, and a random moment longer."""
    goal = len(finished(store)) + draw.randint(0, most)
    until = time.monotonic() + 120.0
    while len(finished(store)) < goal and child.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(draw.random() * (3.0 if goal == 0 else 0.5))


PARTS = (kill,)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        killed_sweep(sys.argv[2], 2, int(sys.argv[3]))
    else:
        main(PARTS, __doc__)
