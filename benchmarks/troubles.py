"""What stops a sweep, done for real, and the sentence that the user reads.

What: a disk that fills (a tmpfs of 1.5 MB), a store that may not be written (as the user `nobody`), a second sweep on
one store, workers out of memory (their address space limited, so that allocation fails; and the kernel's memory limit
of a control group, which kills), an exception at a point, a cut and a foreign task file, Ctrl-C. Each sweep is the
command line's own process; afterwards the trouble is taken away, the same command is run again, and the store must
have the bytes of an undisturbed run.
Source: issue 7. Run time: about 3 minutes. Needs: Linux, root (mount, control groups, setpriv).
Command: python benchmarks/troubles.py [TROUBLE ...] [--write], which puts the table into docs/sweeps.md.
"""

import argparse
import contextlib
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import rows
from sweeps import equal

FILE = """
system: spiking
run: {{times: {{stop: {stop}, step: 0.1}}, realisations: {realisations}, seed: 1}}
sweep:
  over: {{kind: grid, values: {{"probability[e,i]": {{start: 0.6, stop: 1.0, count: {count}}}, {more}}}}}
  run: [limit, network]
  observables: [rate, rate.series]
  options: {{bin_width: 10.0}}
"""
SMALL = {"stop": 200, "realisations": 8, "count": 16, "more": "external_rate: [5.0, 6.0]"}
SWEEP = [sys.executable, "-m", "largen", "sweep", "s.yaml"]
TWO = ["--workers", "2"]


def written(folder: Path, **what: object) -> Path:
    """A folder with the sweep file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s.yaml").write_text(FILE.format(**(SMALL | what)))
    return folder


def run(folder: Path, *more: str, before: Callable[[], object] | None = None) -> subprocess.CompletedProcess:
    """Run the command there; `before` acts in the new process."""
    return subprocess.run([*SWEEP, *more], cwd=folder, capture_output=True, text=True, preexec_fn=before)


def begin(folder: Path, *more: str) -> subprocess.Popen:
    """Start the command there, with streams into one file."""
    with open(folder / "log", "w") as log:
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background ignores it
        return subprocess.Popen(
            [*SWEEP, *more], cwd=folder, stdout=log, stderr=log, start_new_session=True, preexec_fn=heard
        )


def done(folder: Path) -> list[Path]:
    """Task files that are finished."""
    return sorted((folder / "s.zarr.tasks").glob("[0-9a-f]*.task"))


def until(folder: Path, count: int, child: subprocess.Popen) -> None:
    """Wait until some tasks are done."""
    while len(done(folder)) < count and child.poll() is None:
        time.sleep(0.01)


def said(text: str) -> str:
    """What was said, without the lines of progress."""
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line.strip() and not re.match(r"sweep: \d", line)]
    words = " ".join(" ".join(lines[-6:]).split())
    return words.replace("|", "\\|")


def same(folder: Path, quiet: Path) -> str:
    """Whether a store has the bytes of the undisturbed one."""
    pairs = [(folder / name, quiet / name) for name in ("s.zarr", "s.zarr.tasks")]
    return "yes" if all(equal(*pair) for pair in pairs) else "NO"


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """A small file system of memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Path]:
    """A control group with a limit of memory, in bytes, of whichever version there is."""
    new = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    group = Path("/sys/fs/cgroup", *([] if new else ["memory"]), f"largen-{os.getpid()}")
    group.mkdir()
    (group / ("memory.max" if new else "memory.limit_in_bytes")).write_text(str(limit))
    try:
        yield group
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.1)


# Troubles: (folder, quiet) -> what was done, what was said, bytes afterwards -----------------------------------------


def disk(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """The disk fills; then it is enlarged."""
    with mounted(folder):
        first = run(written(folder), *TWO)
        kept = {path.name: path.stat().st_ino for path in done(folder)}
        subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)
        second = run(folder, *TWO)
        assert (first.returncode, second.returncode) == (2, 0), first.stderr + second.stderr
        assert all((folder / "s.zarr.tasks" / name).stat().st_ino == ino for name, ino in kept.items())
        words = f"{said(first.stderr)} ({len(kept)} tasks were done)"
        return "disk full (a tmpfs of 1.5 MB)", words, same(folder, quiet)


def permission(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """A folder of another user; root may write there all the same, unless that capability is taken away."""
    shutil.chown(written(folder), "nobody")
    os.chmod(folder, 0o755)
    plain = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    first = subprocess.run([*plain, *SWEEP], cwd=folder, capture_output=True, text=True)
    assert first.returncode == 2, first.stderr
    assert not done(folder)
    assert run(folder).returncode == 0
    return "a folder without permission to write", said(first.stderr), same(folder, quiet)


def two(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """A second sweep on the store of a running one."""
    child = begin(written(folder))
    until(folder, 3, child)
    child.send_signal(signal.SIGSTOP)  # so that it has not ended before the second starts
    second = run(folder)
    child.send_signal(signal.SIGCONT)
    assert second.returncode == 2, second.stderr
    assert child.wait() == 0, (folder / "log").read_text()
    return "two sweeps on one store: the second", said(second.stderr), same(folder, quiet)


def interrupt(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """Ctrl-C to the whole process group, as a terminal does."""
    child = begin(written(folder), *TWO)
    until(folder, 6, child)
    os.killpg(child.pid, signal.SIGINT)
    code = child.wait()
    assert code == 130, (code, (folder / "log").read_text())
    again = run(folder, *TWO)
    assert again.returncode == 0, again.stderr
    return "Ctrl-C, two workers", said((folder / "log").read_text()), same(folder, quiet)


def files(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """A task file that is cut, one of another task, one that is junk."""
    assert run(written(folder)).returncode == 0
    cut, foreign, junk, *rest = done(folder)
    kept = {path: path.stat().st_ino for path in rest}
    cut.write_bytes(cut.read_bytes()[:-7])
    foreign.write_bytes(rest[0].read_bytes())
    junk.write_bytes(b"\x80\x04\x95 a pickle that nobody opens")
    status = run(folder, "--status")
    assert run(folder).returncode == 0
    assert all(path.stat().st_ino == ino for path, ino in kept.items())
    words = said(status.stdout + status.stderr)
    return "three task files: cut, of another task, junk; with `--status` before", words, same(folder, quiet)


def _afterwards(folder: Path, file: dict[str, object]) -> str:
    """Run again without the trouble, and compare with a store that never had it."""
    again = run(folder, "--retry-failed")
    assert again.returncode == 0, again.stderr
    alone = written(folder.with_name(f"{folder.name}-alone"), **file)
    assert run(alone).returncode == 0
    return same(folder, alone)


HUGE = {"stop": 2, "realisations": 1, "count": 2, "more": '"size[e]": [300, 120000000]'}
"""Two of its four points are networks of 120 million neurons, which take 3 GB."""


def limited(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """Workers whose address space is limited: an allocation fails, and NumPy raises MemoryError."""
    code = (
        "import distributed, largen.sweeps.work, largen.systems.spiking.network; print(open('/proc/self/statm').read())"
    )
    pages = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[0]
    most = int(pages) * resource.getpagesize() + (1 << 30)
    first = run(written(folder, **HUGE), *TWO, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)))
    words = said(first.stderr + run(folder, "--status").stdout)
    return "address space of every process limited (RLIMIT_AS)", words, _afterwards(folder, HUGE)


def killed(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """Processes in a control group: the kernel kills the one that is too large."""
    with control_group(1100 << 20) as group:
        enter = group / "cgroup.procs"
        first = run(written(folder, **HUGE), *TWO, before=lambda: enter.write_text(str(os.getpid())))
    words = said(first.stderr + run(folder, "--status").stdout)
    return "the kernel kills workers (a control group of 1.1 GB)", words, _afterwards(folder, HUGE)


def exception(folder: Path, quiet: Path) -> tuple[str, str, str]:
    """A parameter that no network can have, at half of the points."""
    wrong = {"count": 4, "more": "refractory_time: [4.0, -1.0]"}
    first = run(written(folder, **wrong), *TWO)
    words = said(first.stderr + run(folder, "--status").stdout)
    return "an exception at half of the points", words, _afterwards(folder, wrong)


TROUBLES = {one.__name__: one for one in (disk, permission, two, interrupt, files, limited, killed, exception)}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("troubles", nargs="*", default=list(TROUBLES))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        quiet = written(Path(place, "quiet"))
        assert run(quiet).returncode == 0
        for name in given.troubles:
            folder = Path(place, name)
            try:
                cells = TROUBLES[name](folder, quiet)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            print(f"| {' | '.join(cells)} |", flush=True)
            if given.write:
                rows.write("sweeps.md", [cells])


if __name__ == "__main__":
    main()
