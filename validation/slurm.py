"""The sweep of examples/slurm/sweep.py when SLURM takes its jobs away, or when its own process dies.

What:     (cancelled) `scancel` of a random worker job again and again; (killed) the coordinator killed with SIGKILL and
          started again; (short) jobs whose walltime is a minute, with and without a worker's own lifetime. Every store
          must have the bytes of a run in one process, and no finished task may be done again.
Run time: about 15 minutes on two cores. Needs: dask-jobqueue and a SLURM cluster, such as the one that
          examples/slurm/one_node.sh makes of a Debian machine; its partition is `normal`, or $SLURM_PARTITION.
Command:  python validation/slurm.py trials
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from study import Results, main

SWEEP = Path(__file__).parent.parent / "examples" / "slurm" / "sweep.py"
PARTITION = os.environ.get("SLURM_PARTITION", "normal")


def start(store: Path, points: int, *more: str) -> subprocess.Popen:
    """The coordinator in a process group of its own."""
    words = ["--jobs", "2", "--workers", "1", "--memory", "1500MB", "--partition", PARTITION, "--points", str(points)]
    command = [sys.executable, str(SWEEP), store.name, *words, *more]
    with open(store.with_suffix(".log"), "a") as log:
        return subprocess.Popen(command, cwd=store.parent, start_new_session=True, stdout=log, stderr=log)


def finished(store: Path) -> dict[str, int]:
    """Inodes of the finished tasks."""
    return {file.name: file.stat().st_ino for file in Path(f"{store}.tasks").glob("[0-9a-f]*.task")}


def jobs() -> list[str]:
    """Worker jobs that run."""
    command = ["squeue", "--noheader", "--name", "dask-worker", "--states", "RUNNING", "--format", "%A"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def content(store: Path) -> dict[str, bytes]:
    """Every file of a result and of its tasks."""
    tops = (store, Path(f"{store}.tasks"))
    return {
        f"{k}/{p.relative_to(top)}": p.read_bytes()
        for k, top in enumerate(tops)
        for p in sorted(top.rglob("*"))
        if p.is_file()
    }


def wait(child: subprocess.Popen, store: Path) -> None:
    """Wait for the end of a sweep, which must succeed."""
    code = child.wait(timeout=600)
    assert code == 0, store.with_suffix(".log").read_text()[-2000:]


def ended_by_slurm(store: Path) -> int:
    """Jobs whose log says that SLURM ended them."""
    return sum(b"DUE TO TIME LIMIT" in log.read_bytes() for log in (store.parent / "slurm-logs").iterdir())


Strike = Callable[[subprocess.Popen, random.Random], tuple[subprocess.Popen, int]]


def disturbed(store: Path, points: int, tasks: tuple[int, int], seed: int, strike: Strike) -> tuple[int, int]:
    """Strike after every few tasks until the sweep is done; how often, and how many finished tasks were done again."""
    draw, seen, again, count = random.Random(seed), {}, 0, 0
    child = start(store, points)
    while child.poll() is None:
        goal = len(finished(store)) + draw.randint(*tasks)
        while child.poll() is None and len(finished(store)) < goal:
            time.sleep(0.05)
        now = finished(store)
        again += sum(now.get(name) != mark for name, mark in seen.items())
        seen = now
        if child.poll() is None:
            child, struck = strike(child, draw)
            count += struck
    wait(child, store)
    return count, again


def cancelled(store: Path, points: int) -> tuple[str, int, int | None]:
    """Cancel a random worker job after every few tasks."""

    def strike(child: subprocess.Popen, draw: random.Random) -> tuple[subprocess.Popen, int]:
        running = jobs()
        if running:
            subprocess.run(["scancel", draw.choice(running)], check=True)
        return child, bool(running)

    count, again = disturbed(store, points, (3, 9), 1, strike)
    return "`scancel` of a random worker job", count, again


def killed(store: Path, points: int) -> tuple[str, int, int | None]:
    """Kill the coordinator after every few tasks; its jobs find no scheduler and leave."""

    def strike(child: subprocess.Popen, draw: random.Random) -> tuple[subprocess.Popen, int]:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return start(store, points), 1

    count, again = disturbed(store, points, (5, 15), 2, strike)
    return "coordinator killed with SIGKILL and started again", count, again


def short(store: Path, points: int, *more: str) -> tuple[str, int, int | None]:
    """Jobs that SLURM ends after a minute."""
    before = ended_by_slurm(store)
    wait(start(store, points, "--walltime", "00:01:00", *more), store)
    how = "a worker's lifetime 30 s" if more else "workers that know nothing of it"
    return f"walltime of 1 minute, {how}: jobs ended by SLURM", ended_by_slurm(store) - before, None


def trials(results: Results, small: bool) -> None:
    """Every trial beside an undisturbed sweep: how often it was struck, its bytes, tasks done again, seconds."""
    table = results.table(
        "trials", "trial", "times", "bytes of the undisturbed run", "finished tasks done again", ("s", ".0f")
    )
    points = 8 if small else 48
    with tempfile.TemporaryDirectory(dir=".") as folder:
        reference = Path(folder).resolve() / "s0.zarr"
        wait(start(reference, points), reference)
        expected = content(reference)
        for number, trial in enumerate((cancelled, killed, short, with_lifetime), start=1):
            begun, store = time.monotonic(), reference.with_name(f"s{number}.zarr")
            what, count, again = trial(store, points)
            table.add(what, count, content(store) == expected, again, time.monotonic() - begun)


def with_lifetime(store: Path, points: int) -> tuple[str, int, int | None]:
    """The same with workers that leave after 30 s."""
    return short(store, points, "--lifetime", "30s", "--stagger", "5s")


PARTS = (trials,)

if __name__ == "__main__":
    main(PARTS, __doc__)
