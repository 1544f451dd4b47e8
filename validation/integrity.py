"""Damaged results and killed commands: nothing silent, nothing half.

What:     (damage) bits flipped, pieces cut off, files missing or exchanged, in results as netCDF and zarr and in the
          tasks of sweeps: every trial must end with a refusal or a note, or the task be done again, and never with
          other numbers; (run, convergence, bifurcation, fit) these commands killed with SIGKILL at moments spread over
          the whole run, in a new folder and with --overwrite: afterwards there must be the old result or the new
          one, whole, and the same command again must leave the bytes of an undisturbed one and nothing else.
Run time: about 10 minutes on two idle cores. Needs: zarr; Linux or macOS.
Command:  python validation/integrity.py damage run convergence bifurcation fit
"""

import importlib
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from study import Results, main

import largen as ln

Tree = dict[str, bytes]


def tree(folder: Path) -> Tree:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Damage ---------------------------------------------------------------------------------------------------------------


def hurt(path: Path, draw: random.Random) -> str:
    """Damage a file, or one or two files of a folder; what was done."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = draw.choice(files)
    content = bytearray(file.read_bytes())
    others = [other for other in files if other.read_bytes() != bytes(content)]
    kinds = ["flipped", "cut", "missing or exchanged"]
    kind = draw.choice(kinds if others else kinds[:2])
    if kind == "flipped":
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        first, last = sorted(draw.sample(range(len(content) + 1), 2))
        del content[first : draw.choice([last, len(content)])]
    elif draw.random() < 0.5:
        file.unlink()
        return kind
    else:
        other = draw.choice(others)
        file.write_bytes(other.read_bytes())
        file = other
    file.write_bytes(content)
    return kind


def loaded(path: Path, whole: xr.Dataset) -> str:
    """What `load` makes of a damaged result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = ln.load(path)
        except ln.InputError as error:
            return "refused" if path.name in str(error) else "other"
        except Exception:
            return "other"
    if not found.identical(whole):
        return "other"
    return "noted" if any(issubclass(warning.category, ln.Unverified) for warning in caught) else "unnoticed"


def damage(results: Results, small: bool) -> None:
    """Damaged results are refused or noted, in every format."""
    trials, draw = 25 if small else 500, random.Random(1)
    outcomes = ("refused", "noted", "unnoticed", "other")
    kinds = ("flipped", "cut", "missing or exchanged")
    heads = ("by name", "with a note, right", "without a word", "other numbers, or another error")
    table = results.table("damage", "format", "trials", *kinds, *heads)
    times = np.linspace(0, 2, 41)
    network = ln.simulate(ln.BalancedNetwork(), times, n=200, realisations=4, method="tau_leap")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in ("nc", "zarr"):
            whole = ln.save(network, folder / f"whole.{suffix}")
            found = []
            for number in range(trials):
                path = folder / f"{number}.{suffix}"
                (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
                found.append((hurt(path, draw), loaded(path, network)))
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            counts = [sum(kind == one for kind, _ in found) for one in kinds]
            table.add(f".{suffix}", trials, *counts, *(sum(end == one for _, end in found) for one in outcomes))
            assert {end for _, end in found} <= {"refused", "noted"}
        found = damaged_tasks(folder, trials, draw)
        counts = [sum(kind == one for kind, _ in found) for one in kinds]
        table.add("task of a sweep", trials, *counts, *(sum(end == one for _, end in found) for one in outcomes))
        assert {end for _, end in found} == {"refused"}


def damaged_tasks(folder: Path, trials: int, draw: random.Random) -> list[tuple[str, str]]:
    """Damage a task's file again and again; a task that is not read is done again."""
    from largen.sweeps.store import Store  # here, so that processes that kill commands import JAX when they are ready

    store = Store(folder / "sweep.nc")
    grid = ln.Grid({"noise": [0.5, 0.6]})
    ln.sweep(ln.RateNetwork(), grid, times=np.arange(5.0), store=store.path)
    file = next(store.folder.glob("*.task"))
    content, found = file.read_bytes(), []
    for _ in range(trials):
        kind = hurt(file, draw)
        found.append((kind, "refused" if store.read(file.stem) is None else "unnoticed"))
        file.write_bytes(content)
    return found


# Kills ----------------------------------------------------------------------------------------------------------------

COMMANDS = {
    "run": ["run", "correlated", "--times", "0:4:1", "-r", "4", "--n"],
    "bifurcation": ["bifurcation", "balanced", "-p", "drive[e]", "--to", "0.9", "--no-cycles", "--points"],
    "fit": ["fit", "correlated", "target.nc", "--free", "noise", "--times", "0:3:1", "--no-check", "--starts"],
    "convergence": ["convergence", "correlated", "--times", "0:4:1", "-r", "4", "--n"],
}
"""Commands and, behind them, the values of their last option in the old run and in the new one."""
SAID = "said.txt"
"""What the last command said, in the folder where all are started."""
LONGEST = 300
"""Seconds that an undisturbed command may take."""
VALUES = {"run": ("30", "40"), "bifurcation": ("5", "6"), "fit": ("1", "2"), "convergence": ("20,40", "20,50")}


def started(words: list[str]) -> int:
    """Start a command in a process of its own; a copy of this one, so that it need not import anything again."""
    pid = os.fork()
    if pid:
        return pid
    from largen.commands.main import main as largen

    said = os.open(SAID, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in (0, 1, 2):
        os.dup2(said, stream)
    try:
        os._exit(largen(words))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def finished(words: list[str]) -> float:
    """Run a command to its end, which must be a good one; how long it took."""
    begun, pid, status = time.monotonic(), started(words), None
    while status is None:
        time.sleep(0.001)
        ended, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
        if status is None and time.monotonic() - begun > LONGEST:
            os.kill(pid, signal.SIGKILL)
            status = f"nothing after {LONGEST} s"
    if status:
        raise RuntimeError(f"largen {' '.join(words)} ended with {status}: {Path(SAID).read_text()[-2000:]}")
    return time.monotonic() - begun


def kill(words: list[str], delay: float, parent: Path, files: int) -> bool:
    """Kill a command so long after it has written some files; whether it still ran."""
    pid = started(words)
    while files and not any(written(aside) >= files for aside in parent.glob(".*.part")):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def written(folder: Path) -> int:
    """How many whole files a folder has; none where it is gone."""
    try:
        return sum(not name.endswith(".part") for name in os.listdir(folder))
    except OSError:
        return 0


def kills(command: str, results: Results, small: bool) -> None:
    """Kill one command in a new folder and with --overwrite, each in a process that has run nothing yet."""
    heads = ("into", "SIGKILLs", "killed while it ran", "old result", "new result", "neither", "rerun equal")
    table = results.table("kills", *heads)
    for overwrite in (False, True):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            table.add(*pool.submit(killed, command, overwrite, 1 if small else 10).result())
    for row in table.rows:
        assert row[5] == 0, row
        assert row[6] == row[1], row


def run(results: Results, small: bool) -> None:
    """Kill `largen run`."""
    kills("run", results, small)


def convergence(results: Results, small: bool) -> None:
    """Kill `largen convergence`."""
    kills("convergence", results, small)


def bifurcation(results: Results, small: bool) -> None:
    """Kill `largen bifurcation`."""
    kills("bifurcation", results, small)


def fit(results: Results, small: bool) -> None:
    """Kill `largen fit`."""
    kills("fit", results, small)


def killed(command: str, overwrite: bool, count: int) -> list[int | str]:
    """Kill one command some times, and run it again each time; a row of the table.

    The process that does this imports what the commands need and runs none of it: a copy of a process whose JAX has
    started threads hangs.
    """
    from largen.runtime.compilation import keep_compiled_programs

    for module in ("commands.job", "commands.main", "comparison", "fitting", "plot.bifurcation"):
        importlib.import_module(f"largen.{module}")
    keep_compiled_programs()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        if command == "fit":
            finished(["limit", "correlated", "--set", "noise=0.6", "--times", "0:3:1", "-o", "target.nc"])
        found = outcomes(command, overwrite, count, Path(name))
        os.chdir("/")
    return ["with --overwrite" if overwrite else "a new folder", count, *found.values()]


def outcomes(command: str, overwrite: bool, count: int, top: Path) -> dict[str, int]:
    """How often a killed command had still run, what was there afterwards, and whether the rerun was equal."""
    draw = random.Random(f"{command} {overwrite}")
    place, out = top / command / "out", ["--out", str(top / command / "out")]
    old_words, new_words = ([*COMMANDS[command], value, *out, "--overwrite"] for value in VALUES[command])
    finished(old_words)
    old = tree(place)
    finished(new_words)
    duration = finished(new_words)
    new = tree(place)
    absent: Tree = {}
    found = {"ran": 0, "old": 0, "new": 0, "neither": 0, "equal": 0}
    for number in range(count):
        shutil.rmtree(place.parent)
        place.parent.mkdir()
        if overwrite:
            for file, content in old.items():
                (place / file).parent.mkdir(exist_ok=True, parents=True)
                (place / file).write_bytes(content)
        at_the_end = number >= 0.6 * count  # when most files, or all, are there
        delay = draw.random() * 0.03 if at_the_end else (number + draw.random()) / (0.6 * count) * duration
        files = len(new) - draw.choice([0, 0, 1, 2]) if at_the_end else 0
        words = new_words if overwrite else new_words[:-1]
        found["ran"] += kill(words, delay, place.parent, files)
        left = tree(place)
        found["new" if left == new else "old" if left == (old if overwrite else absent) else "neither"] += 1
        finished(new_words)
        found["equal"] += tree(place.parent) == {f"out/{file}": content for file, content in new.items()}
    return found


PARTS = (damage, run, convergence, bifurcation, fit)

if __name__ == "__main__":
    main(PARTS, __doc__)
