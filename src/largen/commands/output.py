"""What a command writes: progress on standard error, results on standard output, files and folders."""

import contextlib
import glob
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from largen.checks import InputError, LimitError, Stopped, path_of, require
from largen.io.atomic import being_written, umask
from largen.io.folders import exchange, mend
from largen.io.paths import target_of

RESULT_FILES = {
    *("model.yaml", "limit.nc", "finite.nc", "network.nc", "report.nc", "report.json", "figure.png"),
    *("convergence.nc", "convergence.json", "fit.nc", "fit.json"),
    *("points.jsonl", "diagram.nc", "diagram.json", "diagram.png"),
}
"""Names of all files that commands write to results folders; others in a folder that is replaced are the user's."""
SOON = 1.0
"""Seconds after which a command says what takes so long."""


class Output:
    """Standard output and standard error of one command; with `--json` nothing but one JSON text."""

    def __init__(self, as_json: bool):
        self.as_json = as_json

    def say(self, message: str) -> None:
        """Say on standard error what is being done."""
        if not self.as_json:
            tell(message)

    @contextlib.contextmanager
    def doing(self, message: str) -> Iterator[None]:
        """Say what is being done if it takes longer than `SOON`."""
        timer = threading.Timer(SOON, self.say, [message])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @property
    def progress(self) -> Literal[True, "lines"] | None:
        """The argument `progress` of long work: a bar in a terminal, a line now and then elsewhere."""
        if self.as_json:
            return None
        return True if sys.stderr.isatty() else "lines"

    def result(self, plain: Any, show: Callable[[], None]) -> None:
        """Print a result: `plain` as JSON, or what `show` prints for people."""
        if self.as_json:
            print(json.dumps(plain, indent=1, allow_nan=False))
        else:
            show()


def tell(message: str) -> None:
    """Say something on standard error; that nobody listens any more stops no work."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


class Results(NamedTuple):
    """A results folder while it is written.

    Attributes:
        folder: Where its files are written.
        path: Where they stand in the end.
    """

    folder: Path
    path: Path

    @property
    def stopped(self) -> Path:
        """Where a run that was stopped left what it had finished."""
        return _kept(self.path)


@contextlib.contextmanager
def results_folder(out: Path | None, name: str, overwrite: bool) -> Iterator[Results]:
    """Choose the results folder, and put it in its place when it is complete; until then what stood there stays.

    Without `out` it is largen-results/NAME, or NAME-2, NAME-3 and so on if that holds results. What is stopped on the
    way keeps what it had finished in NAME.stopped, which the next complete run removes. Files of a user's own in a
    folder that is replaced move along.
    """
    path = _default_folder(Path(name).stem, overwrite) if out is None else path_of("out", out)
    place = Path(os.path.realpath(path))
    _require_place(path, place)
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Results folder `{path}` cannot be made: {error.strerror}. Choose another --out.") from error
    mend(place, RESULT_FILES.__contains__)
    if _holds_results(place) and not overwrite:
        raise InputError(f"Folder `{path}` already holds results: choose another --out, or say --overwrite.")
    require(not place.exists() or place.is_dir(), "out", "name a folder", str(path), "Choose another.")
    try:
        with being_written(place, folder=True) as aside:
            try:
                yield Results(aside, path)
                _put(aside, place, path, overwrite)
            except (Exception, KeyboardInterrupt) as error:
                raise _stopped(error, aside, path, place) from error
    except BaseException:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _require_place(path: Path, place: Path) -> None:
    """Refuse a folder that cannot be exchanged for another."""
    here = Path.cwd()
    require(place.name, "out", "name a folder", str(path))
    remedy = f"Name a folder in it, such as --out {path / 'results'}."
    require(place != here and place not in here.parents, "out", "be another than this folder", str(path), remedy)
    require(not os.path.ismount(place), "out", "be no mount point", str(path), remedy)


def _put(aside: Path, place: Path, path: Path, overwrite: bool) -> None:
    """Put a complete folder in its place."""
    if _holds_results(place) and not overwrite:
        raise InputError(f"Folder `{path}` was filled by another run meanwhile.")
    os.chmod(aside, place.stat().st_mode if place.exists() else 0o777 & ~umask())
    try:
        exchange(aside, place, RESULT_FILES.__contains__)
    except OSError as error:
        raise InputError(
            f"Results folder `{path}` cannot be put in its place: {error.strerror}. Choose another --out."
        ) from error
    shutil.rmtree(_kept(place), ignore_errors=True)


def _stopped(error: BaseException, aside: Path, path: Path, place: Path) -> BaseException:
    """Keep what had finished, and the error that says where."""
    if not any(aside.iterdir()):
        return error
    try:
        exchange(aside, _kept(place))
    except OSError:  # a full disk, say: nothing can be kept
        return error
    words = f"{error} What had finished is in `{_kept(path)}`.".strip()
    if isinstance(error, KeyboardInterrupt):
        return Stopped(words)
    return type(error)(words) if isinstance(error, InputError | LimitError | Stopped) else error


def _kept(path: Path) -> Path:
    return path.with_name(f"{path.name}.stopped")


def _default_folder(name: str, overwrite: bool) -> Path:
    base = Path("largen-results")
    candidates = [base / name, *(base / f"{name}-{k}" for k in range(2, 10_000))]
    for path in [] if overwrite else candidates:
        if base.is_dir():
            mend(path, RESULT_FILES.__contains__)
        if not _holds_results(path) and not any(base.glob(f".{glob.escape(path.name)}.*.part")):  # of a living process
            return path
    return candidates[0]


def _holds_results(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def check_file(out: Path | None, overwrite: bool) -> Path | None:
    """Refuse an output file that is already there, or whose folder is not, before any work is done; return its path."""
    if out is None:
        return None
    path = target_of("out", out)
    if path.exists() and not overwrite:
        raise InputError(f"File `{out}` already exists: choose another --out, or say --overwrite.")
    require(path.suffix == ".zarr" or not path.is_dir(), "out", "name a file", str(out), "It is a folder.")
    require(os.access(path.parent, os.W_OK), "out", "lie in a writable folder", str(out))
    return path


def save_figure(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG, whole or not at all."""
    from largen.io.atomic import write_atomically

    write_atomically(path, lambda aside: figure.savefig(aside, format="png", dpi=150))
