"""Failure modes of a sweep, made for real, and the message that the user reads.

What:     a disk that fills (a tmpfs of 1.5 MB), a store that may not be written (as the user `nobody`), a second sweep
          on one store, workers out of memory (their address space limited, so that allocation fails; and the kernel's
          memory limit of a control group, which kills), an exception at a point, a cut and a foreign task file, Ctrl-C.
          Each sweep is the command line's own process; afterwards the failure is taken away, the same command is run
          again, and the store must have the bytes of an undisturbed run.
Run time: about 3 minutes. Needs: Linux; `root` needs root (mount, setpriv, control groups).
Command:  python validation/failures.py user|root
"""

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

from stores import equal
from study import Results, main

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


def message(text: str) -> str:
    """The last lines that were printed, without those of progress."""
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line.strip() and not re.match(r"sweep: \d", line)]
    return " ".join(" ".join(lines[-6:]).split())


def same(folder: Path, quiet: Path) -> bool:
    """Whether a store has the bytes of the undisturbed one."""
    pairs = [(folder / name, quiet / name) for name in ("s.zarr", "s.zarr.tasks")]
    return all(equal(*pair) for pair in pairs)


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


# Failures: (folder, quiet) -> what was done, the message, whether the bytes are the same ----------------------------


def disk(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """The disk fills; then it is enlarged."""
    with mounted(folder):
        first = run(written(folder), *TWO)
        kept = {path.name: path.stat().st_ino for path in done(folder)}
        subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)
        second = run(folder, *TWO)
        assert (first.returncode, second.returncode) == (2, 0), first.stderr + second.stderr
        assert all((folder / "s.zarr.tasks" / name).stat().st_ino == ino for name, ino in kept.items())
        words = f"{message(first.stderr)} ({len(kept)} tasks were done)"
        return "disk full (a tmpfs of 1.5 MB)", words, same(folder, quiet)


def permission(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """A folder of another user; root may write there all the same, unless that capability is taken away."""
    shutil.chown(written(folder), "nobody")
    os.chmod(folder, 0o755)
    plain = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    first = subprocess.run([*plain, *SWEEP], cwd=folder, capture_output=True, text=True)
    assert first.returncode == 2, first.stderr
    assert not done(folder)
    assert run(folder).returncode == 0
    return "a folder without permission to write", message(first.stderr), same(folder, quiet)


def two_sweeps(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """A second sweep on the store of a running one."""
    child = begin(written(folder))
    until(folder, 3, child)
    child.send_signal(signal.SIGSTOP)  # so that it has not ended before the second starts
    second = run(folder)
    child.send_signal(signal.SIGCONT)
    assert second.returncode == 2, second.stderr
    assert child.wait() == 0, (folder / "log").read_text()
    return "two sweeps on one store: the second", message(second.stderr), same(folder, quiet)


def interrupt(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """Ctrl-C to the whole process group, as a terminal does."""
    child = begin(written(folder), *TWO)
    until(folder, 6, child)
    os.killpg(child.pid, signal.SIGINT)
    code = child.wait()
    assert code == 130, (code, (folder / "log").read_text())
    again = run(folder, *TWO)
    assert again.returncode == 0, again.stderr
    return "Ctrl-C, two workers", message((folder / "log").read_text()), same(folder, quiet)


def files(folder: Path, quiet: Path) -> tuple[str, str, bool]:
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
    words = message(status.stdout + status.stderr)
    return "three task files: cut, of another task, junk; with `--status` before", words, same(folder, quiet)


def _afterwards(folder: Path, file: dict[str, object]) -> bool:
    """Run again without the failure, and compare with a store that never had it."""
    again = run(folder, "--retry-failed")
    assert again.returncode == 0, again.stderr
    alone = written(folder.with_name(f"{folder.name}-alone"), **file)
    assert run(alone).returncode == 0
    return same(folder, alone)


HUGE = {"stop": 2, "realisations": 1, "count": 2, "more": '"size[e]": [300, 120000000]'}
"""Two of its four points are networks of 120 million neurons, which take 3 GB."""


def limited(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """Workers whose address space is limited: an allocation fails, and NumPy raises MemoryError."""
    code = (
        "import distributed, largen.sweeps.work, largen.systems.spiking.network.run; "
        "print(open('/proc/self/statm').read())"
    )
    pages = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[0]
    most = int(pages) * resource.getpagesize() + (1 << 30)
    first = run(written(folder, **HUGE), *TWO, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)))
    words = message(first.stderr + run(folder, "--status").stdout)
    return "address space of every process limited (RLIMIT_AS)", words, _afterwards(folder, HUGE)


def killed(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """Processes in a control group: the kernel kills the one that is too large."""
    with control_group(1100 << 20) as group:
        enter = group / "cgroup.procs"
        first = run(written(folder, **HUGE), *TWO, before=lambda: enter.write_text(str(os.getpid())))
    words = message(first.stderr + run(folder, "--status").stdout)
    return "the kernel kills workers (a control group of 1.1 GB)", words, _afterwards(folder, HUGE)


def exception(folder: Path, quiet: Path) -> tuple[str, str, bool]:
    """A parameter that no network can have, at half of the points."""
    wrong = {"count": 4, "more": "refractory_time: [4.0, -1.0]"}
    first = run(written(folder, **wrong), *TWO)
    words = message(first.stderr + run(folder, "--status").stdout)
    return "an exception at half of the points", words, _afterwards(folder, wrong)


def made(results: Results, *failures: Callable[[Path, Path], tuple[str, str, bool]]) -> None:
    """Make failures, each in a folder of its own, beside an undisturbed run."""
    table = results.table("failures", "failure", "message", "bytes of an undisturbed run")
    with tempfile.TemporaryDirectory() as place:
        quiet = written(Path(place, "quiet"))
        assert run(quiet).returncode == 0
        for failure in failures:
            table.add(*failure(Path(place, failure.__name__), quiet))
            assert table.rows[-1][-1]


def user(results: Results, small: bool) -> None:
    """Failures that every user can make."""
    made(results, *((files, exception) if small else (two_sweeps, interrupt, files, limited, exception)))


def root(results: Results, small: bool) -> None:
    """Failures that only root can make: a full disk, a foreign folder, a control group."""
    made(results, *((permission,) if small else (disk, permission, killed)))


PARTS = (user, root)

if __name__ == "__main__":
    main(PARTS, __doc__)
