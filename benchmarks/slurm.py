"""What happens to the sweep of examples/slurm/sweep.py when SLURM takes its jobs away, or its own process dies.

What: (quiet) undisturbed; (cancelled) `scancel` of a random worker job again and again; (killed) the coordinator killed
with SIGKILL and started again; (short) jobs whose walltime is a minute, with and without a worker's own lifetime. Every
store must have the bytes of a run in one process, and no finished task may be done again.
Source: issue 7. Run time: about 15 minutes on two cores. Needs: dask-jobqueue and a SLURM cluster, such as the one that
examples/slurm/one_node.sh makes of a Debian machine.
Command: python benchmarks/slurm.py PARTITION [--write], which puts the table into docs/sweeps.md.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rows

SWEEP = Path(__file__).parent.parent / "examples" / "slurm" / "sweep.py"
POINTS = 48


def start(store: Path, partition: str, *more: str) -> subprocess.Popen:
    """The coordinator in a process group of its own."""
    words = ["--jobs", "2", "--workers", "1", "--memory", "1500MB", "--partition", partition, "--points", str(POINTS)]
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


def disturbed(store: Path, partition: str, tasks: tuple[int, int], seed: int, strike: Strike) -> tuple[int, int]:
    """Strike after every few tasks until the sweep is done; how often, and how many finished tasks were done again."""
    draw, seen, again, count = random.Random(seed), {}, 0, 0
    child = start(store, partition)
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


def cancelled(store: Path, partition: str) -> tuple[str, int, int | str]:
    """Cancel a random worker job after every few tasks."""

    def strike(child: subprocess.Popen, draw: random.Random) -> tuple[subprocess.Popen, int]:
        running = jobs()
        if running:
            subprocess.run(["scancel", draw.choice(running)], check=True)
        return child, bool(running)

    count, again = disturbed(store, partition, (3, 9), 1, strike)
    return "`scancel` of a random worker job", count, again


def killed(store: Path, partition: str) -> tuple[str, int, int | str]:
    """Kill the coordinator after every few tasks; its jobs find no scheduler and leave."""

    def strike(child: subprocess.Popen, draw: random.Random) -> tuple[subprocess.Popen, int]:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return start(store, partition), 1

    count, again = disturbed(store, partition, (5, 15), 2, strike)
    return "coordinator killed with SIGKILL and started again", count, again


def short(store: Path, partition: str, *more: str) -> tuple[str, int, int | str]:
    """Jobs that SLURM ends after a minute."""
    before = ended_by_slurm(store)
    wait(start(store, partition, "--walltime", "00:01:00", *more), store)
    how = "a worker's lifetime 30 s" if more else "workers that know nothing of it"
    return f"walltime of 1 minute, {how}: jobs ended by SLURM", ended_by_slurm(store) - before, "not looked at"


def main() -> None:
    """Run all trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("partition")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        reference = Path(folder).resolve() / "s0.zarr"
        wait(start(reference, given.partition), reference)
        expected = content(reference)
        trials = (cancelled, killed, short, lambda *a: short(*a, "--lifetime", "30s", "--stagger", "5s"))
        for number, trial in enumerate(trials, start=1):
            begun, store = time.monotonic(), reference.with_name(f"s{number}.zarr")
            what, count, again = trial(store, given.partition)
            same = "yes" if content(store) == expected else "NO"
            cells = (what, str(count), same, str(again), f"{time.monotonic() - begun:.0f}")
            print(f"| {' | '.join(cells)} |", flush=True)
            if given.write:
                rows.write("sweeps.md", [cells])


if __name__ == "__main__":
    main()
