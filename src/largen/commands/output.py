"""What a command writes: progress on standard error, results on standard output, files and folders."""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from largen.checks import InputError, require

SOON = 1.0
"""Seconds after which a command says what takes so long."""


class Output:
    """Standard output and standard error of one command; with `--json` nothing but one JSON text."""

    def __init__(self, as_json: bool):
        self.as_json = as_json

    def say(self, message: str) -> None:
        """Say on standard error what is being done."""
        if not self.as_json:
            print(message, file=sys.stderr, flush=True)

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


@contextlib.contextmanager
def results_folder(out: Path | None, name: str, overwrite: bool) -> Iterator[Path]:
    """Choose and make the results folder; a folder that holds results is not written over unless asked.

    Without `out` it is largen-results/NAME, or NAME-2, NAME-3 and so on if that holds results. A failure before the
    first result leaves no folder.
    """
    folder = _default_folder(Path(name).stem, overwrite) if out is None else out
    if out is not None and _holds_results(folder) and not overwrite:
        raise InputError(f"Folder `{folder}` already holds results: choose another --out, or say --overwrite.")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Results folder `{folder}` cannot be made: {error.strerror}. Choose another --out."
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"Results folder `{folder}` must be writable, but is not. Choose another --out.")
    try:
        yield folder
    except BaseException:
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise


def _default_folder(name: str, overwrite: bool) -> Path:
    base = Path("largen-results")
    candidates = [base / name, *(base / f"{name}-{k}" for k in range(2, 10_000))]
    return candidates[0] if overwrite else next(path for path in candidates if not _holds_results(path))


def _holds_results(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def check_file(out: Path | None, overwrite: bool) -> None:
    """Refuse an output file that is already there, or whose folder is not, before any work is done."""
    if out is None:
        return
    if out.exists() and not overwrite:
        raise InputError(f"File `{out}` already exists: choose another --out, or say --overwrite.")
    require(out.parent.is_dir(), "out", "lie in an existing folder", str(out), "Make the folder first.")
    require(os.access(out.parent, os.W_OK), "out", "lie in a writable folder", str(out))


def save_figure(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG, whole or not at all."""
    from largen.io.atomic import write_atomically

    write_atomically(path, lambda aside: figure.savefig(aside, format="png", dpi=150))
